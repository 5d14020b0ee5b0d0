"""What was visible of a ladder at a moment of its history, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import Array, Run

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


def _see_recorded(runs: Sequence[Run], fraction: float) -> tuple[Run, ...]:
    """The observations that came first, whatever their run, until their compute is spent."""
    times = np.concatenate([_times(run) for run in runs])
    spent = np.concatenate([np.diff(run.curve.tokens, prepend=0.0) * run.flops_per_token for run in runs])
    owner = np.repeat(np.arange(len(runs)), [len(run.curve) for run in runs])
    by_time = np.lexsort((owner, times))
    known = np.cumsum(spent[by_time]) <= fraction * spent.sum() * (1 + ROUNDING)
    counts = np.bincount(owner[by_time][known], minlength=len(runs))
    # cut before the next observation: a run that is wholly seen has ended, and stays as it is
    return tuple(
        run if count == len(run.curve) else run.until(float(run.curve.tokens[count - 1]))
        for run, count in zip(runs, counts.tolist(), strict=True)
        if count
    )


def _compute(run: Run) -> float:
    """Compute of the whole run; what was spent, where its plan is unknown."""
    return run.planned_flops or run.flops_per_token * last_tokens(run)


def last_tokens(run: Run) -> float:
    """Tokens of the last observation; 0 without one."""
    return float(run.curve.tokens[-1]) if len(run.curve) else 0.0


def _times(run: Run) -> Array:
    if not len(run.curve) or not np.isfinite(run.curve.wall_time).all():
        raise InputError(f"run {run.name!r} has observations without a wall_time; replay it in the planned order")
    return run.curve.wall_time
