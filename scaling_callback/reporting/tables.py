"""The rows of every table that is shown: plain numbers, no formatting.

Unknown numbers are `None`. Errors and residuals are fractions of the measured loss, positive where the first
number lies above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from scaling_callback.curves import Abstention
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit
from scaling_callback.forecasting import TrackRecord, further_variables
from scaling_callback.records import Run, same_count
from scaling_callback.reporting.units import format_count, format_level
from scaling_callback.snapshot import Snapshot

Role = Literal["used", "guessed", "held out", "left out", "waiting"]
"""What became of a run: `waiting` is evidence as long as there is too little for a fit."""

BASELINES = {
    "best_loss": "best loss among finished runs",
    "most_compute": "loss of the finished run with the most compute",
}
"""What each baseline is, in words."""


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run of the ladder.

    Attributes:
        name: Its name, as recorded: text from outside.
        params: N.
        horizon: Planned tokens.
        tokens: Tokens at its last observation.
        progress: Share of the horizon seen.
        last_loss: Its last loss, finite or not.
        final_loss: Its final, if its schedule has ended.
        fitted_loss: The law at its size and at its final's tokens, or at its horizon.
        residual: Final over fitted loss, minus 1.
        phase: What its schedule does to the learning rate.
        role: What became of it in the fit.
        why: The reason in words.
        stopping: What rules did to it, or would have done, in words; empty where none called for its end.
        forecast: Forecast final of an unfinished run.
        lower: Lower end of its interval.
        upper: Upper end of its interval.
        notes: What was odd about its record.
        note: What somebody wrote into its card: text from outside.
    """

    name: str
    params: float
    horizon: float | None
    tokens: float | None
    progress: float | None
    last_loss: float | None
    final_loss: float | None
    fitted_loss: float | None
    residual: float | None
    phase: str
    role: Role
    why: str
    stopping: str
    forecast: float | None
    lower: float | None
    upper: float | None
    notes: tuple[str, ...]
    note: str | None


@dataclass(frozen=True)
class ParameterRow:
    """One fitted parameter; `lower` and `upper` are `None` without a bootstrap."""

    name: str
    value: float
    lower: float | None
    upper: float | None
    meaning: str


@dataclass(frozen=True)
class ScoreRow:
    """One forecast and what was then measured; `params` and `tokens` are those of the run."""

    run: str
    params: float
    tokens: float
    median: float
    lower: float | None
    upper: float | None
    measured: float
    error: float
    covered: bool | None


@dataclass(frozen=True)
class HeldOut:
    """The forecast beside a finished run of the target's size and horizon that the fit never saw.

    Attributes:
        run: The run's name: text from outside.
        params: Its N.
        tokens: Its D.
        forecast: Forecast loss.
        lower: Lower end of the interval; `None` without a bootstrap.
        upper: Upper end of the interval.
        level: Nominal coverage of the interval.
        measured: The loss measured at its end.
        error: (forecast - measured) / measured.
        covered: Whether the interval holds it; `None` without an interval.
        baseline_errors: The same error of each baseline, by name.
    """

    run: str
    params: float
    tokens: float
    forecast: float
    lower: float | None
    upper: float | None
    level: float
    measured: float
    error: float
    covered: bool | None
    baseline_errors: dict[str, float]


def list_runs(snapshot: Snapshot) -> tuple[RunRow, ...]:
    """Every run, excluded ones among them, by size, then horizon, then name."""
    return tuple(sorted((_run_row(snapshot, run) for run in (*snapshot.runs, *snapshot.excluded)), key=_by_size))


def list_parameters(snapshot: Snapshot) -> tuple[ParameterRow, ...]:
    """The fitted parameters with their intervals; empty without a fit."""
    fit = snapshot.fit
    if fit is None:
        return ()
    intervals = fit.intervals(snapshot.config.level)
    rows: list[ParameterRow] = []
    for parameter in fit.law.parameters:
        lower, upper = intervals.get(parameter.name, (math.nan, math.nan))
        value = fit.params[parameter.name]
        rows.append(ParameterRow(parameter.name, value, _finite(lower), _finite(upper), parameter.meaning))
    return tuple(rows)


def list_scores(snapshot: Snapshot, record: TrackRecord) -> tuple[ScoreRow, ...]:
    """The scores of one record (`snapshot.record` or `snapshot.live_record`), in its order."""
    runs = {run.name: run for run in snapshot.runs}
    rows: list[ScoreRow] = []
    for score in record.scores:
        run = runs.get(score.run)
        if run is None or run.final is None:  # a live forecast of a run that `config.runs` set aside
            continue
        rows.append(
            ScoreRow(
                score.run,
                run.params,
                run.final.tokens,
                score.median,
                _finite(score.lower),
                _finite(score.upper),
                score.measured,
                score.error,
                score.covered,
            )
        )
    return tuple(rows)


