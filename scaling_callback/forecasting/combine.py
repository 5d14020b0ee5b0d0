"""Several fitted laws as one forecast: weighted by the record of each, spread by how far they differ.

Nothing here looks at how well a law fits the points that it was fitted to: that is no guide to how well it
extrapolates (DESIGN 5.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling_callback.fitting import SEED_NOISE, Fit, Points
from scaling_callback.forecasting.forecast import NORMAL_90, spread_losses
from scaling_callback.records import Array

FIRST_CHOICE = 3.0
"""Weight of the first law over each other while there is no record."""

PRIOR_REFITS = 2.0
"""Refits of the record that the interval's own word counts as."""

FARTHEST_MISS = 3.0
"""Most standard deviations that one miss of the record counts as: one run that failed must not widen everything."""


@dataclass(frozen=True)
class History:
    """What forecasts from fewer runs missed by: S of them, from K refits, of M laws.

    Attributes:
        refit: The refit that each belongs to, 0 to K - 1 in their order, shape (S,).
        runs: The number of finished runs that each refit was made from, shape (K,).
        reach: How far each forecast reached beyond them (`find_reach`), shape (S,).
        errors: Ln of forecast over measured loss of each law, shape (S, M).
        misses: The same of the combination, over the standard deviation of its draws before they were widened, shape
            (S,).
    """

    refit: NDArray[np.intp]
    runs: Array
    reach: Array
    errors: Array
    misses: Array

    def weights(self, reach: Array) -> Array:
        """Weight (T, S) of each for forecasts that reach so far (T,).

        Forecasts of one refit share its error, and count together as one at most; those of the last refit, and those
        that reached as far, count most.
        """
        near = 1.0 / (1.0 + (self.reach - reach[:, None]) ** 2)
        counts = np.bincount(self.refit, minlength=len(self.runs))
        return near * (self.runs / (np.maximum(counts, 1) * self.runs.max(initial=1.0)))[self.refit]

    def until(self, runs: int) -> History:
        """What of it was known when so many runs had finished: earlier refits, as far as their runs had finished.

        Each refit's forecasts stand in the order of the runs that they are for, from the first that finished after it.
        """
        counts = np.bincount(self.refit, minlength=len(self.runs))
        place = np.arange(len(self.refit)) - np.repeat(np.cumsum(counts) - counts, counts)  # among those of its refit
        known = self.runs[self.refit] + place < runs
        return History(
            self.refit[known],
            self.runs[self.runs < runs],
            *(column[known] for column in (self.reach, self.errors, self.misses)),
        )


NO_HISTORY = History(np.zeros(0, np.intp), np.zeros(0), np.zeros(0), np.zeros((0, 0)), np.zeros(0))


@dataclass(frozen=True)
class Combined:
    """The forecasts of T targets.

    Attributes:
        median: Forecast losses, shape (T,).
        draws: Losses that may be true, shape (R, T).
        widening: Factor by which the record widened the draws, shape (T,).
        weights: Weight of each law, shape (T, M).
        medians: What each law says, shape (T, M).
    """

    median: Array
    draws: Array
    widening: Array
    weights: Array
    medians: Array

    def miss(self, measured: Array) -> Array:
        """Ln of forecast over measured losses (T,), in standard deviations of the draws before they were widened.

        In those after it a ladder whose intervals are always too narrow would look right once they are widened, and be
        narrowed again.
        """
        lower, upper = np.quantile(np.log(self.draws), [0.05, 0.95], axis=0)
        return np.asarray(
            np.log(self.median / measured) * 2 * NORMAL_90 * self.widening / (upper - lower), dtype=np.float64
        )


