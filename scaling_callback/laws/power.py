"""A power law with a floor in one variable."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import Law, Parameter
from scaling_callback.laws.terms import add_terms, log_positive, project_terms, raise_coefficient
from scaling_callback.records import Array

LOG_E, LOG_A, ALPHA = range(3)


@final
class PowerLaw(Law):
    """L(x) = E + A / x^alpha, for x the compute, the params or the tokens of runs that differ in nothing else.

    Henighan et al. 2020 (arXiv 2010.14701), equation 1.1, with A = x_0^alpha. Working parameters are
    (ln E, ln A', alpha), with A' = A / x0^alpha the term at the centre x0 of the data.

    Args:
        variable: Name of the variable.
        letter: Its letter in the equation.
        unit: What it counts.
        typical: E, A and alpha near published ones.
    """

    source = "Henighan et al. 2020, arXiv 2010.14701, equation 1.1"

    def __init__(self, variable: str, letter: str, unit: str, typical: tuple[float, float, float]) -> None:
        self.name = f"power-{variable}"
        self.equation = f"L({letter}) = E + A / {letter}^alpha"
        self.variables = (variable,)
        self.parameters = (
            Parameter("E", "irreducible loss, in units of the loss"),
            Parameter("A", f"loss from finite {variable}: A / {letter}^alpha in units of the loss"),
            Parameter("alpha", f"exponent of {unit}, dimensionless", role="exponent", prior=(typical[2], 0.35)),
        )
        self.typical = typical

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the two terms, and its gradient."""
        log_e, log_a, alpha = theta.T[:, :, None]
        value, (floor, above) = add_terms(log_e, log_a - alpha * x[0])
        return value, np.stack([floor, above, -above * x[0]], -1)

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L itself is linear in the terms 1 and x^-alpha."""
        decay = np.exp(-nonlinear * x[0])
        return project_terms(np.stack([np.ones_like(decay), decay], -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, alpha), with A = A' x0^alpha."""
        a = raise_coefficient(theta[:, [LOG_A]] + theta[:, [ALPHA]] * centre)
        return np.concatenate([np.exp(theta[:, [LOG_E]]), a, theta[:, [ALPHA]]], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln A', alpha)."""
        logs = log_positive(natural[:, [LOG_E, LOG_A]])
        logs[:, [LOG_A]] -= natural[:, [ALPHA]] * centre
        return np.concatenate([logs, natural[:, [ALPHA]]], axis=1)
