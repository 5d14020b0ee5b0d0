"""Where to start: a grid over the exponents, with the coefficients solved linearly (variable projection).

Golub and Pereyra 1973. For given exponents a law is linear in its coefficients, so the search space has as
many dimensions as exponents, and starting values are a property of the data, not of a famous paper.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from scaling_callback.laws import Law
from scaling_callback.records import Array

GRID = np.geomspace(0.04, 1.6, 12)
"""Exponents tried, for each exponent of a law; published ones lie between .05 and 1."""

N_STARTS = 8
ABSENT = 1e-3
"""A term that the linear solution leaves out starts at this share of the loss, small but able to grow."""


def variable_projection(law: Law, x: Array, y: Array, weight: Array) -> Array:
    """The best starts on the grid that are not neighbours on it, shape (S, P), best first.

    `x` (V, n) are centred log variables, `y` (n,) log losses, `weight` (n,).
    """
    count = len(law.exponents)
    places = np.array(list(product(range(len(GRID)), repeat=count)))
    exponents = GRID[places]
    # least squares on relative residuals: the linear stand-in for residuals of the logarithm
    design = law.basis(exponents, x) / np.exp(y)[None, :, None] * np.sqrt(weight)[None, :, None]
    goal = np.sqrt(weight)
    coefficients, cost = _nonnegative_least_squares(design, goal)
    floor = ABSENT * np.exp(y.mean())
    theta = np.concatenate([np.log(np.maximum(coefficients, floor)), exponents], axis=1)

    chosen: list[int] = []
    for candidate in np.argsort(cost):
        distances = [np.abs(places[candidate] - places[other]).max() for other in chosen]
        if min(distances, default=len(GRID)) >= 3:
            chosen.append(int(candidate))
        if len(chosen) == N_STARTS:
            break
    return theta[chosen]


def _nonnegative_least_squares(design: Array, goal: Array) -> tuple[Array, Array]:
    """Coefficients (G, M) >= 0 that minimise |design c - goal|^2, and that cost (G,), for designs (G, n, M).

    Every subset of the few columns is solved; the best subset whose solution is positive is the answer.
    """
    gram = design.transpose(0, 2, 1) @ design
    moment = design.transpose(0, 2, 1) @ goal
    groups, columns = moment.shape
    best = np.zeros((groups, columns))
    cost = np.full(groups, float(goal @ goal))
    for subset in (c for r in range(1, columns + 1) for c in combinations(range(columns), r)):
        pick = np.array(subset)
        part = gram[:, pick[:, None], pick]
        # columns may coincide (one size, one horizon): a ridge far below rounding picks one of the solutions
        ridge = 1e-12 * np.trace(part, axis1=1, axis2=2)[:, None, None] * np.eye(len(pick)) + 1e-280 * np.eye(len(pick))
        solution = np.linalg.solve(part + ridge, moment[:, pick, None])[..., 0]
        value = goal @ goal - 2 * (solution * moment[:, pick]).sum(1)
        value = value + np.einsum("gi,gij,gj->g", solution, part, solution)
        improves = (solution > 0).all(1) & (value < cost)
        cost[improves] = value[improves]
        best[improves] = 0.0
        best[np.ix_(improves, pick)] = solution[improves]
    return best, cost
