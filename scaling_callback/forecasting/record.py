"""The track record: past forecasts of this ladder against what was then measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import MIN_RUNS, Points, fit
from scaling_callback.forecasting.forecast import forecast_target
from scaling_callback.records import IssuedForecast, Run, Target, same_horizon

MAX_REFITS = 8
"""Points of the ladder's past at which the record refits; more would cost without teaching more."""

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

    Runs are taken by increasing planned compute. After 3, and at up to 8 places from there on, the law is
    fitted to the finals so far and scored on the next runs up to the following place. It is a function of the finals
    alone, so a table, an imported ladder and a live one get the same record.
    """
    finished = [run for run in runs if run.final is not None and not run.card.held_out]
    ordered = sorted(finished, key=lambda run: (run.planned_flops or 0.0, run.name))
    key = tuple(
        (run.name, run.cluster, run.params, run.final.tokens, run.final.loss)
        for run in ordered
        if run.final is not None
    )
    return _backtest(key, law, level, seed)


@lru_cache(maxsize=64)
def _backtest(
    finals: tuple[tuple[str, str, float, float, float], ...], law: str, level: float, seed: int
) -> TrackRecord:
    places = sorted({int(p) for p in np.geomspace(MIN_RUNS, max(len(finals), MIN_RUNS), MAX_REFITS + 1).round()})
    scores: list[Score] = []
    for begin, end in zip(places, places[1:], strict=False):
        _, clusters, params, tokens, losses = zip(*finals[:begin], strict=True)
        try:
            fitted = fit(
                Points.of(params, tokens, losses, cluster=clusters),
                law=law,
                prior=True,
                replicates=REPLICATES,
                seed=seed,
            )
        except NotEnoughData:  # branches of one or two trunks are not three independent runs
            continue
        for name, _, n, d, loss in finals[begin:end]:
            made = forecast_target(fitted, Target(params=n, tokens=d), level=level, seed=seed)
            scores.append(Score(name, made.median, made.lower, made.upper, loss))
    return TrackRecord(tuple(scores))
