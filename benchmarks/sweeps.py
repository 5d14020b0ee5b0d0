"""Measured sweeps, runs of which were stopped, and what came of it.

A group is the runs of a sweep that share params and horizon. What is wanted of a group is its best model, so all of its
compute beyond the best run could be saved. Definitions are those of `audit-stops`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from scaling_callback import read_table
from scaling_callback.records import Run, StopCall, group_runs
from scaling_callback.replaying import StopAudit, StopGroup
from scaling_callback.replaying.stop_scores import score as score_groups
from scaling_callback.replaying.stop_scores import take_part

SWEEPS = ("misfitting", "supercollapse_c5m_schedules", "multipowerlaw")
"""Learning rates, and twice schedules, for each size and horizon."""

MOST_REGRET = 0.002
"""The largest mean regret that is within limits."""

MOST_FALSE = 0.02
"""Largest share of the stopped runs that may be false stops."""

Group: TypeAlias = tuple[Run, ...]

Stops: TypeAlias = Mapping[str, int]
"""The runs that were stopped, by name, and the index of their last observation."""


@dataclass(frozen=True)
class Figures:
    """What came of stopping, averaged over the walks of a sweep.

    Attributes:
        saved: Share of all compute that was saved.
        by_group: The same of each group, averaged.
        regret: The best final of those kept over the best of all, less 1, averaged over groups.
        stopped: Runs that were stopped.
        false_stops: Of these, those that would have beaten the best kept run of their group by more than 0.2%.
        runs: Runs of the sweep.
    """

    saved: float
    by_group: float
    regret: float
    stopped: float
    false_stops: float
    runs: int

    @property
    def false_share(self) -> float:
        """False stops as a share of the stopped runs; 0 where none was stopped."""
        return self.false_stops / self.stopped if self.stopped else 0.0

    @property
    def within(self) -> bool:
        """Whether regret and false stops, as a share of the stopped runs, are within their limits."""
        return self.regret <= MOST_REGRET and self.false_share <= MOST_FALSE


def read_groups(data: Path, sweep: str) -> list[Group]:
    """The groups of a sweep, the members of each in the order of the table."""
    return find_groups(read_table(data / f"{sweep}.csv"))


def find_groups(runs: Sequence[Run]) -> list[Group]:
    """The same of runs. What lies behind a run's final is no part of it, and a run without one takes no part."""
    ended = take_part([run.until(run.final.tokens) for run in runs if run.final is not None])
    places = {run.name: place for place, run in enumerate(ended)}
    return [tuple(sorted(group, key=lambda run: places[run.name])) for group in group_runs(ended)]


def score(groups: Sequence[Group], walks: Sequence[Stops]) -> Figures:
    """What came of walks of a sweep."""
    runs = {run.name: run for group in groups for run in group}
    return average(groups, [score_groups(groups, _call(runs, stops)) for stops in walks])


def average(groups: Sequence[Group], audits: Sequence[StopAudit]) -> Figures:
    """The mean of each figure."""
    runs = {run.name: run for group in groups for run in group}
    filled = [StopAudit(tuple(_fill(runs, group) for group in audit.groups)) for audit in audits]
    rows = np.array(
        [(a.compute_saved, a.compute_saved_by_group, a.regret or 0.0, a.stopped, a.false_stops) for a in filled]
    )
    return Figures(*rows.mean(0).tolist(), runs=len(runs))


def keep_best(groups: Sequence[Group]) -> Stops:
    """The stops of one who knows the finals: of each group all runs but the best, at their first observation."""
    stops: dict[str, int] = {}
    for group in groups:
        best = min(group, key=lambda run: float(run.curve.loss[-1]))
        stops |= {run.name: 0 for run in group if run is not best and len(run.curve) > 1}
    return stops


def _call(runs: Mapping[str, Run], stops: Stops) -> dict[str, StopCall]:
    return {
        name: StopCall(rule="peer", reason="stopped", tokens=float(runs[name].curve.tokens[index]), acted=True)
        for name, index in stops.items()
    }


def _fill(runs: Mapping[str, Run], group: StopGroup) -> StopGroup:
    """A group of which no run was kept, with the model that is left: the best of those that the stops ended.

    An audit counts such a group in no regret, which would reward a method that stops everything.
    """
    if not group.emptied:
        return group
    left = min(float(runs[call.run].until(call.call.tokens).curve.loss[-1]) for call in group.calls)
    return replace(group, best_kept=left, calls=tuple(replace(call, best_kept=left) for call in group.calls))
