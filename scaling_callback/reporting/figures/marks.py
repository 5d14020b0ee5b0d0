"""Marks that several figures share: ends of runs, the target, sizes with their legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from scaling_callback.reporting.figures.drawing import MARKERS, Bars, Layer, Marks
from scaling_callback.reporting.figures.palette import name_size
from scaling_callback.reporting.figures.series import RunSeries, TargetMark
from scaling_callback.reporting.units import format_count, format_level

LEGEND_SIZES = 10
"""More sizes than this are not all named in a legend."""

ENDS = (
    ("used", "o", "final", "final, used in the fit"),
    ("left out", "o", "out", "final, left out"),
    ("waiting", "s", "out", "final, nothing fitted yet"),
    ("held out", "D", "held", "final, held out"),
)
"""Role of a run, marker, role of the colour, and words, for every kind of final."""


def mark_ends(runs: Sequence[RunSeries]) -> Iterator[Layer]:
    """Finals by what became of them, and forecast finals of unfinished runs, against compute."""
    for role, marker, colour, label in ENDS:
        ends = [
            (6.0 * run.params * run.final[0], run.final[1], run.name) for run in runs if run.role == role and run.final
        ]
        if ends:
            x, y, names = zip(*ends, strict=True)
            # small enough that a held-out final on top of the target leaves it visible
            size = 4.0 if role == "held out" else 5.2
            yield Marks(x, y, marker, colour, role in ("left out", "waiting"), size, label, names)
    guesses = [(6.0 * run.params * run.guess[0], *run.guess[1:], run.name) for run in runs if run.guess]
    if guesses:
        x, y, lower, upper, names = zip(*guesses, strict=True)
        yield Bars(x, lower, upper, "guess")
        yield Marks(x, y, "^", "guess", hollow=True, label="forecast final, unfinished", names=names)


def mark_target(x: float, target: TargetMark, level: float) -> Iterator[Layer]:
    """The target with its interval."""
    label = "target"
    if math.isfinite(target.lower):
        yield Bars([x], [target.lower], [target.upper], "target", width=2.4)
        label += f", {format_level(level)} interval"
    yield Marks([x], [target.loss], "*", "target", size=10, label=label)


def mark_sizes(points: Sequence[tuple[int, bool, float, float, str]], sizes: Sequence[float]) -> Iterator[Layer]:
    """Marks by size: filled where the fit uses them. Each point is (rank of its size, used, x, y, name)."""
    named = pick_legend_ranks(len(sizes))
    for rank, params in enumerate(sizes):
        label = format_count(params) if rank in named else None
        for used in (True, False):
            chosen = [point[2:] for point in points if point[0] == rank and point[1] is used]
            if chosen:
                x, y, names = zip(*chosen, strict=True)
                marker, colour = MARKERS[rank % len(MARKERS)], name_size(rank, len(sizes))
                yield Marks(x, y, marker, colour, hollow=not used, label=label, names=names)
                label = None


def pick_legend_ranks(sizes: int) -> set[int]:
    """The sizes that a legend names: all, or some spread evenly with both ends.

    Example:
        >>> pick_legend_ranks(3), len(pick_legend_ranks(100))
        ({0, 1, 2}, 10)
    """
    if sizes <= LEGEND_SIZES:
        return set(range(sizes))
    return {round(i * (sizes - 1) / (LEGEND_SIZES - 1)) for i in range(LEGEND_SIZES)}


def explain_legend(sizes: Sequence[float]) -> str:
    """What a caption adds where the legend does not name all sizes."""
    return f" {len(sizes)} sizes; the legend names some of them." if len(sizes) > LEGEND_SIZES else ""
