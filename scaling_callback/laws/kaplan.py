"""The joint law of the first scaling-law study, without a floor."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import EXPONENT_GRID, Law, Parameter
from scaling_callback.laws.optima import split_two_terms
from scaling_callback.laws.terms import add_terms, log_positive, raise_coefficient
from scaling_callback.records import Array

LOG_A, LOG_B, ALPHA_N, ALPHA_D = range(4)


@final
class Kaplan(Law):
    """L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D.

    Kaplan et al. 2020 (arXiv 2001.08361), equation 1.5. Working parameters are (ln A, ln B, alpha_N, alpha_D), where
    A = (N_c / N0)^alpha_N and B = (D_c / D0)^alpha_D are the losses at the centre (N0, D0) of the data if only size, or
    only data, were finite: N_c and D_c themselves lie far outside any data.
    """

    name = "kaplan"
    equation = "L(N, D) = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D"
    source = "Kaplan et al. 2020, arXiv 2001.08361, equation 1.5"
    variables = ("params", "tokens")
    parameters = (
        Parameter("N_c", "size at which L is 1 with unlimited data, in parameters"),
        Parameter("D_c", "data at which L is 1 with unlimited size, in tokens"),
        Parameter("alpha_N", "exponent of parameters, dimensionless", role="exponent"),
        Parameter("alpha_D", "exponent of tokens, dimensionless", role="exponent"),
    )
    typical = (6.4e13, 1.8e13, 0.076, 0.103)
    floor = None

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """alpha_D ln(exp(u) + exp(v)) with u, v the logs of the two terms, and its gradient."""
        log_a, log_b, alpha_n, alpha_d = theta.T[:, :, None]
        n, d = x
        u, v = (log_a - alpha_n * n) / alpha_d, log_b / alpha_d - d
        value, (size, data) = add_terms(u, v)
        return alpha_d * value, np.stack([size, data, -size * n, value - size * u - data * (v + d)], -1)

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (its grid does not depend on the data)
        """Exponents without a floor are small."""
        return (EXPONENT_GRID * 0.4, EXPONENT_GRID * 0.4)

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L^(1 / alpha_D) is linear in N^-(alpha_N / alpha_D) and 1 / D."""
        alpha_n, alpha_d = nonlinear.T[:, :, None]
        logs = np.stack([-alpha_n / alpha_d * x[0], np.broadcast_to(-x[1], (len(nonlinear), len(y)))], -1)
        # a relative residual of L^(1 / alpha_D) is one of L divided by alpha_D
        return np.exp(logs - (y / alpha_d)[..., None]) * alpha_d[..., None], np.broadcast_to(alpha_d, logs.shape[:2])

    def start(self, coefficients: Array, nonlinear: Array) -> Array:
        """A = a^alpha_D and B = b^alpha_D of the linear coefficients a and b."""
        return np.concatenate([nonlinear[:, [1]] * np.log(coefficients), nonlinear], axis=1)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(N_c, D_c, alpha_N, alpha_D), with ln N_c = ln A / alpha_N + ln N0."""
        exponents = theta[:, [ALPHA_N, ALPHA_D]]
        return np.concatenate([raise_coefficient(theta[:, [LOG_A, LOG_B]] / exponents + centre), exponents], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln A, ln B, alpha_N, alpha_D)."""
        exponents = natural[:, [ALPHA_N, ALPHA_D]]
        return np.concatenate([exponents * (log_positive(natural[:, :2]) - centre), exponents], axis=1)

    def slopes(self, theta: Array, x: Array) -> Array:
        """Each exponent times the share of its term."""
        _, gradient = self.log_loss(theta, x)
        return -theta[:, [ALPHA_N, ALPHA_D]].T[..., None] * np.moveaxis(gradient[..., [LOG_A, LOG_B]], -1, 0)

    def split(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """The closed form of `split_two_terms`, for the sum inside the power."""
        n_c, d_c, alpha_n, alpha_d = natural.T
        ratio = alpha_n / alpha_d
        return split_two_terms(ratio * log_positive(n_c), log_positive(d_c), ratio, np.ones_like(ratio), flops)
