"""The published protocol, the baselines and this library's default, side by side: the main table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, PROTOCOL, WAYS, Case, ask
from page import Finding, Section, judge, table

from axes.base import Axis
from scaling_callback import Config, Target, fit, forecast
from scaling_callback.errors import NotEnoughData
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Marks, Rule
from scaling_callback.reporting.units import format_level, format_percent, number

BASELINES = ("best loss", "most compute")

TYPICAL = 0.04
"""The best error that the study typically obtained."""

GUESSED = 0.18
"""The mean error of its baselines."""

LEAST = 0.01
"""Percent below which an error is not told from none in the figure."""

FITTED = (PROTOCOL, "checkpoints, converged", "finals")

METHOD = (
    "Every size but the largest is fitted; what is forecast are the finals of the largest. The error is the mean of "
    "|forecast - measured| / measured over them. *Published protocol*: every checkpoint after the first tenth of its "
    "run as if it had ended there, squared error, one search from one start. *Checkpoints, converged* and *finals*: "
    "the same law, log-Huber, at its certified optimum. *Default*: what a user of this library gets, finals and "
    "checkpoints together, with a gap for unfinished schedules. *Best loss* and *most compute*: guesses without a law."
)


@dataclass(frozen=True)
class Measured:
    """What became of one family.

    Attributes:
        source: Where it comes from.
        sizes: How many sizes it has.
        reach: Compute of the largest model over that of the largest run below it.
        errors: Mean absolute relative error of each way; `None` where it says nothing.
        held: Whether the default's interval holds each measured final.
        doubts: Names of the doubts that stand beside the default's forecasts.
        refusal: Why the default says nothing; empty where it does.
        residual: Standard deviation of ln L around the law fitted to the finals of the ladder; `None` without a fit.
    """

    source: str
    sizes: int
    reach: float
    errors: Mapping[str, float | None]
    held: tuple[bool, ...]
    doubts: tuple[str, ...]
    refusal: str
    residual: float | None


def measure(case: Case) -> Measured:
    """The error of each way to forecast the largest models from all others, and how the default stands to it."""
    held: list[bool] = []
    doubts: dict[str, None] = {}
    refusal, residual = "", None
    try:
        residual = fit(case.ladder).noise
        for goal in case.goals:
            made = forecast(
                case.ladder, Target(params=goal.params, tokens=goal.tokens), Config(splits=False, past=False)
            )
            held.append(made.lower <= goal.loss <= made.upper)
            doubts |= dict.fromkeys(made.warnings)
    except NotEnoughData as reason:
        refusal = str(reason)
    return Measured(
        table=case.family.source,
        sizes=len(case.sizes),
        reach=max(goal.params * goal.tokens for goal in case.goals) / max(_compute(case)),
        errors={way: ask(way, case.ladder, case.goals) for way in WAYS},
        held=tuple(held),
        doubts=tuple(doubts),
        refusal=refusal,
        residual=residual,
    )


def _compute(case: Case) -> list[float]:
    return [run.params * run.final.tokens for run in case.ladder if run.final is not None]


def tell(found: Mapping[str, Measured]) -> Section:
    """The summary, the findings, and one row a family."""
    parts = (METHOD, summarise(found), draw_errors(found), tell_failures(found), show_families(found))
    return Section("Protocol, baselines and default", parts, list_findings(found))


def summarise(found: Mapping[str, Measured]) -> str:
    """Mean and median of each way: where it answers, where all do, and there with each table counted once."""
    every = list(found.values())
    common = [made for made in every if None not in made.errors.values()]
    rows: list[Sequence[str]] = []
    for words, of in (("that it answers", every), ("that every way answers", common)):
        counts = dict.fromkeys(len(collect(of, way)) for way in WAYS)
        families = f"families {words}" + (f" ({len(of)})" if len(counts) == 1 else "")
        rows.append((f"median, {families}", *(format_percent(middle(collect(of, way))) for way in WAYS)))
        rows.append((f"mean, {families}", *(format_percent(mean(collect(of, way))) for way in WAYS)))
    tables = [
        [made for made in common if made.source == name] for name in dict.fromkeys(made.source for made in common)
    ]
    for words, take in (("median", middle), ("mean", mean)):
        once = [format_percent(take([mean(collect(of, way)) or 0.0 for of in tables])) for way in WAYS]
        rows.append((f"{words}, each of their {len(tables)} tables counted once", *once))
    answered = [f"{len(collect(every, way))} of {len(every)}" for way in WAYS]
    rows.append(("families answered", *answered))
    within = [f"{sum(error <= TYPICAL for error in collect(every, way))} of {len(every)}" for way in WAYS]
    rows.append((f"families within {format_level(TYPICAL)}", *within))
    return table(("error for the largest model", *WAYS), rows)


def draw_errors(found: Mapping[str, Measured]) -> Figure:
    """The error of each way on each family: one row a way, one mark a family, and the median."""
    places = {way: float(len(WAYS) - 1 - place) for place, way in enumerate(WAYS)}
    layers: list[Layer] = [Rule(100 * TYPICAL, across="y")]
    for way, place in places.items():
        # errors below a hundredth of a percent are drawn there: less than seeds differ by
        errors = [max(100 * error, LEAST) for error in collect(list(found.values()), way)]
        colour = "target" if way == DEFAULT else "final" if way in FITTED else "out"
        layers.append(Marks(errors, [place] * len(errors), "o", colour, hollow=True, size=4.6))
        if errors:
            layers.append(Marks([float(np.median(errors))], [place], "|", "ink", size=17.0))
    return Figure(
        name="ways",
        title="How far each way missed",
        caption=f"One mark a family; the bar is the median, the line {format_level(TYPICAL)}. Smaller errors than "
        f"{LEAST:g}% are drawn there.",
        alt=f"Errors of {len(WAYS)} ways to forecast the largest model, on {len(found)} families",
        layers=tuple(layers),
        x=Scale("error for the largest model, %", "number", log=True),
        y=Scale("", rows={place: way for way, place in places.items()}, height=float(len(WAYS) - 1)),
        height=2.6,
        columns=1,
    )


def tell_failures(found: Mapping[str, Measured]) -> str:
    """Where the law does not describe the models, no way to fit it can help; and what the default said of it."""
    known = [made for made in found.values() if made.errors[DEFAULT] is not None]
    bad = [made for made in known if "poor_fit" in made.doubts]
    good = [made for made in known if "poor_fit" not in made.doubts]
    lines = [f"The default's {format_level(Config.level)} intervals hold {count_held(known)} measured finals."]
    if bad:
        lines.append(
            f"On {len(bad)} of {len(known)} families the law does not describe the smaller models: they scatter around "
            "it by more than seeds do, and the default says so (`poor_fit`). There it is off by "
            f"{format_percent(middle(collect(bad, DEFAULT)))} in the median, and its intervals hold {count_held(bad)}. "
            f"On all others it is off by {format_percent(middle(collect(good, DEFAULT)))}, and they hold "
            f"{count_held(good)}."
        )
    if refused := [made for made in found.values() if made.refusal]:
        reasons = dict.fromkeys(made.refusal for made in refused)
        lines.append(f"It refuses {number(len(refused), 'family', 'families')}: {'; '.join(reasons)}.")
    if lost := [name for name, made in found.items() if made.errors[PROTOCOL] is None]:
        lines.append(
            f"The published search gives up on {number(len(lost), 'family', 'families')} ({'; '.join(lost)}): from its "
            "one start it reaches the limit of evaluations of its library."
        )
    return " ".join(lines)


def count_held(of: Sequence[Measured]) -> str:
    """How many of the default's intervals hold what was measured."""
    held = [inside for made in of for inside in made.held]
    return f"{sum(held)} of {len(held)}"


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family."""
    rows = [
        (
            name,
            str(made.sizes),
            f"{made.reach:.2g}x",
            *(format_percent(made.errors[way]) for way in WAYS),
            f"{sum(made.held)} of {len(made.held)}" if made.held else "–",
            format_percent(made.residual),
            ", ".join(f"`{doubt}`" for doubt in made.doubts) or ("refused" if made.refusal else "none"),
        )
        for name, made in found.items()
    ]
    head = ("family", "sizes", "compute beyond", *WAYS, "default's 90% interval holds", "residual", "default's doubts")
    return table(head, rows, tail=1)


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """What the study found of errors and baselines, and what this library claims beyond it."""
    every = list(found.values())
    protocol, default = collect(every, PROTOCOL), collect(every, DEFAULT)
    above = [error >= TYPICAL for error in protocol]
    guesses = mean(collect(every, BASELINES[0]))
    beats = compare(every, PROTOCOL, *BASELINES)
    ours, versus = compare(every, DEFAULT, *BASELINES), compare(every, DEFAULT, PROTOCOL)
    return (
        Finding(
            f"{format_level(TYPICAL)} is the best error that is typically obtained",
            judge(share(above)),
            f"the protocol is off by {format_level(TYPICAL)} or more on {sum(above)} of {len(above)} families, by "
            f"{format_percent(middle(protocol))} in the median; the default by {format_percent(middle(default))}",
            "at least 80% of families are off by as much or more",
            "expected_error",
        ),
        Finding(
            f"Baselines are off by {format_level(GUESSED)} on average",
            "no data" if guesses is None else "holds" if GUESSED / 2 <= guesses <= GUESSED * 2 else "fails",
            f"the best loss seen is off by {format_percent(guesses)} on average, by "
            f"{format_percent(middle(collect(every, BASELINES[0])))} in the median",
            "the mean is within a factor of 2 of the published one",
            "baselines",
            looked=True,
        ),
        Finding(
            "A law forecasts better than a guess without one",
            judge(share(beats)),
            f"the protocol is nearer than the best loss and the most compute on {sum(beats)} of {len(beats)} families; "
            f"the default on {sum(ours)} of {len(ours)}",
            "on at least 80% of families",
            "baselines",
        ),
        Finding(
            "The default is nearer than the published protocol",
            judge(share(versus)),
            f"on {sum(versus)} of {len(versus)} families that both answer",
            "on at least 80% of families",
            of="library",
        ),
    )


def compare(of: Sequence[Measured], way: str, *others: str) -> list[bool]:
    """For each family that all of them answer, whether one way is nearer than every other one."""
    seen: list[bool] = []
    for made in of:
        own, rest = made.errors[way], [made.errors[other] for other in others]
        known = [error for error in rest if error is not None]
        if own is not None and len(known) == len(rest):
            seen.append(own < min(known))
    return seen


def collect(of: Sequence[Measured], way: str) -> list[float]:
    """The errors of one way, where there are any."""
    return [error for made in of if (error := made.errors[way]) is not None]


def share(seen: Sequence[bool]) -> float:
    """The share of cases that are true; NaN without any."""
    return float(np.mean(seen)) if seen else math.nan


def middle(values: Sequence[float]) -> float | None:
    """The median; `None` without values."""
    return float(np.median(values)) if values else None


def mean(values: Sequence[float]) -> float | None:
    """The mean; `None` without values."""
    return float(np.mean(values)) if values else None


WAYS_AXIS = Axis("ways", measure, tell)
