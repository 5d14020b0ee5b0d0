"""Several fitted laws as one forecast: weighted by the record of each, spread by how far they differ.

Nothing here looks at how well a law fits the points that it was fitted to: that is no guide to how well it
extrapolates (DESIGN 5.6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaling_callback.fitting import SEED_NOISE, Fit, Points
from scaling_callback.forecasting.forecast import NORMAL_90, spread_around, take_interval
from scaling_callback.records import Array

FIRST_CHOICE = 3.0
"""Weight of the first law over each other while there is no record."""

PRIOR_REFITS = 2.0
"""Refits of the record that the interval's own word counts as."""

FARTHEST_MISS = 3.0
"""Most standard deviations that one miss of the record counts as: one run that failed must not widen everything."""


@dataclass(frozen=True)
class History:
    """What forecasts from fewer runs missed by: S of them, of M laws.

    Attributes:
        place: The number of finished runs that each was made from, shape (S,).
        reach: How far each reached beyond them (`find_reach`), shape (S,).
        errors: Ln of forecast over measured loss of each law, shape (S, M).
        misses: The same of the combination, over the standard deviation that its interval stands for, shape (S,).
    """

    place: Array
    reach: Array
    errors: Array
    misses: Array

    def weights(self, reach: float) -> Array:
        """Weight (S,) of each for a forecast that reaches so far.

        Forecasts of one refit share its error, and count together as one at most; those of the last refit, and those
        that reached as far, count most.
        """
        near = 1.0 / (1.0 + (self.reach - reach) ** 2)
        counts = np.array([np.count_nonzero(self.place == place) for place in self.place])
        return near * self.place / (np.maximum(counts, 1) * self.place.max(initial=1.0))


NO_HISTORY = History(np.zeros(0), np.zeros(0), np.zeros((0, 0)), np.zeros(0))


@dataclass(frozen=True)
class Combined:
    """The forecast of one target.

    Attributes:
        median: Forecast loss.
        draws: Losses that may be true, shape (R,).
        weights: Weight of each law, shape (M,).
        medians: What each law says, shape (M,).
    """

    median: float
    draws: Array
    weights: Array
    medians: Array

    def miss(self, measured: float) -> float:
        """Ln of forecast over measured loss, in standard deviations of the draws."""
        lower, upper = take_interval(np.log(self.draws), 0.9)
        return float(np.log(self.median / measured) * 2 * NORMAL_90 / (upper - lower))


def combine(
    fits: Sequence[Fit], params: float, tokens: float, *, history: History = NO_HISTORY, seed: int, widen: bool = True
) -> Combined:
    """The forecast of M fitted laws, the law of first choice first, at one target.

    Medians are averaged in ln L by the weights of `weigh`. The draws are the first law's, with the error of the form:
    two forms that explain the data are two draws of it, and d between them in ln L estimates its standard deviation as
    |d| / sqrt 2. Where the record's misses exceed what its intervals said, the draws are widened by as much.
    """
    medians = np.array([float(fit.predict(params, tokens)[0]) for fit in fits])
    logs, reach = np.log(medians), find_reach(fits[0].points, params, tokens)
    weights = weigh(len(fits), history, reach)
    centre = float(np.exp(weights @ logs))
    draws = spread_around(fits[0], centre, fits[0].predict_draws(params, tokens)[:, 0], noise_seed=seed)
    if len(draws):
        form = float(np.ptp(logs)) / np.sqrt(2.0)
        # another stream than that of the noise, or the two would add instead of mixing
        chance = np.random.default_rng([seed, len(fits)]).standard_normal(len(draws))
        off = np.log(draws / centre) + form * chance
        draws = centre * np.exp(off * (find_widening(history, reach) if widen else 1.0))
    return Combined(centre, draws, weights, medians)


def weigh(count: int, history: History, reach: float) -> Array:
    """Weights (M,) of so many laws, the first choice first: order_m prod_k e_mk^(-w_k).

    e_mk is the root mean square error of law m in the forecasts of refit k, w_k that refit's weight. Ratios are
    multiplied, not squares added: errors of early refits are ten times those of late ones, and would decide alone.

    Example:
        >>> weigh(2, NO_HISTORY, 0.0)
        array([0.75, 0.25])
    """
    scores = np.log(np.where(np.arange(count) == 0, FIRST_CHOICE, 1.0))
    weight = history.weights(reach)
    for place in np.unique(history.place):
        here = history.place == place
        square = weight[here] @ history.errors[here] ** 2 / weight[here].sum()
        scores = scores - 0.5 * weight[here].sum() * np.log(square + SEED_NOISE**2)
    scores = np.exp(scores - scores.max())
    return np.asarray(scores / scores.sum(), dtype=np.float64)


def find_widening(history: History, reach: float) -> float:
    """The factor, at least 1, by which the record's misses exceed what its intervals said."""
    if not len(history.place):
        return 1.0
    weight = history.weights(reach)
    squares = float(weight @ np.minimum(np.abs(history.misses), FARTHEST_MISS) ** 2)
    return max(1.0, float(np.sqrt((PRIOR_REFITS + squares) / (PRIOR_REFITS + weight.sum()))))


def find_reach(points: Points, params: float, tokens: float) -> float:
    """Distance of a target beyond the points, in ln N and ln D; 0 within their range.

    Example:
        >>> ladder = Points.of([1e6, 1e7], [1e8, 1e9], [4.0, 3.5])
        >>> round(find_reach(ladder, 1e8, 5e8), 3)
        2.303
    """
    beyond = [
        max(0.0, np.log(value / known.max()), np.log(known.min() / value))
        for value, known in ((params, points.params), (tokens, points.tokens))
    ]
    return float(np.hypot(*beyond))
