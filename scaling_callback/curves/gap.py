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
    SEED_TO_COME,
    conclude,
    find_obstacle,
    lay_beside,
    log_final,
    observe,
    order_finished,
    relate,
    schedule_distances,
)
from scaling_callback.curves.process import regress
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, BoolArray, Run

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
    ordered = order_finished(run, finished)
    traits, schedule = relate(run, ordered), schedule_distances(run, ordered)
    apart = np.square(traits).sum(1) + schedule**2
    nearest: list[int] = np.argsort(apart, kind="stable")[:MOST_RUNS].tolist()  # NaN, another schedule, comes last
    seen, curves = observe(run), [observe(ordered[index]) for index in nearest]
    begins = np.array([curve.log_progress[0] - 1e-9 if len(curve) >= 2 else np.inf for curve in curves])
    covered = seen.log_progress >= begins[:, None]
    late = seen.progress**LATENESS
    fit = (apart[nearest] >= 0) & ((covered * late).sum(1) > 0.5 * late.sum())
    near = [index for index, fits in zip(nearest, fit, strict=True) if fits]
    if not near:
        return Abstention("no_template", "no finished run has the same schedule and a curve that covers this one's")
    beside = tuple(ordered[index] for index in near)
    pairs = _compare(run, beside, covered[fit])
    finals = np.array([log_final(other) for other in beside])
    mean, deviation = regress(traits[near], pairs, finals - pairs[:, 0], 1.0 + schedule[near] ** 2)
    return conclude(mean, max(deviation, SEED_TO_COME * SEED_NOISE), "gap", len(beside))


def _compare(run: Run, others: tuple[Run, ...], covered: BoolArray) -> Array:
    """Differences (u_r - u, s_r - s) between the curves at the progress that `run` has seen, shape (n, 2)."""
    seen = observe(run)
    difference = lay_beside(run, others) - seen.log_loss
    late, early = covered * seen.progress**LATENESS, covered * seen.progress**EARLINESS
    level, earlier = ((difference * weight).sum(1) / weight.sum(1) for weight in (late, early))
    return np.stack([level, earlier - level], -1)
