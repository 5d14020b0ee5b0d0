"""How much of the training of the smaller models is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, DEFAULTS, PROTOCOL, Case, Predicts, Schedule, ask_default, cut, list_places, miss
from page import Finding, Section, table
from protocol import FIRST_PART, fit_published, gather_checkpoints

from axes.base import Axis
from axes.summaries import (
    AVERAGES,
    CERTIFIED,
    COLOURS,
    OTHER,
    average,
    divide,
    draw_families,
    fit_squared,
    pick_longest,
    show_ratio,
    split_schedules,
    trace,
)
from axes.tally import MOST, Tally, compare, middle
from scaling_callback import replay
from scaling_callback.replaying import FRACTIONS, PROTOCOLS, Goal
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_level, format_percent

SEEN = tuple(tenth / 10 for tenth in range(1, 11))
"""Shares of each run."""

HALF, WHOLE = 0.5, 1.0

UNFINISHED = (HALF, 0.9)
"""Shares after which the default is asked, too: no run has finished."""

TABLED = (0.1, 0.3, HALF, 0.7, WHOLE)
"""Shares in the table; the figure has all of them."""

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
        seen: By way and share of every run, `None` where nothing can be said.
        refused: Shares of every run from which the default says nothing.
        live: By way and share of the compute of the whole ladder, spent on one run after another.
    """

    schedule: Schedule
    seen: Mapping[str, Mapping[float, Answer | None]]
    refused: tuple[float, ...]
    live: Mapping[str, Mapping[float, float | None]]


def measure(case: Case) -> Measured | None:
    """The errors from the beginnings of all runs, and from the ladder as it was trained; `None` without curves."""
    if not case.has_curves:
        return None
    seen: dict[str, dict[float, Answer | None]] = {way: {} for way in WAYS}
    for share in SEEN:
        # of what is seen, the first part is left out
        points = gather_checkpoints([cut(run, share) for run in case.ladder], FIRST_PART * share)
        seen[PROTOCOL][share] = answer(None if points is None else fit_published(points), case.goals)
        seen[CERTIFIED][share] = answer(fit_squared(points), case.goals)
    walked = replay(case.ladder, pick_longest(case)[:1], FRACTIONS, DEFAULTS).summary()  # seeds share a forecast
    live = {
        way: {share: made.are if made.answered == made.asked else None for share, made in walked[way].items()}
        for way in (DEFAULT, *PROTOCOLS)
    }
    asked = {share: ask_default([cut(run, share) for run in case.ladder], case.goals[:1]) for share in UNFINISHED}
    refused = tuple(share for share, said in asked.items() if said is None)
    return Measured(case.schedule, seen, refused, live)


def answer(law: Predicts | None, goals: Sequence[Goal]) -> Answer | None:
    """How far the forecasts of a law are off, and to which side."""
    error = miss(law, goals)
    if law is None or error is None:
        return None
    losses = np.array([goal.loss for goal in goals])
    return Answer(error, float((law.predict(*list_places(goals)) / losses).mean() - 1))


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by the share seen, of every run and of the compute of a ladder."""
    method = (
        "Every run of the smaller sizes is cut after a share of its training, and the final of the largest is "
        f"forecast. Of what is seen the first {format_level(FIRST_PART)} is left out. *{CERTIFIED}*: the objective of "
        "the study at its certified optimum. *Ratio*: the median over families of the error over that from all of it. "
        "*Too high*: families whose forecast is above what was measured. "
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
    parts = (method, summarise(found), draw_fractions(found), tell_schedules(found), live, show_live(found))
    return Section("Fraction of training seen", parts, list_findings(found), (show_families(found),))


def tell_schedules(found: Mapping[str, Measured]) -> str:
    """What half of the training costs for each schedule, and why that does not say what the schedule costs."""
    told: list[str] = []
    for words, names in split_schedules(found).items():
        pairs = {way: [(get(found[name], way, HALF), get(found[name], way, WHOLE)) for name in names] for way in WAYS}
        ratio = {way: show_ratio(middle(divide(half, whole) for half, whole in of)) for way, of in pairs.items()}
        rise = middle(half - whole for half, whole in pairs[CERTIFIED] if half is not None and whole is not None)
        high = [said.high > 0 for name in names if (said := found[name].seen[CERTIFIED][HALF]) is not None]
        if names:
            told.append(
                f"{words} {ratio[PROTOCOL]} with the protocol and {ratio[CERTIFIED]} at the certified optimum "
                f"({format_percent(rise, signed=True)} of the loss), too high on {sum(high)} of {len(high)} families"
            )
    return (
        f"The study takes the effect of the schedule on checkpoints as negligible. From {format_level(HALF)} of each "
        f"run the error is, over that from all of it and in the median: {'; '.join(told)}. Half of a run at a constant "
        "rate is a finished run of half the tokens: what it costs is the lost range of tokens, not the schedule. These "
        "numbers therefore cannot say what the schedule costs, and no verdict is drawn from them."
    )


def get(made: Measured, way: str, share: float) -> float | None:
    """The error of one way; `None` without one."""
    found = made.seen[way][share]
    return None if found is None else found.error


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a schedule, way and share."""
    rows: list[Sequence[str]] = []
    for words, names in split_schedules(found).items():
        of = {name: found[name] for name in names}
        for way, share in ((way, share) for way in WAYS for share in TABLED) if of else ():
            errors = {name: get(made, way, share) for name, made in of.items()}
            answers = [said for made in of.values() if (said := made.seen[way][share]) is not None]
            ratios = [divide(get(made, way, share), get(made, way, WHOLE)) for made in of.values()]
            high = f"{sum(said.high > 0 for said in answers)} of {len(answers)}"
            rows.append((words, way, format_level(share), *average(errors), show_ratio(middle(ratios)), high))
    return table(("schedule", "way", "seen", *AVERAGES, "ratio", "too high"), rows, text=2)


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
        caption="Error for the largest model, squared error at its certified optimum; thin: families, bold: their "
        "medians, by what the learning rate does before runs end.",
        alt=f"Errors by the fraction of training seen, on {len(found)} families",
        colours={name: COLOURS.get(made.schedule, OTHER)[0] for name, made in found.items()},
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether more of training is better, and whether the default is nearer while a ladder is trained."""
    more = {
        way: compare({name: (get(made, way, WHOLE), get(made, way, HALF)) for name, made in found.items()})
        for way in WAYS
    }
    fall = Tally({name: count_falls(made) > 0.5 for name, made in found.items()})
    live = {
        way: compare({name: (made.live[DEFAULT][HALF], made.live[way][HALF]) for name, made in found.items()})
        for way in PROTOCOLS
    }
    least = min(live.values(), key=lambda tally: tally.share) if all(of.seen for of in live.values()) else Tally({})
    return (
        Finding(
            "The more of training is seen, the better",
            more[CERTIFIED].verdict,
            f"all of it is nearer than half on {more[CERTIFIED]} at the certified optimum, {more[PROTOCOL]} with the "
            f"protocol; most steps of a tenth are for the better on {fall}",
            f"all is nearer than half {MOST}, at the certified optimum",
        ),
        Finding(
            f"After {format_level(HALF)} of a ladder's compute the default is nearer than the protocols",
            least.verdict,
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
