"""Medians over families, and one thin line a family with their medians in bold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from cases import DEFAULT, PROTOCOL, SCHEDULES, Case, Schedule
from page import Verdict
from scipy.stats import binomtest, rankdata

from axes.tally import FEWEST, FEWEST_SOURCES, gather, middle, middle_of_sources
from scaling_callback import Run
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.replaying import Goal
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks, Rule
from scaling_callback.reporting.units import format_percent

Path = Sequence[tuple[float, float]]
"""Places along a line, from left to right."""

Errors = Mapping[float, "float | None"]
"""The error at each value of what is varied; `None` where nothing was said."""

ANNEALED, CONSTANT, _ = SCHEDULES
"""Schedules that findings are told apart by."""

CERTIFIED = "squared error, converged"
"""The objective of the study at its certified optimum."""

NEAR = 1.25
"""An error within this factor of another is called no worse."""

COLOURS = {PROTOCOL: ("final", "o"), DEFAULT: ("target", "D"), ANNEALED: ("final", "o"), CONSTANT: ("held", "^")}
"""Colour and marker of each line of medians; any other takes those of `OTHER`."""

OTHER = ("guess", "s")


def pick_longest(case: Case) -> list[Goal]:
    """The finals of the largest size that was trained longest: one place, whose seeds share a forecast."""
    longest = max(goal.tokens for goal in case.goals)
    return [goal for goal in case.goals if goal.tokens == longest]


def keep(runs: Sequence[Run], sizes: Sequence[float]) -> list[Run]:
    """The runs of these sizes."""
    return [run for run in runs if run.params in sizes]


def fit_squared(points: Points | None) -> Fit | None:
    """The law of least squared error, the objective of the study, at its certified optimum; `None` without one."""
    if points is None:
        return None
    try:
        return fit(points, objective="squared")
    except NotEnoughData:
        return None


class Scheduled(Protocol):
    """What says which schedule the runs of a family have."""

    @property
    def schedule(self) -> Schedule:
        """That of most of them."""
        ...


def split_schedules(names: Mapping[str, Scheduled]) -> dict[Schedule, list[str]]:
    """The families of each schedule."""
    return {kind: [name for name, made in names.items() if made.schedule == kind] for kind in SCHEDULES}


def vote(seen: Mapping[str, bool]) -> list[bool]:
    """What most families of each source say; a source that is divided has no vote.

    Example:
        >>> vote({"GPT-3, train": True, "GPT-3, validation": False, "OLMo ladder": True})
        [True]
    """
    shares = [float(np.mean(of)) for of in gather(seen).values()]
    return [share > 0.5 for share in shares if share != 0.5]


def find_chance(votes: Sequence[bool]) -> float | None:
    """The two-sided p-value of the sign test: how likely as many agree, or more, by chance; `None` without votes.

    Example:
        >>> find_chance([True] * 4), find_chance([True, False])
        (0.125, 1.0)
    """
    return float(binomtest(sum(votes), len(votes)).pvalue) if votes else None


def correlate(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rank correlation; `None` of fewer than three pairs, or where one of them does not vary.

    Example:
        >>> correlate([1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1]), correlate([1, 2], [3, 4])
        (-1.0, None)
    """
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return round(float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), 12)


def follow(errors: Errors) -> float | None:
    """How errors go with what is varied: the rank correlation of those that there are."""
    known = [(value, error) for value, error in errors.items() if error is not None]
    return correlate([value for value, _ in known], [error for _, error in known])


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that there are; `None` without any."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


AVERAGES = ("median", "median of sources", "mean")
"""What the cells of `average` are."""


def average(errors: Mapping[str, float | None]) -> tuple[str, str, str]:
    """Median over families, median over the sources of theirs, and mean over families: cells of a row."""
    every = list(errors.values())
    return format_percent(middle(every)), format_percent(middle_of_sources(errors)), format_percent(mean(every))


def divide(one: float | None, other: float | None) -> float | None:
    """One error over another; `None` where one is missing, or the other is zero.

    Example:
        >>> divide(0.02, 0.01), divide(0.02, None)
        (2.0, None)
    """
    return None if one is None or not other else one / other


def judge_below(values: Mapping[str, float | None], limit: float) -> Verdict:
    """Whether the median over families stays below a limit that was set before; few families cannot say.

    Example:
        >>> judge_below({"OLMo ladder": 0.8}, 1.0), judge_below({}, 1.0)
        ('depends', 'no data')
    """
    known = {name: value for name, value in values.items() if value is not None}
    value = middle(known.values())
    if value is None:
        return "no data"
    if len(known) < FEWEST or len(gather(known)) < FEWEST_SOURCES:
        return "depends"
    return "holds" if value < limit else "fails"


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
    colours: Mapping[str, str] | None = None,
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
        colours: Of thin lines, by family; those of others are grey.
    """
    layers: list[Layer] = [] if rule is None else [Rule(rule, across="x")]
    for family, path in lines.items():
        if len(path) > 1:
            across, up = zip(*path, strict=True)
            layers.append(Line(across, up, (colours or {}).get(family, "curve"), width=0.7, alpha=0.7, name=family))
    for way, path in medians.items():
        if path:
            across, up = zip(*path, strict=True)
            colour, marker = COLOURS.get(way, OTHER)
            layers += [Line(across, up, colour, width=2.2), Marks(across, up, marker, colour, label=way)]
    return Figure(
        name=name, title=title, caption=caption, alt=alt, layers=tuple(layers), x=x, y=y, height=3.2, columns=2
    )
