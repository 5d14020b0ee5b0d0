"""The track record: past forecasts of this ladder against what was then measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.forecasting.forecast import forecast_target
from scaling_callback.records import IssuedForecast, Run, Target, same_horizon

PLACES = tuple(sorted({3 * 2**k for k in range(12)} | {2 ** (k + 2) for k in range(12)}))
"""Numbers of finished runs after which the record refits: 3, 4, 6, 8, 12, 16, 24, ... They do not depend on how
many runs there are by now, so a new run leaves the earlier refits as they were (and in the cache)."""

REPLICATES = 100


@dataclass(frozen=True)
class Score:
    """One forecast and the loss that was then measured."""

    run: str
    median: float
    lower: float
    upper: float
    measured: float

    @property
    def error(self) -> float:
        """(forecast - measured) / measured."""
        return (self.median - self.measured) / self.measured

    @property
    def covered(self) -> bool:
        """Whether the interval holds the measured loss."""
        return self.lower <= self.measured <= self.upper


@dataclass(frozen=True)
class TrackRecord:
    """Scores, and what they say together; `None` where there are none."""

    scores: tuple[Score, ...] = ()

    @property
    def are(self) -> float | None:
        """Mean absolute relative error, as a fraction."""
        return float(np.mean([abs(score.error) for score in self.scores])) if self.scores else None

    @property
    def bias(self) -> float | None:
        """Mean relative error, as a fraction: positive where forecasts were too high."""
        return float(np.mean([score.error for score in self.scores])) if self.scores else None

    @property
    def coverage(self) -> float | None:
        """Share of intervals that hold the measured loss."""
        return float(np.mean([score.covered for score in self.scores])) if self.scores else None


def score_issued(runs: Sequence[Run], issued: Sequence[IssuedForecast]) -> TrackRecord:
    """Score forecasts that were issued live, against every finished run that they were made for.

    A forecast of a target is scored by each run of that size and horizon; one of a run's own final by that run.
    """
    scores: list[Score] = []
    for run in runs:
        if run.final is None:
            continue
        for made in issued:
            same_model = (
                same_horizon(made.params, run.params)
                and same_horizon(made.tokens, run.final.tokens)
                and made.by != run.name
            )
            if made.run == run.name or (made.run is None and same_model):
                scores.append(Score(run.name, made.median, made.lower, made.upper, run.final.loss))
    return TrackRecord(tuple(scores))


def backtest(runs: Sequence[Run], *, law: str, level: float, seed: int) -> TrackRecord:
    """What the forecaster would have said of each run from the finals of smaller ones.

    Runs are taken by increasing planned compute. At certain numbers of finished runs (`PLACES`) the law is fitted
    to the finals so far and scored on the runs up to the next such number. It is a function of the finals
    alone, so a table, an imported ladder and a live one get the same record.
    """
    finished = [run for run in runs if run.final is not None and not run.card.held_out]
    ordered = sorted(finished, key=lambda run: (run.planned_flops or 0.0, run.name))
    finals = tuple(
        _Final(run.name, run.cluster, run.params, run.final.tokens, run.final.loss) for run in ordered if run.final
    )
    scores: list[Score] = []
    for begin, end in pairwise(PLACES):
        if begin >= len(finals):
            break
        fitted = _fit_prefix(finals[:begin], law, seed)
        if fitted is None:
            continue
        for final in finals[begin:end]:
            made = forecast_target(fitted, Target(params=final.params, tokens=final.tokens), level=level, seed=seed)
            scores.append(Score(final.run, made.median, made.lower, made.upper, final.loss))
    return TrackRecord(tuple(scores))


class _Final(NamedTuple):
    run: str
    cluster: str
    params: float
    tokens: float
    loss: float


@lru_cache(maxsize=256)
def _fit_prefix(finals: tuple[_Final, ...], law: str, seed: int) -> Fit | None:
    """The fit that the record would have made then; `None` where there was too little to fit."""
    _, clusters, params, tokens, losses = zip(*finals, strict=True)
    points = Points.of(params, tokens, losses, cluster=clusters)
    try:
        return fit(points, law=law, prior=True, replicates=REPLICATES, seed=seed)
    except NotEnoughData:  # branches of one or two trunks are not three independent runs
        return None
