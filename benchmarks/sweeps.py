"""Measured sweeps, runs of which were stopped, and what came of it.

A group is the runs of a sweep that share params and horizon. What is wanted of a group is its best model, so all of its
compute beyond the best run could be saved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from scaling_callback import read_table
from scaling_callback.records import Run, same_count

SWEEPS = ("misfitting", "supercollapse_c5m_schedules", "multipowerlaw")
"""Learning rates, and twice schedules, for each size and horizon."""

TOLERANCE = 0.002
"""By how much a stopped run must have beaten the best kept one to be a false stop; the largest mean regret as well."""

MOST_FALSE = 0.02
"""Largest share of the stopped runs that may be false stops."""

Group: TypeAlias = tuple[Run, ...]

Stops: TypeAlias = Mapping[str, int]
"""The runs that were stopped, by name, and the index of their last observation."""


@dataclass(frozen=True)
class Figures:
    """What came of stopping, over the groups of a sweep and the orders in which it was walked.

    Attributes:
        saved: Share of all compute that was saved.
        by_group: The same of each group, averaged.
        regret: The best final of those kept over the best of all, less 1, averaged over groups.
        stopped: Runs that were stopped, averaged over the orders.
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
        return self.regret <= TOLERANCE and self.false_share <= MOST_FALSE


def read_groups(data: Path, sweep: str) -> list[Group]:
    """The groups of a sweep, in the order of its table; runs without a final are none of its runs."""
    return group_runs(read_table(data / f"{sweep}.csv"))


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """The runs that share params and horizon within 2%, each cut at its final."""
    groups: list[list[Run]] = []
    for run in runs:
        if run.final is None:
            continue
        own = run.until(run.final.tokens)
        for group in groups:
            if same_count(group[0].params, own.params) and same_count(group[0].horizon, own.horizon):
                group.append(own)
                break
        else:
            groups.append([own])
    return [tuple(group) for group in groups]


def score(groups: Sequence[Group], walks: Sequence[Stops]) -> Figures:
    """What came of each walk of the sweep, averaged over the walks.

    Where all runs of a group were stopped, the best kept one is the lowest loss at which one of them was: that model is
    what is left.
    """
    spent = np.zeros((len(walks), len(groups)))
    regret = np.zeros_like(spent)
    stopped = np.zeros_like(spent)
    wrong = np.zeros_like(spent)
    costs = np.array([sum(_cost(run, -1) for run in group) for group in groups])
    for walk, stops in enumerate(walks):
        for place, group in enumerate(groups):
            finals = {run.name: float(run.curve.loss[-1]) for run in group}
            kept = [loss for name, loss in finals.items() if name not in stops]
            left = min(kept or [float(run.curve.loss[stops[run.name]]) for run in group])
            ended = [loss for name, loss in finals.items() if name in stops]
            spent[walk, place] = sum(_cost(run, stops.get(run.name, -1)) for run in group)
            regret[walk, place] = left / min(finals.values()) - 1
            stopped[walk, place] = len(ended)
            wrong[walk, place] = sum(loss < left * (1 - TOLERANCE) for loss in ended)
    return Figures(
        saved=float(1 - spent.sum(1).mean() / costs.sum()),
        by_group=float((1 - spent / costs).mean()),
        regret=float(regret.mean()),
        stopped=float(stopped.sum(1).mean()),
        false_stops=float(wrong.sum(1).mean()),
        runs=sum(len(group) for group in groups),
    )


def keep_best(groups: Sequence[Group]) -> Stops:
    """The stops of one who knows the finals: of each group all runs but the best, at their first observation."""
    stops: dict[str, int] = {}
    for group in groups:
        best = min(group, key=lambda run: float(run.curve.loss[-1]))
        stops |= {run.name: 0 for run in group if run is not best and len(run.curve) > 1}
    return stops


def _cost(run: Run, index: int) -> float:
    return run.flops_per_token * float(run.curve.tokens[index])
