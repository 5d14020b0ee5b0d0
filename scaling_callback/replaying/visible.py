"""What was visible of a ladder at a moment of its history, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import Array, BoolArray, Run

Order: TypeAlias = Literal["planned", "as-recorded"]

ROUNDING = 1e-9
"""Share of the compute by which sums of it may differ and be the same."""


def sort_runs(runs: Sequence[Run], order: Order = "planned") -> list[Run]:
    """Runs by increasing planned compute, ties by name; or by the time of their last observation.

    Raises:
        InputError: A time is asked for and missing.
    """
    if order == "as-recorded":
        return sorted(runs, key=lambda run: (float(_times(run)[-1]), run.name))
    return sorted(runs, key=lambda run: (_compute(run), run.name))


def see(runs: Sequence[Run], fraction: float, *, order: Order = "planned") -> tuple[Run, ...]:
    """What was visible after that share of all compute: finished runs, and the seen prefix of those that ran.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> [round(float(run.progress[-1]), 2) for run in see(planted_ladder(sizes=(1e7, 1e8), ratios=(20,)), 0.5)]
        [1.0, 0.42]
    """
    runs = [run for run in runs if len(run.curve) and not run.card.held_out]
    if order == "as-recorded":
        return _see_recorded(runs, fraction)
    ordered = sort_runs(runs)
    left = fraction * math.fsum(_compute(run) for run in ordered)
    seen: list[Run] = []
    for run in ordered:
        whole = _compute(run)
        if left >= whole * (1 - ROUNDING):
            seen.append(run)
        elif (prefix := run.until(left / run.flops_per_token * (1 + ROUNDING))).curve.tokens.size:
            seen.append(prefix)
        left -= whole
        if left <= 0:
            break
    return tuple(seen)


def see_until(runs: Sequence[Run], moment: float) -> tuple[Run, ...]:
    """What had been observed by a moment, in seconds since the epoch.

    Raises:
        InputError: A time is missing.
    """
    masks = [_times(run) <= moment for run in runs if len(run.curve)]
    return _take([run for run in runs if len(run.curve)], masks)


def _take(runs: Sequence[Run], masks: Sequence[BoolArray]) -> tuple[Run, ...]:
    """Those observations; a run that is wholly seen has ended, and stays as it is."""
    return tuple(
        run if mask.all() else Run(run.card, run.curve.take(mask), run.notes)
        for run, mask in zip(runs, masks, strict=True)
        if mask.any()
    )


def _see_recorded(runs: Sequence[Run], fraction: float) -> tuple[Run, ...]:
    """The observations that came first, whatever their run, until their compute is spent."""
    if not runs:
        return ()
    times = np.concatenate([_times(run) for run in runs])
    spent = np.concatenate([np.diff(run.curve.tokens, prepend=0.0) * run.flops_per_token for run in runs])
    by_time = np.argsort(times, kind="stable")
    known = np.zeros(len(times), dtype=bool)
    known[by_time] = np.cumsum(spent[by_time]) <= fraction * spent.sum() * (1 + ROUNDING)
    masks = np.split(known, np.cumsum([len(run.curve) for run in runs])[:-1])
    return _take(runs, masks)


def _compute(run: Run) -> float:
    """Compute of the whole run; what was spent, where its plan is unknown."""
    return run.planned_flops or run.flops_per_token * last_tokens(run)


def last_tokens(run: Run) -> float:
    """Tokens of the last observation; 0 without one."""
    return float(run.curve.tokens[-1]) if len(run.curve) else 0.0


def _times(run: Run) -> Array:
    """When each observation was made; where a clock was set back, as late as the one before."""
    if not len(run.curve) or not np.isfinite(run.curve.wall_time).all():
        raise InputError(f"run {run.name!r} has observations without a finite wall_time; use the planned order")
    return np.maximum.accumulate(run.curve.wall_time)
