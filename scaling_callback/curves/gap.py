"""How far a run still has to fall, as a smooth function of what runs differ in, learnt from finished runs.

For a finished run r, the curve of the running run at the progress seen so far, laid beside that of r, says
y_r = ln F_r + (u - u_r): the final if both had the same way to go, where u is the log loss of late seen observations
and u_r that of r at the same progress. How y depends on size,
horizon, learning rate, batch and passes over the data is a Gaussian process (`process`) with the running run at the
origin. What is seen of a run beside its traits are the differences u_r - u in level and s_r - s in slope: B says how
little of a difference that is seen persists to the end, all of it for templates (B = 0), none of it where the seen part
is a transient that all runs share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaling_callback.curves.observed import (
    conclude,
    find_obstacle,
    log_final,
    observe,
    order_finished,
    relate,
    schedule_distance,
)
from scaling_callback.curves.process import regress
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Run

MOST_RUNS = 32
"""Finished runs that take part, the nearest ones. 24 or 48 change nothing on seven of nine ladders; where learning
rates were swept over hundreds of runs 24 are 12% better and 48 are 15% worse."""

LATENESS = 4.0
"""The observation at progress x weighs x to this power: the last fifth of what was seen makes up two thirds. 2 is worse
on all of nine ladders (8%), 8 a little better (2%) but rests on few noisy observations."""

EARLINESS = 1.0
"""The same for the earlier level that the slope is measured from."""


def forecast_by_gap(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The final loss by what remained for finished runs at the same progress."""
    obstacle = find_obstacle(run)
    if obstacle is not None:
        return obstacle
    usable: list[tuple[Run, float]] = [
        (other, distance)
        for other in order_finished(run, finished)
        if (distance := schedule_distance(run, other)) is not None
    ]
    if usable:
        apart = np.square(relate(run, [other for other, _ in usable])).sum(1) + [d**2 for _, d in usable]
        usable = [usable[index] for index in np.argsort(apart, kind="stable")[:MOST_RUNS]]
    beside: list[Run] = []
    rows: list[tuple[float, float, float]] = []
    for other, distance in usable:
        if (pair := _compare(run, other)) is not None:
            beside.append(other)
            rows.append((*pair, distance))
    if not beside:
        return Abstention("no_template", "no finished run has the same schedule and a curve that covers this one's")
    table = np.array(rows)
    finals = np.array([log_final(other) for other in beside])
    mean, deviation = regress(relate(run, beside), table[:, :2], finals - table[:, 0], 1.0 + table[:, 2] ** 2)
    return conclude(mean, max(deviation, 0.5 * SEED_NOISE), "gap", len(beside))


def _compare(run: Run, other: Run) -> tuple[float, float] | None:
    """Differences (u_r - u, s_r - s) between the curves at the progress that `run` has seen."""
    mine, theirs = observe(run), observe(other)
    if len(theirs) < 2:
        return None
    covered = mine.log_progress >= theirs.log_progress[0] - 1e-9
    late = mine.progress**LATENESS
    if late[covered].sum() <= 0.5 * late.sum():
        return None
    x, y = mine.log_progress[covered], mine.log_loss[covered]
    difference = np.interp(x, theirs.log_progress, theirs.log_loss) - y
    level = float(np.average(difference, weights=late[covered]))
    return level, float(np.average(difference, weights=mine.progress[covered] ** EARLINESS)) - level
