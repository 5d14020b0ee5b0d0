"""The track record: forecasts against what was then measured.

Two sources, kept apart: the record that is recomputed from what is visible now, the same for a table, an imported
ladder and a live one; and forecasts that were issued while training, which are scored and shown but decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit
from scaling_callback.forecasting.combine import NO_HISTORY, History, combine, find_reach
from scaling_callback.forecasting.forecast import forecast_target, take_interval
from scaling_callback.forecasting.forecasters import Forecaster
from scaling_callback.forecasting.scores import Score, TrackRecord
from scaling_callback.forecasting.variables import further_variables
from scaling_callback.records import Array, IssuedForecast, Run, Target, same_count

PLACES = tuple(sorted({3 * 2**k for k in range(12)} | {2 ** (k + 2) for k in range(12)}))
"""Numbers of finished runs after which the record refits: 3, 4, 6, 8, 12, 16, 24, ... They do not depend on how
many runs there are by now, so a new run leaves the earlier refits as they were (and in the cache)."""

REPLICATES = 100


@dataclass(frozen=True)
class Backtest:
    """What forecasts from the runs that finished earlier would have said of those that finished later.

    Attributes:
        record: Each run's last forecast before it, as a user would have had it.
        members: The same of each forecaster that the forecast combines, by name.
        history: Every such forecast, however far it reached: what weighs and widens the next one.
    """

    record: TrackRecord = field(default_factory=TrackRecord)
    members: Mapping[str, TrackRecord] = field(default_factory=dict[str, TrackRecord])
    history: History = NO_HISTORY


def score_issued(runs: Sequence[Run], issued: Sequence[IssuedForecast]) -> TrackRecord:
    """Score forecasts that were issued live, against every finished run that they were made for.

    A forecast of a target is scored by each run of that size and horizon, one of a run's own final by that run;
    neither if it was made when that run had ended.
    """
    scores: list[Score] = []
    for run in runs:
        if run.final is None:
            continue
        for made in issued:
            same_model = (
                same_count(made.params, run.params)
                and same_count(made.tokens, run.final.tokens)
                and made.by != run.name
            )
            too_late = made.wall_time >= run.final.wall_time  # false where a time is unknown
            if not too_late and (made.run == run.name or (made.run is None and same_model)):
                scores.append(Score(run.name, made.median, made.lower, made.upper, run.final.loss))
    return TrackRecord(tuple(scores))


def backtest(
    runs: Sequence[Run], clusters: Mapping[str, str], forecasters: Sequence[Forecaster], *, level: float, seed: int
) -> Backtest:
    """What these forecasters would have said of each run from the runs with less compute.

    The runs are finished, and those whose finals are evidence now: one phase, none held out; `clusters` names what
    each shares its noise with. Several forecasters are combined as `combine` does, by what was known then.

    Runs are taken by increasing planned compute. At certain numbers of finished runs (`PLACES`) the laws are fitted
    to those so far and asked for every later one. It is a function of the runs alone, so a table, an imported
    ladder and a live one get the same record.
    """
    ordered = order_runs(runs)
    plain = tuple(replace(forecaster, starts=()) for forecaster in forecasters)
    return _walk(ordered, tuple(clusters[run.name] for run in ordered), plain, level, seed)


def order_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs by increasing planned compute, ties by name: the order in which the record takes them."""
    return tuple(sorted(runs, key=lambda run: (run.planned_flops or 0.0, run.name)))


