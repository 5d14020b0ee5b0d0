"""A law with a schedule gap: what a checkpoint in the middle of a schedule lies off the law of finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import final

import numpy as np

from scaling_callback.costs import SIX_ND, Cost
from scaling_callback.laws.base import Law, Parameter
from scaling_callback.records import Array

PROGRESS = "progress"
"""Name of the further variable: tokens over horizon, exactly 1 at the final of a run."""

GAP_SD = 0.3
"""Standard deviation around 0 of each coefficient of the gap, in ln L: a checkpoint may lie tens of percent off the
law. Of .03, .1 and .3 the two larger forecast alike: it only keeps apart what few runs cannot."""

LARGEST = 5.0
"""Largest size of such a coefficient that is searched."""


@final
class GapLaw(Law):
    """L(v, x) = L_base(v) exp(G), G = (1 - x) (c_0 + sum_v c_v ln v + c_x (1 - x)) at progress x.

    At a final x is 1 and the gap exactly 0, so that the base law is the law of finished runs. What an unfinished point
    lies above it (its learning rate has yet to fall) or below (a longer schedule spends the same tokens at higher
    rates) is a share of the loss that closes with progress and drifts with size and data. It has no published form;
    this one is linear in its coefficients, needs no learning rates, and forecasts better than gaps on the data term, on
    the reducible loss, or driven by the learning rate.

    The coefficients are working parameters around the centre of the base law; natural ones hold around ln v = 0.
    """

    def __init__(self, base: Law) -> None:
        self.base = base
        self.name = f"{base.name}-gap"
        self.equation = f"{base.equation}, times exp((1 - x) (c_0 + sum_v c_v ln v + c_x (1 - x)))"
        self.source = base.source
        self.variables = (*base.variables, PROGRESS)
        signed = [
            Parameter("c_0", "gap at the begin of a schedule, in ln L"),
            *(Parameter(f"c_{name}", f"its drift with ln {name}") for name in base.variables),
            Parameter("c_x", "its bend along the schedule"),
        ]
        self.parameters = (
            *base.parameters,
            *(
                Parameter(p.name, p.meaning, role="signed", lower=-LARGEST, upper=LARGEST, prior=(0.0, GAP_SD))
                for p in signed
            ),
        )
        self.typical = (*base.typical, *(0.0 for _ in signed))
        self.floor = base.floor
        self._own = len(base.parameters)

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L of the base law plus the gap, and its gradient."""
        value, gradient = self.base.log_loss(theta[:, : self._own], x[:-1])
        features = _features(x)
        whole = np.empty((*gradient.shape[:2], len(self.parameters)))
        whole[..., : self._own] = gradient
        whole[..., self._own :] = features.T
        return value + theta[:, self._own :] @ features, whole

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """The base law's, a point counting by its progress squared: where a search starts the gap is not known yet."""
        design, goal = self.base.project(nonlinear, x[:-1], y)
        share = np.exp(2.0 * np.minimum(x[-1], 0.0))
        return design * share[None, :, None], goal * share

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:
        """The base law's: coefficients of the gap start at 0."""
        return self.base.axes(x[:-1], y)

    def start(self, coefficients: Array, nonlinear: Array) -> Array:
        """The base law's, without a gap."""
        base = self.base.start(coefficients, nonlinear)
        return np.concatenate([base, np.zeros((len(base), len(self.parameters) - self._own))], axis=1)

    def centre(self, variables: Array) -> Array:
        """The base law's; progress stays as it is."""
        return np.append(self.base.centre(variables[:-1]), 0.0)

    def bounds(self, x: Array, y: Array) -> tuple[Array, Array]:
        """The base law's, and those of the gap."""
        lower, upper = self.base.bounds(x[:-1], y)
        own = self.parameters[self._own :]
        return np.append(lower, [p.lower for p in own]), np.append(upper, [p.upper for p in own])

    def natural(self, theta: Array, centre: Array) -> Array:
        """The base law's, and the gap's around ln v = 0."""
        return self._translate(self.base.natural(theta[:, : self._own], centre[:-1]), theta, -centre)

    def working(self, natural: Array, centre: Array) -> Array:
        """The inverse of `natural`."""
        return self._translate(self.base.working(natural[:, : self._own], centre[:-1]), natural, centre)

    def optimum(
        self, natural: Array, flops: float, known: Mapping[str, float] | None = None, cost: Cost = SIX_ND
    ) -> tuple[Array, Array]:
        """That of finished runs."""
        return self.base.optimum(natural[:, : self._own], flops, known, cost)

    def _translate(self, base: Array, values: Array, shift: Array) -> Array:
        gap = values[:, self._own :].copy()
        gap[:, 0] += gap[:, 1:-1] @ shift[:-1]
        return np.concatenate([base, gap], axis=1)


@cache
def with_gap(law: Law) -> GapLaw:
    """That law with a schedule gap; the same object for the same law.

    Example:
        >>> from scaling_callback.laws import get_law
        >>> law = with_gap(get_law("chinchilla"))
        >>> law.variables
        ('params', 'tokens', 'progress')
        >>> natural = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658, 0.05, 0.0, 0.0, 0.0]])
        >>> law.loss(natural, np.array([70e9]), np.array([1.4e12]), np.array([0.5, 1.0])).round(4)
        array([[2.0239, 1.9739]])
    """
    return GapLaw(law)


def _features(x: Array) -> Array:
    """What the coefficients of the gap multiply, shape (K, n): exactly 0 at progress 1."""
    left = -np.expm1(np.minimum(x[-1], 0.0))
    return left * np.concatenate([np.ones_like(x[:1]), x[:-1], left[None]])
