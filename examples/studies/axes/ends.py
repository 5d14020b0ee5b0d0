"""Finals, checkpoints, or only the end of training; and what the target is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cases import DEFAULT, Case, Schedule, ask, miss
from page import Finding, Section, Verdict, table
from protocol import FIRST_PART, gather_checkpoints

from axes.base import Axis
from axes.summaries import (
    ANNEALED,
    AVERAGES,
    CERTIFIED,
    CONSTANT,
    average,
    divide,
    find_chance,
    fit_squared,
    pick_longest,
    show_ratio,
    split_schedules,
    vote,
)
from axes.tally import MOST, Tally, compare, middle
from scaling_callback import Run
from scaling_callback.fitting import Points
from scaling_callback.forecasting import finals
from scaling_callback.replaying import Goal
from scaling_callback.reporting.units import format_level, format_percent, number

FINALS, CHECKPOINTS = "finals", "all but the first tenth"

BEYOND: Mapping[str, float] = {CHECKPOINTS: FIRST_PART, "the last 30%": 0.7, "the last 10%": 0.9}
"""Checkpoints after that share of their run."""

END = "the last 30%"
"""Only the end of training."""

EVIDENCE = (FINALS, *BEYOND)

WAYS = (CERTIFIED, DEFAULT)

MANY = 10
"""Runs of smaller sizes from which on there are many."""

TARGET_FROM = 0.7
"""The study forecasts the checkpoints of the largest model after that share of its training."""

TARGETS = 3
"""So many of them, evenly spaced, of the longest run."""

SIGNIFICANT = 0.05
"""Of the two-sided sign test."""


@dataclass(frozen=True)
class Measured:
    """Errors of the largest size.

    Attributes:
        schedule: What the learning rate of most runs does before they end.
        runs: How many runs smaller sizes have.
        telling: Whether the end of training has checkpoints other than finals: else both are the same points.
        final: By way and evidence, of the final of its longest run.
        checkpoints: The same of checkpoints of that run, as if they had ended.
    """

    schedule: Schedule
    runs: int
    telling: bool
    final: Mapping[str, Mapping[str, float | None]]
    checkpoints: Mapping[str, Mapping[str, float | None]]


def measure(case: Case) -> Measured | None:
    """The errors from each kind of evidence, for both kinds of target; `None` without curves."""
    if not case.has_curves:
        return None
    goals = pick_longest(case)[:1]
    only, end = gather(case, FINALS), gather(case, END)
    telling = only is not None and end is not None and len(end) > len(only)
    final = ask_evidence(case, goals)
    return Measured(case.schedule, len(case.ladder), telling, final, ask_evidence(case, list_checkpoints(case)))


def list_checkpoints(case: Case) -> list[Goal]:
    """Checkpoints of the longest run of the largest size, as if each were its end."""
    goal = pick_longest(case)[0]
    run = next(run for run in case.largest if run.name == goal.run)
    late = np.flatnonzero((run.progress >= TARGET_FROM) & np.isfinite(run.curve.loss))
    chosen = late[np.linspace(0, len(late) - 1, min(TARGETS, len(late))).round().astype(int)]
    return [Goal(goal.params, float(run.curve.tokens[place]), float(run.curve.loss[place])) for place in chosen]


def ask_evidence(case: Case, goals: Sequence[Goal]) -> dict[str, dict[str, float | None]]:
    """The error of each way from each kind of evidence."""
    return {
        CERTIFIED: {kind: miss(fit_squared(gather(case, kind)), goals) for kind in EVIDENCE},
        DEFAULT: {kind: ask(DEFAULT, [show(run, kind) for run in case.ladder], goals) for kind in EVIDENCE},
    }


def gather(case: Case, kind: str) -> Points | None:
    """The points of one kind of evidence."""
    if kind == FINALS:
        return finals(case.ladder, lambda run: run.cluster).points
    return gather_checkpoints(case.ladder, BEYOND[kind])


def show(run: Run, kind: str) -> Run:
    """A run of which only that is known."""
    if kind == FINALS:
        assert run.final is not None
        return replace(run, curve=run.curve.take(run.curve.tokens == run.final.tokens))
    return replace(run, curve=run.curve.take(run.progress > BEYOND[kind]))


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by evidence, for families of annealed and of constant rates, and for both targets."""
    method = (
        "The smaller sizes are fitted from their finals only, from every checkpoint after the first tenth, or from "
        f"those of the end of each run only. *{CERTIFIED}*: the objective of the study at its certified optimum. "
        f"*{DEFAULT}*: the default, which sees of each run only that. What is forecast is the final of the longest run "
        f"of the largest size. *Ratio*: the median over families of the error over that from {CHECKPOINTS}. The last "
        "losses of *unfinished* runs lie in the middle of longer schedules: they are finals of no kind."
    )
    targets = (
        f"The study forecasts checkpoints of the largest model after {format_level(TARGET_FROM)} of its training, as "
        "if "
        f"each had ended there. The same laws, for {TARGETS} of those of the same run beside its final:"
    )
    parts = (method, summarise(found), targets, show_targets(found))
    return Section("Finals or checkpoints", parts, list_findings(found), (show_families(found),))


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a schedule, way and kind of evidence."""
    rows: list[Sequence[str]] = []
    for words, names in split_schedules(found).items():
        of = {name: found[name] for name in names}
        for way, kind in list_ways() if of else ():
            errors = {name: made.final[way][kind] for name, made in of.items()}
            ratios = [divide(made.final[way][kind], made.final[way][CHECKPOINTS]) for made in of.values()]
            answered = f"{sum(error is not None for error in errors.values())} of {len(of)}"
            rows.append((words, way, kind, *average(errors), show_ratio(middle(ratios)), answered))
    return table(("schedule", "way", "fitted", *AVERAGES, "ratio", "answered"), rows, text=3)


def show_targets(found: Mapping[str, Measured]) -> str:
    """One row a way and kind of evidence: errors of both targets, and how often it is the best."""
    rows: list[Sequence[str]] = []
    for words, names in split_schedules(found).items():
        best = {name: (find_best(found[name].final), find_best(found[name].checkpoints)) for name in names}
        for way, kind in list_ways() if names else ():
            row = [words, way, kind]
            for place, errors in enumerate(([found[n].final for n in names], [found[n].checkpoints for n in names])):
                row.append(format_percent(middle(each[way][kind] for each in errors)))
                row.append(str(sum(pair[place] == (way, kind) for pair in best.values())))
            rows.append(row)
    heads = ("final, median", "final: best on", "checkpoints, median", "checkpoints: best on")
    return table(("schedule", "way", "fitted", *heads), rows, text=3)


def list_ways() -> list[tuple[str, str]]:
    """Every way with every kind of evidence."""
    return [(way, kind) for way in WAYS for kind in EVIDENCE]


def find_best(errors: Mapping[str, Mapping[str, float | None]]) -> tuple[str, str] | None:
    """The way and evidence of the least error."""
    known = [(error, each) for each in list_ways() if (error := errors[each[0]][each[1]]) is not None]
    return min(known)[1] if known else None


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family."""
    rows = [
        (
            name,
            made.schedule,
            str(made.runs),
            *(format_percent(made.final[way][kind]) for way, kind in list_ways()),
        )
        for name, made in found.items()
    ]
    return table(("family", "schedule", "runs", *(f"{way}, {kind}" for way, kind in list_ways())), rows, text=2)


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether the end alone is worse, whether finals beat checkpoints, and what the target does to it."""
    kinds = split_schedules(found)
    many = [name for name in kinds[ANNEALED] if found[name].runs >= MANY]
    telling = [name for name, made in found.items() if made.telling]
    worse = {way: against(found, telling, way, CHECKPOINTS, END) for way in WAYS}
    silent = len(found) - len(telling)
    votes = vote(worse[CERTIFIED].seen)
    chance, beside = find_chance(votes), find_chance([*worse[CERTIFIED].seen.values()])
    by_kind = "; ".join(
        f"{words} {against(found, both, CERTIFIED, CHECKPOINTS, END)}"
        for words, names in kinds.items()
        if (both := [name for name in names if name in telling])
    )
    ends, constant, beyond = (
        against(found, many, CERTIFIED, FINALS, CHECKPOINTS),
        against(found, kinds[CONSTANT], CERTIFIED, FINALS, CHECKPOINTS),
        against(found, kinds[ANNEALED], CERTIFIED, FINALS, CHECKPOINTS),
    )
    own = compare(
        {name: (made.final[DEFAULT][CHECKPOINTS], made.final[DEFAULT][FINALS]) for name, made in found.items()}
    )
    best = {name: (find_best(made.final), find_best(made.checkpoints)) for name, made in found.items()}
    same = Tally({name: one == other for name, (one, other) in best.items() if one is not None and other is not None})
    theirs = compare(
        {n: (made.checkpoints[CERTIFIED][CHECKPOINTS], made.checkpoints[CERTIFIED][END]) for n, made in found.items()}
    )
    return (
        Finding(
            "Fitting only the end of training is significantly worse",
            judge_votes(votes, chance),
            f"{CHECKPOINTS} is nearer than {END} on {worse[CERTIFIED]} at the certified optimum"
            + (
                ""
                if chance is None or beside is None
                else f" (sign test over sources p = {chance:.2g}, over families {beside:.2g})"
            )
            + f"; {by_kind}; with the default on {worse[DEFAULT]}"
            + (
                f"; without a vote: {number(silent, 'family', 'families')} with finals alone in {END}" if silent else ""
            ),
            f"most sources are worse, each by most of its families, and a two-sided sign test has p below "
            f"{SIGNIFICANT:g}; fails if most are better",
            "checkpoints",
            looked=True,
        ),
        Finding(
            f"Finals are better than checkpoints where schedules anneal and runs are {MANY} or more",
            ends.verdict,
            f"finals are nearer on {ends}; on {beyond} of all that anneal, on {constant} of a constant rate",
            f"{MOST}, both at the certified optimum of squared error",
            of="library",
        ),
        Finding(
            "With its checkpoints the default is nearer than with finals only",
            own.verdict,
            f"on {own}",
            MOST,
            "checkpoints",
            of="library",
        ),
        Finding(
            "The best evidence is the same for the study's target, checkpoints as if they had ended",
            same.verdict,
            f"the best way and evidence is the same on {same}; for that target {CHECKPOINTS} is nearer than {END} on "
            f"{theirs}",
            MOST,
            of="beside",
        ),
    )


def against(found: Mapping[str, Measured], names: Sequence[str], way: str, one: str, other: str) -> Tally:
    """On how many families one kind of evidence is nearer than another, for the final."""
    return compare({name: (found[name].final[way][one], found[name].final[way][other]) for name in names})


def judge_votes(votes: Sequence[bool], chance: float | None) -> Verdict:
    """The verdict of a sign test.

    Example:
        >>> judge_votes([True] * 6, 0.03), judge_votes([False] * 6, 0.03), judge_votes([True], 1.0)
        ('holds', 'fails', 'depends')
    """
    if chance is None:
        return "no data"
    return "depends" if chance > SIGNIFICANT else "holds" if 2 * sum(votes) > len(votes) else "fails"


ENDS_AXIS = Axis("finals or intermediates", measure, tell)
