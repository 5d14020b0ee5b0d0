"""What a choice leaves of a ladder: of its runs, or of the points made from them.

Caps are places in the ladder itself (a third of its sizes, its median D/N), so that no number is tied to a file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Points
from scaling_callback.records import BoolArray, Run

Select: TypeAlias = Callable[[Sequence[Run]], Sequence[Run]]
"""Which runs, and with which N; raises `NotEnoughData` where a ladder does not carry the choice."""

Keep: TypeAlias = Callable[[Points], BoolArray]
"""Which points, as a mask (n,)."""

THIRD = 1 / 3
"""Share of the sizes that a cap leaves out."""


def every_run(runs: Sequence[Run]) -> Sequence[Run]:
    """All runs, whatever their learning rate."""
    return runs


def no_run(_: Sequence[Run], reason: str) -> Sequence[Run]:
    """The choice cannot be made, for this reason.

    Raises:
        NotEnoughData: Always.
    """
    raise NotEnoughData(reason)


def at_rate(runs: Sequence[Run], rate: float) -> Sequence[Run]:
    """Runs of one peak learning rate."""
    return [run for run in runs if run.card.peak_lr == rate]


def recount(runs: Sequence[Run], name: str, select: Select) -> Sequence[Run]:
    """The selected runs whose N is known in another counting, with it."""
    known = [run for run in select(runs) if name in run.card.sizes]
    # measured FLOPs stay with the run: only N is counted otherwise
    return [replace(run, card=replace(run.card, params=run.card.sizes[name])) for run in known]


def all_points(points: Points) -> BoolArray:
    """Every point."""
    return np.ones(len(points), dtype=bool)


def up_to_size(points: Points, most: float) -> BoolArray:
    """Points of at most that many parameters."""
    return points.params <= most


def between_ratios(points: Points, above: float, below: float) -> BoolArray:
    """Points whose D/N lies strictly between the two."""
    ratio = points.tokens / points.params
    return (ratio > above) & (ratio < below)


def without_third(points: Points, *, smallest: bool) -> BoolArray:
    """Points of all sizes but the smallest, or the largest, third.

    Raises:
        NotEnoughData: There are fewer than three sizes.

    Example:
        >>> points = Points.of([1e6, 1e6, 1e7, 1e8], [1e9] * 4, [4.0, 4.0, 3.5, 3.2])
        >>> without_third(points, smallest=True).tolist()
        [False, False, True, True]
    """
    sizes = np.unique(points.params)
    spared = int(len(sizes) * THIRD)
    if not spared:
        raise NotEnoughData(f"{len(sizes)} size(s): a third of them is none")
    return points.params >= sizes[spared] if smallest else points.params < sizes[len(sizes) - spared]


def half_of_ratios(points: Points, *, low: bool) -> BoolArray:
    """Points whose D/N is at most, or at least, the median."""
    ratio = points.tokens / points.params
    middle = np.median(ratio)
    return ratio <= middle if low else ratio >= middle
