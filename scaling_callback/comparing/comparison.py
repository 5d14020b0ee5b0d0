"""Which of two recipes is better at one target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.comparing.doubts import Side, find_doubts, forbid
from scaling_callback.comparing.pairs import match
from scaling_callback.comparing.trend import extrapolate
from scaling_callback.errors import InputError
from scaling_callback.fitting import Points
from scaling_callback.forecasting import Forecast, finals
from scaling_callback.records import Array, Run

MIN_PAIRS = 5
"""Pairs from which ratios are extrapolated: a plane in ln N and ln D spends three, and two are left to speak against
it."""

SHARE_PAIRED = 0.5
"""Share of the places of the smaller ladder from which pairs speak for it; with fewer most of what is known is in the
runs that stand alone."""

Method: TypeAlias = Literal["paired", "unpaired"]

TAILS: dict[Method, int] = {"paired": 1, "unpaired": 2}
"""Tails of the spread that 1 - level is shared among before a recipe is called better. The spread of pairs has the
whole noise of one run of each, which recipes do not have: with one tail equals are told apart in less than 1 - level
of cases near seed noise. That of forecasts has a quarter: with one tail equals were told apart in 7 of 30 planted
cases, with two in 2."""

MOST_DRAWS = 4_000_000
"""Differences of draws up to which all are taken: a high level asks for so many draws that not all can be kept."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two recipes, A and B, at one target.

    Attributes:
        params: N of the target.
        tokens: D of the target.
        better: The recipe whose loss is lower; `None` where no difference can be told at this level, or the doubts
            allow no verdict.
        difference: L_A / L_B - 1 at the target: negative where A is better.
        interval: Where the same lies for one run of each; for forecasts, each with its share of a run's noise.
        level: Nominal coverage of the interval. Equal recipes are told apart in no more than 1 - level of cases where
            their runs are little noisier than seeds make them, and more often by few pairs of noisier ones.
        probability: That A is better.
        method: `paired` extrapolates the ratios of matched runs, `unpaired` subtracts two forecasts.
        pairs: Places (N, D) at which both ladders hold a finished run that is not the same one.
        losses: The forecasts of A and of B, each from its own runs alone.
        warnings: Named doubts, each with a sentence.
    """

    params: float
    tokens: float
    better: Literal["A", "B"] | None
    difference: float
    interval: tuple[float, float]
    level: float
    probability: float
    method: Method
    pairs: int
    losses: tuple[Forecast, Forecast]
    warnings: Mapping[str, str]


def compare(
    runs_a: Sequence[Run],
    runs_b: Sequence[Run],
    forecasts: tuple[Forecast, Forecast],
    *,
    level: float = 0.9,
) -> Comparison:
    """Which of two recipes is better at the target of two forecasts.

    From pairs a recipe is called better where it is so with a probability of `level`; 0 may lie within the interval
    then, which has two tails. From forecasts it is so where the interval leaves 0 out (`TAILS`).

    Args:
        runs_a: The ladder of A.
        runs_b: The ladder of B.
        forecasts: What each ladder says of the target by itself.
        level: Coverage of the interval, and how surely a recipe is to be better.

    Raises:
        InputError: The forecasts are of two targets, or have no draws.

    Example:
        >>> from scaling_callback import Config, Target, forecast
        >>> from scaling_callback.testing import TRUTH, planted_ladder
        >>> a, b = planted_ladder(seed=1), planted_ladder(seed=2, truth={**TRUTH, "E": 1.85})
        >>> target, config = Target(params=1e9, tokens=2e10), Config(replicates=20)
        >>> made = compare(a, b, (forecast(a, target, config), forecast(b, target, config)))
        >>> made.better, made.method, made.pairs, round(made.difference, 2)
        ('A', 'paired', 12, -0.02)
    """
    one, other = forecasts
    if (one.params, one.tokens) != (other.params, other.tokens):
        raise InputError("the forecasts are of two targets; forecast both recipes at the same params and tokens")
    a, b = _take_side(runs_a, runs_b, one), _take_side(runs_b, runs_a, other)
    pairs, places = match(_take_own(a), _take_own(b))
    paired = pairs.independent >= max(MIN_PAIRS, SHARE_PAIRED * places)
    tails = (1 - level) / 2, (1 + level) / 2
    if paired:
        spread = extrapolate(pairs, one.params, one.tokens)
        lower, upper = (spread.quantile(tail) for tail in tails)
        centre, probability = spread.mean, spread.below(0.0)
    else:
        if not (len(one.draws) and len(other.draws)):
            raise InputError("without pairs two forecasts are compared, and one has no draws; ask for replicates")
        draws = _subtract(np.log(one.draws), np.log(other.draws))
        lower, upper = (float(end) for end in np.quantile(draws, tails))
        centre = math.log(one.median / other.median)
        probability = float((draws < 0).mean() + (draws == 0).mean() / 2)
    method: Method = "paired" if paired else "unpaired"
    enough = 1 - (1 - level) / TAILS[method]
    doubts = find_doubts(a, b, pairs.independent, paired=paired)
    certain = max(probability, 1 - probability) >= enough and not forbid(doubts)
    return Comparison(
        params=one.params,
        tokens=one.tokens,
        better=("A" if probability > 1 / 2 else "B") if certain else None,
        difference=math.expm1(centre),
        interval=(math.expm1(min(lower, centre)), math.expm1(max(upper, centre))),
        level=level,
        probability=probability,
        method=method,
        pairs=len(pairs),
        losses=forecasts,
        warnings=doubts,
    )


def _subtract(one: Array, other: Array) -> Array:
    """Every draw of one less every draw of the other: independent, whatever streams they came from."""
    if len(one) * len(other) <= MOST_DRAWS:
        return np.subtract.outer(one, other).ravel()
    rng = np.random.default_rng(0)
    return rng.choice(one, MOST_DRAWS) - rng.choice(other, MOST_DRAWS)


def _take_side(runs: Sequence[Run], others: Sequence[Run], forecast: Forecast) -> Side:
    known = {_measured(run) for run in others}
    shared = frozenset(run.name for run in runs if _measured(run) in known)
    return Side(runs, finals(runs, _by_cluster), forecast, shared)


def _measured(run: Run) -> tuple[float, bytes, bytes]:
    """What is the same in a run and its copy, whatever it is called."""
    return run.params, run.curve.tokens.tobytes(), run.curve.loss.tobytes()


def _take_own(side: Side) -> Points | None:
    """The finals of the runs that the other ladder does not hold: of one run no difference can be learned."""
    if side.evidence.points is None:
        return None
    own = np.array([name not in side.shared for name in side.evidence.used])
    return side.evidence.points.take(own) if own.any() else None


def _by_cluster(run: Run) -> str:
    return run.cluster
