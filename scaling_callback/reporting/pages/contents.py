"""What a report says, gathered from a snapshot as plain data: nothing is computed behind this."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scaling_callback.reporting.audit.facts import Known
from scaling_callback.reporting.doubts import NOTED, list_doubts
from scaling_callback.reporting.figures import plot_figures
from scaling_callback.reporting.pages.audit_sections import (
    describe_checklist,
    describe_making,
    describe_recommendations,
)
from scaling_callback.reporting.pages.blocks import Block, Pictures, Reasons, Report, Section, Words
from scaling_callback.reporting.pages.forecast_sections import (
    describe_forecast,
    describe_law,
    describe_record,
    describe_runs,
)
from scaling_callback.reporting.pages.split_sections import describe_choices, describe_split, explain_absence
from scaling_callback.reporting.pages.stop_sections import describe_stops
from scaling_callback.reporting.tables import HeldOut, held_out_measurement
from scaling_callback.reporting.units import format_count, format_level, format_loss, format_percent, number
from scaling_callback.snapshot import Snapshot

TITLE = "Scaling report"


def gather(
    snapshot: Snapshot,
    answers: Mapping[str, str] | None = None,
    *,
    title: str | None = None,
    form: str | None = None,
) -> Report:
    """Everything that a report says.

    Args:
        snapshot: What is reported.
        answers: What the form of the ladder says, by key (`form.read_form`).
        title: The heading.
        form: Where that form is, for who answers what is asked; `None` where there is none.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> [section.key for section in gather(refresh(())).sections]
        ['figures', 'doubts', 'law', 'record', 'allocation', 'runs', 'recommendations', 'checklist', 'making']
    """
    measured, unit = held_out_measurement(snapshot), Known(snapshot, answers or {}).unit()
    choices, stops = describe_choices(snapshot), describe_stops(snapshot)
    sections = (
        Section("figures", "The ladder in pictures", _show_figures(snapshot)),
        Section("doubts", "Reasons for doubt", _show_doubts(snapshot)),
        Section("law", "The fitted law", describe_law(snapshot)),
        Section("record", "Track record", describe_record(snapshot)),
        Section("allocation", "How to split the compute", describe_split(snapshot)),
        *((Section("sensitivity", "Under other choices", choices),) if choices else ()),
        *((Section("stopping", "Stopping", stops),) if stops else ()),
        Section("runs", "Runs", describe_runs(snapshot)),
        Section("recommendations", "Recommendations", describe_recommendations(snapshot)),
        Section("checklist", "Reporting checklist", describe_checklist(snapshot, answers, form)),
        Section("making", "How this was made", describe_making(snapshot)),
    )
    summary = describe_forecast(snapshot, measured, unit)
    return Report(
        title=title or TITLE,
        verdict=write_verdict(snapshot, unit),
        comparison=write_comparison(measured) if measured else "",
        caution=write_caution(snapshot),
        summary=Section("forecast", "Forecast", summary) if summary else None,
        sections=sections,
    )


def write_verdict(snapshot: Snapshot, unit: str = "") -> str:
    """The answer in one sentence: the forecast, in its unit if that is known, with its interval; or why there is none.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> write_verdict(refresh(planted_ladder(seed=1)[:2]))
        'There is no forecast: 2 finished run(s); a fit needs at least 3: train more runs, or let them finish.'
    """
    made = snapshot.forecast
    if made is None:
        return f"There is no forecast: {explain_absence(snapshot, 'forecast')}."
    where = f"A model of {format_count(made.params)} parameters trained on {format_count(made.tokens)} tokens"
    interval = f"{format_level(made.level)} interval {format_loss(made.lower)} to {format_loss(made.upper)}"
    if not (math.isfinite(made.lower) and math.isfinite(made.upper)):
        interval = "without an interval"
    loss = f"{format_loss(made.median)} {unit}".strip()
    return f"{where} is forecast to end at a loss of {loss} ({interval})."


def write_caution(snapshot: Snapshot) -> str:
    """How many reasons there are to doubt the forecast; empty where there are none, or no forecast.

    Example:
        >>> from scaling_callback import Config, Target, refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> write_caution(refresh(planted_ladder(ratios=(20,)), (), Config(target=Target(params=1e9, tokens=2e10))))
        '5 reasons for doubt stand below.'
    """
    count = sum(not doubt.name.startswith(NOTED) for doubt in list_doubts(snapshot)) if snapshot.forecast else 0
    return f"{number(count, 'reason')} for doubt {'stands' if count == 1 else 'stand'} below." if count else ""


def write_comparison(held: HeldOut) -> str:
    """What a held-out run says to the forecast."""
    side = "above" if held.error > 0 else "below"
    inside = "" if held.covered is None else f", {'inside' if held.covered else 'outside'} the interval"
    return (
        f"A held-out run of that size and length ended at {format_loss(held.measured)}: "
        f"the forecast is {format_percent(abs(held.error))} {side} it{inside}."
    )


def _show_figures(snapshot: Snapshot) -> tuple[Block, ...]:
    figures = plot_figures(snapshot)
    if not figures:
        return (Words("No run has a finite loss, so there is nothing to draw."),)
    return (Pictures("figures", figures),)


def _show_doubts(snapshot: Snapshot) -> tuple[Block, ...]:
    doubts = list_doubts(snapshot)
    if doubts:
        return (Reasons("doubts", tuple((doubt.name, doubt.sentence) for doubt in doubts)),)
    if snapshot.fit is None or snapshot.forecast is None:
        what = "fit" if snapshot.fit is None else "forecast"
        return (Words(f"There is no {what} that could be doubted: {explain_absence(snapshot, 'forecast')}."),)
    return (
        Words(
            "None of the checks raised one: the search settled, the design of the ladder separates N from D, no "
            "parameter is at a bound, and the target is within reach."
        ),
    )
