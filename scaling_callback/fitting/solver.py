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
    runs = len(start)
    found = Minima(start.copy(), np.full(runs, np.inf), np.full(runs, np.inf), np.zeros(runs, bool), np.zeros(runs))
    # what follows is of the searches still under way, the `rows` of the batch
    rows, damping, iteration = np.arange(runs), np.full(runs, 1e-3), 0
    here = _evaluate(problem, _clip(start, lower, upper), weight)
    before, gradient = np.full(runs, np.inf), found.gradient
    while len(rows) and iteration < max_iterations:
        slow = iteration >= PATIENCE
        model = _model(problem, here, weight, damping, slow=slow)
        # no single step leaves the region in which its parabola means something
        step = _clip(-_solve(model.hessian, model.gradient), -1.0, 1.0)
        there = _evaluate(problem, _clip(here.theta + step, lower, upper), weight)
        if slow:
            bend = _bend(here, model, there)
            bent = _evaluate(problem, _clip(there.theta + bend, lower, upper), weight)
            there = _choose(bent.cost < there.cost, bent, there)
        better = there.cost <= here.cost
        # what the step promises, not what it delivers: near the optimum the delivery is rounding. A step that promises
        # a rise comes from a singular curvature, not from an optimum
        promise = np.abs(0.5 * (model.gradient * step).sum(1))
        small = promise <= tolerance * here.cost + negligible
        settled = small & (damping <= UNDAMPED)
        stuck = ~better & (damping >= MOST_DAMPED)
        converged, done = settled | (stuck & small), settled | stuck
        damping = _clip(np.where(better, damping / 5.0, damping * 8.0), 1e-9, MOST_DAMPED)
        here, gradient = _choose(better, there, here), np.abs(model.gradient).max(1)
        iteration += 1
        if iteration % STALL == 0:
            stalled = ~done & (before - here.cost <= STALLED * (tolerance * here.cost + negligible))
            converged, done, before = converged | stalled, done | stalled, here.cost
        if done.any():
            _record(found, rows[done], here.take(done), gradient[done], converged[done], iteration)
            kept = ~done
            rows, damping, before, gradient = rows[kept], damping[kept], before[kept], gradient[kept]
            problem, here = problem.take(kept), here.take(kept)
            weight = weight if len(weight) == 1 else weight[kept]
    _record(found, rows, here, gradient, np.zeros(len(rows), bool), iteration)
    return found


@dataclass(frozen=True)
class _Places:
    """Working parameters (R, P), and there: ln L (R, n), its gradient (R, n, P), the objective with its prior (R,)."""

    theta: Array
    value: Array
    jacobian: Array
    cost: Array

    def take(self, kept: BoolArray) -> _Places:
        """The places of these searches alone."""
        return _Places(self.theta[kept], self.value[kept], self.jacobian[kept], self.cost[kept])


def _evaluate(problem: Problem, theta: Array, weight: Array) -> _Places:
    value, jacobian = problem.law.log_loss(theta, problem.x)
    cost = problem.objective.cost(value, problem.y, weight) + problem.penalty_cost(theta)
    return _Places(theta, value, jacobian, cost)


def _choose(first: BoolArray, these: _Places, others: _Places) -> _Places:
    """The places `these` of the searches `first`, and of all others the `others`."""
    if first.all():
        return these
    return _Places(
        np.where(first[:, None], these.theta, others.theta),
        np.where(first[:, None], these.value, others.value),
        np.where(first[:, None, None], these.jacobian, others.jacobian),
        np.where(first, these.cost, others.cost),
    )


def _record(
    found: Minima, rows: IndexArray, here: _Places, gradient: Array, converged: BoolArray, iterations: int
) -> None:
    """Write down where the searches `rows` of the batch ended."""
    found.theta[rows], found.cost[rows], found.gradient[rows] = here.theta, here.cost, gradient
    found.converged[rows], found.iterations[rows] = converged, iterations


@dataclass(frozen=True)
class _Model:
    """The parabola that stands in for the objective around R places.

    Attributes:
        curvature: Weighted curvature of the objective by ln L, shape (R, n).
        gradient: Its gradient, 0 where a parameter is held, shape (R, P).
        hessian: Its damped curvature, the identity where a parameter is held, shape (R, P, P).
        held: Parameters that stay where they are, shape (R, P).
    """

    curvature: Array
    gradient: Array
    hessian: Array
    held: BoolArray


def _model(problem: Problem, here: _Places, weight: Array, damping: Array, *, slow: bool) -> _Model:
    """The parabola around the places of the problems of a batch."""
    theta, jacobian = here.theta, here.jacobian
    prior_gradient, prior_curvature = problem.penalty_derivatives(theta)
    score, curvature, majorant = problem.objective.derivatives(here.value, problem.y)
    gradient = ((weight * score)[:, None, :] @ jacobian)[:, 0] + prior_gradient
    curvature = weight * curvature
    hessian = (jacobian * curvature[..., None]).transpose(0, 2, 1) @ jacobian + prior_curvature
    prior_scale = np.einsum("rpp->rp", prior_curvature)
    scale = np.einsum("rn,rnp,rnp->rp", weight * majorant, jacobian, jacobian) + prior_scale
    # a borrowed parameter lies at both of its bounds, and stays
    held = ((theta <= problem.lower) & (gradient >= 0)) | ((theta >= problem.upper) & (gradient <= 0))
    if slow:  # the exponent of a term that has vanished stays too: the loss no longer depends on it
        held |= (np.abs(jacobian).max(1) < POWERLESS) & (prior_scale == 0) & problem.shaping
    if held.any():
        hessian *= ~held[:, :, None] & ~held[:, None, :]
        gradient = np.where(held, 0.0, gradient)
    diagonal = np.arange(theta.shape[1], dtype=np.intp)
    # the tiny constant keeps the matrix regular where a parameter has no influence at all
    hessian[:, diagonal, diagonal] += damping[:, None] * scale + 1e-280 + held
    return _Model(curvature, gradient, hessian, held)


def _bend(here: _Places, model: _Model, there: _Places) -> Array:
    """What to add (R, P) to the places that steps led to, so that they follow a bent valley.

    Geodesic acceleration (Transtrum and Sethna 2012, arXiv 1201.5885): half the solution of H a = -J^T W r'', with r''
    the second derivative of ln L along the step, here from the step itself.
    """
    step = there.theta - here.theta
    second = 2.0 * (there.value - here.value - (here.jacobian @ step[..., None])[..., 0])
    turn = np.where(model.held, 0.0, ((model.curvature * second)[:, None, :] @ here.jacobian)[:, 0])
    return -0.5 * _solve(model.hessian, turn)


def _clip(values: Array, lower: Array | float, upper: Array | float) -> Array:
    """`np.clip` without its checks, which take longer than a batch of a few searches does."""
    return np.minimum(np.maximum(values, lower), upper)


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