def list_held_out(snapshot: Snapshot) -> tuple[HeldOut, ...]:
    """Every finished held-out run whose size and horizon are the target's, in the order recorded."""
    return tuple(_held_out(snapshot))


def held_out_measurement(snapshot: Snapshot) -> HeldOut | None:
    """The first of `list_held_out`, or `None` where the target has not been measured."""
    return next(_held_out(snapshot), None)


def _predict(fit: Fit, run: Run, tokens: float) -> float | None:
    """The fitted loss of a run; `None` where it does not say what the law needs to know of it."""
    try:
        return float(fit.predict(run.params, tokens, **further_variables(run, tokens))[0])
    except NotEnoughData:
        return None


def _run_row(snapshot: Snapshot, run: Run) -> RunRow:
    last = run.curve[len(run.curve) - 1] if len(run.curve) else None
    final = run.final
    at = final.tokens if final else run.horizon
    fitted = _predict(snapshot.fit, run, at) if snapshot.fit and at else None
    guess = snapshot.finals.get(run.name)
    lower, upper = (None, None)
    if guess is not None and not isinstance(guess, Abstention):
        lower, upper = guess.interval(snapshot.config.level)
    role, why = _role(snapshot, run)
    return RunRow(
        name=run.name,
        params=run.params,
        horizon=run.horizon,
        tokens=last.tokens if last else None,
        progress=_finite(float(run.progress[-1])) if last else None,
        last_loss=last.loss if last else None,
        final_loss=final.loss if final else None,
        fitted_loss=fitted,
        residual=final.loss / fitted - 1 if final and fitted else None,
        phase=run.phase,
        role=role,
        why=why,
        stopping=say_calls(run),
        forecast=None if guess is None or isinstance(guess, Abstention) else guess.median,
        lower=lower,
        upper=upper,
        notes=run.notes,
        note=run.card.note,
    )


def say_calls(run: Run) -> str:
    """What stopping rules did to a run, or would have done had they been let.

    Example:
        >>> from dataclasses import replace
        >>> from scaling_callback.records import StopCall
        >>> from scaling_callback.testing import planted_ladder
        >>> run = planted_ladder()[0]
        >>> call = StopCall(rule="budget", reason="it is spent", tokens=run.horizon / 4)
        >>> say_calls(replace(run, calls=(call,)))
        'budget would have stopped it at 25%: it is spent'
    """
    stopped = run.stopped
    if stopped is not None:
        return f"stopped by {stopped.rule}: {stopped.reason}"
    first = {call.rule: call for call in reversed(run.calls) if not call.acted}
    said: list[str] = []
    for call in first.values():
        at = f"{format_count(call.tokens)} tokens" if run.horizon is None else format_level(call.tokens / run.horizon)
        said.append(f"{call.rule} would have stopped it at {at}: {call.reason}")
    return "; ".join(reversed(said))


def _role(snapshot: Snapshot, run: Run) -> tuple[Role, str]:
    evidence = snapshot.evidence
    if run.card.held_out and not run.card.excluded:
        return "held out", "held out to be compared with the forecast"
    if snapshot.fit is None and run.name in evidence.used:
        return "waiting", "evidence, but nothing is fitted yet"
    if run.name in evidence.guessed:
        guess = evidence.guessed[run.name]
        return "guessed", f"its forecast final, from {guess.templates} finished run(s), at a lower weight"
    if run.name in evidence.used:
        return "used", "its checkpoints" if snapshot.config.evidence == "intermediate" else "its final"
    reason = evidence.left_out.get(run.name, "the evidence policy made no point of it")
    guess = snapshot.finals.get(run.name)
    if isinstance(guess, Abstention) and guess.reason not in reason:
        reason = f"{reason}; no forecast of its final: {guess.reason}"
    return "left out", reason


def _held_out(snapshot: Snapshot) -> Iterator[HeldOut]:
    forecast = snapshot.forecast
    if forecast is None:
        return
    lower, upper = _finite(forecast.lower), _finite(forecast.upper)
    for run in snapshot.runs:
        if run.final is None or not run.card.held_out:
            continue
        if not (same_count(run.params, forecast.params) and same_count(run.final.tokens, forecast.tokens)):
            continue
        measured = run.final.loss
        yield HeldOut(
            run=run.name,
            params=run.params,
            tokens=run.final.tokens,
            forecast=forecast.median,
            lower=lower,
            upper=upper,
            level=forecast.level,
            measured=measured,
            error=(forecast.median - measured) / measured,
            covered=None if lower is None or upper is None else lower <= measured <= upper,
            baseline_errors={name: (loss - measured) / measured for name, loss in forecast.baselines.items()},
        )


def _by_size(row: RunRow) -> tuple[float, float, str]:
    return row.params, row.horizon or math.inf, row.name


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
