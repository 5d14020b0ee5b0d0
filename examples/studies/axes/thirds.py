"""A largest model that has been trained for a part of its way, and the loss that it will end at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, Schedule, ask, ask_default, ask_published, cut, score
from page import Finding, Section, judge, table
from protocol import fit_published, gather_checkpoints

from axes.base import Axis
from axes.single import FLAT
from axes.strips import TYPICAL
from axes.summaries import ANNEALED, CONSTANT, split_schedules
from axes.tally import MOST, Tally, are_few, compare, middle
from scaling_callback import Run
from scaling_callback.curves import FinalForecast, forecast_final
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks
from scaling_callback.reporting.units import format_level, format_percent

SEEN = (0.1, 0.2, 0.3, 0.5)
"""Shares of its training that the target has behind it. A third in the study's advice."""

THIRD = 0.3

OWN, JOINED, FINAL, JOINED_DEFAULT, NOW = (
    "power law of its own tokens",
    "protocol with its checkpoints",
    "this library, its own final",
    "default with its checkpoints",
    "its loss now",
)
PROTOCOL_ALONE, DEFAULT_ALONE = f"{PROTOCOL}, smaller sizes", f"{DEFAULT}, smaller sizes"
COLUMNS = (OWN, JOINED, FINAL, JOINED_DEFAULT, NOW)


DRAWN: Mapping[Schedule, Literal["solid", "dashed"]] = {ANNEALED: "solid", CONSTANT: "dashed"}
"""Schedules of the figure, and their lines."""


@dataclass(frozen=True)
class Third:
    """Errors of the finals of the largest size.

    Attributes:
        schedule: What the learning rate of most runs does before they end.
        alone: From the smaller sizes alone, by protocol and default.
        seen: By the share of training seen, then by way.
        high: By the share of training seen, whether the power law of its own tokens says too much.
    """

    schedule: Schedule
    alone: Mapping[str, float | None]
    seen: Mapping[float, Mapping[str, float | None]]
    high: Mapping[float, bool | None]


def measure(case: Case) -> Third | None:
    """Forecasts of each run of the largest size, each from its own beginning."""
    if not case.has_curves or any(run.horizon is None for run in case.largest):
        return None
    alone = {way: ask(way, case.ladder, case.goals) for way in (PROTOCOL, DEFAULT)}
    seen = {share: measure_seen(case, share) for share in SEEN}
    return Third(case.schedule, alone, seen, {share: measure_high(case, share) for share in SEEN})


def measure_high(case: Case, share: float) -> bool | None:
    """Whether the power law of its own tokens says more than is measured, over most runs of the largest size."""
    said = [(extrapolate(cut(run, share), goal), goal.loss) for run in case.largest for goal in make_goals([run])]
    known = [answer > loss for answer, loss in said if answer is not None]
    return float(np.mean(known)) > 0.5 if known else None


def measure_seen(case: Case, share: float) -> dict[str, float | None]:
    """The mean error of each way over the runs of the largest size; `None` where it cannot say them all."""
    ways: dict[str, Callable[[Run, Goal], float | None]] = {
        OWN: extrapolate,
        JOINED: lambda run, goal: first(ask_published([*case.ladder, run], [goal])),
        FINAL: lambda run, _: read_median(run, case),
        NOW: lambda run, _: float(run.curve.loss[-1]) if len(run.curve) else None,
    }
    if share == THIRD:  # one refresh of a whole ladder for each run takes a second
        ways[JOINED_DEFAULT] = lambda run, goal: first(ask_default([*case.ladder, run], [goal]))
    errors: dict[str, float | None] = {}
    for way, say in ways.items():
        found = [
            score([answer], [goal]) if (answer := say(cut(run, share), goal)) is not None else None
            for run in case.largest
            for goal in make_goals([run])
        ]
        known = [error for error in found if error is not None]
        errors[way] = float(np.mean(known)) if known and len(known) == len(found) else None
    return errors


