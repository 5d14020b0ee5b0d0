"""What laws share that are sums of power terms: their logarithm, its gradient, and their projection."""

from __future__ import annotations

import numpy as np

from scaling_callback.records import Array


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
