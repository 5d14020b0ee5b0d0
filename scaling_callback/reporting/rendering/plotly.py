"""Figures as Plotly's JSON, for dashboards that can show it: plain data, and no plotly needed to make it.

Numbers are rounded to six digits: a dashboard keeps every figure of every refit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np

from scaling_callback.reporting.figures.drawing import (
    Area,
    Axis,
    Band,
    Bars,
    Figure,
    Layer,
    Line,
    Marks,
    Rule,
)
from scaling_callback.reporting.figures.palette import INK, pick_colour

TEXT = "#24292f"
"""Colour of what takes the page's own in a report."""

DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot"}

SYMBOLS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "^": "triangle-up",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "p": "pentagon",
    "h": "hexagon",
    "<": "triangle-left",
    ">": "triangle-right",
    "*": "star",
    "|": "line-ns",
}
"""Plotly's names of matplotlib's markers."""

LONGEST_NAME = 60

LINE = 110
"""Characters of a caption in a line below the title."""

AXIS_FORMAT: Mapping[str, dict[str, Any]] = {
    "power": {"exponentformat": "power"},
    "count": {"exponentformat": "B"},
    "number": {},
    "percent": {"ticksuffix": "%"},
}


def write_plotly(figure: Figure) -> dict[str, Any]:
    """The figure as `data` and `layout` in Plotly's JSON.

    Example:
        >>> line = Line([1.0, 10.0], [3.0, 2.5], "final", label="law")
        >>> made = Figure("a", "A", "", "", (line,), Axis("x", log=True), Axis("loss"), 4.0, 1)
        >>> write_plotly(made)["data"][0]["y"]
        [3.0, 2.5]
    """
    traces = [trace for layer in figure.layers for trace in TRACE.get(type(layer), _no_trace)(layer)]
    shapes = [SHAPE[type(layer)](layer) for layer in figure.layers if type(layer) in SHAPE]
    said = wrap(escape(figure.caption), LINE)
    return {
        "data": traces,
        "layout": {
            "title": {"text": "<br>".join([figure.title, *(f"<sup>{line}</sup>" for line in said)])},
            "xaxis": _write_axis(figure.x),
            "yaxis": _write_axis(figure.y),
            "shapes": shapes,
            "legend": {"orientation": "h", "yanchor": "top", "y": -0.28},
            "hovermode": "closest",
            "plot_bgcolor": "white",
            "paper_bgcolor": "white",
            "font": {"color": TEXT},
            "margin": {"l": 70, "r": 20, "t": 60 + 16 * len(said), "b": 60},
        },
    }


def _line(line: Line) -> Iterator[dict[str, Any]]:
    trace = _scatter(line.x, line.y, "lines", line.label) | {
        "line": {"color": _colour(line.colour), "width": line.width, "dash": DASHES[line.dash]},
        "opacity": line.alpha,
    }
    if line.name is not None:
        trace |= {"hovertext": _name(line.name), "hoverinfo": "x+y+text"}
    yield trace


def _marks(marks: Marks) -> Iterator[dict[str, Any]]:
    symbol = SYMBOLS[marks.marker] + ("-open" if marks.hollow or marks.marker == "|" else "")
    trace = _scatter(marks.x, marks.y, "markers", marks.label) | {
        "marker": {"symbol": symbol, "color": _colour(marks.colour), "size": round(1.6 * marks.size, 1)}
    }
    if len(marks.names):
        trace |= {"hovertext": [_name(name) for name in marks.names], "hoverinfo": "x+y+text"}
    yield trace


def _bars(bars: Bars) -> Iterator[dict[str, Any]]:
    """All intervals as one broken line."""
    ends: list[float | None] = []
    places: list[float | None] = []
    for at, lower, upper in zip(bars.at, bars.lower, bars.upper, strict=True):
        if math.isfinite(lower) and math.isfinite(upper):
            ends += [lower, upper, None]
            places += [at, at, None]
    x, y = (places, ends) if bars.along == "y" else (ends, places)
    yield _scatter(x, y, "lines", None) | {"line": {"color": _colour(bars.colour), "width": bars.width}}


def _area(area: Area) -> Iterator[dict[str, Any]]:
    around = {"line": {"width": 0, "color": _colour(area.colour)}, "hoverinfo": "skip"}
    yield _scatter(area.x, area.lower, "lines", None) | around
    shade = {"fill": "tonexty", "fillcolor": _fade(_colour(area.colour))}
    yield _scatter(area.x, area.upper, "lines", area.label) | around | shade


def _no_trace(_: Layer) -> Iterator[dict[str, Any]]:
    yield from ()


def _rule(rule: Rule) -> dict[str, Any]:
    along, across = ("x", "y") if rule.across == "x" else ("y", "x")
    ends = {f"{along}ref": "paper", f"{along}0": 0, f"{along}1": 1, f"{across}0": rule.at, f"{across}1": rule.at}
    return {"type": "line", **ends, "line": {"color": TEXT, "width": 1}}


def _band(band: Band) -> dict[str, Any]:
    ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": band.lower, "y1": band.upper}
    return {"type": "rect", **ends, "fillcolor": _fade(_colour("out")), "line": {"width": 0}, "layer": "below"}


TRACE: Mapping[type[Layer], Callable[[Any], Iterator[dict[str, Any]]]] = {
    Line: _line,
    Marks: _marks,
    Bars: _bars,
    Area: _area,
}
SHAPE: Mapping[type[Layer], Callable[[Any], dict[str, Any]]] = {Rule: _rule, Band: _band}


def _scatter(x: Iterable[float | None], y: Iterable[float | None], mode: str, label: str | None) -> dict[str, Any]:
    legend = {"name": label} if label else {"showlegend": False}
    return {"type": "scatter", "mode": mode, "x": _round(x), "y": _round(y), **legend}


def _write_axis(axis: Axis) -> dict[str, Any]:
    made: dict[str, Any] = {"title": {"text": axis.label}, "type": "log" if axis.log else "linear"}
    made |= {"gridcolor": pick_colour("grid"), "zeroline": False, "automargin": True, **AXIS_FORMAT[axis.ticks]}
    if axis.height is not None:
        made |= {
            "tickvals": list(axis.rows),
            "ticktext": [_name(name) for name in axis.rows.values()],
            "showgrid": False,
        }
        made["tickfont"] = {"size": 9}
        made["range"] = [-0.8, axis.height + 0.8]
    elif axis.limits is not None:
        made["range"] = [float(np.log10(end)) if axis.log else end for end in axis.limits]
    return made


def _round(values: Iterable[float | None]) -> list[float | None]:
    """Six digits of each; what is no number is a gap."""
    return [None if value is None or not math.isfinite(value) else float(f"{value:.6g}") for value in values]


def _name(text: str) -> str:
    """A name from outside; Plotly would read tags in it."""
    return escape(text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}")


def _colour(role: str) -> str:
    colour = pick_colour(role)
    return TEXT if colour == INK else colour


def _fade(colour: str) -> str:
    """The colour, nearly transparent.

    Example:
        >>> _fade("#0072b2")
        'rgba(0,114,178,0.2)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"
