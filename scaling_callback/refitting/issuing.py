"""What a refit forecasts, in the form in which it is kept and scored when the truth is known."""

from __future__ import annotations

import math
from typing import Any

from scaling_callback.curves import FinalForecast
from scaling_callback.records import IssuedForecast
from scaling_callback.refitting.refit import Ask, Refit


def issue(done: Refit, ask: Ask, wall_time: float) -> list[IssuedForecast]:
    """The forecasts of the target and of the asking run's own final, as far as there are any."""
    snapshot, at = done.snapshot, done.latest
    if at is None:
        return []
    made: list[IssuedForecast] = []
    shared: dict[str, Any] = {"by": ask.run, "at_tokens": at.tokens, "wall_time": wall_time, "loss_kind": ask.loss_kind}
    forecast = snapshot.forecast
    if forecast is not None and math.isfinite(forecast.lower):
        made.append(
            IssuedForecast(
                **shared,
                run=None,
                params=forecast.params,
                tokens=forecast.tokens,
                median=forecast.median,
                lower=forecast.lower,
                upper=forecast.upper,
                level=forecast.level,
                forecaster=forecast.forecaster,
            )
        )
    own = snapshot.finals.get(ask.run)
    mine = next((run for run in snapshot.runs if run.name == ask.run), None)
    if isinstance(own, FinalForecast) and mine is not None and mine.horizon is not None:
        lower, upper = own.interval(snapshot.config.level)
        made.append(
            IssuedForecast(
                **shared,
                run=ask.run,
                params=mine.params,
                tokens=mine.horizon,
                median=own.median,
                lower=lower,
                upper=upper,
                level=snapshot.config.level,
                forecaster=own.method,
            )
        )
    return made
