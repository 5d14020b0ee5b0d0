"""A figure as plain data: what is drawn where, and in which words. It is drawn elsewhere, as SVG, PNG or Plotly.

No text from outside is in a drawing but the names of lines, which only an interactive drawing shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from scaling_callback.records import Array

Dash: TypeAlias = Literal["solid", "dashed", "dotted"]
Values: TypeAlias = Array | Sequence[float]
Ticks: TypeAlias = Literal["power", "count", "number", "percent"]
Direction: TypeAlias = Literal["x", "y"]

INK = "ink"
"""The role of what has the colour of the text around the figure."""

MARKERS = "osD^vPXhp<"
"""One marker a size, so that sizes are told apart without colour; as matplotlib names them."""


@dataclass(frozen=True, eq=False)
class Line:
    """A line through points.

    Attributes:
        x: Shape (n,).
        y: Shape (n,).
        colour: Role of its colour.
        width: In points.
        dash: How it is broken.
        alpha: Opacity.
        label: What the legend says; nothing without.
        name: What is shown where it is pointed at: text from outside.
    """

    x: Values
    y: Values
    colour: str
    width: float = 1.4
    dash: Dash = "solid"
    alpha: float = 1.0
    label: str | None = None
    name: str | None = None


@dataclass(frozen=True, eq=False)
class Marks:
    """Marks at points (n,); `names`, where there are any, are shown where a mark is pointed at."""

    x: Values
    y: Values
    marker: str
    colour: str
    hollow: bool = False
    size: float = 5.2
    label: str | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Bars:
    """Intervals from `lower` to `upper` (n,), along an axis, each at a place (n,) of the other."""

    at: Values
    lower: Values
    upper: Values
    colour: str
    along: Direction = "y"
    width: float = 1.5


@dataclass(frozen=True, eq=False)
class Area:
    """What lies between two lines, each through n points."""

    x: Values
    lower: Values
    upper: Values
    colour: str
    label: str | None = None


@dataclass(frozen=True)
class Band:
    """A pale band between two values, across the whole width."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Rule:
    """A line at a value, across the whole width (`x`) or height (`y`)."""

    at: float
    across: Direction


Layer: TypeAlias = Line | Marks | Bars | Area | Band | Rule


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows, with its unit.
        ticks: How its numbers are written.
        log: Whether it is logarithmic.
        limits: Where it begins and ends; chosen by the data if not given.
        rows: Names of places on an axis of named rows, which runs from 0 to `height`.
        height: The last place of such an axis; `None` for an axis of numbers.
    """

    label: str
    ticks: Ticks = "number"
    log: bool = False
    limits: tuple[float, float] | None = None
    rows: Mapping[float, str] = field(default_factory=dict[float, str])
    height: float | None = None


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its words.

    Attributes:
        name: A short name, the prefix of its ids.
        title: What it shows.
        caption: How to read it.
        alt: What a reader who cannot see it is told.
        layers: What is drawn, in the order of mention in the legend.
        x: The horizontal axis.
        y: The vertical axis.
        height: In inches, beside a width of 5.5.
        columns: Of the legend.
    """

    name: str
    title: str
    caption: str
    alt: str
    layers: tuple[Layer, ...]
    x: Axis
    y: Axis
    height: float
    columns: int
