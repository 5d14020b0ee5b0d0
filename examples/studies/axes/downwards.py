"""Scaling down: the smallest size forecast from the larger ones, from all of their training or from part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask, ask_published, cut, score
from page import Finding, Section, table

from axes.base import Axis
from axes.strips import TYPICAL
from axes.tally import MOST, SUMMARY, Tally, compare, middle, summarise
from scaling_callback import Run
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks
from scaling_callback.reporting.units import format_level, format_percent

SHARES = (0.3, 0.4)
"""How much of the training of the larger sizes is seen: the study says 30 to 40%."""

UP, NEXT = "protocol, upwards", "next size's final"


def name_share(share: float) -> str:
    """The way that sees that share of the larger runs."""
    return f"protocol, {share:.0%} seen"


COLUMNS = (UP, PROTOCOL, *map(name_share, SHARES), DEFAULT, NEXT)


def measure(case: Case) -> dict[str, float | None] | None:
    """Errors of the forecasts of the smallest size's finals, and of the protocol's forecast of the largest."""
    larger = [run for run in case.runs if run.params > case.sizes[0]]
    goals = make_goals([run for run in case.runs if run.params == case.sizes[0]])
    errors = {UP: ask(PROTOCOL, case.ladder, case.goals)}
    errors |= {way: ask(way, larger, goals) for way in (PROTOCOL, DEFAULT)}
    for share in SHARES if case.has_curves and all(run.horizon is not None for run in larger) else ():
        errors[name_share(share)] = score(ask_published([cut(run, share) for run in larger], goals), goals)
    errors[NEXT] = score(guess_next(larger, goals), goals)
    return errors


def guess_next(larger: Sequence[Run], goals: Sequence[Goal]) -> list[float]:
    """For each goal the final of the next larger size, of the run that is nearest in tokens."""
    size = min(run.params for run in larger)
    known = make_goals([run for run in larger if run.params == size])
    return [min(known, key=lambda other: abs(np.log(other.tokens / goal.tokens))).loss for goal in goals]


def tell(found: Mapping[str, Mapping[str, float | None]]) -> Section:
    """Downwards beside upwards."""
    rows = [(way, *summarise({name: errors.get(way) for name, errors in found.items()})) for way in COLUMNS]
    each = [(name, *(format_percent(errors.get(way)) for way in COLUMNS)) for name, errors in found.items()]
    method = (
        "The finals of the smallest size are forecast from all larger sizes; *upwards* are those of the largest, from "
        f"all smaller ones. *{name_share(SHARES[0])}*: the larger runs as they stood then, each of their checkpoints "
        "as if it had ended there; the default then has no finished run and says nothing. *Next size's final*: that "
        "of the next larger size with the most similar tokens, without a law."
    )
    both = [name for name, errors in found.items() if errors[UP] is not None and errors[PROTOCOL] is not None]
    figures = (draw(found),) if both else ()
    parts = (method, table(("error", *SUMMARY), rows), *figures)
    return Section("Scaling down", parts, list_findings(found), (table(("family", *COLUMNS), each),))


def list_findings(found: Mapping[str, Mapping[str, float | None]]) -> tuple[Finding, ...]:
    """Whether laws extrapolate downwards, from whole runs and from their beginnings, and the default's do."""
    full, library = find_near(found, PROTOCOL), find_near(found, DEFAULT)
    one, other = (find_near(found, name_share(share)).seen for share in SHARES)
    early = Tally({name: one[name] and other[name] for name in one if name in other})
    next_ = compare({name: (errors[PROTOCOL], errors[NEXT]) for name, errors in found.items()})
    medians = {way: format_percent(middle(errors.get(way) for errors in found.values())) for way in COLUMNS}
    rule = f"an error below {format_level(TYPICAL)} {MOST}"
    return (
        Finding(
            "Laws extrapolate downwards too",
            full.verdict,
            f"on {full}; the error is {medians[PROTOCOL]} in the median, {medians[UP]} upwards; it is less than that "
            f"of the next size's final on {next_}",
            rule,
            looked=True,
        ),
        Finding(
            "They do so from 30 to 40% of training",
            early.verdict,
            f"from both on {early}; the error is {medians[name_share(SHARES[0])]} from {SHARES[0]:.0%} and "
            f"{medians[name_share(SHARES[1])]} from {SHARES[1]:.0%} in the median",
            rule,
            looked=True,
        ),
        Finding(
            "Its default extrapolates downwards",
            library.verdict,
            f"on {library}; the error is {medians[DEFAULT]} in the median",
            rule,
            of="library",
            looked=True,
        ),
    )


def find_near(found: Mapping[str, Mapping[str, float | None]], way: str) -> Tally:
    """Whether a way forecasts the smallest size as well as is typical."""
    known = {name: error for name, errors in found.items() if (error := errors.get(way)) is not None}
    return Tally({name: error < TYPICAL for name, error in known.items()})


def draw(found: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Errors downwards against errors upwards."""
    layers: list[Layer] = []
    ends: list[float] = []
    for way, marker, colour in ((PROTOCOL, "o", "final"), (DEFAULT, "s", "target")):
        known = {
            name: (100 * up, 100 * down)
            for name, errors in found.items()
            if (up := errors[UP]) is not None and (down := errors.get(way)) is not None
        }
        x, y = zip(*known.values(), strict=True) if known else ((), ())
        ends += [*x, *y]
        layers.append(Marks(x, y, marker, colour, hollow=True, label=way, names=list(known)))
    if ends:
        layers.insert(0, Line([min(ends), max(ends)], [min(ends), max(ends)], "out", dash="dotted", label="as far off"))
    return Figure(
        name="downwards",
        title="Down and up",
        caption="One mark a family: the error of the protocol upwards, and of protocol and default downwards.",
        alt=f"Errors of forecasts of the smallest against those of the largest size, on {len(found)} families",
        layers=tuple(layers),
        x=Scale("error upwards, protocol, %", log=True),
        y=Scale("error downwards, %", log=True),
        height=3.4,
        columns=3,
    )


DOWNWARDS_AXIS = Axis("scaling down", measure, tell)
