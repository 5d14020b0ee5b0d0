"""Other optimisers of the study on the same objective, each from the forty best starts of its grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, minimize

from scaling_callback.fitting import GRID, Points, get_objective
from scaling_callback.records import Array

DELTA = get_objective("log-huber").delta

BEST = 40
"""Starts that are searched from, those of the lowest objective, as is the default of the study."""


@dataclass(frozen=True)
class Ended:
    """Where an optimiser ended.

    Attributes:
        optimiser: Its name.
        natural: (E, A, B, alpha, beta).
        objective: Sum of the Huber losses there.
        success: Whether it says that it converged.
    """

    optimiser: str
    natural: tuple[float, ...]
    objective: float
    success: bool


def search_by_each(points: Points) -> tuple[Ended, ...]:
    """The lowest end of each optimiser.

    Example:
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> truth = 1.8 + 480 / N**0.35 + 2100 / D**0.37
        >>> points = Points.of(N.ravel(), D.ravel(), truth.ravel())
        >>> best = float(start_costs(points).min())
        >>> [ended.optimiser for ended in search_by_each(points) if ended.objective < best]
        ['L-BFGS-B, analytic gradient', 'BFGS', 'least_squares, Huber']
    """
    logs = _take_logs(points)
    starts = np.array(GRID, dtype=float)[np.argsort(start_costs(points), kind="stable")[:BEST]]
    return tuple(_take_best(name, starts, logs) for name in OPTIMISERS)


def start_costs(points: Points) -> Array:
    """The objective at each start of the grid."""
    logs = _take_logs(points)
    return np.array([_cost(start, logs) for start in np.array(GRID, dtype=float)])


def _take_logs(points: Points) -> Array:
    return np.log(np.stack([points.params, points.tokens, points.loss]))


def _take_best(name: str, starts: Array, logs: Array) -> Ended:
    with np.errstate(all="ignore"):  # a step may leave a term beyond a double
        ends = [OPTIMISERS[name](start, logs) for start in starts]
        costs = [_cost(theta, logs) for theta, _ in ends]
        theta, success = ends[int(np.nanargmin(costs))]
        natural = (np.exp(theta[2]), np.exp(theta[0]), np.exp(theta[1]), theta[3], theta[4])
    return Ended(name, tuple(float(value) for value in natural), float(np.nanmin(costs)), success)


def _residuals(theta: Array, logs: Array) -> Array:
    with np.errstate(all="ignore"):
        said = np.logaddexp(np.logaddexp(theta[0] - theta[3] * logs[0], theta[1] - theta[4] * logs[1]), theta[2])
    return np.asarray(said - logs[2], dtype=np.float64)


def _cost(theta: Array, logs: Array) -> float:
    size = np.abs(_residuals(theta, logs))
    clipped = np.minimum(size, DELTA)
    return float(np.sum(clipped * (size - 0.5 * clipped)))


def _jacobian(theta: Array, logs: Array) -> Array:
    terms = np.stack([theta[0] - theta[3] * logs[0], theta[1] - theta[4] * logs[1], np.full(logs.shape[1], theta[2])])
    share = np.exp(terms - np.logaddexp.reduce(terms, axis=0))
    return np.stack([*share, -share[0] * logs[0], -share[1] * logs[1]], axis=1)


def _gradient(theta: Array, logs: Array) -> Array:
    clipped = np.clip(_residuals(theta, logs), -DELTA, DELTA)
    # the columns of the Jacobian are ln A, ln B, ln E, alpha, beta, as theta is
    return np.asarray(clipped @ _jacobian(theta, logs), dtype=np.float64)


def _by_analytic(start: Array, logs: Array) -> tuple[Array, bool]:
    end = minimize(_cost, start, args=(logs,), jac=_gradient, method="L-BFGS-B")
    return np.asarray(end.x, dtype=np.float64), bool(end.success)


def _by_bfgs(start: Array, logs: Array) -> tuple[Array, bool]:
    end = minimize(_cost, start, args=(logs,), method="BFGS")
    return np.asarray(end.x, dtype=np.float64), bool(end.success)


def _by_least_squares(start: Array, logs: Array) -> tuple[Array, bool]:
    end = least_squares(_residuals, start, jac=_jacobian, args=(logs,), loss="huber", f_scale=DELTA, x_scale="jac")
    return np.asarray(end.x, dtype=np.float64), bool(end.success)


OPTIMISERS: dict[str, Callable[[Array, Array], tuple[Array, bool]]] = {
    "L-BFGS-B, analytic gradient": _by_analytic,
    "BFGS": _by_bfgs,
    "least_squares, Huber": _by_least_squares,
}
"""By name. Searches by finite differences are the library's own rebuilding of the study's (`search`)."""
