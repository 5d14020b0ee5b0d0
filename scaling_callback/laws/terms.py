"""What laws share that are sums of power terms: their logarithm, its gradient, and their projection."""

from __future__ import annotations

import numpy as np

from scaling_callback.laws.base import Parameter, Ridge
from scaling_callback.records import Array

SIZE_EXPONENT = Parameter(
    "alpha",
    "exponent of parameters, dimensionless",
    role="exponent",
    prior=(0.34, 0.35),
    ridge=Ridge("A", "params", intercept=0.01163, slope=0.05005, sd=0.05),
)
DATA_EXPONENT = Parameter(
    "beta",
    "exponent of tokens, dimensionless",
    role="exponent",
    prior=(0.37, 0.35),
    ridge=Ridge("B", "tokens", intercept=0.23710, slope=0.03844, sd=0.15),
)
"""The exponents of a size term and a data term, with the weak prior (DESIGN 5.3) and the ridges of published fits
(Choshen et al. 2024, arXiv 2410.11840)."""


def add_terms(*logs: Array) -> tuple[Array, Array]:
    """Ln of a sum of M terms given by their logs, each (R, n), and the share of each term, shape (M, R, n).

    The derivative of the first by any log is that term's share.

    Example:
        >>> value, shares = add_terms(np.log([[1.0]]), np.log([[3.0]]))
        >>> np.exp(value).round(12), shares.ravel().round(12)
        (array([[4.]]), array([0.25, 0.75]))
    """
    terms = np.stack(np.broadcast_arrays(*logs))
    largest = terms.max(0)
    terms = np.exp(terms - largest)
    total = terms.sum(0)
    return largest + np.log(total), terms / total


def project_terms(terms: Array, y: Array) -> tuple[Array, Array]:
    """Design (G, n, M) and goal (1, n) of L as a sum of terms (G, n, M): residuals relative to the measured loss."""
    return terms / np.exp(y)[None, :, None], np.ones((1, len(y)))


def log_positive(values: Array) -> Array:
    """Ln of coefficients; minus infinity for one of zero, which is a term that is absent."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def raise_coefficient(log: Array) -> Array:
    """The exponential of a log coefficient; infinite where it is beyond a double, although the loss is not."""
    with np.errstate(over="ignore"):
        return np.exp(log)