def extrapolate(run: Run, goal: Goal) -> float | None:
    """E + B / D^beta through the run's own checkpoints after its first tenth, at its end."""
    points = gather_checkpoints([run])
    law = None if points is None else fit_published(points, FLAT)
    return None if law is None else float(law.predict(np.array([goal.params]), np.array([goal.tokens]))[0])


def read_median(run: Run, case: Case) -> float | None:
    """What this library says of the final of a running run beside its finished ladder."""
    made = forecast_final(run, case.ladder)
    return made.median if isinstance(made, FinalForecast) else None


def first(answers: Sequence[float] | None) -> float | None:
    """The only answer; `None` where nothing is said."""
    return None if answers is None else answers[0]


def tell(found: Mapping[str, Third]) -> Section:
    """Errors by the share seen, annealed and constant schedules apart."""
    same = {name: made for name, made in found.items() if is_complete(made)}
    ladder = (PROTOCOL_ALONE, DEFAULT_ALONE)
    rows = [
        (words, format_level(share), str(len(names)), *show([same[name] for name in names], share))
        for words, names in split_schedules(same).items()
        if names
        for share in SEEN
    ]
    each = [(name, made.schedule, *show([made], THIRD)) for name, made in found.items()]
    method = (
        "Runs of the largest size are cut after a share of their training, and their finals are forecast. "
        f"*{OWN}*: E + B/D^beta through its checkpoints after the first tenth, by the protocol's search. *{JOINED}*: "
        f"the protocol on the smaller sizes and on what was seen of it. *{FINAL}*: its own curve beside the finished "
        f"smaller runs. *{JOINED_DEFAULT}*: the default with the unfinished run among its runs, at "
        f"{format_level(THIRD)} only. *{NOW}*: the last loss seen. Beside them what is forecast from the smaller "
        f"sizes alone. Medians are over the {len(same)} families in which all can be asked from "
        f"{format_level(SEEN[1])} on; at {format_level(SEEN[0])} nothing is left after the first tenth. The "
        f"table of every family is of {format_level(THIRD)} seen."
    )
    summary = table(("schedule", "seen", "families", *COLUMNS, *ladder), rows, text=2)
    figures = (draw(same),) if any(split_schedules(same)[kind] for kind in DRAWN) else ()
    families = table(("family", "schedule", *COLUMNS, *ladder), each, text=2)
    return Section("A third of the target", (method, summary, *figures), list_findings(found), (families,))


def show(of: Sequence[Third], share: float) -> list[str]:
    """The median of every way, and of the forecasts from the smaller sizes."""
    ways = [middle(made.seen[share].get(way) for made in of) for way in COLUMNS]
    return [
        format_percent(error) for error in (*ways, *(middle(m.alone[way] for m in of) for way in (PROTOCOL, DEFAULT)))
    ]


def is_complete(made: Third) -> bool:
    """Whether every way answers from the second share on, and from the smaller sizes."""
    ways = (OWN, JOINED, FINAL, NOW)
    known = [made.seen[share][way] for share in SEEN[1:] for way in ways]
    return None not in (*known, *made.alone.values())


