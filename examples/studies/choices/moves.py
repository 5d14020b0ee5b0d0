"""How far choices move the answer of a ladder, in one sentence."""

from __future__ import annotations

from choices.claims import RATIO, misses, spread_converged, spread_kinds
from choices.measuring import LEVEL, Measured
from choices.published import BUDGET
from choices.showing import show, show_exact
from scaling_callback.reporting.units import format_flops, format_level
from scaling_callback.sensitivity import Row, Spread

TELLING = 1000.0
"""An interval that spans a larger factor says nothing of where a split lies."""


def tell_moves(measured: Measured) -> str:
    """How far D/N and the forecast of the largest model move, over certified optima and over stalled searches."""
    rows = measured.panel.rows
    certified = [row for row in rows if row.status == "converged" and row.tokens_per_param is not None]
    lowest, highest = (end(certified, key=_take_ratio) for end in (min, max))
    every, ratio = measured.panel.spread(RATIO, converged=False), spread_converged(measured)[0]
    bounded = [row for row in certified[1:] if RATIO in row.intervals]
    apart = f"; {sum(misses(row, rows[0]) for row in bounded)} of {len(bounded)} other intervals miss that of what was "
    largest = next((moved.kind for moved in spread_kinds(measured) if moved.kind != "non-convergence"), "nothing")
    loss = spread_converged(measured)[1]
    return (
        f"{measured.ladder.name}: over certified optima the optimal tokens per parameter (D/N) at "
        f"{format_flops(BUDGET)} FLOPs move from {_tell_row(lowest)} to {_tell_row(highest)}, most by {largest}"
        + f"{apart}asked"
        * bool(bounded)
        + f"{_tell_stalled(every, ratio)}.{_tell_isoflop(measured)} The loss of the largest model, at "
        f"{show(measured.task.reach)} times the compute of the largest run fitted, is {show_exact(loss.lowest)} to "
        f"{show_exact(loss.highest)}, where {show_exact(measured.task.measured)} was measured."
    )


def _take_ratio(row: Row) -> float:
    return row.tokens_per_param or 0.0


def _tell_row(row: Row) -> str:
    ends = row.intervals.get(RATIO)
    within = f", {format_level(LEVEL)} interval {show(ends[0])} to {show(ends[1])}" if ends else ""
    return f"{show(row.tokens_per_param)} ({row.choice}{within})"


def _tell_stalled(every: Spread, certified: Spread) -> str:
    """How far stalled searches go beyond the certified optima."""
    below = every.lowest is not None and certified.lowest is not None and every.lowest < certified.lowest
    above = every.highest is not None and certified.highest is not None and every.highest > certified.highest
    ends = [f"down to {show(every.lowest)}"] * below + [f"up to {show(every.highest)}"] * above
    return f"; stalled searches move them further, {' and '.join(ends)}" if ends else ""


def _tell_isoflop(measured: Measured) -> str:
    found = measured.beside.isoflop
    ends = found.intervals.get(RATIO)
    if found.tokens_per_param is None or ends is None or ends[1] > TELLING * ends[0]:
        return ""
    return (
        f" IsoFLOP profiles of the same runs say {show(found.tokens_per_param)} ({show(ends[0])} to {show(ends[1])})."
    )
