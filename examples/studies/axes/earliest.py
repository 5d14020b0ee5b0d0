"""How much of the beginning of each run is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cases import DEFAULT, PROTOCOL, Case, Schedule, ask, miss
from page import Finding, Section, table
from protocol import fit_published, gather_checkpoints

from axes.base import Axis
from axes.summaries import (
    AVERAGES,
    CERTIFIED,
    average,
    divide,
    draw_families,
    fit_squared,
    judge_below,
    pick_longest,
    show_ratio,
    split_schedules,
    trace,
)
from axes.tally import MOST, Tally, compare, middle
from scaling_callback import Run
from scaling_callback.fitting import Points
from scaling_callback.replaying import Goal
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_count, format_level, format_percent

CUTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of each run."""

NONE, TENTH = 0.0, 0.1

TOKENS = (1e9, 1e10)
"""Tokens of each run; the second is what the study leaves out."""

LONG = 2.0
"""Every run must be so many times longer than the tokens that are left out."""

PUBLISHED_FROM, PUBLISHED_TO = 0.15, 0.10
"""Leaving out 10B tokens takes OPT and Pythia from above the first to below the second (4 to 10%)."""

WAYS = (PROTOCOL, CERTIFIED)

ASKED = (TENTH, 0.3, 0.5)
"""Where the default is asked, too: it leaves out the first tenth by itself."""


@dataclass(frozen=True)
class Measured:
    """Errors of the largest size.

    Attributes:
        schedule: What the learning rate of most runs does before they end.
        cut: By way and share that is left out; `None` where nothing can be said.
        tokens: By way and tokens that are left out, where every run is long enough.
    """

    schedule: Schedule
    cut: Mapping[str, Mapping[float, float | None]]
    tokens: Mapping[str, Mapping[float, float | None]]


def measure(case: Case) -> Measured | None:
    """The errors when more and more of each run's beginning is left out; `None` without curves."""
    if not case.has_curves:
        return None
    points = {cut: gather_checkpoints(case.ladder, cut) for cut in CUTS}
    every = gather_checkpoints(case.ladder, 0.0)
    shortest = min(run.final.tokens for run in case.ladder if run.final is not None)
    late: dict[float, Points] = {}
    for tokens in TOKENS:
        if every is None:
            continue
        after = every.tokens > tokens
        if shortest >= LONG * tokens and not after.all():  # else nothing is left out
            late[tokens] = every.take(after)
    goals = pick_longest(case)
    own = {cut: ask(DEFAULT, [leave_out(run, cut) for run in case.ladder], goals) for cut in ASKED}
    return Measured(case.schedule, ask_points(points, goals) | {DEFAULT: own}, ask_points(late, goals))


def ask_points(points: Mapping[float, Points | None], goals: Sequence[Goal]) -> dict[str, dict[float, float | None]]:
    """The errors of both ways from each of these sets of points."""
    return {
        PROTOCOL: {cut: miss(None if of is None else fit_published(of), goals) for cut, of in points.items()},
        CERTIFIED: {cut: miss(fit_squared(of), goals) for cut, of in points.items()},
    }


def leave_out(run: Run, share: float) -> Run:
    """A run without that share of its beginning."""
    return replace(run, curve=run.curve.take(run.progress > share))


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by what is left out, over families and of each."""
    method = (
        "All checkpoints of the smaller sizes are fitted but those in the first part of their run, and the longest run "
        "of the largest size is forecast. "
        f"*{PROTOCOL}*: its one search. *{CERTIFIED}*: its objective at the certified optimum. *Ratio*: the median "
        "over families of the error over that with every checkpoint. The default leaves out the first "
        f"{format_level(TENTH)} by itself."
    )
    absolute = (
        f"The same with tokens, as the study does it, where every run is at least {LONG:g} times as long and has "
        "checkpoints before them: median errors before and after."
    )
    late = (absolute, show_tokens(found)) if any(made.tokens[PROTOCOL] for made in found.values()) else ()
    parts = (method, summarise(found), draw_earliest(found), *late)
    return Section("First tokens left out", parts, list_findings(found), (show_families(found),))


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a way and share."""
    rows: list[Sequence[str]] = []
    for way in (*WAYS, DEFAULT):
        for cut in ASKED if way == DEFAULT else CUTS:
            errors = {name: made.cut[way][cut] for name, made in found.items()}
            ratios = [divide(error, found[name].cut[way].get(NONE)) for name, error in errors.items()]
            answered = f"{sum(error is not None for error in errors.values())} of {len(found)}"
            rows.append((way, format_level(cut), *average(errors), show_ratio(middle(ratios)), answered))
    return table(("way", "left out", *AVERAGES, "ratio", "answered"), rows)