def list_findings(found: Mapping[str, Third]) -> tuple[Finding, ...]:
    """Whether a third is enough, better than the smaller sizes, and what the schedule and this library do to it."""
    at = {
        name: {**made.seen[THIRD], PROTOCOL_ALONE: made.alone[PROTOCOL], DEFAULT_ALONE: made.alone[DEFAULT]}
        for name, made in found.items()
    }
    own = Tally({name: error < TYPICAL for name, errors in at.items() if (error := errors[OWN]) is not None})
    better, joined, library, alone = (
        compare({name: (errors[way], errors[other]) for name, errors in at.items()})
        for way, other in ((OWN, PROTOCOL_ALONE), (JOINED, PROTOCOL_ALONE), (FINAL, OWN), (FINAL, DEFAULT_ALONE))
    )
    high, flat = (
        Tally({n: m.high[THIRD] or False for n, m in found.items() if m.schedule == kind and m.high[THIRD] is not None})
        for kind in (ANNEALED, CONSTANT)
    )

    def tell_median(of: Tally, way: str) -> str:
        return format_percent(middle(at[name][way] for name in of.seen))

    return (
        Finding(
            f"A target that was trained for {format_level(THIRD)} predicts its own end",
            own.verdict,
            f"a power law of its own tokens is off by less than {format_level(TYPICAL)} on {own}, by "
            f"{tell_median(own, OWN)} in the median",
            f"an error below {format_level(TYPICAL)} {MOST}",
            "target_third",
        ),
        Finding(
            "It does so better than the smaller sizes",
            better.verdict,
            f"its own law is nearer than the protocol on the smaller sizes on {better}; "
            f"{tell_median(better, OWN)} against {tell_median(better, PROTOCOL_ALONE)} in the median; the protocol on "
            f"both together is nearer than on the smaller alone on {joined}",
            f"the law of its own tokens is nearer {MOST}",
            "target_third",
        ),
        Finding(
            "The learning-rate schedule is negligible",
            "depends" if are_few(high.seen) else judge(1 - high.share, holds=0.35),
            f"its own law, which knows nothing of the decay to come, says too much on {high} that anneal, and on "
            f"{flat} that do not",
            "it says too much on at most 65% of families that anneal; fails if on 80%",
        ),
        Finding(
            "Its forecast of a run's own final is nearer than the power law",
            library.verdict,
            f"on {library}; {tell_median(library, FINAL)} against {tell_median(library, OWN)} in the median",
            MOST,
            of="library",
        ),
        Finding(
            "A third of the target tells more than the smaller sizes alone",
            alone.verdict,
            f"its own final is nearer than the default on the smaller sizes on {alone}; {tell_median(alone, FINAL)} "
            f"against {tell_median(alone, DEFAULT_ALONE)} in the median",
            MOST,
            "target_third",
            of="library",
        ),
    )


def draw(same: Mapping[str, Third]) -> Figure:
    """Median errors by the share seen."""
    layers: list[Layer] = []
    seen: list[float] = []
    told: set[str] = set()
    for kind, dash in DRAWN.items():
        of = [same[name] for name in split_schedules(same)[kind]]
        for way, marker, colour in ((OWN, "o", "final"), (JOINED, "s", "guess"), (FINAL, "D", "target")):
            errors = {share: middle(each.seen[share][way] for each in of) for share in SEEN}
            known = [(100 * share, 100 * error) for share, error in errors.items() if error]  # the axis is log
            if known:
                x, y = zip(*known, strict=True)
                seen += y
                if kind not in told:  # a line of no length, for the legend
                    layers.append(Line(x[:1] * 2, y[:1] * 2, "out", dash=dash, label=f"{kind} ({dash})"))
                layers.append(Line(x, y, colour, dash=dash))
                label = None if way in told else way
                layers.append(Marks(x, y, marker, colour, hollow=kind != ANNEALED, label=label))
                told |= {kind, way}
    return Figure(
        name="thirds",
        title="A part of the target's training",
        caption="Median error of its final. Filled and solid: schedules that anneal; hollow and dashed: constant.",
        alt=f"Errors of the final of the largest size by the share of its training seen, on {len(same)} families",
        layers=tuple(layers),
        x=Scale("training seen, %"),
        y=Scale("median error, %", log=True, limits=span_decades(seen)),
        height=3.2,
        columns=2,
    )


def span_decades(values: Sequence[float]) -> tuple[float, float] | None:
    """The powers of ten around positive values: an axis of less than one has a single tick."""
    if not values:
        return None
    return 10.0 ** math.floor(math.log10(min(values))), 10.0 ** math.ceil(math.log10(max(values)))


THIRDS_AXIS = Axis("a third of the target", measure, tell)
