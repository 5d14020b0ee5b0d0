"""The Chinchilla law with the sum of its two terms under a common power."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import EXPONENT_GRID, Law, Parameter
from scaling_callback.laws.optima import split_two_terms
from scaling_callback.laws.terms import add_terms, log_positive, raise_coefficient
from scaling_callback.records import Array

LOG_E, LOG_P, LOG_Q, ALPHA, BETA, LOG_K = range(6)

FLOORS = np.array([0.2, 0.5, 0.7, 0.85, 0.95])
"""Floors at which a search may start, as shares of the lowest loss."""

SPREAD = 0.5
"""Log standard deviation of the weak prior on alpha k and beta k, the exponents of the loss where only size or only
data is scarce: that of published exponents over recipes. Of .35, .5 and .7, each with `BEND` in proportion, ladders are
forecast best in the middle."""

BEND = 0.35
"""Log standard deviation of the weak prior on k around 1, the Chinchilla law. Of .2, .35 and .5 ladders are forecast
about alike, and without one worse where the Chinchilla law is right."""


@final
class Skaling(Law):
    """L(N, D) = E + (A / N^alpha + B / D^beta)^k.

    Skaling 2026, as used by the package simple-scaling-laws; k = 1 is the Chinchilla law, k < 1 lets whichever is
    scarcer of size and data weigh more. Working parameters are (ln E, ln P, ln Q, alpha, beta, ln k), where
    P = (A / N0^alpha)^k and Q = (B / D0^beta)^k are the losses above E at the centre (N0, D0) of the data if only size,
    or only data, were finite.
    """

    name = "skaling"
    equation = "L(N, D) = E + (A / N^alpha + B / D^beta)^k"
    source = "Skaling 2026, as in the package simple-scaling-laws 0.2"
    variables = ("params", "tokens")
    parameters = (
        Parameter("E", "irreducible loss, in units of the loss"),
        Parameter("A", "finite size: (A / N^alpha)^k is a loss"),
        Parameter("B", "finite data: (B / D^beta)^k is a loss"),
        Parameter(
            "alpha",
            "exponent of parameters inside the power, dimensionless",
            role="exponent",
            prior=(0.34, SPREAD),
            prior_factor="k",
        ),
        Parameter(
            "beta",
            "exponent of tokens inside the power, dimensionless",
            role="exponent",
            prior=(0.37, SPREAD),
            prior_factor="k",
        ),
        Parameter(
            "k",
            "power of the sum, dimensionless",
            role="shape",
            lower=float(np.log(0.05)),
            upper=float(np.log(2.0)),
            prior=(1.0, BEND),
        ),
    )
    typical = (1.8, 6.6e6, 3.8e8, 0.90, 0.95, 0.39)

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln of E plus the powered sum, and its gradient."""
        log_e, log_p, log_q, alpha, beta, log_k = theta.T[:, :, None]
        n, d = x
        k = np.exp(log_k)
        total, (size, data) = add_terms(log_p / k - alpha * n, log_q / k - beta * d)
        value, (floor, above) = add_terms(log_e, k * total)
        by_k = k * total - size * log_p - data * log_q
        inner = [size, data, -k * size * n, -k * data * d, by_k]
        return value, np.stack([floor, *(above * part for part in inner)], -1)

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (floors depend on the losses alone)
        """Floors below the lowest loss, exponents, and powers around the published ones."""
        exponents = EXPONENT_GRID[1::2] * 1.5
        return (y.min() + np.log(FLOORS), exponents, exponents, np.log([0.25, 0.4, 0.6, 1.0]))

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """(L - E)^(1 / k) is linear in N^-alpha and D^-beta."""
        log_e, alpha, beta, log_k = nonlinear.T[:, :, None]
        k = np.exp(log_k)
        above = -np.expm1(log_e - y)  # the share of L above the floor
        decay = np.exp(-np.stack([alpha * x[0], beta * x[1]], -1) - ((y + np.log(above)) / k)[..., None])
        # a relative residual of (L - E)^(1 / k) is one of L divided by k (L - E) / L
        return decay * (k * above)[..., None], k * above

    def start(self, coefficients: Array, nonlinear: Array) -> Array:
        """P = a^k and Q = b^k of the linear coefficients a and b."""
        power = np.exp(nonlinear[:, [3]])
        return np.concatenate([nonlinear[:, [0]], power * np.log(coefficients), nonlinear[:, 1:]], axis=1)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha, beta, k), with ln A = ln P / k + alpha ln N0."""
        exponents, k = theta[:, [ALPHA, BETA]], np.exp(theta[:, [LOG_K]])
        coefficients = raise_coefficient(theta[:, [LOG_P, LOG_Q]] / k + exponents * centre)
        return np.concatenate([np.exp(theta[:, [LOG_E]]), coefficients, exponents, k], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln P, ln Q, alpha, beta, ln k)."""
        exponents, k = natural[:, [ALPHA, BETA]], natural[:, [LOG_K]]
        terms = k * (log_positive(natural[:, [LOG_P, LOG_Q]]) - exponents * centre)
        return np.concatenate([log_positive(natural[:, [LOG_E]]), terms, exponents, log_positive(k)], axis=1)

    def slopes(self, theta: Array, x: Array) -> Array:
        """Each exponent, and the power k, times the share of its term."""
        _, gradient = self.log_loss(theta, x)
        exponents = theta[:, [ALPHA, BETA]] * np.exp(theta[:, [LOG_K]])
        return -exponents.T[..., None] * np.moveaxis(gradient[..., [LOG_P, LOG_Q]], -1, 0)

    def split(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """The closed form of `split_two_terms`: L rises with the sum inside the power."""
        _, a, b, alpha, beta, _ = natural.T
        return split_two_terms(log_positive(a), log_positive(b), alpha, beta, flops)
