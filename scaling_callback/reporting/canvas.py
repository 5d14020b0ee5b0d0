"""A small drawing surface over matplotlib: the only file of the package that meets it.

Object-oriented throughout: no pyplot, no current figure, and the user's own style is neither used nor changed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from scaling_callback.errors import MissingDependency
from scaling_callback.records import Array
from scaling_callback.reporting.svg import INK, finish_svg, pick_colour

WIDTH = 5.5
"""Inches of 72 units: about the width of a phone's screen, so that text stays readable there."""

DASHES: Mapping[str, Any] = {"solid": "-", "dashed": (0, (4, 1.6)), "dotted": (0, (1.2, 1.4))}
Dash = Literal["solid", "dashed", "dotted"]
Values = Array | Sequence[float]

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
    "grid.color": pick_colour("grid"),
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9.6,
    "legend.handlelength": 1.7,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
}


class Canvas:
    """One pair of axes with a legend below it."""

    def __init__(self, figure: Any) -> None:
        self._figure = figure
        self._axes = figure.add_subplot()
        self._axes.set_axisbelow(True)
        # nothing behind the drawing, so that it takes the page's background
        figure.patch.set_visible(False)
        self._axes.patch.set_visible(False)
        self.svg = ""

    def line(
        self,
        x: Values,
        y: Values,
        colour: str,
        *,
        width: float = 1.4,
        dash: Dash = "solid",
        alpha: float = 1.0,
        label: str | None = None,
    ) -> None:
        """A line through points."""
        self._axes.plot(x, y, color=colour, lw=width, ls=DASHES[dash], alpha=alpha, label=label, zorder=2)

    def marks(
        self,
        x: Values,
        y: Values,
        marker: str,
        colour: str,
        *,
        hollow: bool = False,
        size: float = 5.2,
        label: str | None,
    ) -> None:
        """Marks at points; the label is dropped where there are none."""
        if len(x):
            fill = "none" if hollow else colour
            # a long path of markers must not be thinned or joined, hence one artist without a line
            self._axes.plot(x, y, ls="", marker=marker, ms=size, mec=colour, mfc=fill, label=label, zorder=4)

    def bar(self, x: tuple[float, float], y: tuple[float, float], colour: str, *, width: float = 1.5) -> None:
        """An interval, from one point to the other."""
        self._axes.plot(x, y, color=colour, lw=width, solid_capstyle="butt", zorder=3)

    def rule(self, at: float, *, across: Literal["x", "y"]) -> None:
        """A line at a value, across the whole width (`x`) or height (`y`)."""
        draw = self._axes.axhline if across == "x" else self._axes.axvline
        draw(at, color=INK, lw=0.9, zorder=1.5)

    def band(self, lower: float, upper: float) -> None:
        """A pale band across the whole width."""
        self._axes.axhspan(lower, upper, color=pick_colour("grid"), alpha=0.5, lw=0, zorder=0.5)

    def set_axis(
        self,
        axis: Literal["x", "y"],
        label: str,
        write: Callable[[float], str],
        *,
        log: bool = False,
        limits: tuple[float, float] | None = None,
        grid: bool = True,
    ) -> None:
        """Scale, label, limits and the words of the ticks of one axis."""
        from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

        which = self._axes.xaxis if axis == "x" else self._axes.yaxis
        if log:
            (self._axes.set_xscale if axis == "x" else self._axes.set_yscale)("log")
        if limits is not None:
            (self._axes.set_xlim if axis == "x" else self._axes.set_ylim)(*limits)
        low, high = which.get_view_interval()
        if log and high > 60 * low:
            which.set_major_locator(LogLocator(numticks=7))
        elif log and high > (3 if axis == "x" else 8) * low:
            which.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        else:  # so little of a decade is shown that evenly spaced numbers are the rounder ones
            most = 4 if log and axis == "x" else 7
            which.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
            which.set_minor_locator(NullLocator())
        which.set_minor_formatter(NullFormatter())
        which.set_major_formatter(FuncFormatter(_Formatter(write)))
        self._axes.set(**{f"{axis}label": label})
        if grid:
            self._axes.grid(axis=axis, which="major")

    def set_rows(self, names: Mapping[float, str], height: float, label: str) -> None:
        """A vertical axis of named rows at places from 0 to `height`; without names, only the label."""
        self._axes.set_ylim(-0.8, height + 0.8)
        self._axes.set_yticks(list(names), list(names.values()))
        self._axes.tick_params(axis="y", length=0)
        self._axes.spines["left"].set_visible(False)
        self._axes.set_ylabel(label)

    def add_legend(self, columns: int) -> None:
        """What the marks and lines mean, below the axes where it covers no data."""
        handles, labels = self._axes.get_legend_handles_labels()
        if handles:
            self._figure.legend(handles, labels, loc="outside lower left", ncols=columns)


class _Formatter:
    """What matplotlib calls for the words of a tick: with the value and its position."""

    def __init__(self, write: Callable[[float], str]) -> None:
        self._write = write

    def __call__(self, value: float, position: int | None = None) -> str:
        del position
        return self._write(value)


@contextmanager
def open_canvas(name: str, height: float, alt: str) -> Generator[Canvas]:
    """A canvas of this height in inches, whose `svg` is there when the block ends.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependency(
            "figures need matplotlib, which is not installed: pip install 'scaling-callback[plotting]'"
        ) from error
    library: Any = mpl
    with library.rc_context():
        # the user's own matplotlibrc must not change a report
        library.rcdefaults()
        library.rcParams.update(STYLE)
        figure: Any = Figure(figsize=(WIDTH, height), layout="constrained")
        canvas = Canvas(figure)
        yield canvas
        page = io.StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    canvas.svg = finish_svg(page.getvalue(), name, alt)
