"""A law for mixtures of experts: how finely they are divided acts on the size term."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import EXPONENT_GRID, Law, Parameter
from scaling_callback.laws.terms import add_terms, log_positive, project_terms, raise_coefficient
from scaling_callback.records import Array

LOG_C, LOG_A, LOG_G, LOG_B, ALPHA, BETA, GAMMA = range(7)


@final
class Krajewski(Law):
    """L(N, D, G) = c + (g / G^gamma + a) / N^alpha + b / D^beta.

    Krajewski et al. 2024 (arXiv 2402.07871), equation 9, for one expansion rate. G is the granularity: how many experts
    one feed-forward layer's width is divided into, 1 for experts of the usual width. Working parameters are
    (ln c, ln a', ln g', ln b', alpha, beta, gamma), with a', g' and b' the three terms at the centre of the data.
    """

    name = "moe-granularity"
    equation = "L(N, D, G) = c + (g / G^gamma + a) / N^alpha + b / D^beta"
    source = "Krajewski et al. 2024, arXiv 2402.07871, equation 9"
    variables = ("params", "tokens", "granularity")
    parameters = (
        Parameter("c", "irreducible loss, in units of the loss"),
        Parameter("a", "loss from finite size at any granularity: a / N^alpha in units of the loss"),
        Parameter("g", "loss from coarse experts: g / (G^gamma N^alpha) in units of the loss"),
        Parameter("b", "loss from finite data: b / D^beta in units of the loss"),
        Parameter("alpha", "exponent of parameters, dimensionless", role="exponent"),
        Parameter("beta", "exponent of tokens, dimensionless", role="exponent"),
        Parameter("gamma", "exponent of granularity, dimensionless", role="exponent"),
    )
    typical = (0.47, 18.1, 2.1, 30.8, 0.115, 0.147, 0.58)

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the four terms, and its gradient."""
        log_c, log_a, log_g, log_b, alpha, beta, gamma = theta.T[:, :, None]
        n, d, g = x
        logs = (log_c, log_a - alpha * n, log_g - gamma * g - alpha * n, log_b - beta * d)
        value, (floor, size, coarse, data) = add_terms(*logs)
        return value, np.stack([floor, size, coarse, data, -(size + coarse) * n, -data * d, -coarse * g], -1)

    def slopes(self, theta: Array, x: Array) -> Array:
        """Each exponent times the share of the terms that it is in."""
        _, gradient = self.log_loss(theta, x)
        size, coarse, data = np.moveaxis(gradient[..., [LOG_A, LOG_G, LOG_B]], -1, 0)
        alpha, beta, gamma = theta[:, [ALPHA, BETA, GAMMA]].T[..., None]
        return np.stack([-alpha * (size + coarse), -beta * data, -gamma * coarse])

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (its grid does not depend on the data)
        """Every second exponent of the usual grid, for there are three."""
        return (EXPONENT_GRID[::2],) * 3

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L itself is linear in the terms 1, N^-alpha, G^-gamma N^-alpha and D^-beta."""
        alpha, beta, gamma = nonlinear.T[:, :, None]
        size = np.exp(-alpha * x[0])
        terms = [np.ones_like(size), size, size * np.exp(-gamma * x[2]), np.exp(-beta * x[1])]
        return project_terms(np.stack(terms, -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(c, a, g, b, alpha, beta, gamma) in plain counts."""
        logs = theta[:, :4] + self._shift(theta, centre)
        return np.concatenate([raise_coefficient(logs), theta[:, 4:]], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln c, ln a', ln g', ln b', alpha, beta, gamma)."""
        return np.concatenate([log_positive(natural[:, :4]) - self._shift(natural, centre), natural[:, 4:]], axis=1)

    def _shift(self, values: Array, centre: Array) -> Array:
        """Ln of what each coefficient is divided by at the centre, shape (R, 4)."""
        alpha, beta, gamma = values[:, 4:].T
        n, d, g = centre
        return np.stack([np.zeros_like(alpha), alpha * n, alpha * n + gamma * g, beta * d], 1)
