"""What the loggers of a live run are sent, and when."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from scaling_callback.errors import MissingDependency
from scaling_callback.records import Observation
from scaling_callback.reporting.alerts import Reference, find_alerts
from scaling_callback.reporting.figures import FIGURES
from scaling_callback.reporting.figures.series import thin
from scaling_callback.reporting.results import describe_answers
from scaling_callback.reporting.scalars import TOKENS, explain_absences, make_observed, make_scalars
from scaling_callback.sinks.base import Sink
from scaling_callback.snapshot import Decision, Snapshot
from scaling_callback.tables import list_rows

MOST_ROWS = 20_000
"""Observations of the table that each run leaves: of a larger ladder some of each run, evenly in ln D."""

_T = TypeVar("_T")

_log = logging.getLogger("scaling_callback")


class Publisher:
    """Sends what each refit says to every sink; one that fails is warned of and keeps nothing from the others.

    Figures are drawn at the 1st, 2nd, 4th, 8th, ... refit and at the end: a run's log must stay small, and its training
    is kept waiting for little.

    Args:
        sinks: Who receives.
        warn: Told of each failure, and what it is about; says each thing once.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import RecordingSink, planted_ladder
        >>> sink = RecordingSink()
        >>> publisher = Publisher([sink], print)
        >>> runs = planted_ladder()
        >>> publisher.publish(refresh(runs), runs[0].name, None, 0.1, Decision())
        >>> sink.scalars[0][1]["scaling/runs"], [figure.name for figure in sink.drawn[0][1]][:2]
        (12.0, ['compute', 'tokens'])
    """

    def __init__(self, sinks: Sequence[Sink], warn: Callable[[str, str | None], None]) -> None:
        self._sinks = sinks
        self._warn = warn
        self._refits = 0
        self._explained: dict[str, str] = {}
        self._reference: Reference | None = None
        self._alerted: frozenset[tuple[str, str]] = frozenset()
        self._drawn: Snapshot | None = None
        self._step = 0

    def describe(self, record: Mapping[str, Any]) -> None:
        """The configuration, once, before anything else."""
        self._send(lambda sink: sink.describe(record))

    def observe(self, seen: Observation, flops_per_token: float) -> None:
        """What was observed, where no refit says more."""
        values = make_observed(seen, flops_per_token)
        self._step = _step_of(seen)
        self._send(lambda sink: sink.log(values, step=self._step))

    def tell(self, snapshot: Snapshot, run: str, decision: Decision) -> None:
        """What rules say between two refits, at once; what else was alerted goes on as it was.

        Args:
            snapshot: What the rules looked at.
            run: The run that logs.
            decision: Whether the run goes on.
        """
        before = self._alerted
        self._attempt(lambda: self._alert(snapshot, run, decision), "alerts")
        self._alerted |= before

    def publish(
        self, snapshot: Snapshot, run: str, latest: Observation | None, seconds: float, decision: Decision
    ) -> None:
        """What a refit says: scalars, reasons and doubts that are new, figures now and then, alerts.

        Args:
            snapshot: What the ladder says.
            run: The run that logs.
            latest: Its last observation.
            seconds: What the refit took.
            decision: Whether the run goes on.
        """
        values = make_scalars(snapshot, run, decision) | {"scaling/refit_seconds": seconds}
        if latest is not None:
            values[TOKENS] = latest.tokens
            self._step = _step_of(latest)
        self._send(lambda sink: sink.log(values, step=self._step))
        self._attempt(lambda: self._explain(snapshot, run, values), "reasons")
        self._attempt(lambda: self._alert(snapshot, run, decision), "alerts")
        self._refits += 1
        if self._refits & (self._refits - 1) == 0:  # a power of two
            self._draw(snapshot)

    def conclude(self, snapshot: Snapshot) -> None:
        """The run has ended: its last figures, and what was said at last."""
        if not self._sinks:
            return
        if snapshot is not self._drawn:
            self._draw(snapshot)
        runs = (*snapshot.runs, *snapshot.excluded)
        share = max(2, MOST_ROWS // max(len(runs), 1))
        rows = list_rows(replace(run, curve=thin(run.curve, share)) for run in runs)
        answers = describe_answers(snapshot)
        self._send(lambda sink: sink.conclude(answers, rows))

    def _alert(self, snapshot: Snapshot, run: str, decision: Decision) -> None:
        alerts, self._reference = find_alerts(snapshot, run, decision, self._reference)
        for alert in alerts:
            if (alert.name, alert.title) not in self._alerted:  # what goes on is no news
                self._send(lambda sink, alert=alert: sink.alert(alert))
        self._alerted = frozenset((alert.name, alert.title) for alert in alerts)

    def _explain(self, snapshot: Snapshot, run: str, values: Mapping[str, float]) -> None:
        reasons = explain_absences(snapshot, run, values)
        doubts = dict(snapshot.forecast.warnings) if snapshot.forecast is not None else {}
        said = _without_figures(reasons | doubts)
        if said != self._explained:
            self._send(lambda sink: sink.explain(reasons, doubts))
        for name, reason in reasons.items():
            if name not in self._explained:
                _log.info("%s is absent: %s", name, reason)
        self._explained = said

    def _draw(self, snapshot: Snapshot) -> None:
        """Every figure that can be made; one that cannot keeps none of the others back."""
        if not self._sinks:
            return
        made = [self._attempt(lambda plot=plot: plot(snapshot), "figures") for plot in FIGURES]
        figures, step = [figure for figure in made if figure is not None], self._step
        self._send(lambda sink: sink.draw(figures, step=step))
        self._drawn = snapshot

    def _attempt(self, work: Callable[[], _T], what: str) -> _T | None:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - what is shown must not cost what is recorded and decided
            self._warn(f"some {what} could not be made ({type(error).__name__}: {error})", what)
            return None

    def _send(self, send: Callable[[Sink], None]) -> None:
        for sink in self._sinks:
            try:
                send(sink)
            except MissingDependency as error:
                self._warn(f"a logger is sent less than it could show: {error}", None)
            except Exception as error:  # noqa: BLE001 - a logger's trouble must not cost the record
                about = f"{type(sink).__name__} {type(error).__name__}"  # what it says may change each time
                self._warn(f"a logger did not take what was sent to it ({type(error).__name__}: {error})", about)


def _step_of(seen: Observation) -> int:
    """The trainer's step; of a loop that does not tell it the tokens, which rise like it."""
    return int(seen.tokens if math.isnan(seen.step) else seen.step)


def _without_figures(reasons: Mapping[str, str]) -> dict[str, str]:
    """The reasons themselves: how far a run has come changes at every refit, and is no new reason."""
    return {name: re.sub(r"[\d.]+", "", reason) for name, reason in reasons.items()}
