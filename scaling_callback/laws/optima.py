"""The compute-optimal split C = 6 N D of a law: in closed form for two power terms, else by search along ln N."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from scaling_callback.records import Array

PLACES = 401
"""Places along ln N of the first search, and of each narrower one after it."""

NARROWEST = 1e-8
"""Width in ln N at which the search ends: losses on either side no longer differ in a double."""


class Splittable(Protocol):
    """The part of a law that a split needs."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables."""
        ...

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L and its gradient."""
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


def search_optimum(law: Splittable, natural: Array, flops: float, known: Mapping[str, float]) -> tuple[Array, Array]:
    """Params and tokens, each (R,), that minimise a law's loss for C = 6 N D; NaN where none inside do.

    Between one parameter and one token a grid along ln N is narrowed around its lowest place. A minimum at an end of
    the first grid is no optimum, nor is there one for a law that does not know both N and D, or that needs a variable
    which `known` lacks.
    """
    params = np.full(len(natural), np.nan)
    total = float(np.log(flops / 6.0))
    if not {"params", "tokens"} <= {*law.variables} <= {"params", "tokens", *known} or total <= 0:
        return params, params.copy()
    theta = law.working(natural, np.zeros(len(law.variables)))
    for row in np.flatnonzero(np.isfinite(theta).all(1)):
        low, high, inside = 0.0, total, True
        while inside and high - low > NARROWEST:
            places = np.linspace(low, high, PLACES)
            columns = {"params": places, "tokens": total - places, **{k: np.log(v) for k, v in known.items()}}
            x = np.stack(np.broadcast_arrays(*(columns[name] for name in law.variables)))
            value = law.log_loss(theta[[row]], x)[0][0]
            lowest = int(np.argmin(value))
            inside = (0 < lowest < PLACES - 1) or high - low < total
            low, high = places[max(lowest - 1, 0)], places[min(lowest + 1, PLACES - 1)]
        if inside:
            params[row] = np.exp(0.5 * (low + high))
    return _keep_usable(params, np.exp(total) / params)


def _keep_usable(params: Array, tokens: Array) -> tuple[Array, Array]:
    usable = np.isfinite(params) & np.isfinite(tokens) & (params > 0) & (tokens > 0)
    return np.where(usable, params, np.nan), np.where(usable, tokens, np.nan)
