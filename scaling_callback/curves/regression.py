"""Linear regressions, one for each place on a grid of nonlinear parameters, averaged by their posterior."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from scaling_callback.curves.robust import median
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array

COEFFICIENT = (0.2, 0.5)
"""Prior mean and deviation of each coefficient but the first, in units of the loss: terms of a law are a fifth of the
loss, give or take half of it. It decides only where the data do not."""

WEAKEST = 1e-4
"""Prior precision of the first coefficient: none but what keeps a matrix regular."""

PASSES = 3
OUTLYING = 3.0
"""Robust deviations beyond which a residual weighs less, in so many passes."""

DEGREES = 1.0
"""Observations that the usual noise counts for, as in `fitting.noise`."""


class _Posterior(NamedTuple):
    mean: float
    deviation: float
    residual: Array  # at the best place, shape (n,)


def average(
    design: Array, y: Array, target: Array, log_prior: Array, weight: Array | None = None
) -> tuple[float, float] | None:
    """Mean and deviation of `target` @ coefficients, or `None` where none has all coefficients positive.

    `design` is (G, n, M) at G places, `y` (n,) in units in which the loss is about 1, `target` (G, M),
    `log_prior` (G,), `weight` (n,). The noise has the usual seed noise as prior; residuals beyond three robust
    deviations weigh less.

    Example:
        >>> x = np.array([1.0, 2.0, 4.0, 8.0])
        >>> design, target = np.stack([np.ones(4), 1 / x], -1)[None], np.array([[1.0, 0.0]])
        >>> mean, deviation = average(design, 0.8 + 0.2 / x, target, np.zeros(1))
        >>> round(mean, 4), deviation < 0.01
        (0.8, True)
    """
    weights = np.ones(len(y)) if weight is None else weight
    found = None
    for _ in range(PASSES):
        found = _infer(design, y, target, log_prior, weights)
        if found is None:
            return None
        size = np.abs(found.residual)
        usual = OUTLYING * (1.4826 * median(size) + SEED_NOISE)
        weights = weights * np.minimum(1.0, usual / np.maximum(size, 1e-12))
    if found is None or not np.isfinite([found.mean, found.deviation]).all() or found.mean <= 0:
        return None
    return found.mean, found.deviation


@lru_cache(maxsize=8)
def _prior(terms: int) -> tuple[Array, Array]:
    """Precision (M, M) and mean (M,) of M coefficients."""
    precision = np.diag([WEAKEST] + [COEFFICIENT[1] ** -2] * (terms - 1)) * SEED_NOISE**2
    return precision, np.array([0.0] + [COEFFICIENT[0]] * (terms - 1))


def _infer(design: Array, y: Array, target: Array, log_prior: Array, weight: Array) -> _Posterior | None:
    precision, centre = _prior(design.shape[2])
    scaled = (design * weight[:, None]).transpose(0, 2, 1)
    try:
        inverse = np.asarray(np.linalg.inv(scaled @ design + precision), dtype=np.float64)
    except np.linalg.LinAlgError:  # losses of many orders of magnitude
        return None
    moment = scaled @ y + precision @ centre
    coefficients = np.asarray(np.einsum("gij,gj->gi", inverse, moment), dtype=np.float64)
    residual = y - np.asarray(np.einsum("gni,gi->gn", design, coefficients), dtype=np.float64)
    apart = coefficients - centre
    squares = (weight * residual**2).sum(1) + np.square(apart) @ np.diag(precision)
    degrees = DEGREES + float(weight.sum())
    noise = (DEGREES * SEED_NOISE**2 + squares) / degrees
    determinant = np.asarray(np.linalg.slogdet(inverse)[1], dtype=np.float64)
    evidence = np.where(
        (coefficients > 0).all(1), log_prior + 0.5 * determinant - 0.5 * degrees * np.log(noise), -np.inf
    )
    best = int(np.argmax(evidence))
    if not np.isfinite(evidence[best]):
        return None
    share = np.exp(evidence - evidence[best])
    share = share / share.sum()
    means = (target * coefficients).sum(1)
    reach = np.asarray(np.einsum("gi,gij,gj->g", target, inverse, target), dtype=np.float64)
    mean = float(share @ means)
    variance = float(share @ (noise * (1.0 + reach) + (means - mean) ** 2))
    return _Posterior(mean, float(np.sqrt(max(variance, 0.0))), residual[best])
