"""The Chinchilla law with one exponent for size and data."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import Law, Parameter
from scaling_callback.laws.optima import split_two_terms
from scaling_callback.laws.terms import add_terms, log_positive, project_terms, raise_coefficient
from scaling_callback.records import Array


@final
class TiedChinchilla(Law):
    """L(N, D) = E + A / N^alpha + B / D^alpha.

    Muennighoff et al. 2023 (arXiv 2305.16264), section 5: with one exponent the optimal D/N does not depend on the
    budget. Working parameters are (ln E, ln A', ln B', alpha), with A' and B' the two terms at the centre of the data.

    The over-training law of Gadre et al. 2024 (arXiv 2403.08540), E + (a M^eta + b M^-eta) C^-eta with M = D/N and
    C = 6 N D, is this one in other letters: alpha = 2 eta, A = a / 6^eta and B = b / 6^eta.
    """

    name = "chinchilla-tied"
    equation = "L(N, D) = E + A / N^alpha + B / D^alpha"
    source = "Muennighoff et al. 2023, arXiv 2305.16264, section 5"
    variables = ("params", "tokens")
    parameters = (
        Parameter("E", "irreducible loss, in units of the loss"),
        Parameter("A", "loss from finite size: A / N^alpha in units of the loss"),
        Parameter("B", "loss from finite data: B / D^alpha in units of the loss"),
        Parameter("alpha", "exponent of parameters and of tokens, dimensionless", role="exponent", prior=(0.355, 0.35)),
    )
    typical = (1.869, 521.0, 1488.0, 0.3527)

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the three terms, and its gradient."""
        log_e, log_a, log_b, alpha = theta.T[:, :, None]
        n, d = x
        value, shares = add_terms(log_e, log_a - alpha * n, log_b - alpha * d)
        return value, np.stack([*shares, -shares[1] * n - shares[2] * d], -1)

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L itself is linear in the terms 1, N^-alpha and D^-alpha."""
        decay = np.exp(-nonlinear[:, :, None] * x)
        return project_terms(np.stack([np.ones_like(decay[:, 0]), decay[:, 0], decay[:, 1]], -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha), with A = A' N0^alpha and B = B' D0^alpha."""
        alpha = theta[:, [3]]
        return np.concatenate([np.exp(theta[:, [0]]), raise_coefficient(theta[:, 1:3] + alpha * centre), alpha], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln A', ln B', alpha)."""
        alpha = natural[:, [3]]
        logs = log_positive(natural[:, :3])
        logs[:, 1:] -= alpha * centre
        return np.concatenate([logs, alpha], axis=1)

    def slopes(self, theta: Array, x: Array) -> Array:
        """The exponent times the share of each term."""
        _, gradient = self.log_loss(theta, x)
        return -theta[:, 3, None] * np.moveaxis(gradient[..., 1:3], -1, 0)

    def split(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """The closed form of `split_two_terms`: N* and D* both grow with the square root of C."""
        _, a, b, alpha = natural.T
        return split_two_terms(log_positive(a), log_positive(b), alpha, alpha, flops)
