"""How the ratio of two losses goes on beyond the places where both were measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from scaling_callback.comparing.pairs import Pairs
from scaling_callback.forecasting.combine import FIRST_CHOICE
from scaling_callback.records import Array

LEVEL_SD = 0.1
"""Standard deviation of the ratio itself before anything is seen, in ln: so wide that any pair decides."""

SLOPES = (0.001, 0.003, 0.01, 0.03)
"""Standard deviations that its slopes may have, in ln L per unit of ln N or ln D: those of laws are .02 to .1."""

BEND = 0.3
"""Standard deviation of its curvature over that of its slopes, in the second form."""

DRIFTS = (0.0, *(0.003 * 2.0**-k for k in range(7)))
"""Standard deviations that a pair may have from the trend at one unit of ln from the target. They grow with the cube
of the distance, as what an expansion to the second order leaves out."""

NOISES = tuple(2.0 ** (k / 2) for k in range(-2, 8))
"""What the noise of one run may be, over the noise between seeds."""

SWEEPS = 2
"""Times that the weights of the noise are settled."""

DEGREES = 8.0
"""Degrees of freedom of the noise, Student's t: one run that failed must not bend the trend. Of 2.5, 4 and 8 measured
ratios that were held out are likeliest under 8."""


class Mixture(NamedTuple):
    """A mixture of G normal distributions of ln L_A - ln L_B: weights, centres and variances, each (G,)."""

    weight: Array
    centre: Array
    variance: Array

    @property
    def mean(self) -> float:
        """Their common mean."""
        return float(self.weight @ self.centre)

    def below(self, value: float) -> float:
        """The probability that the ratio lies below a value."""
        return float(self.weight @ ndtr((value - self.centre) / np.sqrt(self.variance)))

    def quantile(self, share: float) -> float:
        """The value below which that share lies."""
        reach = 40.0 * np.sqrt(self.variance)
        ends = float((self.centre - reach).min()), float((self.centre + reach).max())
        return float(brentq(lambda value: self.below(value) - share, *ends, xtol=1e-9))


def extrapolate(pairs: Pairs, params: float, tokens: float) -> Mixture:
    """What the ratio of one run of each recipe may be at (N, D).

    Two forms of the trend, a plane in ln N and ln D and one that bends, are two draws of the error of the form: d
    between them estimates its standard deviation as |d| / sqrt 2, as in `forecasting.combine`, whose weights they have.

    Example:
        >>> n, d = np.array([1e7, 3e7, 1e8, 3e8]), np.array([2e8, 6e8, 2e9, 6e9])
        >>> better = Pairs(n, d, np.full(4, -0.02), np.full(4, 8e-6), 8e-6, 4)
        >>> near, far = extrapolate(better, 1e9, 2e10), extrapolate(better, 1e11, 2e12)
        >>> near.below(0) > far.below(0) > 0.9
        True
    """
    straight, bent = (_fit_trend(pairs, params, tokens, bend) for bend in (0.0, BEND))
    off = straight.mean - bent.mean
    centre = straight.centre - off / (1 + FIRST_CHOICE)
    # no difference is known better than what seeds differ by
    return Mixture(straight.weight, centre, np.maximum(straight.variance, pairs.one) + off**2 / 2)


def _fit_trend(pairs: Pairs, params: float, tokens: float, bend: float) -> Mixture:
    """Bayesian linear regression of the ratios, averaged over what is not known of its variances by their evidence."""
    x, target = np.log([pairs.params, pairs.tokens]), np.log([[params], [tokens]])
    middle = x.mean(1, keepdims=True)
    features, there = _expand(x - middle, bend > 0), _expand(target - middle, bend > 0)[0]
    distance = np.hypot(*(x - target))
    slope, drift, noise = (axis.ravel() for axis in np.meshgrid(SLOPES, DRIFTS, NOISES, indexing="ij"))
    spreads = [np.full_like(slope, LEVEL_SD), slope, slope, *[bend * slope] * (len(there) - 3)]
    prior = np.stack(spreads, axis=1)
    drifted = drift[:, None] ** 2 * distance**6
    single = noise[:, None] ** 2 * pairs.variance
    found = _regress(features, pairs.ratio, single + drifted, prior, noise)
    for _ in range(SWEEPS):
        off = pairs.ratio - found.share @ (found.theta @ features.T)
        expected = found.share @ (single + drifted)
        # expectation step of a regression with Student's t (Lange, Little and Taylor 1989); none counts more than once
        weight = np.minimum(1.0, (DEGREES + 1) / (DEGREES + off**2 / expected))
        found = _regress(features, pairs.ratio, single / weight + drifted, prior, noise)
    spread = np.linalg.solve(found.precision, np.broadcast_to(there, found.theta.shape)[..., None])[..., 0] @ there
    return Mixture(found.share, found.theta @ there, spread + drift**2 * distance.min() ** 6 + noise**2 * pairs.one)


class _Posterior(NamedTuple):
    """Of G settings: the share of each (G,), the mean of the parameters (G, P), their precision (G, P, P)."""

    share: Array
    theta: Array
    precision: Array


def _regress(features: Array, ratio: Array, variance: Array, prior: Array, noise: Array) -> _Posterior:
    """The posterior under each of G settings, and how far the ratios speak for it.

    Bishop, Pattern Recognition and Machine Learning, equations 3.49 to 3.51 and 3.86. Shapes: features (n, P), ratio
    (n,), variance (G, n), prior standard deviations (G, P), noise over seed noise (G,).
    """
    scaled = (features / variance[..., None]).transpose(0, 2, 1)
    precision = scaled @ features + np.eye(features.shape[1]) * prior[:, None] ** -2.0
    moment = scaled @ ratio
    theta = np.asarray(np.linalg.solve(precision, moment[..., None])[..., 0], dtype=np.float64)
    misfit = (ratio**2 / variance + np.log(variance)).sum(1) - (moment * theta).sum(1)
    volume = np.linalg.slogdet(precision)[1] + 2 * np.log(prior).sum(1)
    # what is usual between seeds is right within a factor of e
    evidence = -0.5 * (misfit + volume + np.log(noise) ** 2)
    share = np.exp(evidence - evidence.max())
    return _Posterior(np.asarray(share / share.sum(), dtype=np.float64), theta, precision)


def _expand(x: Array, bent: bool) -> Array:
    """1 and the logs (2, n), and if it is bent their products: an expansion to the second order, (n, 3) or (n, 6)."""
    n, d = x
    second = [n * d, n**2 / np.sqrt(2.0), d**2 / np.sqrt(2.0)] if bent else []
    return np.stack([np.ones_like(n), n, d, *second], axis=1)
