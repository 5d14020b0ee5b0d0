"""Figures drawn by matplotlib, as SVG for pages and PNG for loggers: the only file of the package that meets it.

Object-oriented throughout: no pyplot, no current figure, and the user's own style is neither used nor changed.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

from scaling_callback.errors import MissingDependency
from scaling_callback.reporting.figures.drawing import (
    Area,
    Axis,
    Band,
    Bars,
    Dash,
    Direction,
    Figure,
    Layer,
    Line,
    Marks,
    Rule,
    Ticks,
)
from scaling_callback.reporting.figures.palette import INK, PALETTE, pick_colour
from scaling_callback.reporting.rendering.svg import finish_svg
from scaling_callback.reporting.units import format_power, format_tick, format_tick_percent

WIDTH = 5.5
"""Inches of 72 units: about the width of a phone's screen, so that text stays readable there."""

PNG_DPI = 150

LINE = 86
"""Characters of a caption in a line of a picture."""

LINE_HEIGHT = 0.16
"""Inches of such a line."""

EMPTY = (1.0, 10.0)
"""Limits of a logarithmic axis that nothing lies on: matplotlib has none."""

DASHES: Mapping[Dash, Any] = {"solid": "-", "dashed": (0, (4, 1.6)), "dotted": (0, (1.2, 1.4))}

TICKS: Mapping[Ticks, Callable[[float], str]] = {
    "power": format_power,
    "count": format_tick,
    "number": format_tick,
    "percent": format_tick_percent,
}

STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be selected, read aloud, and takes the page's font
    "svg.hashsalt": "scaling-callback",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelpad": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.6,
    "ytick.labelsize": 9.6,
    "grid.color": PALETTE["grid"][0],
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.6,
    "legend.handlelength": 1.7,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
}


def render_svg(figure: Figure, *, words: bool = False, alone: bool = False) -> str:
    """The figure as an `<svg>` element to stand inside HTML, whose colours follow the page's; or as a file of its own.

    Args:
        figure: What is drawn.
        words: Whether title and caption are in it, where no page says them.
        alone: Whether it is a whole file, on white.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    with _draw(figure, words=words) as drawn:
        # nothing behind the drawing, so that it takes the page's background
        drawn.patch.set_visible(False)
        page = io.StringIO()
        drawn.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    return finish_svg(page.getvalue(), figure.name, figure.alt, alone=alone)


def render_png(figure: Figure, dpi: int = PNG_DPI) -> bytes:
    """The figure as a PNG on white, with its title and caption.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    with _draw(figure, words=True) as drawn:
        page = io.BytesIO()
        drawn.savefig(page, format="png", dpi=dpi, metadata={"Software": None})
    return page.getvalue()


@contextmanager
def _draw(figure: Figure, *, words: bool) -> Generator[Any]:
    """The figure as one of matplotlib, under a style of our own."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingDependency(
            "figures need matplotlib, which is not installed: pip install 'scaling-callback[plotting]'"
        ) from error
    library: Any = mpl
    with library.rc_context():
        # the user's own matplotlibrc must not change a report
        library.rcdefaults()
        library.rcParams.update(STYLE)
        said = [figure.title, *wrap(figure.caption, LINE)] if words else []
        canvas: Any = Canvas(figsize=(WIDTH, figure.height + LINE_HEIGHT * len(said)), layout="constrained")
        axes: Any = canvas.add_subplot()
        if said:
            canvas.suptitle("\n".join(said), x=0.01, ha="left", fontsize=8.4)
        axes.set_axisbelow(True)
        axes.patch.set_visible(False)
        for layer in figure.layers:
            DRAW[type(layer)](axes, layer)
        _set_axis(axes, "x", figure.x, grid=figure.y.height is None)
        _set_axis(axes, "y", figure.y, grid=True)
        handles, labels = axes.get_legend_handles_labels()
        if handles:  # below the axes, where it covers no data
            canvas.legend(handles, labels, loc="outside lower left", ncols=figure.columns)
        yield canvas


def _line(axes: Any, line: Line) -> None:
    colour, dash = pick_colour(line.colour), DASHES[line.dash]
    axes.plot(line.x, line.y, color=colour, lw=line.width, ls=dash, alpha=line.alpha, label=line.label, zorder=2)


def _marks(axes: Any, marks: Marks) -> None:
    colour = pick_colour(marks.colour)
    fill = "none" if marks.hollow else colour
    axes.plot(
        marks.x, marks.y, ls="", marker=marks.marker, ms=marks.size, mec=colour, mfc=fill, label=marks.label, zorder=4
    )


def _bars(axes: Any, bars: Bars) -> None:
    draw = axes.vlines if bars.along == "y" else axes.hlines
    draw(bars.at, bars.lower, bars.upper, color=pick_colour(bars.colour), lw=bars.width, zorder=3)


def _area(axes: Any, area: Area) -> None:
    colour = pick_colour(area.colour)
    axes.fill_between(area.x, area.lower, area.upper, color=colour, alpha=0.22, lw=0, label=area.label, zorder=1.2)


def _band(axes: Any, band: Band) -> None:
    axes.axhspan(band.lower, band.upper, color=pick_colour("grid"), alpha=0.5, lw=0, zorder=0.5)


def _rule(axes: Any, rule: Rule) -> None:
    draw = axes.axhline if rule.across == "x" else axes.axvline
    draw(rule.at, color=INK, lw=0.9, zorder=1.5)


DRAW: Mapping[type[Layer], Callable[[Any, Any], None]] = {
    Line: _line,
    Marks: _marks,
    Bars: _bars,
    Area: _area,
    Band: _band,
    Rule: _rule,
}


def _set_axis(axes: Any, direction: Direction, axis: Axis, *, grid: bool) -> None:
    """Scale, label, limits and the words of the ticks of one axis."""
    axes.set(**{f"{direction}label": axis.label})
    if axis.height is not None:
        axes.set_ylim(-0.8, axis.height + 0.8)
        # a name may come from outside: a dollar in it is no formula
        axes.set_yticks(list(axis.rows), list(axis.rows.values()), parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        return
    limits = axis.limits
    if axis.log:
        (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
        least = axes.dataLim.minposx if direction == "x" else axes.dataLim.minposy
        limits = limits or (None if math.isfinite(least) else EMPTY)
    if limits is not None:
        (axes.set_xlim if direction == "x" else axes.set_ylim)(*limits)
    _set_ticks(axes.xaxis if direction == "x" else axes.yaxis, direction, axis)
    if grid or direction == "x":
        axes.grid(axis=direction, which="major")


def _set_ticks(which: Any, direction: Direction, axis: Axis) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    low, high = which.get_view_interval()
    if axis.log and high > 60 * low:
        which.set_major_locator(LogLocator(numticks=7))
    elif axis.log and high > (3 if direction == "x" else 8) * low:
        which.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:  # so little of a decade is shown that evenly spaced numbers are the rounder ones
        most = 4 if axis.log and direction == "x" else 7
        which.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
        which.set_minor_locator(NullLocator())
    which.set_minor_formatter(NullFormatter())
    which.set_major_formatter(FuncFormatter(_Formatter(TICKS[axis.ticks])))


class _Formatter:
    """What matplotlib calls for the words of a tick: with the value and its position."""

    def __init__(self, write: Callable[[float], str]) -> None:
        self._write = write

    def __call__(self, value: float, position: int | None = None) -> str:
        del position
        return self._write(value)
