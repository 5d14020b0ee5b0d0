"""The published way to fit, rebuilt from its description so that its failures can be shown beside a certified fit.

One quasi-Newton search (L-BFGS-B, forward differences, its library's tolerances) from each of a few starts, the lowest
end taken, and the optimiser's own word for it that it has converged. The objective is nearly an L1 norm: its gradient
does not shrink towards the optimum, so a tolerance is met wherever a step happens to be short. Where that is can hang
on the last digit of a sum, and so on the order of the rows: a search from a single start is repeated over several
orders, and the median end is its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.fitting.bootstrap import resample_clusters
from scaling_callback.fitting.points import Points
from scaling_callback.records import Array

CHINCHILLA_START = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)
"""(ln A, ln B, ln E, alpha, beta) of Hoffmann et al. 2022 (arXiv 2203.15556), with the digits of its source."""

GRID = tuple(product((0, 5, 10, 15, 20), (0, 5, 10, 15, 20), (-1, -0.5, 0, 0.5), (0, 0.5, 1, 1.5), (0, 0.5, 1, 1.5)))
"""The 1600 starts of Li et al. 2025 (arXiv 2502.18969): (ln A, ln B, ln E, alpha, beta)."""

DELTA = 1e-3
"""Width of the Huber loss in Hoffmann et al. 2022, equation 3."""

STEP = 1e-8
"""Step of the forward differences, as in the library that the published fits call."""

ORDERS = 9
"""Orders of the rows, the sorted one among them, over which a search from a single start is repeated."""

FAILED = 1e300
"""The objective where it is not finite: far out a term overflows."""

PROCEDURE_REPLICATES = 50
"""Most replicates of a procedure that are worth their time: each is a whole search, of up to forty starts."""

Start = tuple[float, ...]


@dataclass(frozen=True)
class Procedure:
    """How a search is begun and ended.

    Attributes:
        starts: (ln A, ln B, ln E, alpha, beta) of each start.
        best: Search only from this many of them, those of the lowest objective; `None` is all.
        mean: Whether the mean of the Huber losses is minimised, and not their sum.
        tolerance: Relative decrease and gradient at which a search ends; `None` leaves the library's defaults.
    """

    starts: tuple[Start, ...]
    best: int | None = None
    mean: bool = False
    tolerance: float | None = None


PROCEDURES: dict[str, Procedure] = {
    "start at Chinchilla's values": Procedure((CHINCHILLA_START,)),
    "best 40 of a grid of starts": Procedure(GRID, best=40),
    "best 40 of a grid, tolerance 1e-4": Procedure(GRID, best=40, tolerance=1e-4),
    "best 40 of a grid, mean for sum": Procedure(GRID, best=40, mean=True),
    "one start": Procedure(((15, 20, 0, 1, 0),)),
    "one start, tolerance 1e-4": Procedure(((15, 20, 0.5, 1, 1),), tolerance=1e-4),
    "one start, mean for sum": Procedure(((10, 15, 0, 0.5, 0),), mean=True),
}
"""What is tried: each names its starts, and nothing is drawn at random.

