"""The compute-optimal split of a budget: in closed form for two power terms, else where the slope vanishes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scaling_callback.costs import Cost
from scaling_callback.records import Array

PLACES = 161
"""Places along ln D at which the search looks for the lowest loss."""

BISECTIONS = 60
"""Halvings of the bracket around it: the last ones change nothing in a double."""


class Splittable(Protocol):
    """The part of a law that a split needs."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables."""
        ...

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L and its gradient."""
        ...

    def slopes(self, theta: Array, x: Array) -> Array:
        """Derivatives of ln L by the log variables."""
        ...

    def working(self, natural: Array, centre: Array) -> Array:
        """Working parameters of natural ones."""
        ...


def split_two_terms(log_a: Array, log_b: Array, alpha: Array, beta: Array, flops: float) -> tuple[Array, Array]:
    """Params and tokens, each (R,), that minimise A / N^alpha + B / D^beta for C = 6 N D; NaN where none do.

    N* = G (C/6)^(beta/(alpha+beta)) and D* = (C/6) / N*, with G = (alpha A / (beta B))^(1/(alpha+beta)) (Hoffmann
    et al. 2022, equation 4). It holds for every law that falls with this sum.

    Example:
        >>> log_a, log_b, alpha, beta = np.array([[6.178], [7.6427], [0.3478], [0.3658]])
        >>> params, tokens = split_two_terms(log_a, log_b, alpha, beta, 6e23)
        >>> (tokens / params).round(1)
        array([18.4])
    """
    with np.errstate(all="ignore"):  # a vanished or overflown term has no optimum: NaN or inf below
        log_g = (np.log(alpha) + log_a - np.log(beta) - log_b) / (alpha + beta)
        log_params = log_g + beta / (alpha + beta) * np.log(flops / 6.0)
        params, tokens = np.exp(log_params), np.exp(np.log(flops / 6.0) - log_params)
    return _keep_usable(params, tokens)


def search_optimum(
    law: Splittable, natural: Array, flops: float, known: Mapping[str, float], cost: Cost
) -> tuple[Array, Array]:
    """Params and tokens, each (R,), that minimise a law's loss where they cost `flops`; NaN where none inside do.

    Between one token and one parameter the lowest of many places along ln D is found, and between its neighbours the
    place where the derivative of ln L changes its sign: that is exact to the last digits, where losses on either side
    of a minimum no longer differ. Without such a change of sign there is no optimum, nor is there one for a law
    that does not know both N and D, or that needs a variable which `known` lacks.
    """
    nothing = np.full(len(natural), np.nan)
    if not {"params", "tokens"} <= {*law.variables} <= {"params", "tokens", *known} or cost.tokens(1.0, flops) <= 1.0:
        return nothing, nothing.copy()
    with np.errstate(all="ignore"):  # parameters beyond a double have no optimum
        theta = law.working(natural, np.zeros(len(law.variables)))
    rows = np.flatnonzero(np.isfinite(theta).all(1))
    theta = theta[rows]

    def place(log_tokens: Array) -> tuple[Array, Array]:
        log_params, steepness = cost.log_params(log_tokens, flops)
        return stack_variables(law.variables, log_params, log_tokens, known), steepness

    def slope(log_tokens: Array) -> Array:
        x, steepness = place(log_tokens)
        by = dict(zip(law.variables, law.slopes(theta, x), strict=True))
        return by["tokens"] + by["params"] * steepness

    places: Array = np.linspace(0.0, math.log(cost.tokens(1.0, flops)), PLACES)
    lowest: NDArray[np.intp] = np.argmin(law.log_loss(theta, place(places)[0])[0], axis=1)
    low: Array = places[np.maximum(lowest - 1, 0), None]
    high: Array = places[np.minimum(lowest + 1, PLACES - 1), None]
    with np.errstate(all="ignore"):  # a term may vanish at the ends of the range
        inside = ((slope(low) < 0) & (slope(high) > 0))[:, 0]
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            falls = slope(middle) < 0
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
    log_tokens = 0.5 * (low + high)
    params, tokens = nothing, nothing.copy()
    params[rows] = np.where(inside, np.exp(cost.log_params(log_tokens, flops)[0][:, 0]), np.nan)
    tokens[rows] = np.where(inside, np.exp(log_tokens[:, 0]), np.nan)
    return _keep_usable(params, tokens)


def stack_variables(
    variables: Sequence[str], log_params: Array, log_tokens: Array, known: Mapping[str, float]
) -> Array:
    """Log variables of places, in the order of a law: shape (V, ...) for ln N and ln D of one shape."""
    columns = {"params": log_params, "tokens": log_tokens, **{k: np.log(v) for k, v in known.items()}}
    return np.stack(np.broadcast_arrays(*(columns[name] for name in variables)))


def _keep_usable(params: Array, tokens: Array) -> tuple[Array, Array]:
    usable = np.isfinite(params) & np.isfinite(tokens) & (params > 0) & (tokens > 0)
    return np.where(usable, params, np.nan), np.where(usable, tokens, np.nan)
