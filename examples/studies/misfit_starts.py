"""Two defects of the released analysis: a spread over starts for a standard error, and no bootstrap of the fits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from misfit_measuring import LEVEL, NAMES, Measured
from misfit_rows import show
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
                    show(optimum[name]),
                    _show_ends(drawn),
                    show(float(np.std(drawn))),
                    _show_ends(ended),
                    show(float(np.std(ended))),
                )
            )
    percent = f"{100 * LEVEL:g}%"
    head = ("ladder", "parameter", "optimum", f"bootstrap, {percent}", "its sd", f"over starts, {percent}", "their sd")
    return table(head, rows, text=2)


def _show_ends(values: Array) -> str:
    low, high = np.quantile(values[np.isfinite(values)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{show(float(low))} to {show(float(high))}"


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
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.choice(len(starts.over), DRAWN, replace=False) for _ in range(DRAWS)])
    winners = drawn[np.arange(DRAWS), np.argmin(starts.over[drawn], axis=1)]
    ratios = starts.ratios[winners]
    low, high = np.quantile(ratios[np.isfinite(ratios)], [0.1, 0.9])
    return float(low), float(high)
