"""One page of HTML that holds everything a snapshot says: no scripts, and nothing fetched from anywhere."""

from __future__ import annotations

import math
import platform
import re
import unicodedata
from html import escape
from importlib import resources

from scaling_callback.errors import MissingDependency
from scaling_callback.laws import get_law
from scaling_callback.reporting.canvas import render_svg
from scaling_callback.reporting.checklist import STATUSES, checklist
from scaling_callback.reporting.doubts import list_doubts
from scaling_callback.reporting.facts import list_versions
from scaling_callback.reporting.figures import plot_figures
from scaling_callback.reporting.palette import write_variables
from scaling_callback.reporting.tables import (
    BASELINES,
    HeldOut,
    held_out_measurement,
    list_held_out,
    list_parameters,
    list_runs,
    list_scores,
)
from scaling_callback.reporting.units import (
    format_count,
    format_duration,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
    name_cost,
)
from scaling_callback.snapshot import Snapshot

TITLE = "Scaling report"
TEMPLATE = "report.html.j2"
PACKAGES = ("scaling-callback", "numpy", "matplotlib", "jinja2")

FORMATS = {
    "count": format_count,
    "duration": format_duration,
    "flops": format_flops,
    "level": format_level,
    "loss": format_loss,
    "percent": format_percent,
    "svg": render_svg,
    "value": format_value,
}


def render_html(snapshot: Snapshot, *, title: str | None = None) -> str:
    """The report as one self-contained page.

    Args:
        snapshot: What is reported.
        title: The page's heading.

    Raises:
        MissingDependency: matplotlib or jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependency(
            "the report needs jinja2, which is not installed: pip install 'scaling-callback[plotting]'"
        ) from error
    # everything that comes from outside (names, notes, recipes) is escaped by default
    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FORMATS)
    items, measured = checklist(snapshot), held_out_measurement(snapshot)
    page = environment.get_template(TEMPLATE).render(
        title=title or TITLE,
        verdict=write_verdict(snapshot),
        snapshot=snapshot,
        light=write_variables(dark=False),
        dark=write_variables(dark=True),
        why_no_forecast=explain_absence(snapshot, "forecast"),
        baselines=BASELINES,
        measured=measured,
        comparison=write_comparison(measured) if measured else "",
        held_out=list_held_out(snapshot),
        figures=plot_figures(snapshot),
        doubts=list_doubts(snapshot),
        equation=write_equation(snapshot.fit.law.equation) if snapshot.fit else "",
        parameters=list_parameters(snapshot),
        records=[
            ("Recomputed", "from smaller runs", snapshot.record, list_scores(snapshot, snapshot.record)),
            ("Live", "issued while training", snapshot.live_record, list_scores(snapshot, snapshot.live_record)),
        ],
        cost=name_cost(split.cost.source, split.cost.inference_tokens) if (split := snapshot.allocation) else "",
        why_no_allocation=explain_absence(snapshot, "allocation"),
        runs=list_runs(snapshot),
        items=items,
        totals={status: sum(item.status == status for item in items) for status in STATUSES},
        settings=describe_settings(snapshot),
    )
    # a name read from JSON may hold half of a surrogate pair, which no file can
    return page.encode("utf-8", "replace").decode("utf-8")


def write_verdict(snapshot: Snapshot) -> str:
    """The answer in one sentence: the forecast with its interval, or why there is none.

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
    return f"{where} is forecast to end at a loss of {format_loss(made.median)} ({interval})."


def explain_absence(snapshot: Snapshot, name: str) -> str:
    """Why the snapshot holds no `forecast` or `allocation`; without a fit that is why there is no fit.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> explain_absence(refresh(planted_ladder(seed=1)), "allocation")
        'no target and no budget was given'
    """
    reason = snapshot.absent.get("fit") or snapshot.absent.get(name)
    return (reason or "no target and no budget was given").rstrip(".")


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


def write_equation(equation: str) -> str:
    """A law's equation as HTML: exponents raised, Greek letters for their names.

    Example:
        >>> write_equation("L(N) = A / N^alpha < 3")
        'L(N) = A / N<sup>α</sup> &lt; 3'
    """
    text = re.sub(r"\^(\w+)", r"<sup>\1</sup>", escape(equation))
    for name in ("alpha", "beta", "gamma", "delta", "kappa"):
        text = re.sub(rf"\b{name}\b", unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}"), text)
    return text


def write_comparison(held: HeldOut) -> str:
    """What a held-out run says to the forecast."""
    side = "above" if held.error > 0 else "below"
    inside = "" if held.covered is None else f", {'inside' if held.covered else 'outside'} the interval"
    return (
        f"A held-out run of that size and length ended at {format_loss(held.measured)}: "
        f"the forecast is {format_percent(abs(held.error))} {side} it{inside}."
    )


def _read_template(name: str) -> str:
    return resources.files("scaling_callback.reporting").joinpath(name).read_text(encoding="utf-8")