def combine(fits: Sequence[Fit], params: Array, tokens: Array, *, history: History = NO_HISTORY, seed: int) -> Combined:
    """The forecasts of M fitted laws, the law of first choice first, at T targets (N, D), each (T,).

    Medians are averaged in ln L by the weights of `weigh`. The draws are the first law's, with the error of the form:
    two forms that explain the data are two draws of it, and d between them in ln L estimates its standard deviation as
    |d| / sqrt 2. On five ladders at four prefixes each, intervals of 90% held 69% of measured losses without it and 88%
    with it; 83% with |d| / 2, 95% with |d|. Where the record's misses exceed what its intervals said, the draws are
    widened by as much.

    Example:
        >>> from scaling_callback.forecasting.forecasters import MEMBERS
        >>> from scaling_callback.testing import planted_ladder, planted_loss
        >>> fits = [m.fit(m.gather(planted_ladder(), lambda run: run.name), replicates=20) for m in MEMBERS]
        >>> made = combine(fits, np.array([1e9, 1e10]), np.array([2e10, 2e11]), seed=0)
        >>> made.median.shape, made.draws.shape
        ((2,), (20, 2))
        >>> bool(abs(made.median[0] / planted_loss(1e9, 2e10) - 1) < 0.01)
        True
    """
    medians = np.stack([fit.predict(params, tokens) for fit in fits], axis=1)
    logs, reach = np.log(medians), find_reach(fits[0].points, params, tokens)
    weights, widening = weigh(len(fits), history, reach), find_widening(history, reach)
    centre = np.exp((weights * logs).sum(1))
    draws = fits[0].predict_draws(params, tokens)
    if len(draws):
        off = spread_losses(fits[0], draws, noise_seed=seed)
        form = np.ptp(logs, axis=1) / np.sqrt(2.0)
        # another stream than that of the noise, or the two would add instead of mixing
        chance = np.random.default_rng([seed, len(fits)]).standard_normal(len(draws))
        draws = centre * np.exp((off + form * chance[:, None]) * widening)
    return Combined(centre, draws, widening, weights, medians)


def weigh(count: int, history: History, reach: Array) -> Array:
    """Weights (T, M) of so many laws, the first choice first: order_m prod_k e_mk^(-w_k).

    e_mk is the root mean square error of law m in the forecasts of refit k, w_k that refit's weight. Ratios are
    multiplied, not squares added: errors of early refits are ten times those of late ones, and would decide alone.

    Example:
        >>> weigh(2, NO_HISTORY, np.zeros(1))
        array([[0.75, 0.25]])
    """
    scores = np.log(np.where(np.arange(count) == 0, FIRST_CHOICE, 1.0)) + np.zeros((len(reach), 1))
    weight = history.weights(reach)
    for refit in range(len(history.runs)):
        here = history.refit == refit
        total = weight[:, here].sum(1, keepdims=True)
        square = weight[:, here] @ history.errors[here] ** 2 / total
        scores = scores - 0.5 * total * np.log(square + SEED_NOISE**2)
    scores = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(scores / scores.sum(1, keepdims=True), dtype=np.float64)


def find_widening(history: History, reach: Array) -> Array:
    """The factor (T,), at least 1, by which the record's misses exceed what its intervals said."""
    weight = history.weights(reach)
    squares = weight @ np.minimum(np.abs(history.misses), FARTHEST_MISS) ** 2
    return np.maximum(1.0, np.sqrt((PRIOR_REFITS + squares) / (PRIOR_REFITS + weight.sum(1))))


def find_reach(points: Points, params: Array, tokens: Array) -> Array:
    """Distance (T,) of targets beyond the points, in ln N and ln D; 0 within their range.

    Example:
        >>> ladder = Points.of([1e6, 1e7], [1e8, 1e9], [4.0, 3.5])
        >>> find_reach(ladder, np.array([1e8]), np.array([5e8])).round(3)
        array([2.303])
    """
    beyond = [
        np.maximum(0.0, np.maximum(np.log(value / known.max()), np.log(known.min() / value)))
        for value, known in ((params, points.params), (tokens, points.tokens))
    ]
    return np.hypot(*beyond)
