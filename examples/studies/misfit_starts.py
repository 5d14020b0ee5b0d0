"""Two defects of the released analysis: a spread over starts for a standard error, and no bootstrap of the fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from misfit_measuring import LEVEL, NAMES, Measured
from misfit_published import Published, differs
from misfit_showing import show, show_exact
from numpy.typing import NDArray
from page import table

from scaling_callback.records import Array
from scaling_callback.reporting.units import format_percent

REACHED = 1e-3
"""A search that ends within this fraction of the optimum's objective has found it."""

DRAWN = 40
"""Starts that are drawn at random, as in a published analysis."""

DRAWS = 1000
"""How often."""


def table_starts(measured: Sequence[Measured]) -> str:
    """Of each ladder and parameter: the optimum, what resampled runs make of it, and where searches from starts end."""
    rows: list[Sequence[str]] = []
    for each in measured:
        starts = each.starts
        pairs = {name: (starts.draws[:, place], starts.ends[:, place]) for place, name in enumerate(NAMES)}
        optimum = dict(zip(NAMES, starts.optimum.tolist(), strict=True))
        for name in ("E", "alpha", "beta"):
            drawn, ended = pairs[name]
            rows.append(
                (
                    each.ladder.name if name == "E" else "",
                    name,
                    show_exact(optimum[name]),
                    _show_ends(drawn),
                    show_exact(float(np.std(drawn))),
                    _show_ends(ended),
                    show_exact(float(np.std(ended))),
                )
            )
    percent = f"{100 * LEVEL:g}%"
    head = ("ladder", "parameter", "optimum", f"bootstrap, {percent}", "its sd", f"over starts, {percent}", "their sd")
    return table(head, rows, text=2)


def _show_ends(values: Array) -> str:
    low, high = np.quantile(values[np.isfinite(values)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{show_exact(float(low))} to {show_exact(float(high))}"


def tell_starts(measured: Measured) -> str:
    """What becomes of a search from a start of the grid, and of the best of a few drawn at random."""
    starts = measured.starts
    reached = float(np.mean(starts.over <= 1 + REACHED))
    low, high = draw_starts(measured)
    return (
        f"**{measured.ladder.name}**: of searches from each of the {len(starts.over)} starts of the grid, "
        f"{format_percent(float(starts.success.mean()))} report success and {format_percent(reached)} end within "
        f"{format_percent(REACHED)} of the optimum; the median ends at {show(float(np.median(starts.over)))} times its "
        f"objective. The lowest end of {DRAWN} starts drawn at random, {DRAWS} times, has a D/N of {show(low)} to "
        f"{show(high)} (10% to 90%); the optimum has {show(measured.panel.rows[0].tokens_per_param)}."
    )


def draw_starts(measured: Measured) -> tuple[float, float]:
    """The 10th and 90th percentile of D/N at the lowest end of a few starts drawn at random."""
    starts = measured.starts
    ratios = starts.ratios[draw_winners(starts.over)]
    low, high = np.quantile(ratios[np.isfinite(ratios)], [0.1, 0.9])
    return float(low), float(high)


def draw_winners(over: Array) -> NDArray[np.intp]:
    """Which start has the lowest end among a few drawn at random, of each draw."""
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.choice(len(over), min(DRAWN, len(over)), replace=False) for _ in range(DRAWS)])
    return drawn[np.arange(DRAWS), np.argmin(over[drawn], axis=1)]


def tell_ends(measured: Measured, published: Published) -> str:
    """How many starts of the grid, and how many draws of a few of them, end at the published values."""
    starts = measured.starts
    there = np.array(
        [
            not differs(published, {**dict(zip(NAMES, end, strict=True)), "tokens_per_param": ratio})
            for end, ratio in zip(starts.ends.tolist(), starts.ratios.tolist(), strict=True)
        ]
    )
    share = float(there[draw_winners(starts.over)].mean())
    return (
        f"Of single searches from the {len(there)} starts of the grid {there.sum()} end at the published values; of "
        f"{DRAWN} starts drawn at random the lowest end is there in {format_percent(share)} of {DRAWS} draws"
    )