def show_tokens(found: Mapping[str, Measured]) -> str:
    """One row a number of tokens, schedule and way."""
    rows: list[Sequence[str]] = []
    for tokens in TOKENS:
        of = {name: made for name, made in found.items() if tokens in made.tokens[PROTOCOL]}
        for words, names in split_schedules(of).items():
            for way in WAYS if names else ():
                before = [of[name].cut[way][NONE] for name in names]
                after = [of[name].tokens[way][tokens] for name in names]
                ratio = show_ratio(middle(divide(late, early) for early, late in zip(before, after, strict=True)))
                errors = (format_percent(middle(before)), format_percent(middle(after)))
                rows.append((format_count(tokens), words, way, str(len(names)), *errors, ratio))
    return table(("tokens left out", "schedule", "way", "families", "before", "after", "ratio"), rows, text=3)


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family."""
    cuts = (NONE, TENTH, 0.3)
    rows = [
        (
            name,
            made.schedule,
            *(
                format_percent(error)
                for way in WAYS
                for error in (*(made.cut[way][cut] for cut in cuts), *(made.tokens[way].get(t) for t in TOKENS))
            ),
            *(format_percent(made.cut[DEFAULT][cut]) for cut in ASKED),
        )
        for name, made in found.items()
    ]
    cut = [*map(format_level, cuts), *map(format_count, TOKENS)]
    heads = [f"{way}, {each}" for way in WAYS for each in cut]
    return table(("family", "schedule", *heads, *(f"{DEFAULT}, {format_level(cut)}" for cut in ASKED)), rows, text=2)


def draw_earliest(found: Mapping[str, Measured]) -> Figure:
    """The certified error over that with every checkpoint, by the share that is left out."""

    def ratio(made: Measured, way: str, cut: float) -> float | None:
        return divide(made.cut[way][cut], made.cut[way][NONE])

    def path(of: Sequence[Measured], way: str) -> list[tuple[float, float]]:
        ratios = trace(CUTS, lambda cut: middle(ratio(made, way, cut) for made in of))
        return [(100 * cut, value) for cut, value in ratios]

    return draw_families(
        "earliest",
        {name: path([made], CERTIFIED) for name, made in found.items()},
        {way: path(list(found.values()), way) for way in WAYS},
        Scale("left out of each run's beginning, %"),
        Scale("error / error with every checkpoint", log=True),
        title="First tokens left out",
        caption="Error for the largest model over that from every checkpoint; thin: families at the certified optimum, "
        "bold: medians of families.",
        alt=f"Errors by the share of the beginning left out, on {len(found)} families",
        rule=1.0,
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether leaving out a tenth helps, how much, and what ten billion tokens do."""
    helps = {
        way: compare({name: (made.cut[way][TENTH], made.cut[way][NONE]) for name, made in found.items()})
        for way in WAYS
    }
    ratios = {way: {n: divide(m.cut[way][TENTH], m.cut[way][NONE]) for n, m in found.items()} for way in WAYS}
    tokens = TOKENS[-1]
    long = {name: made for name, made in found.items() if tokens in made.tokens[PROTOCOL]}
    pairs = {way: {n: (m.cut[way][NONE], m.tokens[way][tokens]) for n, m in long.items()} for way in WAYS}
    bad = {n: after for n, (b, after) in pairs[PROTOCOL].items() if b is not None and b > PUBLISHED_FROM}
    fell = Tally({name: after < PUBLISHED_TO for name, after in bad.items() if after is not None})
    better = {way: compare({n: (after, before) for n, (before, after) in of.items()}) for way, of in pairs.items()}
    more = compare({name: (made.cut[CERTIFIED][0.3], made.cut[CERTIFIED][TENTH]) for name, made in found.items()})
    own = compare({name: (made.cut[DEFAULT][0.3], made.cut[DEFAULT][TENTH]) for name, made in found.items()})
    return (
        Finding(
            f"Leaving out the first {format_level(TENTH)} of each run helps",
            helps[PROTOCOL].verdict,
            f"on {helps[PROTOCOL]} with the protocol, {helps[CERTIFIED]} at the certified optimum",
            f"the error is less than with every checkpoint {MOST}, with the protocol",
            "earliest_dropped",
        ),
        Finding(
            "It helps in the median",
            judge_below(ratios[PROTOCOL], 1.0),
            f"the error over that with every checkpoint is {show_ratio(middle(ratios[PROTOCOL].values()))} with the "
            f"protocol, {show_ratio(middle(ratios[CERTIFIED].values()))} at the certified optimum",
            "the median ratio over families is below 1, with the protocol",
            "earliest_dropped",
        ),
        Finding(
            f"Leaving out {format_count(tokens)} tokens takes errors from above {format_level(PUBLISHED_FROM)} to "
            "below "
            f"{format_level(PUBLISHED_TO)} (OPT, Pythia; not at hand)",
            fell.verdict,
            (
                f"{len(bad)} of {len(long)} families with runs as long begin above {format_level(PUBLISHED_FROM)}, and "
                f"fall below {format_level(PUBLISHED_TO)} on {fell}"
                if bad
                else f"none of the {len(long)} families with runs as long begins above {format_level(PUBLISHED_FROM)}"
                if long
                else "no family at hand has runs as long"
            )
            + f"; it helps on {better[PROTOCOL]} with the protocol, {better[CERTIFIED]} at the certified optimum",
            f"{MOST} that begin above {format_level(PUBLISHED_FROM)}",
            "earliest_dropped",
        ),
        Finding(
            "Leaving out 30% is better still than a tenth",
            more.verdict,
            f"on {more} at the certified optimum; {own} with the default",
            f"{MOST}, at the certified optimum",
            of="beside",
        ),
    )


EARLIEST_AXIS = Axis("first tokens left out", measure, tell)
