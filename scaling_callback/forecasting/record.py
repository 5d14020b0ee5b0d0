"""The track record: past forecasts of this ladder against what was then measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Borrowed, Fit, Objective, Points, fit
from scaling_callback.forecasting.evidence import find_twins
from scaling_callback.forecasting.forecast import forecast_target
from scaling_callback.forecasting.scores import Score, TrackRecord
from scaling_callback.forecasting.variables import further_variables, shared_columns
from scaling_callback.laws import Law
from scaling_callback.records import IssuedForecast, Run, Target, same_count

PLACES = tuple(sorted({3 * 2**k for k in range(12)} | {2 ** (k + 2) for k in range(12)}))
"""Numbers of finished runs after which the record refits: 3, 4, 6, 8, 12, 16, 24, ... They do not depend on how
many runs there are by now, so a new run leaves the earlier refits as they were (and in the cache)."""

REPLICATES = 100


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
    runs: Sequence[Run],
    stems: Mapping[str, str],
    *,
    law: str | Law,
    objective: str | Objective = "log-huber",
    borrowed: Borrowed | None = None,
    level: float,
    seed: int,
) -> TrackRecord:
    """What the law with the weak prior would have said of each run from the finals of runs with less compute.

    The runs are those whose finals are evidence now: one phase, none held out; `stems` names the trunk of each.

    Runs are taken by increasing planned compute. At certain numbers of finished runs (`PLACES`) the law is fitted
    to the finals so far and scored on the runs up to the next such number. It is a function of the finals
    alone, so a table, an imported ladder and a live one get the same record.
    """
    ordered = sorted(runs, key=lambda run: (run.planned_flops or 0.0, run.name))
    twins = find_twins(ordered)
    finals = tuple(
        _Final(
            run.name,
            stems[run.name],
            twins[run.name],
            run.params,
            run.final.tokens,
            run.final.loss,
            tuple(further_variables(run, run.final.tokens).items()),
        )
        for run in ordered
        if run.final
    )
    scores: list[Score] = []
    for begin, end in pairwise(PLACES):
        if begin >= len(finals):
            break
        fitted = _fit_prefix(finals[:begin], law, objective, borrowed, seed)
        if fitted is None:
            continue
        for final in finals[begin:end]:
            target = Target(params=final.params, tokens=final.tokens)
            try:
                made = forecast_target(fitted, target, further=dict(final.further), level=level, seed=seed)
            except NotEnoughData:  # a run that does not say what the law needs to know of it
                continue
            scores.append(Score(final.run, made.median, made.lower, made.upper, final.loss))
    return TrackRecord(tuple(scores))


class _Final(NamedTuple):
    run: str
    cluster: str
    twins: str
    params: float
    tokens: float
    loss: float
    further: tuple[tuple[str, float], ...]


@lru_cache(maxsize=256)
def _fit_prefix(
    finals: tuple[_Final, ...], law: str | Law, objective: str | Objective, borrowed: Borrowed | None, seed: int
) -> Fit | None:
    """The fit that the record would have made then; `None` where there was too little to fit."""
    runs, clusters, twins, params, tokens, losses, further = zip(*finals, strict=True)
    columns = shared_columns([dict(pairs) for pairs in further])
    points = Points.of(params, tokens, losses, run=runs, cluster=clusters, twins=twins, columns=columns)
    try:
        return fit(
            points, law=law, objective=objective, prior=True, borrowed=borrowed, replicates=REPLICATES, seed=seed
        )
    except NotEnoughData:  # branches of one or two trunks are not three independent runs
        return None
