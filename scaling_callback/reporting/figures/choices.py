"""How the answer moves with choices that no data make: one row a choice, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from textwrap import wrap
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.reporting.figures.drawing import Axis, Bars, Figure, Layer, Marks, Rule
from scaling_callback.reporting.units import format_flops, format_level, format_loss, format_value
from scaling_callback.sensitivity import Panel, Row
from scaling_callback.snapshot import Snapshot

Answer: TypeAlias = Literal["tokens_per_param", "loss"]

LOOKS = {
    "base": ("*", "target", False, "as asked"),
    "converged": ("o", "final", False, "certified optimum"),
    "rejected": ("o", "final", True, "law that these points reject"),
    "not_converged": ("o", "out", True, "no certified optimum"),
    "reached": ("s", "guess", False, "procedure, at the optimum"),
    "stalled": ("X", "held", False, "procedure, stalled"),
}
"""Marker, role of the colour, whether it is hollow, and words, for every kind of row."""

SHOWN = 0.9
"""Share of the answers that the frame holds at least: a few far ones must not squeeze the others."""

BEYOND = 0.5
"""How far beyond these answers intervals are followed, over their own range in ln."""

LEAST = math.log(1.02)
"""The least range of ln that is shown."""

EDGE = 0.015
"""Distance of a mark at the edge from it, over the width."""

GAP = 0.6
"""Between groups, in rows."""

NAME_WIDTH = 34
"""Characters in a line of the name of a row: the names must leave most of the width to the answers."""

NAME_LINES = 2

SECOND_LINE = 0.3
"""Room for the second line of a name above and below it, in rows."""


@dataclass(frozen=True)
class _Shown:
    """A row in its place."""

    row: Row
    place: float
    kind: str
    value: float
    lower: float
    upper: float


def plot_panel(snapshot: Snapshot) -> Figure | None:
    """The optimal D/N under every choice; `None` where the snapshot has no panel."""
    return None if snapshot.sensitivity is None else plot_choices(snapshot.sensitivity)


def plot_choices(panel: Panel, value: Answer = "tokens_per_param") -> Figure | None:
    """The optimal D/N, or the forecast loss, under every choice; `None` where fewer than two rows have one.

    Example:
        >>> from scaling_callback.pipeline import vary_choices
        >>> from scaling_callback.testing import planted_ladder
        >>> made = plot_choices(vary_choices(planted_ladder(noise=0.0), groups=("loss", "delta")))
        >>> list(made.y.rows.values())[:2]
        ['as asked', 'Huber loss of L with delta 0.001']
    """
    shown = _place(panel.rows, value)
    known = [each for each in shown if math.isfinite(each.value)]
    if len(known) < 2:
        return None
    limits = _frame(known)
    within = [each for each in known if limits[0] <= each.value <= limits[1]]
    bounded = any(math.isfinite(each.lower) for each in known)
    layers: list[Layer] = [Rule(each.value, across="y") for each in known[:1] if each is shown[0]]
    for kind in LOOKS:
        layers += _draw([each for each in known if each.kind == kind], kind, limits, value)
    stalled = [each for each in known if each.kind == "stalled"]
    height = shown[0].place
    ratio, what = value == "tokens_per_param", "the target" if panel.target else "the optimum"
    budget = format_flops(panel.flops)
    answer = "optimal tokens per parameter" if ratio else f"forecast loss of {what}"
    label = f"tokens per parameter at {budget} FLOPs"
    if not ratio:
        label = answer if panel.target else f"{answer}, {budget} FLOPs"
    return Figure(
        name="choices" if ratio else "choices_loss",
        title=f"{answer.capitalize()} under other choices",
        caption="Each row changes one thing in what was asked, which the line marks. "
        + f"Bars are {format_level(panel.level)} intervals, cut off at the edge. " * bounded
        + "A triangle at the edge is an answer beyond it; a row without a mark has none. " * (len(within) < len(shown))
        + "Published procedures that stalled can have a narrow interval around a wrong answer."
        * any(math.isfinite(each.lower) for each in stalled),
        alt=f"The {answer} of {len(known)} choices, {_tell(known, value)}; {len(stalled)} of them are procedures that "
        "stalled",
        layers=tuple(layers),
        x=Axis(label, log=True, limits=limits),
        y=Axis("", rows={each.place: "\n".join(_break(each.row.choice)) for each in shown}, height=height),
        height=2.1 + 0.2 * height,
        columns=2,
    )


def _place(rows: Sequence[Row], value: Answer) -> list[_Shown]:
    """The rows from the top down, groups apart, and with room for the second line of a name."""
    gaps = [
        0.0,
        *(
            1.0 + GAP * (one.group != other.group) + SECOND_LINE * (_count_more(one) + _count_more(other))
            for one, other in pairwise(rows)
        ),
    ]
    depths = np.cumsum(gaps)
    return [
        _Shown(
            row,
            float(depths[-1] - depth),
            _classify(row, first=row is rows[0]),
            math.nan if (answer := getattr(row, value)) is None or answer <= 0 else answer,
            *row.intervals.get(value, (math.nan, math.nan)),
        )
        for row, depth in zip(rows, depths, strict=True)
    ]


def _classify(row: Row, *, first: bool) -> str:
    """The kind of a row."""
    if row.status != "converged":
        return row.status
    return "base" if first else "rejected" if "rejected_law" in row.diagnostics else "converged"


def _frame(known: Sequence[_Shown]) -> tuple[float, float]:
    """Limits of the axis: the base, most of the other answers, and intervals as far as they are near."""
    tail = (1 - SHOWN) / 2
    logs = [math.log(each.value) for each in known]
    low, high = np.quantile(logs, [tail, 1 - tail]).tolist()
    low, high = min(low, logs[0]), max(high, logs[0])
    room = BEYOND * max(high - low, LEAST)
    ends = [math.log(end) for each in known for end in (each.lower, each.upper) if math.isfinite(end) and end > 0]
    near = [end for end in (*ends, *logs) if low - room <= end <= high + room]
    low, high = min(near), max(near)
    edge = 0.04 * max(high - low, LEAST)
    return math.exp(low - edge), math.exp(high + edge)


def _draw(chosen: Sequence[_Shown], kind: str, limits: tuple[float, float], value: Answer) -> list[Layer]:
    """Intervals and marks of one kind of rows; a mark beyond the frame points to where it is."""
    if not chosen:
        return []
    marker, colour, hollow, label = LOOKS[kind]
    bars = [each for each in chosen if math.isfinite(each.lower) and each.lower > 0]
    size = 9.0 if kind == "base" else 5.2
    low, high = limits
    edge = EDGE * math.log(high / low)
    layers: list[Layer] = []
    if bars:
        ends = [each.lower for each in bars], [each.upper for each in bars]
        layers.append(Bars([each.place for each in bars], *ends, colour, along="x"))
    for beyond, at, sign in (
        ([each for each in chosen if each.value < low], low * math.exp(edge), "<"),
        ([each for each in chosen if each.value > high], high * math.exp(-edge), ">"),
    ):
        if beyond:
            places, names = [each.place for each in beyond], [_name(each, value) for each in beyond]
            layers.append(Marks([at] * len(beyond), places, sign, colour, hollow, names=names))
    inside = [each for each in chosen if low <= each.value <= high]
    x, y, names = (
        [each.value for each in inside],
        [each.place for each in inside],
        [_name(each, value) for each in inside],
    )
    # the legend names a kind of which every row is beyond the frame too
    return [*layers, Marks(x, y, marker, colour, hollow, size, label, names)]


def _tell(known: Sequence[_Shown], value: Answer) -> str:
    values = [each.value for each in known]
    write = format_value if value == "tokens_per_param" else format_loss
    return f"from {write(min(values))} to {write(max(values))}"


def _name(shown: _Shown, value: Answer) -> str:
    write = format_value if value == "tokens_per_param" else format_loss
    return f"{shown.row.choice}: {write(shown.value)}"


def _break(name: str) -> list[str]:
    """The name in lines; what does not fit into them is cut off."""
    ellipsis = " \N{HORIZONTAL ELLIPSIS}"
    return wrap(name, NAME_WIDTH, max_lines=NAME_LINES, placeholder=ellipsis) or [name]


def _count_more(row: Row) -> int:
    return len(_break(row.choice)) - 1