The single starts are those of the grid from which searches end where published fits to the ladder of Li et al. ended:
no start of a grid is better known than another before it is tried, and these are known to be traps. On another
ladder another start may be one.
"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where a published procedure ended.

    Attributes:
        natural: (E, A, B, alpha, beta), shape (5,).
        objective: Sum of the Huber losses there, whatever was minimised.
        range: Lowest and highest such sum over orders of the rows.
        success: Whether the optimiser says that it converged.
    """

    natural: Array
    objective: float
    range: tuple[float, float]
    success: bool


def search(points: Points, procedure: Procedure, orders: int = ORDERS) -> Outcome:
    """Fit E + A / N^alpha + B / D^beta as `procedure` says, and believe the optimiser.

    The answer depends neither on the order of the points nor on a seed.

    Args:
        points: What to fit.
        procedure: From where, and until when.
        orders: Over how many orders of the rows a search from a single start is repeated; 1 is the sorted one alone,
            as someone searches who does not know that it matters.

    Raises:
        InputError: There is not one order.

    Example:
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> truth = 1.8 + 480 / N**0.35 + 2100 / D**0.37
        >>> found = search(Points.of(N.ravel(), D.ravel(), truth.ravel()), Procedure((CHINCHILLA_START,)))
        >>> found.success, found.objective > 1e-6  # on losses without noise the objective of the optimum is 0
        (True, True)
    """
    if orders < 1:
        raise InputError(f"orders is {orders!r}; give 1, the sorted one alone, or more")
    table = _tabulate(_sort(points))
    turns = [np.arange(len(points))]
    if len(procedure.starts) == 1:
        turns += [np.random.default_rng(seed).permutation(len(points)) for seed in range(1, orders)]
    found = sorted((_search_in_order(table[:, order], procedure) for order in turns), key=lambda end: end[0])
    objective, theta, success = found[len(found) // 2]
    return Outcome(_natural(theta[None])[0], objective, (found[0][0], found[-1][0]), success)


def bootstrap_search(points: Points, procedure: Procedure, replicates: int, seed: int = 0) -> Array:
    """Where `procedure` ends on ladders of resampled clusters: (E, A, B, alpha, beta) of each, shape (replicates, 5).

    It is what someone who trusts the procedure would take for its uncertainty. A search that is stuck is stuck on
    resampled points as well: such an interval can be narrow around a wrong answer. The points are searched in their
    sorted order alone, so what the order of the rows does is not in it. The answer depends neither on the order of the
    points nor on the process.

    Example:
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> truth = 1.8 + 480 / N**0.35 + 2100 / D**0.37
        >>> points = Points.of(N.ravel(), D.ravel(), truth.ravel())
        >>> bootstrap_search(points, Procedure((CHINCHILLA_START,)), 3).shape
        (3, 5)
    """
    ordered = _sort(points)
    table = _tabulate(ordered)
    seen = resample_clusters(np.log(ordered.loss), ordered, np.random.default_rng(seed), replicates)
    ends = np.empty((replicates, 5))
    for row, weight in enumerate(seen.weight):
        drawn = weight > 0
        ends[row] = _search_in_order(np.concatenate([table[:3, drawn], weight[None, drawn]]), procedure)[1]
    return _natural(ends)


def _sort(points: Points) -> Points:
    """The points in an order of their own, and their clusters numbered as they come in it."""
    ordered = points.take(np.lexsort((points.weight, points.loss, points.tokens, points.params)))
    _, first, codes = np.unique(ordered.cluster, return_index=True, return_inverse=True)
    return replace(ordered, cluster=np.argsort(np.argsort(first))[codes])


def _tabulate(points: Points) -> Array:
    """Ln N, ln D, ln L and weight, shape (4, n)."""
    return np.concatenate([np.log(np.stack([points.params, points.tokens, points.loss])), points.weight[None]])


def _natural(theta: Array) -> Array:
    """(E, A, B, alpha, beta) of (ln A, ln B, ln E, alpha, beta), each (R, 5)."""
    with np.errstate(over="ignore"):  # a search may end where a coefficient is beyond a double
        return np.concatenate([np.exp(theta[:, [2, 0, 1]]), theta[:, 3:]], axis=1)


def _search_in_order(table: Array, procedure: Procedure) -> tuple[float, Array, bool]:
    """Sum of the Huber losses at the lowest end, where that is, and whether the optimiser is content."""
    from scipy.optimize import minimize  # importing the package must not wait for it

    logs, weight = table[:3], table[3]
    objective = partial(_evaluate, logs=logs, weight=weight / weight.sum() if procedure.mean else weight)
    starts = np.array(procedure.starts, dtype=float)
    starts = starts[np.argsort(objective(starts), kind="stable")[: procedure.best]]
    ends = [
        minimize(partial(_differentiate, objective), start, jac=True, method="L-BFGS-B", tol=procedure.tolerance)
        for start in starts
    ]
    best = min(ends, key=lambda end: float(end.fun))
    theta = np.asarray(best.x, dtype=np.float64)
    return float(_evaluate(theta[None], logs, weight)[0]), theta, bool(best.success)


def _evaluate(theta: Array, logs: Array, weight: Array) -> Array:
    """Weighted sum of Huber losses, shape (R,), at (ln A, ln B, ln E, alpha, beta), shape (R, 5)."""
    log_params, log_tokens, log_loss = logs
    a, b, e, alpha, beta = theta.T[:, :, None]
    with np.errstate(all="ignore"):
        predicted = np.logaddexp(np.logaddexp(a - alpha * log_params, b - beta * log_tokens), e)
        size = np.abs(predicted - log_loss)
        clipped = np.minimum(size, DELTA)
        total = np.asarray(np.sum(clipped * (size - 0.5 * clipped) * weight, axis=1), dtype=np.float64)
    return np.where(np.isfinite(total), total, FAILED)


def _differentiate(objective: partial[Array], theta: Array) -> tuple[float, Array]:
    """The objective and its forward differences, in one evaluation of six neighbours."""
    beside = theta + np.concatenate([np.zeros((1, len(theta))), STEP * np.eye(len(theta))])
    values = objective(beside)
    # divided by the step that was really taken, which rounding has changed
    return float(values[0]), (values[1:] - values[0]) / (np.diag(beside[1:]) - theta)
