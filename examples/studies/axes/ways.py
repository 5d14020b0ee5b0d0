"""The published protocol, the baselines and this library's default, side by side: the main table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cases import DEFAULT, PROTOCOL, WAYS, Case, ask
from families import TUNED
from page import Finding, Section, table

from axes.base import Axis
from axes.strips import TYPICAL, draw_errors
from axes.summaries import mean
from axes.tally import FEWEST, MOST, Tally, compare, middle, middle_of_sources
from scaling_callback import Config, Target, fit, forecast
from scaling_callback.errors import NotEnoughData
from scaling_callback.reporting.units import format_level, format_percent, number

BASELINES = ("best loss", "most compute")

GUESSED = 0.18
"""The mean error of its baselines."""

FAR = 2.0
"""Compute of the target over that of the largest run fitted from which it is called an extrapolation."""

ON_DOUBTS = (
    "*Compute beyond* is that of the largest model over that of the largest run fitted, *residual* the standard "
    "deviation of ln L around the law fitted to the ladder's finals. What each doubt means is told in "
    "[How to read an interval](../intervals.md#doubts)."
)

METHOD = (
    "Every size but the largest is fitted; what is forecast are the finals of the largest. The error is the mean of "
    "|forecast - measured| / measured over them. *Published protocol*: every checkpoint after the first tenth of its "
    "run as if it had ended there, squared error, one search from one start. *Checkpoints, converged* and *finals*: "
    "the same law, log-Huber, at its certified optimum. *Default*: what a user of this library gets, finals and "
    "checkpoints together, with a gap for unfinished schedules. Its constants were chosen on some of these tables "
    "(docs/accuracy.md, section 9): OLMo, (Mis)Fitting and xLSTM are no blind test of it. *Best loss* and *most "
    "compute*: guesses without a law."
)


@dataclass(frozen=True)
class Measured:
    """What became of one family.

    Attributes:
        source: The study that it comes from.
        tuned: Whether constants of the default were chosen on its table.
        sizes: How many sizes it has.
        reach: Compute of the largest model over that of the largest run below it.
        errors: Mean absolute relative error of each way; `None` where it says nothing.
        held: Whether the default's interval holds each measured final.
        doubts: Names of the doubts that stand beside the default's forecasts.
        refusal: Why the default says nothing; empty where it does.
        residual: Standard deviation of ln L around the law fitted to the finals of the ladder; `None` without a fit.
    """

    source: str
    tuned: bool
    sizes: int
    reach: float
    errors: Mapping[str, float | None]
    held: tuple[bool, ...]
    doubts: tuple[str, ...]
    refusal: str
    residual: float | None

    @property
    def far(self) -> bool:
        """Whether the largest model takes so much more compute that it is an extrapolation."""
        return self.reach >= FAR


def measure(case: Case) -> Measured:
    """The error of each way to forecast the largest models from all others, and how the default stands to it."""
    held: list[bool] = []
    doubts: dict[str, None] = {}
    refusal, residual = "", None
    with suppress(NotEnoughData):
        residual = fit(case.ladder).noise
    try:
        for goal in case.goals:
            target = Target(params=goal.params, tokens=goal.tokens)
            made = forecast(case.ladder, target, Config(splits=False, past=False))
            held.append(made.lower <= goal.loss <= made.upper)
            doubts |= dict.fromkeys(made.warnings)
    except NotEnoughData as reason:
        refusal = str(reason)
    spent = [run.params * run.final.tokens for run in case.ladder if run.final is not None]
    return Measured(
        source=case.family.source,
        tuned=case.family.table in TUNED,
        sizes=len(case.sizes),
        reach=max(goal.params * goal.tokens for goal in case.goals) / max(spent),
        errors={way: ask(way, case.ladder, case.goals) for way in WAYS},
        held=tuple(held),
        doubts=tuple(doubts),
        refusal=refusal,
        residual=residual,
    )


def tell(found: Mapping[str, Measured]) -> Section:
    """The summary, the figure and the findings; one row a family apart."""
    parts = (
        METHOD,
        summarise(found),
        tell_means(found),
        draw_errors({way: list(collect(found, way).values()) for way in WAYS}, len(found)),
        tell_default(found),
    )
    return Section(
        "Protocol, baselines and default",
        parts,
        list_findings(found),
        (ON_DOUBTS, show_families(found)),
        tell_medians(found),
    )


def tell_medians(found: Mapping[str, Measured]) -> str:
    """The errors in one sentence: of all that every way answers, and of far targets among them."""
    common = {name: made for name, made in found.items() if None not in made.errors.values()}
    far = {name: made for name, made in common.items() if made.far}

    def show(of: Mapping[str, Measured]) -> str:
        shown = (DEFAULT, PROTOCOL, BASELINES[0])
        return ", ".join(f"{format_percent(middle(collect(of, way).values()))} ({way})" for way in shown)

    told = [
        f"On the {number(len(common), 'family', 'families')} that every way answers the median error is {show(common)}"
    ]
    if far:
        told.append(
            f"where the largest model takes {FAR:g} times the compute of all others or more ({len(far)}), {show(far)}"
        )
    return f"{'; '.join(told)}." if common else ""


def summarise(found: Mapping[str, Measured]) -> str:
    """Median and mean of each way: where all answer, near and far, on tables of no constant, and where each answers."""
    every = dict(found)
    common = {name: made for name, made in found.items() if None not in made.errors.values()}
    near = {name: made for name, made in common.items() if not made.far}
    far = {name: made for name, made in common.items() if made.far}
    blind = {name: made for name, made in common.items() if not made.tuned}
    rows: list[Sequence[str]] = []
    for words, of in (
        ("that every way answers", common),
        (f"of these, targets of {FAR:g} times the compute or more", far),
        ("of these, nearer targets", near),
        ("of these, on whose tables no constant of the default was chosen", blind),
        ("that each way answers", every),
    ):
        counts = number(len(of), "family", "families") if of is not every else "families"
        rows.append(
            (f"**median**, {counts} {words}", *(format_percent(middle(collect(of, way).values())) for way in WAYS))
        )
        rows.append((f"mean, {counts} {words}", *(format_percent(mean(collect(of, way).values())) for way in WAYS)))
    once = [format_percent(middle_of_sources(collect(common, way))) for way in WAYS]
    rows.append((f"median, each of their {len({made.source for made in common.values()})} sources counted once", *once))
    rows.append(("families answered", *(f"{len(collect(every, way))} of {len(every)}" for way in WAYS)))
    within = [f"{sum(e <= TYPICAL for e in collect(every, way).values())} of {len(every)}" for way in WAYS]
    rows.append((f"families within {format_level(TYPICAL)}", *within))
    return table(("error for the largest model", *WAYS), rows)


def tell_means(found: Mapping[str, Measured]) -> str:
    """Why means and medians say opposite things."""
    known = {name: made for name, made in found.items() if None not in made.errors.values()}
    good = {name: made for name, made in known.items() if "poor_fit" not in made.doubts}
    lost = [name for name in known if name not in good]
    if not (lost and good):
        return ""

    def show(of: Mapping[str, Measured], way: str) -> str:
        return format_percent(mean(collect(of, way).values()))

    guess = BASELINES[0]
    return (
        f"By the mean over all that every way answers, {guess} ({show(known, guess)}) stands beside laws of "
        f"{show(known, DEFAULT)} (default) to {show(known, PROTOCOL)} (published protocol): means are made by "
        f"{number(len(lost), 'family', 'families')} that the law does not describe ({'; '.join(lost)}). Without them "
        f"the means are {show(good, PROTOCOL)} (published protocol), {show(good, DEFAULT)} (default) and "
        f"{show(good, guess)} ({guess})."
    )


def tell_default(found: Mapping[str, Measured]) -> str:
    """What the default said of its own answers, and where ways say nothing."""
    known = {name: made for name, made in found.items() if made.errors[DEFAULT] is not None}
    bad = {name: made for name, made in known.items() if "poor_fit" in made.doubts}
    good = {name: made for name, made in known.items() if name not in bad}
    lines = [f"The default's {format_level(Config.level)} intervals hold {count_held(known)} measured finals."]
    if bad:
        lines.append(
            f"On {len(bad)} of {len(known)} families the law does not describe the smaller models: they scatter around "
            "it by more than seeds do, and the default says so (`poor_fit`). There it is off by "
            f"{format_percent(middle(collect(bad, DEFAULT).values()))} in the median, and its intervals hold "
            f"{count_held(bad)}. On all others it is off by {format_percent(middle(collect(good, DEFAULT).values()))}, "
            f"and they hold {count_held(good)}."
        )
    if refused := [made for made in found.values() if made.refusal]:
        reasons = dict.fromkeys(made.refusal for made in refused)
        lines.append(f"It refuses {number(len(refused), 'family', 'families')}: {'; '.join(reasons)}.")
    if lost := [name for name, made in found.items() if made.errors[PROTOCOL] is None]:
        lines.append(
            f"The published search ends without a law on {number(len(lost), 'family', 'families')} ({'; '.join(lost)})."
        )
    return " ".join(lines)


def count_held(of: Mapping[str, Measured]) -> str:
    """How many of the default's intervals hold what was measured."""
    held = [inside for made in of.values() for inside in made.held]
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
    holds = f"default's {format_level(Config.level)} interval holds"
    head = ("family", "sizes", "compute beyond", *WAYS, holds, "residual of ln L", "default's doubts")
    return table(head, rows, tail=1)


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """What the study found of errors and baselines, and what this library claims beyond it."""
    far = {name: made for name, made in found.items() if made.far}
    protocol, default = collect(far, PROTOCOL), collect(far, DEFAULT)
    typical, guesses = middle(protocol.values()), mean(collect(far, BASELINES[0]).values())
    above = Tally({name: error >= TYPICAL for name, error in protocol.items()})
    beats, ours = (beat(far, way, BASELINES) for way in (PROTOCOL, DEFAULT))
    versus = beat(found, DEFAULT, (PROTOCOL,))
    blind = beat({name: made for name, made in found.items() if not made.tuned}, DEFAULT, (PROTOCOL,))
    where = f"Of targets of {FAR:g} times the compute or more"
    few = len(far) < FEWEST
    return (
        Finding(
            f"{format_level(TYPICAL)} is the best error that is typically obtained",
            "no data" if typical is None else "depends" if few else "holds" if typical >= TYPICAL else "fails",
            f"{where} the protocol is off by {format_percent(typical)} in the median, by {format_level(TYPICAL)} or "
            f"more on {above}; the default by {format_percent(middle(default.values()))}",
            "the protocol's median error on such targets is not below it",
            "expected_error",
            looked=True,
        ),
        Finding(
            f"Baselines are off by {format_level(GUESSED)} on average",
            "no data"
            if guesses is None
            else "depends"
            if few
            else "holds"
            if GUESSED / 2 <= guesses <= GUESSED * 2
            else "fails",
            f"{where} the best loss seen is off by {format_percent(guesses)} on average, by "
            f"{format_percent(middle(collect(far, BASELINES[0]).values()))} in the median",
            "the mean on such targets is within a factor of 2 of the published one",
            looked=True,
        ),
        Finding(
            "A law forecasts better than a guess without one",
            beats.verdict,
            f"{where} the protocol is nearer than both guesses on {beats}; the default on {ours}",
            MOST,
            "baselines",
            looked=True,
        ),
        Finding(
            "The default is nearer than the published protocol",
            versus.verdict,
            f"on {versus} that both answer; on {blind} on whose tables none of its constants was chosen",
            MOST,
            of="library",
        ),
    )


def beat(of: Mapping[str, Measured], way: str, others: Sequence[str]) -> Tally:
    """On how many families, of those that all of them answer, one way is nearer than every other one."""
    best: dict[str, tuple[float | None, float | None]] = {}
    for name, made in of.items():
        rest = [made.errors[other] for other in others]
        known = [error for error in rest if error is not None]
        best[name] = (made.errors[way], min(known) if len(known) == len(rest) else None)
    return compare(best)


def collect(of: Mapping[str, Measured], way: str) -> dict[str, float]:
    """The errors of one way by family, where there are any."""
    return {name: error for name, made in of.items() if (error := made.errors[way]) is not None}


WAYS_AXIS = Axis("ways", measure, tell)
