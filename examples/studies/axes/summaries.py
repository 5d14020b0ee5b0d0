"""Medians over families, and one thin line a family with their medians in bold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from cases import DEFAULT, PROTOCOL, Case
from page import Verdict

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Points, fit
from scaling_callback.replaying import Goal
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks, Rule

Path = Sequence[tuple[float, float]]
"""Places along a line, from left to right."""

COLOURS = {PROTOCOL: ("final", "o"), DEFAULT: ("target", "D")}
"""Colour and marker of each way; any other takes those of `OTHER`."""

OTHER = ("guess", "s")


def pick_longest(case: Case) -> list[Goal]:
    """The finals of the largest size that was trained longest: one place, whose seeds share a forecast."""
    longest = max(goal.tokens for goal in case.goals)
    return [goal for goal in case.goals if goal.tokens == longest]


def ask_squared(points: Points | None, goals: Sequence[Goal]) -> list[float] | None:
    """The law of least squared error, the objective of the study, at its certified optimum; `None` without one."""
    if points is None:
        return None
    try:
        law = fit(points, objective="squared")
    except NotEnoughData:
        return None
    return law.predict(np.array([goal.params for goal in goals]), np.array([goal.tokens for goal in goals])).tolist()


def split_schedules(names: Mapping[str, Annealing]) -> dict[str, list[str]]:
    """The families whose learning rate is annealed, and those of a constant one."""
    return {
        words: [name for name, made in names.items() if made.anneals == anneals]
        for words, anneals in (("annealed", True), ("constant", False))
    }


class Annealing(Protocol):
    """What says whether the schedules of a family anneal."""

    @property
    def anneals(self) -> bool:
        """Whether most of them do."""
        ...


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that there are; `None` without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def divide(one: float | None, other: float | None) -> float | None:
    """One error over another; `None` where one is missing, or the other is zero.

    Example:
        >>> divide(0.02, 0.01), divide(0.02, None)
        (2.0, None)
    """
    return None if one is None or not other else one / other


def judge_below(value: float | None, limit: float) -> Verdict:
    """Whether a number stays below a limit that was set before.

    Example:
        >>> judge_below(0.8, 1.0), judge_below(1.2, 1.0), judge_below(None, 1.0)
        ('holds', 'fails', 'no data')
    """
    return "no data" if value is None else "holds" if value < limit else "fails"


def show_ratio(ratio: float | None) -> str:
    """A ratio of errors.

    Example:
        >>> show_ratio(1.234), show_ratio(12.34), show_ratio(None)
        ('1.23x', '12.3x', '–')
    """
    return "–" if ratio is None else f"{ratio:.3g}x"


def trace(places: Iterable[float], value: Callable[[float], float | None]) -> list[tuple[float, float]]:
    """The places that have a value, with it."""
    return [(place, found) for place in places if (found := value(place)) is not None]


def draw_families(
    name: str,
    lines: Mapping[str, Path],
    medians: Mapping[str, Path],
    x: Scale,
    y: Scale,
    *,
    title: str,
    caption: str,
    alt: str,
    rule: float | None = None,
) -> Figure:
    """One thin line a family, and in bold the medians over families.

    Args:
        name: Of the figure.
        lines: One a family.
        medians: One a way, by its name.
        x: What is varied.
        y: The error, or what it is compared to.
        title: Of the figure.
        caption: What is drawn.
        alt: What it shows, for those that cannot see it.
        rule: A value of y that is marked.
    """
    layers: list[Layer] = [] if rule is None else [Rule(rule, across="x")]
    for family, path in lines.items():
        if len(path) > 1:
            across, up = zip(*path, strict=True)
            layers.append(Line(across, up, "curve", width=0.7, alpha=0.7, name=family))
    for way, path in medians.items():
        if path:
            across, up = zip(*path, strict=True)
            colour, marker = COLOURS.get(way, OTHER)
            layers += [Line(across, up, colour, width=2.2), Marks(across, up, marker, colour, label=way)]
    return Figure(
        name=name, title=title, caption=caption, alt=alt, layers=tuple(layers), x=x, y=y, height=3.2, columns=2
    )
