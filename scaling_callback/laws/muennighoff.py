"""The data-constrained law: repeated tokens and excess parameters count for less and less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np

from scaling_callback.laws.base import EXPONENT_GRID, Law, Parameter
from scaling_callback.laws.chinchilla import Chinchilla
from scaling_callback.laws.terms import (
    DATA_EXPONENT,
    SIZE_EXPONENT,
    add_terms,
    log_positive,
    project_terms,
    raise_coefficient,
)
from scaling_callback.laws.tied import TiedChinchilla
from scaling_callback.records import Array

LOG_E, LOG_A, LOG_B, ALPHA, BETA, LOG_R_N, LOG_R_D = range(7)

UNIQUE = "unique_tokens"
"""Name of the variable."""

PUBLISHED_DECAYS = (5.31, 15.39)
"""R_N and R_D of the study."""

LOWEST, HIGHEST = float(np.log(0.1)), float(np.log(1e4))


@final
class Muennighoff(Law):
    """L(N, D, U) = E + A / N'^alpha + B / D'^beta.

    Muennighoff et al. 2023 (arXiv 2305.16264), equations 5 and 6, with a free exponent each. Of D tokens
    U_D = min(U, D) are unique and the others repeat them, D' = U_D + U_D R_D (1 - exp(-(D / U_D - 1) / R_D)). Likewise
    N' = U_N + U_N R_N (1 - exp(-(N / U_N - 1) / R_N)) with U_N the smaller of N and the size for which U_D tokens are
    compute-optimal: the one at which alpha A / U_N^alpha = beta B / U_D^beta.

    Working parameters are (ln E, ln A', ln B', alpha, beta, ln R_N, ln R_D), with A' and B' as in the Chinchilla law;
    unique tokens are centred with the tokens, so that their ratio stays what it is.
    """

    name = "muennighoff"
    equation = "L(N, D, U) = E + A / N'^alpha + B / D'^beta, N' and D' with N and D beyond U decaying"
    source = "Muennighoff et al. 2023, arXiv 2305.16264, equations 5 and 6"
    variables = ("params", "tokens", UNIQUE)
    parameters = (
        Parameter("E", "irreducible loss, in units of the loss"),
        Parameter("A", "loss from finite size: A / N'^alpha in units of the loss"),
        Parameter("B", "loss from finite data: B / D'^beta in units of the loss"),
        SIZE_EXPONENT,
        DATA_EXPONENT,
        Parameter("R_N", "multiples of U_N after which more parameters add little", "shape", LOWEST, HIGHEST),
        Parameter("R_D", "repetitions after which another adds little", "shape", LOWEST, HIGHEST),
    )
    typical = (1.869, 521.0, 1488.0, 0.3527, 0.3527, *PUBLISHED_DECAYS)

    def centre(self, variables: Array) -> Array:
        """The mean of each log variable, with unique tokens around the mean of the tokens."""
        middle = variables.mean(1)
        return np.array([middle[0], middle[1], middle[1]])

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the three terms, and its gradient through N' and D'."""
        log_e, log_a, log_b, alpha, beta, log_r_n, log_r_d = theta.T[:, :, None]
        n, d = x[0], x[1]
        unique = np.minimum(x[2], d)
        balanced = (np.log(alpha) + log_a - np.log(beta) - log_b + beta * unique) / alpha
        used = np.minimum(n, balanced)
        size, size_by_unique, size_by_r = _saturate(n, used, log_r_n)
        data, _, data_by_r = _saturate(d, unique, log_r_d)
        value, (floor, by_size, by_data) = add_terms(log_e, log_a - alpha * size, log_b - beta * data)

        through = np.where(balanced < n, -alpha * by_size * size_by_unique, 0.0)  # d ln L by U_N, where it moves
        gradient = [
            floor,
            by_size + through / alpha,
            by_data - through / alpha,
            -by_size * size + through * (1.0 / alpha - balanced) / alpha,
            -by_data * data + through * (unique - 1.0 / beta) / alpha,
            -alpha * by_size * size_by_r,
            -beta * by_data * data_by_r,
        ]
        return value, np.stack(np.broadcast_arrays(*gradient), -1)

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (its grid does not depend on the data)
        """Both exponents, and repetitions around the published ones; R_N starts at its published value."""
        return (EXPONENT_GRID, EXPONENT_GRID, np.log([5.31]), np.log([3.0, 10.0, 40.0]))

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L is linear in the terms 1, N^-alpha and D'^-beta, if no parameter is in excess."""
        alpha, beta, _, log_r_d = nonlinear.T[:, :, None]
        data, _, _ = _saturate(x[1], np.minimum(x[2], x[1]), log_r_d)
        terms = np.broadcast_arrays(np.ones_like(data), np.exp(-alpha * x[0]), np.exp(-beta * data))
        return project_terms(np.stack(terms, -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha, beta, R_N, R_D), with A = A' N0^alpha and B = B' D0^beta."""
        exponents = theta[:, [ALPHA, BETA]]
        coefficients = raise_coefficient(theta[:, [LOG_A, LOG_B]] + exponents * centre[:2])
        return np.concatenate(
            [np.exp(theta[:, [LOG_E]]), coefficients, exponents, np.exp(theta[:, [LOG_R_N, LOG_R_D]])], axis=1
        )

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln A', ln B', alpha, beta, ln R_N, ln R_D)."""
        exponents = natural[:, [ALPHA, BETA]]
        logs = log_positive(natural[:, [LOG_E, LOG_A, LOG_B]])
        logs[:, 1:] -= exponents * centre[:2]
        return np.concatenate([logs, exponents, log_positive(natural[:, [LOG_R_N, LOG_R_D]])], axis=1)


def heed_repetition(law: Law, natural: Array, known: Mapping[str, float]) -> tuple[Law, Array]:
    """The law that counts unique tokens where `known` holds them, for R natural parameter vectors (R, P).

    A Chinchilla law, free or tied, gets the published decay of repeated tokens and of excess parameters: the study
    found R_N = 5.31 and R_D = 15.39 with A, B, E and the exponent held at a fit to single epochs. A law that counts
    them already stays as it is, and so does one that cannot.

    Example:
        >>> from scaling_callback.laws import get_law
        >>> besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
        >>> law, natural = heed_repetition(get_law("chinchilla"), besiroglu, {"unique_tokens": 1e11})
        >>> law.name, natural[0, 3:].tolist()
        ('muennighoff', [0.3478, 0.3658, 5.31, 15.39])
    """
    if UNIQUE not in known or not isinstance(law, Chinchilla | TiedChinchilla):
        return law, natural
    exponents = natural[:, [3, -1]]  # a tied law has one for both
    decays = np.broadcast_to(PUBLISHED_DECAYS, (len(natural), 2))
    return Muennighoff(), np.concatenate([natural[:, :3], exponents, decays], axis=1)


def _saturate(log_whole: Array, log_unique: Array, log_r: Array) -> tuple[Array, Array, Array]:
    """Ln of U + U R (1 - exp(-(W / U - 1) / R)) for a whole W >= U, and its derivatives by ln U and ln R."""
    r = np.exp(log_r)
    repeats = np.expm1(np.minimum(log_whole - log_unique, 700.0))  # beyond that a double overflows
    spent = -np.expm1(-repeats / r)  # the share of all that repetition can add
    effective = 1.0 + r * spent
    left = (1.0 - spent) * repeats
    by_unique = 1.0 - (left + (1.0 - spent)) / effective
    return log_unique + np.log(effective), by_unique, (r * spent - left) / effective
