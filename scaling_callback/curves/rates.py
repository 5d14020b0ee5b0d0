"""Laws of the loss along recorded learning rates: L = E + A S1^-a - C g, with g what a decay has gained so far.

S1 is the learning rate over its peak, summed over tokens. The gain g is what a law of schedules adds to that (`Gain`);
E and A are the run's own, while the exponent a and the strength C (relative to the loss) are those of finished runs,
whose whole schedules were seen. What lies ahead of a running run is taken from a finished run of the same schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from scaling_callback.curves.observed import (
    KEPT,
    SEED_TO_COME,
    conclude,
    find_obstacle,
    holds_rate,
    observe,
    order_finished,
    peak_rate,
    rate_shape,
    relate,
    schedule_distances,
)
from scaling_callback.curves.regression import average
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.curves.robust import median
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, Run

EXPONENTS = np.geomspace(0.1, 1.5, 14)
"""Values of a: the published ones are .3 to .6."""

PRIOR = (np.log(0.45), 0.5)
"""Mean and deviation of ln a, which hold the published values."""

STRENGTHS = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.12])
"""Values of C: what a whole decay takes off, relative to the loss."""

WARMED_UP = 0.1
"""Share of what was seen at whose beginning the loss does not follow a power law yet."""

MOST_LENDERS = 12
"""Finished runs that lend a and C, the nearest ones: their median needs no more."""

PLACES = 256
"""Points of a schedule at which it is summed."""


@dataclass(frozen=True, eq=False)
class Path:
    """A schedule from its beginning to the horizon, shape (n,) each.

    Attributes:
        progress: Where.
        rate: Learning rate over its peak.
        total: S1 up to there, in horizons.
        peak: The peak, in units of the rate.
        steps: Optimiser steps of the whole run, or NaN where unknown.
    """

    progress: Array
    rate: Array
    total: Array
    peak: float
    steps: float


Gain: TypeAlias = Callable[[Path], Array]


def forecast_by_rates(run: Run, finished: Sequence[Run], gain: Gain, method: str) -> FinalForecast | Abstention:
    """The final by a law of schedules; see the module."""
    obstacle = find_obstacle(run)
    if obstacle is not None:
        return obstacle
    if rate_shape(run) is None:
        return Abstention("no_rates", "its learning rates were not recorded")
    ordered = order_finished(run, finished)
    order: list[int] = np.argsort(np.square(relate(run, ordered)).sum(1), kind="stable").tolist()
    near = tuple(ordered[index] for index in order)
    path = _plan(run, near)
    if path is None:
        return Abstention("schedule_ahead_unknown", "no finished run has the same schedule, so its rates are unknown")
    # laws are for all schedules: runs whose rate was held lend too. Without them errors grow on the two ladders that
    # have both kinds
    lent = [found for other in near[: 2 * MOST_LENDERS] if (found := _lend(other, gain)) is not None][:MOST_LENDERS]
    if not lent:
        return Abstention("no_lender", "no finished run has recorded learning rates to learn the law from")
    exponent, strength = (median(values) for values in np.array(lent).T)
    found = _solve(run, path, gain, np.array([exponent]), strength)
    if found is None:
        return Abstention("no_power_law", "its losses do not fall with the sum of its learning rates")
    mean, deviation = found
    deviation = float(np.hypot(deviation / mean, SEED_TO_COME * SEED_NOISE))
    return conclude(float(np.log(mean)), deviation, method, len(lent))


@lru_cache(maxsize=KEPT)
def _plan(run: Run, near: tuple[Run, ...]) -> Path | None:
    """The whole schedule of a run: what was recorded, and ahead of that the nearest finished run of the same shape."""
    shape = rate_shape(run)
    if shape is None or run.horizon is None:
        return None
    x, rate = shape
    if run.final is None and x[-1] < 1.0:
        alike = (other for other, apart in zip(near, schedule_distances(run, near), strict=True) if apart >= 0)
        ahead = next((found for other in alike if (found := rate_shape(other)) is not None), None)
        if ahead is not None:
            later = ahead[0] > x[-1]
            x, rate = np.append(x, ahead[0][later]), np.append(rate, ahead[1][later])
        elif run.phase != "constant" or not holds_rate(run):
            return None
    grid = np.linspace(0.0, 1.0, PLACES + 1)
    path = np.interp(grid, np.append(0.0, x), np.append(0.0, rate))
    total = np.append(0.0, np.cumsum(0.5 * (path[1:] + path[:-1]) * np.diff(grid)))
    if total[-1] <= 0:  # rates of zero were recorded, and say nothing
        return None
    return Path(grid, path, total, peak_rate(run) or 1.0, _count_steps(run))


def _count_steps(run: Run) -> float:
    known = np.isfinite(run.curve.step) & (run.curve.step > 0) & (run.curve.tokens > 0)
    assert run.horizon is not None
    if known.any():
        last = int(np.flatnonzero(known)[-1])
        return float(run.curve.step[last] / run.curve.tokens[last] * run.horizon)
    return run.horizon / run.card.batch_tokens if run.card.batch_tokens else float("nan")


@lru_cache(maxsize=4096)
def _lend(run: Run, gain: Gain) -> tuple[float, float] | None:
    """The exponent a and the strength C, relative to the final loss, of a finished run."""
    path = _plan(run, ())
    if path is None:
        return None
    seen, x, loss, unit = _late(run)
    weight = seen / seen.sum()
    decay = np.exp(-EXPONENTS[:, None] * np.log(_sums(path, x) / path.total[-1]))
    goal = loss / unit + np.multiply.outer(STRENGTHS, np.interp(x, path.progress, gain(path)))
    decay, goal = decay - (decay @ weight)[:, None], goal - (goal @ weight)[:, None]
    # a line for each pair of an exponent and a strength, shapes (a, C)
    cross, variance = (decay * weight) @ goal.T, (decay**2) @ weight
    residual = (goal**2) @ weight - cross**2 / np.maximum(variance, 1e-30)[:, None]
    scores = np.square((np.log(EXPONENTS) - PRIOR[0]) / PRIOR[1])[:, None]
    cost = len(x) * np.log(residual + SEED_NOISE**2) + scores
    cost[cross <= 0] = np.inf
    best = int(np.argmin(cost))
    if not np.isfinite(cost.flat[best]):
        return None
    return float(EXPONENTS[best // len(STRENGTHS)]), float(STRENGTHS[best % len(STRENGTHS)])


def _sums(path: Path, x: Array) -> Array:
    """S1 at progress x; no less than nothing, whose logarithm must exist."""
    return np.maximum(np.interp(x, path.progress, path.total), 1e-6)


def _late(run: Run) -> tuple[Array, Array, Array, float]:
    """Weights, progress and losses of what was seen after the warmup, and the unit of the loss."""
    seen = observe(run)
    late = seen.progress >= WARMED_UP * seen.progress[-1]
    loss = np.exp(seen.log_loss[late])
    # late observations weigh more: warmup and transient are another law
    return seen.progress[late], seen.progress[late], loss, float(loss[-1])


def _solve(run: Run, path: Path, gain: Gain, exponents: Array, strength: float) -> tuple[float, float] | None:
    """The final loss and its deviation with a and C given."""
    weight, x, loss, unit = _late(run)
    gains = gain(path)
    total = _sums(path, x)
    goal = loss / unit + strength * np.interp(x, path.progress, gains)
    decay = np.exp(-exponents[:, None] * np.log(total / path.total[-1]))
    design = np.stack([np.ones_like(decay), decay], -1)
    prior = -0.5 * np.square((np.log(exponents) - PRIOR[0]) / PRIOR[1])
    found = average(design, goal, np.ones((len(exponents), 2)), prior, weight)
    if found is None or found[0] <= strength * gains[-1]:
        return None
    return (found[0] - strength * float(gains[-1])) * unit, found[1] * unit
