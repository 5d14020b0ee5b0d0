"""Where the axes of a figure begin and end, and which row a forecast stands on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scaling_callback.reporting.figures.series import ErrorRow, LawLine, RunSeries, TargetMark
from scaling_callback.reporting.figures.traces import Past

HEADROOM = 1.12
"""Curves are cut off this far above the highest loss that a run ended at: the first losses would flatten the rest."""


def frame_counts(ends: Sequence[float], also: Sequence[float], before: float) -> tuple[float, float]:
    """Limits of a logarithmic axis: from `before` times below the first end of a run to beyond the last.

    Example:
        >>> frame_counts([1e9, 4e9], [1e11], 2.0)
        (500000000.0, 160000000000.0)
    """
    return min([*ends, *also]) / before, max([*ends, *also]) * 1.6


def frame_losses(runs: Sequence[RunSeries], law: LawLine | None, target: TargetMark | None) -> tuple[float, float]:
    """Limits of the axis of losses, from what runs ended at, the law and the target."""
    ends = [run.final[1] if run.final else float(run.loss[-1]) for run in runs if len(run.loss)]
    if target is not None:
        ends.append(target.loss)
    high = max(ends)
    low = min([*ends, float(law.loss.min())] if law else ends)
    if target is not None and math.isfinite(target.lower):
        # an interval that is wider than everything else is cut, or nothing else could be read
        low, high = min(low, max(target.lower, 0.6 * low)), max(high, min(target.upper, 1.3 * high))
    return low / max((high / low) ** 0.06, 1.005), high * HEADROOM


def frame_past(past: Past, target: TargetMark, measured: float | None) -> tuple[float, float]:
    """Limits of the axis of losses: the later half of the medians; earlier ones and intervals as far as they are near.

    What the first three runs say may lie anywhere, and nothing else could be read.
    """
    late = past.recomputed.median[len(past.recomputed) // 2 :], past.issued.median[len(past.issued) // 2 :]
    middle = [target.loss, *late[0], *late[1], *([measured] if measured else [])]
    low, high = min(middle), max(middle)
    room = max((high / low) ** 0.8, 1.03)
    also: list[float] = []
    for series in (past.recomputed, past.issued):
        also += [*series.median, *series.lower, *series.upper]
    near = [end for end in also if low / room <= end <= high * room]
    # the present interval is what is asked for
    now = [end for end in (target.lower, target.upper) if 0.5 * target.loss < end < 2.0 * target.loss]
    low, high = min([low, *near, *now]), max([high, *near, *now])
    room = max((high / low) ** 0.05, 1.002)
    return low / room, high * room


def place_rows(rows: Sequence[ErrorRow]) -> list[float]:
    """A place for each row, from 0 upwards: one for each recomputed score and target; issued ones share their model's.

    Example:
        >>> made = [ErrorRow(1e8, 1e9, 0.5, -1.0, 2.0, kind) for kind in ("issued", "issued", "target")]
        >>> place_rows(made)
        [0.0, 0.0, 1.0]
    """
    places: list[float] = []
    seen: dict[tuple[float, float], float] = {}
    for row in rows:
        key = (row.params, row.tokens)
        if row.kind != "issued" or key not in seen:
            seen[key] = float(len({*places}))
        places.append(seen[key])
    return places


def limit_errors(rows: Sequence[ErrorRow]) -> float:
    """Half the width of the axis of errors: every error, and most ends of intervals."""
    ends = sorted(max(abs(row.lower), abs(row.upper)) for row in rows if math.isfinite(row.lower))
    typical = ends[int(0.75 * (len(ends) - 1))] if ends else 0.0
    return 1.12 * max(*(abs(row.error) for row in rows), typical, 0.1)
