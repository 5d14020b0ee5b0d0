"""Linear regressions, one for each place on a grid of nonlinear parameters, averaged by their posterior."""

from __future__ import annotations

import numpy as np

from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array

COEFFICIENT = (0.2, 0.5)
"""Prior mean and deviation of each coefficient but the first, in units of the loss: terms of a law are a fifth of the
loss, give or take half of it. It decides only where the data do not."""

DEGREES = 1.0
"""Observations that the usual noise counts for, as in `fitting.noise`."""


def average(
    design: Array, y: Array, target: Array, log_prior: Array, weight: Array | None = None
) -> tuple[float, float] | None:
    """Mean and deviation of `target` @ coefficients, or `None` where none has all coefficients positive.

    `design` is (G, n, M) at G places, `y` (n,) in units in which the loss is about 1, `target` (G, M),
    `log_prior` (G,).
    The noise has the usual seed noise as prior; residuals beyond three robust deviations weigh less.
    """
    places, count, terms = design.shape
    weight = np.ones(count) if weight is None else weight
    precision = np.diag([1e-4] + [COEFFICIENT[1] ** -2] * (terms - 1)) * SEED_NOISE**2
    centre = np.array([0.0] + [COEFFICIENT[0]] * (terms - 1))
    mean = variance = share = np.zeros(places)
    for _ in range(3):
        scaled = design * weight[:, None]
        gram = scaled.transpose(0, 2, 1) @ design + precision
        inverse = np.linalg.inv(gram)
        coefficients = (inverse @ (scaled.transpose(0, 2, 1) @ y + precision @ centre)[..., None])[..., 0]
        residual = y - (design @ coefficients[..., None])[..., 0]
        apart = coefficients - centre
        squares = (weight * residual**2).sum(1) + np.einsum("gi,ij,gj->g", apart, precision, apart)
        degrees = DEGREES + float(weight.sum())
        noise = (DEGREES * SEED_NOISE**2 + squares) / degrees
        evidence = log_prior + 0.5 * np.linalg.slogdet(inverse)[1] - 0.5 * degrees * np.log(noise)
        evidence[(coefficients <= 0).any(1)] = -np.inf
        if not np.isfinite(evidence).any():
            return None
        share = np.exp(evidence - evidence.max())
        share /= share.sum()
        mean = (target * coefficients).sum(1)
        variance = noise * (1.0 + np.einsum("gi,gij,gj->g", target, inverse, target))
        best = np.abs(residual[int(np.argmax(evidence))])
        usual = 1.4826 * float(np.median(best)) + SEED_NOISE
        weight = weight * np.minimum(1.0, 3.0 * usual / np.maximum(best, 1e-12))
    middle = float(share @ mean)
    spread = float(np.sqrt(share @ (variance + (mean - middle) ** 2)))
    return (middle, spread) if np.isfinite(middle) and np.isfinite(spread) and middle > 0 else None
