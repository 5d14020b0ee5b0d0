"""Where to start: a grid over the nonlinear parameters, with the coefficients solved linearly (variable projection).

Golub and Pereyra 1973. Given its nonlinear parameters a transform of a law is linear in its coefficients, so the search
space has as many dimensions as those, and starting values are a property of the data, not of a famous paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.laws import Law
from scaling_callback.records import Array

STARTS_PER_AXIS = 4
"""Searches begun for each nonlinear parameter of the law: 8 for the Chinchilla law."""

APART = 0.25
"""Two starts differ, along some axis of the grid, by at least this share of the axis."""

ABSENT = 1e-3
"""A term that the linear solution leaves out starts at this share of the loss, small but able to grow."""

SMALLEST = 1e-300
"""Smallest coefficient of a start."""

CHUNK = 2_000_000
"""Numbers in the designs that are laid out at once."""


def variable_projection(law: Law, x: Array, y: Array, weight: Array, most: int | None = None) -> Array:
    """The best starts on the grid that are not neighbours on it, shape (S, P), best first.

    `x` (V, n) are centred log variables, `y` (n,) log losses, `weight` (n,); S is at most `most`, by default
    `STARTS_PER_AXIS` an axis of the grid.
    """
    axes = law.axes(x, y)
    places = np.array(list(product(*(range(len(axis)) for axis in axes))), dtype=np.intp)
    nonlinear = np.stack([axis[places[:, k]] for k, axis in enumerate(axes)], axis=1)
    size = max(1, CHUNK // (len(y) * len(law.parameters)))
    solved = [_solve(law, nonlinear[begin : begin + size], x, y, weight) for begin in range(0, len(nonlinear), size)]
    coefficients, cost = (np.concatenate(part) for part in zip(*solved, strict=True))
    theta = law.start(coefficients, nonlinear)

    lengths = np.array([len(axis) for axis in axes])
    chosen: list[int] = []
    for candidate in np.argsort(cost):
        distances = [(np.abs(places[candidate] - places[other]) / lengths).max() for other in chosen]
        if min(distances, default=1.0) >= APART:
            chosen.append(int(candidate))
        if len(chosen) == (most or STARTS_PER_AXIS * len(axes)):
            break
    return theta[chosen]


def read_starts(law: Law, starts: Sequence[Mapping[str, float]], centre: Array) -> Array:
    """Working parameters (S, P) of natural parameters by name; what lies outside the search begins at its bound.

    Raises:
        InputError: A parameter is missing, is not one of the law's, or is not a finite number.
    """
    rows: list[list[float]] = []
    for index, start in enumerate(starts):
        if set(start) != set(law.names):
            raise InputError(
                f"starts[{index}] has {', '.join(start) or 'nothing'}; "
                f"the law {law.name!r} needs {', '.join(law.names)}"
            )
        for name, value in start.items():
            if not math.isfinite(value):
                raise InputError(f"starts[{index}] has {name} = {value}; it must be a finite number")
        rows.append([start[name] for name in law.names])
    if not rows:
        return np.empty((0, len(law.names)))
    with np.errstate(all="ignore"):  # absurd values are allowed here: the search clips them to its bounds
        theta = law.working(np.maximum(np.array(rows), 0.0), centre)
    return np.nan_to_num(theta, nan=0.0)


def _solve(law: Law, nonlinear: Array, x: Array, y: Array, weight: Array) -> tuple[Array, Array]:
    """Positive coefficients (G, M) at each place of the grid (G, K), and the squared residual there (G,)."""
    root = np.sqrt(weight)
    least = ABSENT * np.sqrt(weight.sum())
    with np.errstate(all="ignore"):  # far from its centre a steep term may overflow: that place is then no start
        design, goal = law.project(nonlinear, x, y)
        design, goal = design * root[None, :, None], goal * root
        # columns of one length: a term that is tiny in its own units is a term like the others
        length = np.sqrt(np.einsum("gnm,gnm->gm", design, design)) + 1e-280
        coefficients, cost = _nonnegative_least_squares(design / length[:, None, :], goal)
        # beyond a double there is no start either, but its logarithm must exist: the search clips it to its bounds
        return np.clip(np.maximum(coefficients, least) / length, SMALLEST, 1.0 / SMALLEST), cost


def _nonnegative_least_squares(design: Array, goal: Array) -> tuple[Array, Array]:
    """Coefficients (G, M) >= 0 that minimise |design c - goal|^2, and that cost (G,).

    Designs are (G, n, M), goals (G, n) or (1, n).

    Every subset of the few columns is solved; the best subset whose solution is positive is the answer.
    """
    gram = design.transpose(0, 2, 1) @ design
    moment = (design.transpose(0, 2, 1) @ goal[..., None])[..., 0]
    groups, columns = moment.shape
    best = np.zeros((groups, columns))
    scale = np.broadcast_to(np.einsum("gn,gn->g", goal, goal), (groups,))
    cost = scale.copy()
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