@lru_cache(maxsize=64)
def _walk(
    ordered: tuple[Run, ...], clusters: tuple[str, ...], forecasters: tuple[Forecaster, ...], level: float, seed: int
) -> Backtest:
    scores: list[Score] = []
    members: dict[str, list[Score]] = {forecaster.name: [] for forecaster in forecasters}
    refits: list[_Refit] = []
    for begin, end in pairwise(PLACES):
        if begin >= len(ordered):
            break
        # only the law of first choice lends its draws
        fits = [
            try_fit(ordered[:begin], clusters[:begin], f, REPLICATES if i == 0 else 0, seed)
            for i, f in enumerate(forecasters)
        ]
        known = [fit for fit in fits if fit is not None]
        if len(known) < len(forecasters):
            continue
        if len(known) == 1:
            scores += _score_alone(known[0], ordered[begin:end], level, seed)
            continue
        later = ordered[begin:]
        losses = np.array([run.final.loss for run in later if run.final is not None])
        made = combine(known, *_places(later), history=_collect(refits).until(begin), seed=seed)
        reach = find_reach(known[0].points, *_places(later))
        refits.append(_Refit(begin, reach, np.log(made.medians / losses[:, None]), made.miss(losses)))
        for index, run in enumerate(ordered[begin:end]):
            lower, upper = take_interval(made.draws[:, index], level, float(made.median[index]))
            scores.append(Score(run.name, float(made.median[index]), lower, upper, float(losses[index])))
            for forecaster, median in zip(forecasters, made.medians[index].tolist(), strict=True):
                members[forecaster.name].append(Score(run.name, median, math.nan, math.nan, float(losses[index])))
    if len(forecasters) == 1:
        return Backtest(TrackRecord(tuple(scores)))
    records = {name: TrackRecord(tuple(found)) for name, found in members.items()}
    return Backtest(TrackRecord(tuple(scores)), records, _collect(refits))


def _score_alone(fit: Fit, runs: Sequence[Run], level: float, seed: int) -> list[Score]:
    scores: list[Score] = []
    for run in runs:
        assert run.final is not None
        target, known = Target(params=run.params, tokens=run.final.tokens), further_variables(run, run.final.tokens)
        further = {name: value for name, value in known.items() if name in fit.law.variables}
        try:
            made = forecast_target(fit, target, further=further, level=level, seed=seed)
        except NotEnoughData:  # a run that does not say what the law needs to know of it
            continue
        scores.append(Score(run.name, made.median, made.lower, made.upper, run.final.loss))
    return scores


def _places(runs: Sequence[Run]) -> tuple[Array, Array]:
    """Params and tokens of the finals."""
    finals = [(run.params, run.final.tokens) for run in runs if run.final is not None]
    params, tokens = np.array(finals).T
    return params, tokens


@dataclass(frozen=True)
class _Refit:
    """Forecasts of every later run from so many finished ones, in the order of the runs."""

    runs: int
    reach: Array
    errors: Array
    misses: Array


def _collect(refits: Sequence[_Refit]) -> History:
    """All of these as one."""
    if not refits:
        return NO_HISTORY
    return History(
        np.repeat(np.arange(len(refits)), [len(refit.reach) for refit in refits]),
        np.array([float(refit.runs) for refit in refits]),
        np.concatenate([refit.reach for refit in refits]),
        np.concatenate([refit.errors for refit in refits]),
        np.concatenate([refit.misses for refit in refits]),
    )


@lru_cache(maxsize=64)
def fit_runs(
    runs: tuple[Run, ...], clusters: tuple[str, ...], forecaster: Forecaster, replicates: int, seed: int
) -> Fit:
    """The fit that a forecaster makes of these runs; `clusters` names what each shares its noise with.

    Kept from call to call: a refresh asks for the same prefixes of a ladder again and again.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
    """
    named = {run.name: cluster for run, cluster in zip(runs, clusters, strict=True)}
    return forecaster.fit(forecaster.gather(runs, lambda run: named[run.name]), replicates=replicates, seed=seed)


def try_fit(
    runs: tuple[Run, ...], clusters: tuple[str, ...], forecaster: Forecaster, replicates: int, seed: int
) -> Fit | None:
    """What `fit_runs` makes of these runs; `None` where they are too few."""
    try:
        return fit_runs(runs, clusters, forecaster, replicates, seed)
    except NotEnoughData:  # branches of one or two trunks are not three independent runs
        return None
