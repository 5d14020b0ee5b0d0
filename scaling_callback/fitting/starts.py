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
    with np.errstate(all="ignore"):  # far from its centre a steep term may overflow: that place is then no start
        # least squares on relative residuals: the linear stand-in for residuals of the logarithm
        design = law.basis(exponents, x) / np.exp(y)[None, :, None] * np.sqrt(weight)[None, :, None]
        coefficients, cost = _nonnegative_least_squares(design, np.sqrt(weight))
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
    scale = float(goal @ goal)
    cost = np.full(groups, scale)
    # larger subsets first: where columns coincide (one size, one horizon) the loss is shared between the terms
    for subset in (c for r in range(columns, 0, -1) for c in combinations(range(columns), r)):
        pick = np.array(subset, dtype=np.intp)
        part: Array = gram[:, pick[:, None], pick]
        # a ridge far below the data picks the even split among coinciding columns
        ridge = np.asarray(1e-12 * np.einsum("gii->g", part) + 1e-280, dtype=np.float64)[:, None, None]
        solved = np.linalg.solve(part + ridge * np.eye(len(pick)), moment[:, pick, None])
        solution = np.asarray(solved[..., 0], dtype=np.float64)
        gain = np.einsum("gi,gi->g", solution, 2 * moment[:, pick])
        value = np.asarray(scale - gain + np.einsum("gi,gij,gj->g", solution, part, solution), dtype=np.float64)
        improves = (solution > 0).all(1) & (value < cost - 1e-9 * scale)
        cost[improves] = value[improves]
        best[improves] = 0.0
        best[np.ix_(improves, pick)] = solution[improves]
    return best, cost
