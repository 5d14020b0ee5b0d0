"""The parametric law of the Chinchilla study."""

from __future__ import annotations

from typing import final

import numpy as np

from scaling_callback.laws.base import Law, Parameter
from scaling_callback.laws.optima import split_two_terms
from scaling_callback.laws.terms import DATA_EXPONENT, SIZE_EXPONENT, log_positive, project_terms, raise_coefficient
from scaling_callback.records import Array

LOG_E, LOG_A, LOG_B, ALPHA, BETA = range(5)


@final
class Chinchilla(Law):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    Hoffmann et al. 2022 (arXiv 2203.15556), equation 2. Working parameters are (ln E, ln A', ln B', alpha,
    beta), where A' = A / N0^alpha and B' = B / D0^beta are the two terms at the centre (N0, D0) of the data:
    that choice removes nearly all correlation between a coefficient and its exponent.
    """

    name = "chinchilla"
    equation = "L(N, D) = E + A / N^alpha + B / D^beta"
    source = "Hoffmann et al. 2022, arXiv 2203.15556, equation 2"
    variables = ("params", "tokens")
    parameters = (
        Parameter("E", "irreducible loss, in units of the loss"),
        Parameter("A", "loss from finite size: A / N^alpha in units of the loss"),
        Parameter("B", "loss from finite data: B / D^beta in units of the loss"),
        SIZE_EXPONENT,
        DATA_EXPONENT,
    )
    typical = (1.8172, 482.01, 2085.43, 0.3478, 0.3658)

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the three terms, and its gradient."""
        log_params, log_tokens = x
        terms = np.empty((3, len(theta), x.shape[-1]))
        terms[0] = theta[:, LOG_E, None]
        np.subtract(theta[:, LOG_A, None], theta[:, ALPHA, None] * log_params, out=terms[1])
        np.subtract(theta[:, LOG_B, None], theta[:, BETA, None] * log_tokens, out=terms[2])
        largest = terms.max(0)
        terms -= largest
        np.exp(terms, out=terms)
        total = terms.sum(0)
        terms /= total  # from here on the share of each term in L
        gradient = np.empty((len(theta), x.shape[-1], 5))
        gradient[..., LOG_E], gradient[..., LOG_A], gradient[..., LOG_B] = terms
        np.multiply(terms[1], -log_params, out=gradient[..., ALPHA])
        np.multiply(terms[2], -log_tokens, out=gradient[..., BETA])
        return largest + np.log(total), gradient

    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """L itself is linear in the terms 1, N^-alpha and D^-beta."""
        decay = np.exp(-nonlinear[:, :, None] * x)
        return project_terms(np.stack([np.ones_like(decay[:, 0]), decay[:, 0], decay[:, 1]], -1), y)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha, beta), with A = A' N0^alpha and B = B' D0^beta."""
        coefficients = raise_coefficient(theta[:, [LOG_A, LOG_B]] + theta[:, [ALPHA, BETA]] * centre)
        return np.concatenate([np.exp(theta[:, [LOG_E]]), coefficients, theta[:, [ALPHA, BETA]]], axis=1)

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln A', ln B', alpha, beta)."""
        logs = log_positive(natural[:, [LOG_E, LOG_A, LOG_B]])
        logs[:, [LOG_A, LOG_B]] -= natural[:, [ALPHA, BETA]] * centre
        return np.concatenate([logs, natural[:, [ALPHA, BETA]]], axis=1)

    def slopes(self, theta: Array, x: Array) -> Array:
        """Each exponent times the share of its term."""
        _, gradient = self.log_loss(theta, x)
        return -theta[:, [ALPHA, BETA]].T[..., None] * np.moveaxis(gradient[..., [LOG_A, LOG_B]], -1, 0)

    def split(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """The closed form of `split_two_terms`.

        Example:
            >>> besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
            >>> params, tokens = Chinchilla().split(besiroglu, 5.88e23)
            >>> (tokens / params).round(1)
            array([18.4])
        """
        _, a, b, alpha, beta = natural.T
        return split_two_terms(log_positive(a), log_positive(b), alpha, beta, flops)
