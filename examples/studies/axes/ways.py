"""The published protocol, the baselines and this library's default, side by side."""

from __future__ import annotations

from collections.abc import Mapping

from cases import WAYS, Case, ask
from page import Section, table

from axes.base import Axis
from scaling_callback.reporting.units import format_percent


def measure(case: Case) -> dict[str, float | None]:
    """The error of each way to forecast the largest models from all others."""
    return {way: ask(way, case.ladder, case.goals) for way in WAYS}


def tell(found: Mapping[str, Mapping[str, float | None]]) -> Section:
    """One row a family."""
    rows = [(name, *(format_percent(errors[way]) for way in WAYS)) for name, errors in found.items()]
    return Section("Protocol, baselines and default", (table(("family", *WAYS), rows),), ())


WAYS_AXIS = Axis("ways", measure, tell)
