"""What was, or would have been, forecast of the target while the ladder was smaller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scaling_callback.errors import NotEnoughData
from scaling_callback.forecasting.combine import combine
from scaling_callback.forecasting.forecast import forecast_target, take_interval
from scaling_callback.forecasting.forecasters import Forecaster
from scaling_callback.forecasting.record import PLACES, REPLICATES, backtest, order_runs, try_fit
from scaling_callback.records import Array, IssuedForecast, Run, Target, same_count


@dataclass(frozen=True, kw_only=True)
class PastForecast:
    """The forecast of the target at an earlier moment of the ladder.

    Attributes:
        kind: `recomputed` from the runs that had finished, or `issued` while training.
        runs: Finished runs that it was made from.
        compute: FLOPs that the ladder had taken by then.
        median: Forecast loss.
        lower: Lower end of its interval; NaN without one.
        upper: Upper end of its interval.
        parameters: What the law that is shown was fitted to then, by parameter; empty where it was not fitted.
        intervals: Their intervals.
    """

    kind: Literal["recomputed", "issued"]
    runs: int
    compute: float
    median: float
    lower: float
    upper: float
    parameters: Mapping[str, float] = field(default_factory=dict[str, float])
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])


def recompute_past(
    runs: Sequence[Run],
    clusters: Mapping[str, str],
    forecasters: Sequence[Forecaster],
    shown: Forecaster,
    target: Target,
    *,
    level: float,
    seed: int,
    further: Mapping[str, float],
) -> tuple[PastForecast, ...]:
    """What these forecasters would have said of the target after the first 3, 4, 6, 8, 12, ... finished runs.

    The runs are those of `backtest`, and so are the moments: the fits are the very ones that its record is made of.

    Args:
        runs: Finished runs whose finals are evidence now.
        clusters: What each shares its noise with.
        forecasters: Who forecasts; several are combined by what was known of them then.
        shown: Whose fit gives the parameters.
        target: N and D of the target.
        level: Nominal coverage of the intervals.
        seed: Seed of everything random.
        further: Values at the target of further variables of the law.

    Example:
        >>> from scaling_callback.forecasting.forecasters import MEMBERS
        >>> from scaling_callback.testing import planted_ladder
        >>> runs = planted_ladder(ratios=(10, 20, 40))
        >>> names = {run.name: run.name for run in runs}
        >>> goal = Target(params=1e9, tokens=2e10)
        >>> past = recompute_past(runs, names, MEMBERS, MEMBERS[1], goal, level=0.9, seed=0, further={})
        >>> [made.runs for made in past]
        [3, 4, 6, 8]
    """
    assert target.params is not None
    assert target.tokens is not None
    ordered = order_runs(runs)
    names = tuple(clusters[run.name] for run in ordered)
    known = backtest(runs, clusters, forecasters, level=level, seed=seed).history
    spent = np.cumsum([run.planned_flops or 0.0 for run in ordered])
    past: list[PastForecast] = []
    for count in (place for place in PLACES if place < len(ordered)):
        first, of = ordered[:count], names[:count]
        fits = [try_fit(first, of, f, REPLICATES if i == 0 else 0, seed) for i, f in enumerate(forecasters)]
        made = [fit for fit in fits if fit is not None]
        if len(made) < len(forecasters):
            continue
        if len(made) == 1:
            try:
                alone = forecast_target(made[0], target, further=further, level=level, seed=seed)
            except NotEnoughData:
                continue
            median, lower, upper = alone.median, alone.lower, alone.upper
        else:
            place = np.array([target.params]), np.array([target.tokens])
            combined = combine(made, *place, history=known.until(count), seed=seed)
            median = float(combined.median[0])
            lower, upper = take_interval(combined.draws[:, 0], level, median)
        fit = try_fit(first, of, shown, REPLICATES, seed)
        past.append(
            PastForecast(
                kind="recomputed",
                runs=count,
                compute=float(spent[count - 1]),
                median=median,
                lower=lower,
                upper=upper,
                parameters={} if fit is None else fit.params,
                intervals={} if fit is None else fit.intervals(level),
            )
        )
    return tuple(past)


def place_issued(runs: Sequence[Run], issued: Sequence[IssuedForecast], target: Target) -> tuple[PastForecast, ...]:
    """The forecasts of this target that were issued while training, in the order of the compute spent by then.

    How much that was is known from the wall times of the observations; a forecast or run without any is left out, and
    so are held-out runs, of which nothing was known.
    """
    assert target.params is not None
    assert target.tokens is not None
    made = [
        one
        for one in issued
        if one.run is None
        and same_count(one.params, target.params)
        and same_count(one.tokens, target.tokens)
        and math.isfinite(one.wall_time)
    ]
    if not made:
        return ()
    times = np.array([one.wall_time for one in made])
    compute, finished = np.zeros(len(made)), np.zeros(len(made), dtype=np.intp)
    for run in runs:
        if run.card.held_out:
            continue
        compute += run.flops_per_token * _tokens_by(run, times)
        if run.final is not None:
            finished += run.final.wall_time <= times
    past = [
        PastForecast(
            kind="issued",
            runs=int(count),
            compute=float(spent),
            median=one.median,
            lower=one.lower,
            upper=one.upper,
        )
        for one, spent, count in zip(made, compute, finished, strict=True)
        if spent > 0
    ]
    return tuple(sorted(past, key=lambda one: one.compute))


def _tokens_by(run: Run, times: Array) -> Array:
    """Tokens that the run had seen at each of `times` (T,); 0 before its first observation."""
    timed = np.isfinite(run.curve.wall_time)
    if not timed.any():
        return np.zeros(len(times))
    seen = np.maximum.accumulate(run.curve.wall_time[timed])  # a clock may have been set back
    return np.concatenate([[0.0], run.curve.tokens[timed]])[np.searchsorted(seen, times, side="right")]
