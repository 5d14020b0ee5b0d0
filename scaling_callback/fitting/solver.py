"""Minimise the objective for many starts or many resamplings at once: batched Levenberg-Marquardt.

All problems of a batch share the points and differ in start, weights or prior. Steps come from the analytic
gradient and the curvature of the objective itself, so that convergence near the optimum is fast although the
objective is nearly an L1 norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scaling_callback.fitting.problem import IndexArray, Problem
from scaling_callback.records import Array, BoolArray

MAX_ITERATIONS = 400
"""Steps after which a search is given up; of several searches one is enough."""

TOLERANCE = 1e-11
"""Relative decrease of the objective that an undamped step must promise for the search to go on."""

PATIENCE = 25
"""Steps after which a search is taken to follow a bent valley, and its steps are bent too."""

STALL, STALLED = 50, 100.0
"""A search that gained less than 100 tolerances in 50 steps goes to and fro over a kink, and has settled."""

POWERLESS = 1e-4
"""Largest change of ln L by one unit of an exponent, at any point, below which it does nothing."""

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
    negligible: float = NEGLIGIBLE,
) -> Minima:
    """Search from `start` (R, P), with weights (R, n) or (1, n) on the points.

    Each step solves (H + lambda diag M) p = -g with H the curvature of the objective and M its majorant;
    lambda falls when a step helps and rises when it does not. Parameters pushed against a bound are held there. A
    search that takes long follows a valley, and its steps are bent along with it (`_bend`).
    """
    lower, upper = problem.lower, problem.upper
    theta = np.clip(start, lower, upper)
    runs = len(theta)
    damping, cost = np.full(runs, 1e-3), np.full(runs, np.inf)
    gradient_size, iterations = np.full(runs, np.inf), np.zeros(runs)
    converged, open_ = np.zeros(runs, bool), np.ones(runs, bool)
    before = cost.copy()
    for iteration in range(max_iterations):
        rows = np.flatnonzero(open_)
        if not len(rows):
            break
        here, w = theta[rows], weight if len(weight) == 1 else weight[rows]
        y = problem.y if len(problem.y) == 1 else problem.y[rows]
        slow = iteration >= PATIENCE
        model = _model(problem, here, rows, y, w, damping[rows], slow=slow)
        cost[rows], gradient_size[rows] = model.cost, np.abs(model.gradient).max(1)
        # no single step leaves the region in which its parabola means something
        step = np.clip(-_solve(model.hessian, model.gradient), -1.0, 1.0)

        there = np.clip(here + step, lower, upper)
        value, _ = problem.law.log_loss(there, problem.x)
        trial = problem.objective.cost(value, y, w) + problem.penalty(there, rows)[0]
        if slow:
            bent = np.clip(there + _bend(model, there - here, value), lower, upper)
            value, _ = problem.law.log_loss(bent, problem.x)
            second = problem.objective.cost(value, y, w) + problem.penalty(bent, rows)[0]
            wins = second < trial
            there[wins], trial[wins] = bent[wins], second[wins]
        better = trial <= model.cost
        theta[rows[better]] = there[better]
        iterations[rows] += 1
        # what the step promises, not what it delivers: near the optimum the delivery is rounding. A step that promises
        # a rise comes from a singular curvature, not from an optimum
        promise = np.abs(0.5 * (model.gradient * step).sum(1))
        small = promise <= tolerance * model.cost + negligible
        settled = small & (damping[rows] <= UNDAMPED)
        stuck = ~better & (damping[rows] >= MOST_DAMPED)
        converged[rows] = settled | (stuck & small)
        open_[rows] = ~(settled | stuck)
        cost[rows[better]] = trial[better]
        damping[rows] = np.clip(np.where(better, damping[rows] / 5.0, damping[rows] * 8.0), 1e-9, MOST_DAMPED)
        if iteration % STALL == STALL - 1:
            stalled = open_ & (before - cost <= STALLED * (tolerance * cost + negligible))
            converged, open_, before = converged | stalled, open_ & ~stalled, cost.copy()
    return Minima(theta, cost, gradient_size, converged, iterations)


@dataclass(frozen=True)
class _Model:
    """The parabola that stands in for the objective around R places, and what it was made from.

    Attributes:
        value: Ln L there, shape (R, n).
        jacobian: Its gradient by the working parameters, shape (R, n, P).
        curvature: Weighted curvature of the objective by ln L, shape (R, n).
        cost: The objective, shape (R,).
        gradient: Its gradient, 0 where a parameter is held, shape (R, P).
        hessian: Its damped curvature, the identity where a parameter is held, shape (R, P, P).
        held: Parameters that stay where they are, shape (R, P).
    """

    value: Array
    jacobian: Array
    curvature: Array
    cost: Array
    gradient: Array
    hessian: Array
    held: BoolArray


def _model(
    problem: Problem, here: Array, rows: IndexArray, y: Array, w: Array, damping: Array, *, slow: bool
) -> _Model:
    """The parabola around `here` (R, P), the places of the problems `rows` of the batch."""
    value, jacobian = problem.law.log_loss(here, problem.x)
    prior_cost, prior_gradient, prior_curvature = problem.penalty(here, rows)
    score, curvature, majorant = problem.objective.derivatives(value, y)
    gradient = ((w * score)[:, None, :] @ jacobian)[:, 0] + prior_gradient
    curvature = w * curvature
    hessian = (jacobian * curvature[..., None]).transpose(0, 2, 1) @ jacobian + prior_curvature
    prior_scale = np.einsum("rpp->rp", prior_curvature)
    scale = np.einsum("rn,rnp,rnp->rp", w * majorant, jacobian, jacobian) + prior_scale
    # a borrowed parameter lies at both of its bounds, and stays
    held = ((here <= problem.lower) & (gradient >= 0)) | ((here >= problem.upper) & (gradient <= 0))
    if slow:  # the exponent of a term that has vanished stays too: the loss no longer depends on it
        held |= (np.abs(jacobian).max(1) < POWERLESS) & (prior_scale == 0) & problem.shaping
    hessian *= ~held[:, :, None] & ~held[:, None, :]
    diagonal = np.arange(here.shape[1], dtype=np.intp)
    # the tiny constant keeps the matrix regular where a parameter has no influence at all
    hessian[:, diagonal, diagonal] += damping[:, None] * scale + 1e-280 + held
    cost = problem.objective.cost(value, y, w) + prior_cost
    return _Model(value, jacobian, curvature, cost, np.where(held, 0.0, gradient), hessian, held)


def _bend(model: _Model, step: Array, reached: Array) -> Array:
    """What to add to steps (R, P) that led to log losses `reached` (R, n), so that they follow a bent valley.

    Geodesic acceleration (Transtrum and Sethna 2012, arXiv 1201.5885): half the solution of H a = -J^T W r'', with r''
    the second derivative of ln L along the step, here from the step itself.
    """
    second = 2.0 * (reached - model.value - (model.jacobian @ step[..., None])[..., 0])
    turn = np.where(model.held, 0.0, ((model.curvature * second)[:, None, :] @ model.jacobian)[:, 0])
    return -0.5 * _solve(model.hessian, turn)


def _solve(hessian: Array, gradient: Array) -> Array:
    """Solutions (R, P) of R linear systems; the shortest of many where one is singular to the last digit."""
    try:
        return np.asarray(np.linalg.solve(hessian, gradient[..., None])[..., 0], dtype=np.float64)
    except np.linalg.LinAlgError:  # parameters that move the loss by many orders of magnitude less than others
        return np.asarray((np.linalg.pinv(hessian, hermitian=True) @ gradient[..., None])[..., 0], dtype=np.float64)


def anneal(problem: Problem, start: Array, weight: Array, max_iterations: int = MAX_ITERATIONS) -> Minima:
    """`minimise` through decreasing Huber deltas down to the problem's own, where it takes at most `max_iterations`."""
    for delta in ANNEALING:
        if delta > problem.objective.width:
            wide = replace(problem, objective=replace(problem.objective, delta=delta))
            start = minimise(wide, start, weight, max_iterations=ANNEALING_ITERATIONS).theta
    return minimise(problem, start, weight, max_iterations=max_iterations)
