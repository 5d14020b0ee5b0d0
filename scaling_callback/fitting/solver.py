"""Minimise the objective for many starts or many resamplings at once: batched Levenberg-Marquardt.

All problems of a batch share the points and differ in start, weights or prior. Steps come from the analytic
gradient and the curvature of the objective itself, so that convergence near the optimum is fast although the
objective is nearly an L1 norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scaling_callback.fitting.problem import Problem
from scaling_callback.records import Array, BoolArray

MAX_ITERATIONS = 300
TOLERANCE = 1e-11
"""Relative decrease of the objective that an undamped step must promise for the search to go on."""

NEGLIGIBLE = 1e-20
"""The same in absolute terms: residuals of 1e-10 in ln L are exact for every purpose."""

UNDAMPED, MOST_DAMPED = 1e-2, 1e9
"""Damping up to which a step counts as a Newton step, and at which no step can help any more."""

ANNEALING = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Huber deltas solved before a smaller one that is asked for: wide ones have few local minima (DESIGN 5.1)."""

ANNEALING_ITERATIONS = 30
"""Steps spent on each of them: they need to come near, not to converge."""


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
    lower, upper = problem.lower, problem.upper
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
        prior_cost, prior_gradient, prior_curvature = problem.penalty(here, rows)
        cost[rows] = problem.objective.cost(value, y, w) + prior_cost

        score, curvature, majorant = problem.objective.derivatives(value, y)
        g = ((w * score)[:, None, :] @ jacobian)[:, 0] + prior_gradient
        weighted = jacobian * (w * curvature)[..., None]
        hessian = weighted.transpose(0, 2, 1) @ jacobian + prior_curvature
        scale = np.einsum("rn,rnp,rnp->rp", w * majorant, jacobian, jacobian)
        scale = scale + np.einsum("rpp->rp", prior_curvature)
        # a borrowed parameter lies at both of its bounds, and stays
        held = ((here <= lower) & (g >= 0)) | ((here >= upper) & (g <= 0))
        g = np.where(held, 0.0, g)
        gradient_size[rows] = np.abs(g).max(1)
        hessian *= ~held[:, :, None] & ~held[:, None, :]
        # the tiny constant keeps the matrix regular where a parameter has no influence at all
        hessian[:, diagonal, diagonal] += damping[rows, None] * scale + 1e-280 + held
        # no single step leaves the region in which its parabola means something
        step = np.clip(-np.linalg.solve(hessian, g[..., None])[..., 0], -1.0, 1.0)

        there = np.clip(here + step, lower, upper)
        value, _ = problem.law.log_loss(there, problem.x)
        trial = problem.objective.cost(value, y, w) + problem.penalty(there, rows)[0]
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
        if delta > problem.objective.width:
            wide = replace(problem, objective=replace(problem.objective, delta=delta))
            start = minimise(wide, start, weight, max_iterations=ANNEALING_ITERATIONS).theta
    return minimise(problem, start, weight)
