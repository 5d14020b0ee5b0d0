"""Minimise the objective for many starts or many resamplings at once: batched Levenberg-Marquardt.

All problems of a batch share the points and differ in start, weights or prior. Steps come from the analytic
gradient and the curvature of the objective itself, so that convergence near the optimum is fast although the
objective is nearly an L1 norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaling_callback.fitting.objective import LogHuber
from scaling_callback.laws import Law
from scaling_callback.records import Array, BoolArray

IndexArray: TypeAlias = NDArray[np.intp]

MAX_ITERATIONS = 300
TOLERANCE = 1e-11
"""Relative decrease of the objective that an undamped step must promise for the search to go on."""

NEGLIGIBLE = 1e-20
"""The same in absolute terms: residuals of 1e-10 in ln L are exact for every purpose."""

UNDAMPED, MOST_DAMPED = 1e-2, 1e9
"""Damping up to which a step counts as a Newton step, and at which no step can help any more."""

ANNEALING = (1e-1, 1e-2)
"""Huber deltas solved before the one asked for: wide ones have few local minima (DESIGN 5.1)."""

ANNEALING_ITERATIONS = 30
"""Steps spent on each of them: they need to come near, not to converge."""

VANISHED = 14.0
"""A term e^14 times smaller than the smallest loss is zero for every purpose; its coefficient stops there."""


@dataclass(frozen=True)
class Problem:
    """What is minimised: `law` through the log losses `y` (R, n) or (1, n) at the centred log variables `x` (V, n).

    Attributes:
        prior_log: Medians of ln exponent under the weak prior, shape (R, K) or (1, K).
        prior_sd: Their standard deviations, shape (K,).
        prior_weight: Weight of the prior's squared standard score / 2, in units of the objective; 0 is no prior.
    """

    law: Law
    x: Array
    y: Array
    objective: LogHuber
    prior_log: Array
    prior_sd: Array
    prior_weight: float = 0.0

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds of the working parameters, each (P,)."""
        low, high = self.y.min() - VANISHED, self.y.max() + VANISHED
        return (
            np.array([p.lower if p.exponent else low for p in self.law.parameters]),
            np.array([p.upper if p.exponent else high for p in self.law.parameters]),
        )

    def penalty(self, theta: Array, rows: IndexArray) -> tuple[Array, Array, Array]:
        """The prior's cost (R,), gradient (R, P) and curvature (R, P) for the problems `rows` of the batch."""
        exponents = list(self.law.exponents)
        gradient, curvature = np.zeros_like(theta), np.zeros_like(theta)
        if self.prior_weight == 0:
            return np.zeros(len(theta)), gradient, curvature
        centre = self.prior_log if len(self.prior_log) == 1 else self.prior_log[rows]
        score = (np.log(theta[:, exponents]) - centre) / self.prior_sd
        slope = 1.0 / (self.prior_sd * theta[:, exponents])
        gradient[:, exponents] = self.prior_weight * score * slope
        curvature[:, exponents] = self.prior_weight * slope**2
        return 0.5 * self.prior_weight * (score**2).sum(1), gradient, curvature


@dataclass(frozen=True)
class Minima:
    """Where a batch of R searches ended.

    Attributes:
        theta: Working parameters, shape (R, P).
        cost: Objective there, prior included, shape (R,).
        gradient: Largest component of its gradient among parameters that are not at a bound, shape (R,).
        converged: Whether an undamped step no longer lowers it, shape (R,).
        iterations: Steps taken, shape (R,).
    """

    theta: Array
    cost: Array
    gradient: Array
    converged: BoolArray
    iterations: Array


def minimise(
    problem: Problem,
    start: Array,
    weight: Array,
    *,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Minima:
    """Search from `start` (R, P), with weights (R, n) or (1, n) on the points.

    Each step solves (H + lambda diag M) p = -g with H the curvature of the objective and M its majorant;
    lambda falls when a step helps and rises when it does not. Parameters pushed against a bound are held there.
    """
    lower, upper = problem.bounds
    theta = np.clip(start, lower, upper)
    runs, size = theta.shape
    diagonal = np.arange(size, dtype=np.intp)
    damping, cost = np.full(runs, 1e-3), np.full(runs, np.inf)
    gradient_size, iterations = np.full(runs, np.inf), np.zeros(runs)
    converged, open_ = np.zeros(runs, bool), np.ones(runs, bool)
    for _ in range(max_iterations):
        rows = np.flatnonzero(open_)
        if not len(rows):
            break
        here, w = theta[rows], weight if len(weight) == 1 else weight[rows]
        value, jacobian = problem.law.log_loss(here, problem.x)
        y = problem.y if len(problem.y) == 1 else problem.y[rows]
        residual = value - y
        prior_cost, prior_gradient, prior_curvature = problem.penalty(here, rows)
        cost[rows] = problem.objective.cost(residual, np.broadcast_to(w, residual.shape)) + prior_cost

        g = ((w * problem.objective.score(residual))[:, None, :] @ jacobian)[:, 0] + prior_gradient
        weighted = jacobian * (w * problem.objective.curvature(residual))[..., None]
        hessian = weighted.transpose(0, 2, 1) @ jacobian
        majorant = np.einsum("rn,rnp,rnp->rp", w * problem.objective.majorant(residual), jacobian, jacobian)
        held = ((here <= lower) & (g > 0)) | ((here >= upper) & (g < 0))
        g = np.where(held, 0.0, g)
        gradient_size[rows] = np.abs(g).max(1)
        hessian *= ~held[:, :, None] & ~held[:, None, :]
        # the tiny constant keeps the matrix regular where a parameter has no influence at all
        hessian[:, diagonal, diagonal] += prior_curvature + damping[rows, None] * (majorant + prior_curvature) + 1e-280
        hessian[:, diagonal, diagonal] += held
        # no single step leaves the region in which its parabola means something
        step = np.clip(-np.linalg.solve(hessian, g[..., None])[..., 0], -1.0, 1.0)

        there = np.clip(here + step, lower, upper)
        value, _ = problem.law.log_loss(there, problem.x)
        trial = problem.objective.cost(value - y, np.broadcast_to(w, value.shape))
        trial = trial + problem.penalty(there, rows)[0]
        better = trial <= cost[rows]
        theta[rows[better]] = there[better]
        iterations[rows] += 1
        # what the step promises, not what it delivers: near the optimum the delivery is rounding
        promise = -0.5 * (g * step).sum(1)
        small = promise <= tolerance * cost[rows] + NEGLIGIBLE
        settled = small & (damping[rows] <= UNDAMPED)
        stuck = ~better & (damping[rows] >= MOST_DAMPED)
        converged[rows] = settled | (stuck & small)
        open_[rows] = ~(settled | stuck)
        cost[rows[better]] = trial[better]
        damping[rows] = np.clip(np.where(better, damping[rows] / 5.0, damping[rows] * 8.0), 1e-9, MOST_DAMPED)
    return Minima(theta, cost, gradient_size, converged, iterations)


def anneal(problem: Problem, start: Array, weight: Array) -> Minima:
    """`minimise` through decreasing Huber deltas down to the problem's own."""
    for delta in ANNEALING:
        if delta > problem.objective.delta:
            wide = replace(problem, objective=replace(problem.objective, delta=delta))
            start = minimise(wide, start, weight, max_iterations=ANNEALING_ITERATIONS).theta
    return minimise(problem, start, weight)
