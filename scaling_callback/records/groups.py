"""Runs that compete: those of one size and one horizon."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scaling_callback.records.counts import same_count
from scaling_callback.records.runs import Run


def compete(one: Run, other: Run) -> bool:
    """Whether two runs share params and horizon, so that one of them is wanted; none does without a horizon."""
    return same_count(one.params, other.params) and same_count(one.horizon, other.horizon)


def group_runs(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Runs that share params and horizon, by planned compute of one of them (ties by name), each in order of name.

    A run whose horizon is unknown competes with none, and stands where what was recorded of it would.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> [len(group) for group in group_runs(planted_ladder(sizes=(1e7, 1e8), ratios=(20,)))]
        [1, 1]
    """
    groups: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: (run.params, run.horizon or math.inf, run.name)):
        twins = (group for group in groups if compete(group[0], run))
        group = next(twins, None)
        if group is None:
            groups.append(group := [])
        group.append(run)
    named = [tuple(sorted(group, key=lambda run: run.name)) for group in groups]
    return sorted(named, key=lambda group: (max(map(_spend, group)), group[0].name))


def _spend(run: Run) -> float:
    """Planned compute in FLOPs; what was recorded, where the plan is unknown."""
    return run.planned_flops or run.flops_per_token * float(run.curve.tokens[-1] if len(run.curve) else 0.0)
