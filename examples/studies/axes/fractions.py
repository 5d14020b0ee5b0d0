"""How much of the training of the smaller models is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, DEFAULTS, PROTOCOL, Case, Schedule, ask_default, ask_published, score
from page import Finding, Section, judge, table
from protocol import FIRST_PART, gather_checkpoints

from axes.base import Axis
from axes.summaries import (
    ANNEALED,
    CONSTANT,
    ask_squared,
    divide,
    draw_families,
    pick_longest,
    show_ratio,
    split_schedules,
    trace,
)
from axes.tally import MOST, Tally, compare, middle, middle_of_sources
from scaling_callback import Run, replay
from scaling_callback.replaying import FRACTIONS, PROTOCOLS
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_level, format_percent

SEEN = tuple(tenth / 10 for tenth in range(1, 11))
"""Shares of each run."""

HALF, WHOLE = 0.5, 1.0

UNFINISHED = (HALF, 0.9)
"""Shares after which the default is asked, too: no run has finished."""

NEAR = 1.25
"""Factor within which what half of the training costs is the same for both kinds of schedule: set before looking."""

CERTIFIED = "squared error, converged"

WAYS = (PROTOCOL, CERTIFIED)


@dataclass(frozen=True)
class Answer:
    """What one way says of the largest size.

    Attributes:
        error: Mean absolute relative error.
        high: Mean relative error: above zero where it says too much.
    """

    error: float
    high: float


@dataclass(frozen=True)
class Measured:
    """Errors from a part of the training.

    Attributes:
        schedule: What the learning rate of most runs does before they end.
        cut: By way and share of every run, `None` where nothing can be said.
        refused: Shares of every run from which the default says nothing.
        live: By way and share of the compute of the whole ladder, spent on one run after another.
    """

    schedule: Schedule
    cut: Mapping[str, Mapping[float, Answer | None]]
    refused: tuple[float, ...]
    live: Mapping[str, Mapping[float, float | None]]


def measure(case: Case) -> Measured | None:
    """The errors from the beginnings of all runs, and from the ladder as it was trained; `None` without curves."""
    if not case.has_curves:
        return None
    cut: dict[str, dict[float, Answer | None]] = {way: {} for way in WAYS}
    for share in SEEN:
        runs = [see(run, share) for run in case.ladder]
        beyond = FIRST_PART * share  # of what is seen, the first part is left out
        cut[PROTOCOL][share] = answer(ask_published(runs, case.goals, beyond), case)
        cut[CERTIFIED][share] = answer(ask_squared(gather_checkpoints(runs, beyond), case.goals), case)
    walked = replay(case.ladder, pick_longest(case)[:1], FRACTIONS, DEFAULTS).summary()  # seeds share a forecast
    live = {
        way: {share: made.are if made.answered == made.asked else None for share, made in walked[way].items()}
        for way in (DEFAULT, *PROTOCOLS)
    }
    asked = {share: ask_default([see(run, share) for run in case.ladder], case.goals[:1]) for share in UNFINISHED}
    refused = tuple(share for share, said in asked.items() if said is None)
    return Measured(case.schedule, cut, refused, live)


def see(run: Run, share: float) -> Run:
    """A run as it stood after that share of its training."""
    assert run.horizon is not None
    return run.until(share * run.horizon)


def answer(said: Sequence[float] | None, case: Case) -> Answer | None:
    """How far these forecasts are off, and to which side."""
    error = score(said, case.goals)
    if said is None or error is None:
        return None
    high = float(np.mean([loss / goal.loss - 1 for loss, goal in zip(said, case.goals, strict=True)]))
    return Answer(error, high)


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by the share seen, of every run and of the compute of a ladder."""
    method = (
        "Every run of the smaller sizes is cut after a share of its training, and the final of the largest is "
        f"forecast. Of what is seen the first {format_level(FIRST_PART)} is left out. *{CERTIFIED}*: the objective of "
        "the study at its certified optimum. *Too high*: families whose forecast is above what was measured. "
        + " ".join(
            f"The default, of whose runs none has finished at {format_level(share)}, says nothing on "
            f"{sum(share in made.refused for made in found.values())} of {len(found)} families."
            for share in UNFINISHED
        )
    )
    live = (
        "What it says while a ladder is trained, from small runs to large: the forecast after a share of the compute "
        "of the whole ladder, when some runs have finished, one is in the midst of its training and others have not "
        "begun. What is forecast is the longest run of the largest size. Medians are over the families that a way "
        "answers; *on the same*: those that all of them answer."
    )
    parts = (method, summarise(found), draw_fractions(found), live, show_live(found), show_families(found))
    return Section("Fraction of training seen", parts, list_findings(found))


