"""What speaks against the numbers: one sentence for each reason to trust them less."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scaling_callback.fitting import Status
from scaling_callback.reporting.audit.facts import MIN_SCORES, group_notes, quote
from scaling_callback.snapshot import Snapshot

SHOWN_NAMES = 3
"""Runs that a sentence names before it counts the others."""

NOTED = "noted_"
"""What the names of oddities in records begin with: they are no doubts of the answer."""


@dataclass(frozen=True)
class Doubt:
    """A reason to trust the numbers less: a name that programs can test, and a sentence."""

    name: str
    sentence: str


def list_doubts(snapshot: Snapshot) -> tuple[Doubt, ...]:
    """Everything that speaks against the numbers, each once: search, diagnostics, reach, record, and data."""
    doubts: dict[str, str] = {}
    fit, forecast, record = snapshot.fit, snapshot.forecast, snapshot.record
    if fit is not None:
        if fit.status is Status.NOT_CONVERGED:
            doubts["not_converged"] = fit.status.value
        doubts |= fit.diagnostics
    if forecast is not None:
        doubts |= forecast.warnings
        if not (math.isfinite(forecast.lower) and math.isfinite(forecast.upper)):
            doubts["no_interval"] = "without a bootstrap the forecast has no interval; ask for replicates"
    if record.coverage is not None and len(record.scores) >= MIN_SCORES:
        level = snapshot.config.level
        # below what a fair record of this length shows by chance once in about twenty times
        if record.coverage < level - 1.645 * math.sqrt(level * (1 - level) / len(record.scores)):
            doubts["record_below_level"] = (
                f"intervals of earlier forecasts of this ladder held {record.coverage:.0%} of the measured losses, "
                f"not {level:.0%}: take the interval as too narrow"
            )
    doubts |= _gather_notes(snapshot)
    return tuple(Doubt(name, _end_sentence(sentence)) for name, sentence in doubts.items())


def _gather_notes(snapshot: Snapshot) -> dict[str, str]:
    """What was odd about the records of the runs: one sentence for each oddity, with the runs that share it."""
    found: dict[str, str] = {}
    for index, (note, names) in enumerate(group_notes(snapshot.runs).items(), start=1):
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        found[f"{NOTED}{index}"] = f"{note} ({', '.join(map(quote, names[:SHOWN_NAMES]))}{more})"
    return found


def _end_sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
