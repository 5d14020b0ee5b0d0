"""The track record: forecasts against what was then measured.

Two sources, kept apart: the record that is recomputed from what is visible now, the same for a table, an imported
ladder and a live one; and forecasts that were issued while training, which are scored and shown but decide nothing.
"""

from __future__ import annotations

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
from scaling_callback.records import IssuedForecast, Run, Target, same_count

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

    record: TrackRecord = TrackRecord()
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
    ordered = sorted(runs, key=lambda run: (run.planned_flops or 0.0, run.name))
    plain = [replace(forecaster, starts=()) for forecaster in forecasters]
    scores: list[Score] = []
    members: dict[str, list[Score]] = {forecaster.name: [] for forecaster in forecasters}
    rows: list[_Row] = []
    for begin, end in pairwise(PLACES):
        if begin >= len(ordered):
            break
        prefix = tuple(ordered[:begin])
        named = tuple(clusters[run.name] for run in prefix)
        # only the law of first choice lends its draws
        fits = [_fit_prefix(prefix, named, f, REPLICATES if i == 0 else 0, seed) for i, f in enumerate(plain)]
        if any(fit is None for fit in fits):
            continue
        known = [fit for fit in fits if fit is not None]
        history = _collect([row for row in rows if row.rank < begin])
        for rank, run in enumerate(ordered[begin:], start=begin):
            assert run.final is not None
            if len(known) > 1:
                made = combine(known, run.params, run.final.tokens, history=history, seed=seed)
                reach = find_reach(known[0].points, run.params, run.final.tokens)
                errors = np.log(made.medians / run.final.loss)
                rows.append(_Row(rank, begin, reach, tuple(errors.tolist()), made.miss(run.final.loss)))
                if rank < end:
                    scores.append(_score(run, made.median, made.draws, level))
                    for forecaster, median in zip(forecasters, made.medians.tolist(), strict=True):
                        members[forecaster.name].append(_score(run, median, np.zeros(0), level))
            elif rank < end:
                target = Target(params=run.params, tokens=run.final.tokens)
                further = further_variables(run, run.final.tokens)
                try:
                    single = forecast_target(known[0], target, further=further, level=level, seed=seed)
                except NotEnoughData:  # a run that does not say what the law needs to know of it
                    continue
                scores.append(Score(run.name, single.median, single.lower, single.upper, run.final.loss))
    if len(forecasters) == 1:
        return Backtest(TrackRecord(tuple(scores)))
    records = {name: TrackRecord(tuple(found)) for name, found in members.items()}
    return Backtest(TrackRecord(tuple(scores)), records, _collect(rows))


@dataclass(frozen=True)
class _Row:
    """One forecast of the record: of the run of that rank, from so many finished runs."""

    rank: int
    place: int
    reach: float
    errors: tuple[float, ...]
    miss: float


def _collect(rows: Sequence[_Row]) -> History:
    if not rows:
        return NO_HISTORY
    return History(
        np.array([float(row.place) for row in rows]),
        np.array([row.reach for row in rows]),
        np.array([row.errors for row in rows]),
        np.array([row.miss for row in rows]),
    )


def _score(run: Run, median: float, draws: np.ndarray[tuple[int], np.dtype[np.float64]], level: float) -> Score:
    assert run.final is not None
    lower, upper = take_interval(draws, level)
    return Score(run.name, median, lower, upper, run.final.loss)


@lru_cache(maxsize=256)
def _fit_prefix(prefix: tuple[Run, ...], clusters: tuple[str, ...], forecaster: Forecaster, replicates: int, seed: int) -> Fit | None:
    """The fit that the record would have made then; `None` where there was too little to fit."""
    named = {run.name: cluster for run, cluster in zip(prefix, clusters, strict=True)}
    evidence = forecaster.gather(prefix, lambda run: named[run.name])
    try:
        return forecaster.fit(evidence, replicates=replicates, seed=seed)
    except NotEnoughData:  # branches of one or two trunks are not three independent runs
        return None