def get(made: Measured, way: str, share: float) -> float | None:
    """The error of one way; `None` without one."""
    found = made.cut[way][share]
    return None if found is None else found.error


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a schedule and share."""
    rows: list[Sequence[str]] = []
    for words, names in split_schedules(found).items():
        of = {name: found[name] for name in names}
        for share in SEEN if of else ():
            row = [words, format_level(share), str(len(of))]
            for way in WAYS:
                errors = {name: get(made, way, share) for name, made in of.items()}
                answers = [said for made in of.values() if (said := made.cut[way][share]) is not None]
                ratios = [divide(get(made, way, share), get(made, way, WHOLE)) for made in of.values()]
                row += [format_percent(middle(errors.values())), format_percent(middle_of_sources(errors))]
                row += [show_ratio(middle(ratios)), f"{sum(said.high > 0 for said in answers)} of {len(answers)}"]
            rows.append(row)
    heads = [f"{way}, {what}" for way in WAYS for what in ("median", "median of sources", "to all of it", "too high")]
    return table(("schedule", "seen", "families", *heads), rows, text=2)


def show_live(found: Mapping[str, Measured]) -> str:
    """One row a share of the ladder's compute."""
    ways = (DEFAULT, *PROTOCOLS)
    rows: list[Sequence[str]] = []
    for share in FRACTIONS:
        errors = {way: {name: made.live[way][share] for name, made in found.items()} for way in ways}
        same = [name for name in found if all(errors[way][name] is not None for way in ways)]
        row = [format_level(share)]
        for way in ways:
            answered = sum(error is not None for error in errors[way].values())
            row += [format_percent(middle(errors[way].values())), f"{answered} of {len(found)}"]
        rows.append(
            [*row, str(len(same)), *(format_percent(middle(errors[way][name] for name in same)) for way in ways)]
        )
    heads = [f"{way}{what}" for way in ways for what in ("", ", answered")]
    return table(("compute spent", *heads, "all answer", *(f"{way}, on the same" for way in ways)), rows)


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family."""
    shares = (0.2, HALF, WHOLE)
    rows = [
        (
            name,
            made.schedule,
            *(format_percent(get(made, way, share)) for way in WAYS for share in shares),
            *(format_percent(made.live[DEFAULT][share]) for share in FRACTIONS),
        )
        for name, made in found.items()
    ]
    heads = [f"{way}, {format_level(share)}" for way in WAYS for share in shares]
    live = [f"{DEFAULT}, {format_level(share)} of the compute" for share in FRACTIONS]
    return table(("family", "schedule", *heads, *live), rows, text=2)


def draw_fractions(found: Mapping[str, Measured]) -> Figure:
    """The certified error by the share of each run."""
    schedules = {words: [found[name] for name in names] for words, names in split_schedules(found).items()}

    def percent(of: Sequence[Measured], share: float) -> float | None:
        error = middle(get(made, CERTIFIED, share) for made in of)
        return None if error is None else 100 * error

    def path(of: Sequence[Measured]) -> list[tuple[float, float]]:
        return [(100 * share, error) for share, error in trace(SEEN, lambda share: percent(of, share))]

    return draw_families(
        "fractions",
        {name: path([made]) for name, made in found.items()},
        {words: path(of) for words, of in schedules.items() if of},
        Scale("seen of each run, %"),
        Scale("error, %", "number", log=True),
        title="Fraction of training seen",
        caption="Error for the largest model, squared error at its certified optimum; thin: families, bold: medians of "
        "those whose learning rate is annealed, and of those of a constant one.",
        alt=f"Errors by the fraction of training seen, on {len(found)} families",
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether more of training is better, what half of it costs, and whether the schedule matters."""
    more = {
        way: compare({name: (get(made, way, WHOLE), get(made, way, HALF)) for name, made in found.items()})
        for way in WAYS
    }
    fall = Tally({name: count_falls(made) > 0.5 for name, made in found.items()})
    lost = {
        words: {
            way: middle(divide(get(found[name], way, HALF), get(found[name], way, WHOLE)) for name in names)
            for way in WAYS
        }
        for words, names in split_schedules(found).items()
    }
    high = {
        words: Tally({name: said.high > 0 for name in names if (said := found[name].cut[CERTIFIED][HALF]) is not None})
        for words, names in split_schedules(found).items()
    }
    gap = divide(lost[ANNEALED][CERTIFIED], lost[CONSTANT][CERTIFIED])
    points = {
        words: middle(
            100 * (half - whole)
            for name in names
            if (half := get(found[name], CERTIFIED, HALF)) is not None
            and (whole := get(found[name], CERTIFIED, WHOLE)) is not None
        )
        for words, names in split_schedules(found).items()
    }
    rise = ", ".join(f"{words} {value:+.2f}" for words, value in points.items() if value is not None)
    ratios = "; ".join(
        f"{words} {show_ratio(of[PROTOCOL])} and {show_ratio(of[CERTIFIED])}" for words, of in lost.items()
    )
    live = {
        way: compare({name: (made.live[DEFAULT][HALF], made.live[way][HALF]) for name, made in found.items()})
        for way in PROTOCOLS
    }
    return (
        Finding(
            "The more of training is seen, the better",
            more[CERTIFIED].verdict,
            f"all of it is nearer than half on {more[CERTIFIED]} at the certified optimum, {more[PROTOCOL]} with the "
            f"protocol; most steps of a tenth are for the better on {fall}",
            f"all is nearer than half {MOST}, at the certified optimum",
        ),
        Finding(
            "What half of the training costs does not depend on the schedule (the study takes it as negligible)",
            "no data" if gap is None else "holds" if 1 / NEAR <= gap <= NEAR else "fails",
            f"the error from half over that from all, in the median, by protocol and certified: {ratios} (points of "
            f"percent: {rise}); from half, the forecast is too high on {high[ANNEALED]} annealed, "
            f"{high[CONSTANT]} constant",
            f"the median ratios of both kinds are within a factor of {NEAR:g}, at the certified optimum",
        ),
        Finding(
            f"After {format_level(HALF)} of a ladder's compute the default is nearer than the protocols",
            judge(min(tally.share for tally in live.values()) if all(t.seen for t in live.values()) else float("nan")),
            "; ".join(f"nearer than {way} on {tally}" for way, tally in live.items()),
            f"than both {MOST}",
            of="library",
        ),
    )


def count_falls(made: Measured) -> float:
    """The share of steps of a tenth after which the certified error is less."""
    known = [error for share in SEEN if (error := get(made, CERTIFIED, share)) is not None]
    steps = np.diff(known)
    return float(np.mean(steps < 0)) if len(steps) else 0.0


FRACTIONS_AXIS = Axis("fraction of training", measure, tell)
