"""A live run without a framework: observe, refresh, log, finish.

It belongs to one process, the run's writer. A training framework tells it what was measured; it keeps that in
the ladder, asks `pipeline.refresh` what the ladder says now, and sends it to the sinks.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from scaling_callback.curves import FinalForecast
from scaling_callback.errors import InputError, WarnOnce
from scaling_callback.ladder import Ladder
from scaling_callback.pipeline import refresh
from scaling_callback.records import IssuedForecast, Observation, RunCard, same_count
from scaling_callback.reporting.scalars import TOKENS, explain_absences, make_scalars
from scaling_callback.sinks import Sink
from scaling_callback.snapshot import Config, Snapshot

_log = logging.getLogger("scaling_callback")


class Recorder:
    """Records one run of a ladder, and says after each observation what the ladder says.

    Args:
        ladder: Where the run is kept.
        card: Who the run is.
        config: What is asked of the ladder.
        sinks: Where scalars and reasons go.
        refit_budget: Share of wall time that refits may take; a refit that would exceed it is put off.
            `None` refits at every observation.
        resumed_after: The step that training resumed from, or `None` for a new run.

    Example:
        >>> from scaling_callback import Ladder, Target
        >>> from scaling_callback.testing import RecordingSink, planted_ladder
        >>> sink = RecordingSink()
        >>> config = Config(target=Target(params=1e9, tokens=2e10), replicates=20)
        >>> for run in planted_ladder(ratios=(20,), points=4, noise=0.0):
        ...     recorder = Recorder(Ladder("memory://recorder"), run.card, config, [sink])
        ...     for seen in run.curve:
        ...         recorder.observe(seen)
        ...     recorder.finish(completed=True)
        >>> sink.scalars[-1][1]["scaling/runs"]
        4.0
        >>> round(sink.scalars[-1][1]["scaling/target_loss"], 1)
        2.5
    """

    def __init__(
        self,
        ladder: Ladder,
        card: RunCard,
        config: Config,
        sinks: Sequence[Sink],
        *,
        refit_budget: float | None = 0.01,
        resumed_after: int | None = None,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self._ladder = ladder
        self._config = config
        self._sinks = sinks
        self._budget = refit_budget
        self._resumed_after = resumed_after
        self._writer = ladder.start(card, resume=resumed_after is not None)
        self._card = card
        self._began = time.monotonic()
        self._spent = 0.0
        self._stale: Observation | None = None
        self._explained: dict[str, str] = {}
        self._warn = WarnOnce()
        for sink in sinks:
            self._deliver(sink.describe, self._describe())

    @property
    def run(self) -> str:
        """The run's name in the ladder."""
        return self._writer.name

    def observe(self, seen: Observation, *, horizon: float | None = None) -> None:
        """Keep an observation, and refit if the time budget allows.

        Args:
            seen: What was measured.
            horizon: The planned tokens as they are known by now, where the card's were worked out too early.
        """
        self._writer.observe([seen], resumed_after=self._resumed_after, horizon=horizon)
        self._resumed_after = None
        self._stale = seen
        elapsed = time.monotonic() - self._began
        if self._budget is None or self._spent <= self._budget * elapsed:
            self.refresh()

    def finish(self, *, completed: bool, horizon: float | None = None) -> None:
        """The training has ended; refits if the last refit did not know all that is known now.

        Args:
            completed: Whether it reached the end of its plan.
            horizon: The tokens that this plan came to, if the card could not know.
        """
        if completed:
            self._writer.finish(horizon=horizon)
        seen = self.snapshot.runs if self.snapshot is not None else ()
        known = any(run.name == self.run and run.final is not None for run in seen)
        if self._stale is not None or (completed and not known):
            self.refresh()

    def refresh(self) -> Snapshot:
        """Refit on everything in the ladder, issue the forecasts, and send what can be said to the sinks."""
        began = time.monotonic()
        try:
            kind = self._card.loss_kind
            runs = self._ladder.runs(where=[("loss_kind", kind)] if kind else ())
            issued = [forecast for forecast in self._ladder.issued() if forecast.loss_kind == kind]
            snapshot = refresh(runs, issued, self._config)
        finally:  # a refit that fails costs its time as well
            self._spent += time.monotonic() - began
        self.snapshot = snapshot
        own = next((run.curve for run in runs if run.name == self.run and len(run.curve)), None)
        last = own[len(own) - 1] if own is not None else None
        if self._stale is not None and last is not None:
            self._issue(snapshot, last)
        seconds = time.monotonic() - began
        values = make_scalars(snapshot, self.run) | {"scaling/refit_seconds": seconds}
        if last is not None:
            values[TOKENS] = last.tokens
        self._send(snapshot, values, 0 if last is None or math.isnan(last.step) else int(last.step))
        self._stale = None
        return snapshot

    def _send(self, snapshot: Snapshot, values: Mapping[str, float], step: int) -> None:
        reasons = explain_absences(snapshot, self.run, values)
        doubts = dict(snapshot.forecast.warnings) if snapshot.forecast is not None else {}
        for sink in self._sinks:
            self._deliver(sink.log, values, step=step)
            if _without_figures(reasons | doubts) != self._explained:
                self._deliver(sink.explain, reasons, doubts)
        for name, reason in reasons.items():
            if name not in self._explained:
                _log.info("%s is absent: %s", name, reason)
        self._explained = _without_figures(reasons | doubts)

    def _deliver(self, send: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Send to one sink; one that fails is warned of once and keeps nothing from the others."""
        try:
            send(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a logger's trouble must not cost the record
            self._warn(f"a logger did not take what was sent to it ({type(error).__name__}: {error})")

    def _issue(self, snapshot: Snapshot, at: Observation) -> None:
        """Keep the forecasts of this refit beside the run, so that they are scored when the truth is known."""
        made: list[IssuedForecast] = []
        shared: dict[str, Any] = {"by": self.run, "at_tokens": at.tokens, "wall_time": time.time()}
        shared["loss_kind"] = self._card.loss_kind
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
        own = snapshot.finals.get(self.run)
        mine = next((run for run in snapshot.runs if run.name == self.run), None)
        if isinstance(own, FinalForecast) and mine is not None and mine.horizon is not None:
            lower, upper = own.interval(snapshot.config.level)
            made.append(
                IssuedForecast(
                    **shared,
                    run=self.run,
                    params=mine.params,
                    tokens=mine.horizon,
                    median=own.median,
                    lower=lower,
                    upper=upper,
                    level=snapshot.config.level,
                    forecaster=own.method,
                )
            )
        if made:
            self._writer.issue(made)

    def _describe(self) -> dict[str, Any]:
        """What a reader of the logs needs to know to repeat this, as plain data."""
        asked = asdict(replace(self._config, law=str(self._config.law), objective=str(self._config.objective)))
        return {"ladder": self._ladder.location, "run": self.run, "card": asdict(self._card), **asked}


def continue_or_branch(ladder: Ladder, card: RunCard, step: int) -> tuple[RunCard, int | None]:
    """The card to go on with: the run's own, or that of a branch of it.

    It is a branch where horizon or schedule changed, or where the run went on to its end without this training.
    """
    try:
        (run,) = ladder.runs(where=[("name", card.name)])
    except InputError:  # the ladder no longer holds it
        return card, None
    trunk = run.card
    planned_alike = trunk.horizon == card.horizon or same_count(trunk.horizon, card.horizon)
    same = not run.completed and trunk.schedule == card.schedule and planned_alike
    if same:
        return card, step
    return replace(card, name=f"{card.name}-from-{step}", parent=card.name, parent_step=step), None


def _without_figures(reasons: Mapping[str, str]) -> dict[str, str]:
    """The reasons themselves: how far a run has come changes at every refit, and is no new reason."""
    return {name: re.sub(r"[\d.]+", "", reason) for name, reason in reasons.items()}
