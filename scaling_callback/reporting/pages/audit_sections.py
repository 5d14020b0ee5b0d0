"""What a report says for whoever checks it: recommendations, the checklist, and how the numbers were made."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from itertools import groupby

from scaling_callback.laws import get_law
from scaling_callback.reporting.audit.checklist import STATUSES, Item, checklist
from scaling_callback.reporting.audit.facts import list_versions
from scaling_callback.reporting.audit.recommendations import STUDY, Recommendation, check_recommendations
from scaling_callback.reporting.pages.blocks import Block, Entries, Entry, Heading, Words
from scaling_callback.reporting.units import format_duration, format_level
from scaling_callback.snapshot import Snapshot

PACKAGES = ("scaling-callback", "numpy", "matplotlib", "jinja2")

SIGNS = {
    "answered": "✓",
    "asked": "?",
    "unanswered": "○",
    "pass": "✓",
    "fail": "✗",
    "not applicable": "○",
}
"""How an item stands, for whoever sees no colour."""

ORIGINS = {"tool": "worked out here", "card": "from the runs' cards", "form": "from the form"}

NO_FORM = "a form (report --card FILE writes one)"
"""Where to answer what is asked, of a ladder without a form and of a table."""


def describe_recommendations(snapshot: Snapshot) -> tuple[Block, ...]:
    """The recommendations of the Hitchhiker's Guide, each as a check."""
    found = check_recommendations(snapshot)
    counts = {name: sum(check.outcome == name for check in found) for name in ("pass", "fail", "not applicable")}
    words = (
        f"What A Hitchhiker's Guide to Scaling Law Estimation ({STUDY}) recommends, as checks of this ladder: "
        f"{counts['pass']} pass, {counts['fail']} fail, {counts['not applicable']} do not apply."
    )
    return Words(words), Entries("recommendations", tuple(map(_show_recommendation, found)))


def _show_recommendation(check: Recommendation) -> Entry:
    return Entry(
        values={
            "name": check.name,
            "recommendation": check.text,
            "outcome": check.outcome,
            "figure": check.figure,
            "sentence": check.sentence,
            "source": check.source,
        },
        number="",
        head=check.text,
        status=check.outcome,
        sign=SIGNS[check.outcome],
        text=check.sentence,
        below=f"The study: {check.source}.",
        figure=check.figure,
    )


def describe_checklist(
    snapshot: Snapshot, answers: Mapping[str, str] | None, form: str | None = None
) -> tuple[Block, ...]:
    """The 26 items of the (Mis)Fitting study; `form` is where the user may answer."""
    items = checklist(snapshot, answers)
    totals = {status: sum(item.status == status for item in items) for status in STATUSES}
    words = (
        f"The {len(items)} items of the (Mis)Fitting study (Li et al. 2025, arXiv 2502.18969). {totals['answered']} "
        f"are answered from what was recorded, {totals['asked']} wait for you, and {totals['unanswered']} could not be "
        f"filled in from this ladder. Nothing here is guessed. Answer what is asked in {form or NO_FORM}, in the "
        "recipe of the runs, or in a column of their table."
    )
    blocks: list[Block] = [Words(words)]
    for group, entries in groupby(items, key=lambda item: item.group):
        blocks += [Heading(group), Entries("items", tuple(map(_show_item, entries)))]
    return tuple(blocks)


def _show_item(item: Item) -> Entry:
    came = f"Source: {', '.join(ORIGINS[origin] for origin in item.sources)}." if item.sources else ""
    asked = f"Answer under: {', '.join(item.keys)}." if item.keys else ""
    return Entry(
        values={
            "number": item.number,
            "group": item.group,
            "item": item.item,
            "status": item.status,
            "text": item.text,
            "sources": list(item.sources),
            "keys": list(item.keys),
        },
        number=str(item.number),
        head=item.item,
        status=item.status,
        sign=SIGNS[item.status],
        text=item.text,
        below=" ".join(part for part in (came, asked) if part),
    )


def describe_making(snapshot: Snapshot) -> tuple[Block, ...]:
    """How the numbers were made."""
    entries = tuple(
        Entry({"setting": name, "value": text}, number="", head=name, status="", sign="", text=text)
        for name, text in describe_settings(snapshot).items()
    )
    return (Entries("settings", entries),)


def describe_settings(snapshot: Snapshot) -> dict[str, str]:
    """How the numbers were made: what was asked, and with which software."""
    config, fit = snapshot.config, snapshot.fit
    by = config.cluster or "run, branches with their trunk"
    settings = {
        "Law": get_law(config.law).name,
        "Evidence": config.evidence,
        "Weak prior": "yes" if config.prior else "no",
        "Bootstrap": f"{config.replicates} replicates, resampled by {by}",
        "Level of intervals": format_level(config.level),
        "Runs": "all" if config.runs == "all" else "the best of each size and horizon",
        "Seed": str(config.seed),
    }
    if snapshot.forecast is not None:
        settings["Forecaster"] = snapshot.forecast.forecaster
    if fit is not None:
        settings["Search"] = f"{fit.status.value} ({fit.certificate.agreeing} of {fit.certificate.starts} starts agree)"
        settings["Fit and bootstrap took"] = format_duration(fit.seconds)
    settings["Software"] = f"Python {platform.python_version()}, {list_versions(*PACKAGES)}"
    return settings
