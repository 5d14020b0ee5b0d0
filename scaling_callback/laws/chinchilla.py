"""The parametric law of the Chinchilla study."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from scaling_callback.laws.base import Law, Parameter
from scaling_callback.records import Array

LOG_E, LOG_A, LOG_B, ALPHA, BETA = range(5)


@final
class Chinchilla(Law):
    """L(N, D) = E + A / N^alpha + B / D^beta.

    Hoffmann et al. 2022 (arXiv 2203.15556), equation 2. Working parameters are (ln E, ln A', ln B', alpha,
    beta), where A' = A / N0^alpha and B' = B / D0^beta are the two terms at the centre (N0, D0) of the data:
    that choice removes nearly all correlation between a coefficient and its exponent.
    """

    name: ClassVar[str] = "chinchilla"
    equation: ClassVar[str] = "L(N, D) = E + A / N^alpha + B / D^beta"
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv 2203.15556, equation 2"
    variables: ClassVar[tuple[str, ...]] = ("params", "tokens")
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("E", "irreducible loss, in units of the loss"),
        Parameter("A", "loss from finite size: A / N^alpha in units of the loss"),
        Parameter("B", "loss from finite data: B / D^beta in units of the loss"),
        Parameter("alpha", "exponent of parameters, dimensionless", exponent=True, prior=(0.34, 0.35)),
        Parameter("beta", "exponent of tokens, dimensionless", exponent=True, prior=(0.37, 0.35)),
    )

    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L as a log-sum-exp of the three terms, and its gradient."""
        log_params, log_tokens = x
        terms = np.empty((3, len(theta), x.shape[1]))
        terms[0] = theta[:, LOG_E, None]
        np.subtract(theta[:, LOG_A, None], theta[:, ALPHA, None] * log_params, out=terms[1])
        np.subtract(theta[:, LOG_B, None], theta[:, BETA, None] * log_tokens, out=terms[2])
        largest = terms.max(0)
        terms -= largest
        np.exp(terms, out=terms)
        total = terms.sum(0)
        terms /= total  # from here on the share of each term in L
        gradient = np.empty((len(theta), x.shape[1], 5))
        gradient[..., LOG_E], gradient[..., LOG_A], gradient[..., LOG_B] = terms
        np.multiply(terms[1], -log_params, out=gradient[..., ALPHA])
        np.multiply(terms[2], -log_tokens, out=gradient[..., BETA])
        return largest + np.log(total), gradient

    def basis(self, exponents: Array, x: Array) -> Array:
        """The terms 1, N^-alpha and D^-beta in centred variables."""
        decay = np.exp(-exponents[:, :, None] * x)
        return np.stack([np.ones_like(decay[:, 0]), decay[:, 0], decay[:, 1]], -1)

    def natural(self, theta: Array, centre: Array) -> Array:
        """(E, A, B, alpha, beta), with A = A' N0^alpha and B = B' D0^beta."""
        with np.errstate(over="ignore"):  # a coefficient may be beyond a double where the loss is not
            return np.concatenate(
                [
                    np.exp(theta[:, [LOG_E]]),
                    np.exp(theta[:, [LOG_A, LOG_B]] + theta[:, [ALPHA, BETA]] * centre),
                    theta[:, [ALPHA, BETA]],
                ],
                axis=1,
            )

    def working(self, natural: Array, centre: Array) -> Array:
        """(ln E, ln A', ln B', alpha, beta)."""
        with np.errstate(divide="ignore"):  # a coefficient of zero is a term that is absent
            logs = np.log(natural[:, [LOG_E, LOG_A, LOG_B]])
        logs[:, [LOG_A, LOG_B]] -= natural[:, [ALPHA, BETA]] * centre
        return np.concatenate([logs, natural[:, [ALPHA, BETA]]], axis=1)

    def optimum(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """N* = G (C/6)^(beta/(alpha+beta)) and D* = (C/6) / N*, G = (alpha A / (beta B))^(1/(alpha+beta)).

        Hoffmann et al. 2022, equation 4.

        Example:
            >>> besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
            >>> params, tokens = Chinchilla().optimum(besiroglu, 5.88e23)
            >>> (tokens / params).round(1)
            array([18.4])
        """
        _, a, b, alpha, beta = natural.T
        with np.errstate(all="ignore"):  # a vanished or overflown term has no optimum: NaN or inf below
            log_g = (np.log(alpha) + np.log(a) - np.log(beta) - np.log(b)) / (alpha + beta)
            log_params = log_g + beta / (alpha + beta) * np.log(flops / 6.0)
            params = np.exp(log_params)
            tokens = np.exp(np.log(flops / 6.0) - log_params)
        usable = np.isfinite(params) & np.isfinite(tokens) & (params > 0) & (tokens > 0)
        return np.where(usable, params, np.nan), np.where(usable, tokens, np.nan)
