"""A power law in compute that bends once."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import EXPONENT_GRID, Law, Parameter
from scaling_callback.laws.terms import add_terms, log_positive, project_terms, raise_coefficient
from scaling_callback.records import Array

LOG_A, LOG_B, C_0, C_1, LOG_D, LOG_F = range(6)

BREAKS = 6
"""Places of the break at which a search may start, spread over the data."""


@final
class BrokenPowerLaw(Law):
    """L(C) = a + b C^-c_0 (1 + (C / d)^(1/f))^(-c_1 f).

    Caballero et al. 2023 (arXiv 2210.14891), equation 1 with one break: the exponent is c_0 far below the compute d,
    and c_0 + c_1 far above; f is the width of the bend in ln C. Losses fall, so both exponents are positive. Working
    parameters are (ln a, ln b', c_0, c_1, ln d', ln f), with b' = b / C0^c_0 and d' = d / C0 at the centre C0 of the
    data; the break is searched within the data, for one beyond them cannot be told from none.
    """

    name = "broken-power-compute"
    equation = "L(C) = a + b C^-c_0 (1 + (C / d)^(1/f))^(-c_1 f)"
    source = "Caballero et al. 2023, arXiv 2210.14891, equation 1 with one break"
    variables = ("compute",)
    parameters = (
        Parameter("a", "irreducible loss, in units of the loss"),
        Parameter("b", "loss from finite compute: b C^-c_0 in units of the loss before the break"),
        Parameter("c_0", "exponent of compute before the break, dimensionless", role="exponent"),
        Parameter("c_1", "what the break adds to the exponent, dimensionless", role="exponent"),
        Parameter("d", "compute at which the law breaks, in FLOPs", role="shape"),
        Parameter("f", "width of the break in ln C", "shape", float(np.log(0.05)), float(np.log(5.0))),
    )
    typical = (1.5, 60.0, 0.08, 0.15, 3e19, 0.5)

    def bounds(self, x: Array, y: Array) -> tuple[Array, Array]:
        """As for other laws, with the break within the data."""
        lower, upper = super().bounds(x, y)
        lower[LOG_D], upper[LOG_D] = x.min(), x.max()
        return lower, upper

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of floor and bent term, and its gradient."""
        log_a, log_b, c_0, c_1, log_d, log_f = theta.T[:, :, None]
        f = np.exp(log_f)
        beyond = (x[0] - log_d) / f
        bent = np.logaddexp(0.0, beyond)
        past = np.exp(beyond - bent)  # how far past the break, from 0 to 1
        value, (floor, above) = add_terms(log_a, log_b - c_0 * x[0] - c_1 * f * bent)
        inner = [np.ones_like(past), -x[0], -f * bent, c_1 * past, -c_1 * f * (bent - past * beyond)]
        return value, np.stack([floor, *(above * part for part in inner)], -1)

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (its grid does not depend on the losses)
        """Both exponents, breaks within the data, and two widths."""
        breaks = np.linspace(float(x.min()), float(x.max()), BREAKS + 2)[1:-1]
        return (EXPONENT_GRID[::2], EXPONENT_GRID[::2], breaks, np.log([0.3, 1.5]))

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L itself is linear in the floor and the bent term."""
        c_0, c_1, log_d, log_f = nonlinear.T[:, :, None]
        f = np.exp(log_f)
        decay = np.exp(-c_0 * x[0] - c_1 * f * np.logaddexp(0.0, (x[0] - log_d) / f))
        return project_terms(np.stack([np.ones_like(decay), decay], -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(a, b, c_0, c_1, d, f), with b = b' C0^c_0 and d = d' C0."""
        b = raise_coefficient(theta[:, [LOG_B]] + theta[:, [C_0]] * centre)
        d, f = np.exp(theta[:, [LOG_D]] + centre), np.exp(theta[:, [LOG_F]])
        return np.concatenate([np.exp(theta[:, [LOG_A]]), b, theta[:, [C_0, C_1]], d, f], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln a, ln b', c_0, c_1, ln d', ln f)."""
        log_a, log_b, log_d, log_f = log_positive(natural[:, [LOG_A, LOG_B, LOG_D, LOG_F]]).T[:, :, None]
        exponents = natural[:, [C_0, C_1]]
        return np.concatenate([log_a, log_b - exponents[:, :1] * centre, exponents, log_d - centre, log_f], axis=1)
