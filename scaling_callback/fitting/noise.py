"""How far one run falls from the law by chance: from repeated seeds, from residuals, and from what is usual.

A variance is estimated under a scaled inverse chi-squared prior: (nu0 s0^2 + sum of squares) / (nu0 + degrees) (Gelman
et al., Bayesian Data Analysis, section 2.6). A few runs then neither pass for exact because a law goes through
them, nor forget what they show.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scaling_callback.fitting.points import Points
from scaling_callback.records import Array

SEED_NOISE = 0.002
"""Standard deviation of ln L between seeds of one recipe, assumed where nothing is known: .1 to .3% is usual."""

DEFAULT_DEGREES = 1.0
"""Degrees of freedom that the default counts for: like the weak prior it weighs one observation. With more, ladders
noisier than usual are held too seldom, and quieter ones too often (docs/coverage.md)."""

OUTLYING = 3.0
"""Robust standard deviations beyond which a residual counts as that many: one spoiled run is no noise of the others."""

PRIOR_DEGREES = 1.0
"""Parameters that the weak prior spares: it weighs about one observation."""


class Noise(NamedTuple):
    """Standard deviation of ln L of one run, and the degrees of freedom on which it rests."""

    scale: float
    degrees: float

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Standard deviations that the data allow, shape (size,)."""
        return self.scale * np.sqrt(self.degrees / rng.chisquare(self.degrees, size))


def seed_noise(points: Points) -> float:
    """Standard deviation of ln L between seeds, from runs that repeat each other; the default where there are none.

    Example:
        >>> ladder = Points.of([1e7, 1e8, 1e9], [2e8, 2e9, 2e10], [4.0, 3.4, 3.0])
        >>> seed_noise(ladder)
        0.002
    """
    measured = points.spread == 0
    logs, twins = np.log(points.loss[measured]), points.twins[measured]
    counts = np.bincount(twins)
    means = np.bincount(twins, weights=logs) / np.maximum(counts, 1)
    squares = float(((logs - means[twins]) ** 2).sum())
    return _posterior(SEED_NOISE, squares, len(logs) - int(np.count_nonzero(counts)))


def run_noise(residual: Array, points: Points, parameters: int, *, prior: bool) -> Noise:
    """How far one run falls from the law, from residuals (n,) of a fit of so many parameters.

    The residuals of a cluster are one piece of evidence: their mean square counts once.
    """
    bound = OUTLYING * _robust(residual, points.weight, parameters)
    clipped = np.minimum(np.abs(residual), bound)
    known = points.weight * (points.spread == 0)
    total = np.bincount(points.cluster, weights=known)
    squares = np.bincount(points.cluster, weights=known * clipped**2)
    mean = squares[total > 0] / total[total > 0]
    spare = max(points.n_independent - parameters + (PRIOR_DEGREES if prior else 0.0), 0.0)
    return Noise(_posterior(seed_noise(points), float(mean.sum()), spare), DEFAULT_DEGREES + spare)


def _posterior(usual: float, squares: float, degrees: float) -> float:
    return float(np.sqrt((DEFAULT_DEGREES * usual**2 + squares) / (DEFAULT_DEGREES + degrees)))


def _robust(residual: Array, weight: Array, parameters: int) -> float:
    """Robust standard deviation of the residuals, at least the default.

    An objective that is nearly an L1 norm passes through about as many points as there are parameters, whose
    residuals say nothing of the noise: the median is taken over the others (as in Holland and Welsch 1977).
    """
    order = np.argsort(np.abs(residual))
    spent = min(parameters / len(residual), 0.8)  # with hardly more points than parameters a fifth still speaks
    share = np.cumsum(weight[order]) / weight.sum()
    place = min(int(np.searchsorted(share, spent + (1 - spent) / 2)), len(order) - 1)
    return max(1.4826 * float(np.abs(residual)[order][place]), SEED_NOISE)
