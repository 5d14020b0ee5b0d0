"""How far a run still has to fall, as a smooth function of what runs differ in, learnt from finished runs.

For a finished run r, the curve of the running run at the progress seen so far, laid beside that of r, says
y_r = ln F_r + (u - u_r): the final if both had the same way to go, where u is the log loss of late seen observations
and u_r that of r at the same progress. How y depends on size, horizon, learning rate, batch and passes over the data is
a Gaussian process (Rasmussen and Williams 2006, chapter 2) with the running run at the origin:

    y(z) = c + A (z w / 2 + f(z)) + B (q1 (u_r - u) + q2 (s_r - s)) + noise,   k_f(z, z') = exp(-|z - z'|^2 / (2 l^2)),

with s the slope of the curve. B is how little of a difference that is seen persists to the end: all of it for templates
(B = 0), none of it where the seen part is a transient that all runs share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaling_callback.curves.observed import (
    find_obstacle,
    log_final,
    observe,
    order_finished,
    relate,
    schedule_distance,
)
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, Run

MOST_RUNS = 32
"""Finished runs that take part, the nearest ones. Of 24, 32 and 48 the fewer are the better where learning rates were
swept (263 runs), and elsewhere all the same."""

LATENESS = 4.0
"""The observation at progress x weighs x to this power: the last fifth of what was seen makes up two thirds."""

EARLINESS = 1.0
"""The same for the earlier level that the slope is measured from."""

LENGTH = 1.5
"""Length l over which the gap bends, in ln of a size, horizon or rate: a factor of 4.5."""

HEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Values of A that are averaged over: ln loss that runs may differ by in what they still have to fall, a factor
of 4.5 apart. The whole range from one that is lost in seed noise to one as large as the fall itself."""

PERSISTENCES = (0.03, 0.3, 1.0)
"""Values of B that are averaged over: from what is seen persisting to it saying nothing."""

NOISES = (0.25 * SEED_NOISE, SEED_NOISE, 3 * SEED_NOISE, 10 * SEED_NOISE)
"""Standard deviations of one run that are averaged over."""

USUAL = np.log([0.03, 0.3, SEED_NOISE])
DOUBT = np.array([1.5, 1.5, 1.0])
"""Centre and deviation of ln A, ln B and ln noise before anything is seen: about the grid's own range."""

LEVEL = 0.5
"""Prior standard deviation of the constant c: no final lies a factor of 3 from what its template says."""

OUTLYING = 3.0
"""Robust deviations beyond which a run is taken for spoiled, and its noise is raised."""


def forecast_by_gap(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The final loss by what remained for finished runs at the same progress."""
    obstacle = find_obstacle(run)
    if obstacle is not None:
        return obstacle
    usable = [
        (other, distance)
        for other in order_finished(run, finished)
        if (distance := schedule_distance(run, other)) is not None
    ]
    if usable:
        apart = np.square(relate(run, [other for other, _ in usable])).sum(1) + [d**2 for _, d in usable]
        usable = [usable[index] for index in np.argsort(apart, kind="stable")[:MOST_RUNS]]
    beside = [(other, distance, pair) for other, distance in usable if (pair := _compare(run, other)) is not None]
    if not beside:
        return Abstention("no_template", "no finished run has the same schedule and a curve that covers this one's")
    pairs = np.array([pair for _, _, pair in beside])
    traits = relate(run, [other for other, _, _ in beside])
    finals = np.array([log_final(other) for other, _, _ in beside])
    looseness = 1.0 + np.square([distance for _, distance, _ in beside])
    mean, deviation = _regress(traits, pairs, finals - pairs[:, 0], looseness)
    median = float(np.exp(mean))
    return FinalForecast(median, median * max(deviation, 0.5 * SEED_NOISE), "gap", len(beside))


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


def _regress(traits: Array, pairs: Array, answers: Array, looseness: Array) -> tuple[float, float]:
    """Mean and deviation of the process at the origin, from `traits` (n, 5), `pairs` (n, 2) and `answers` (n,).

    Averaged over A, B and noise by their posterior. The second pass gives runs that the first one could not foresee
    from the others more noise.
    """
    centre = float(np.median(answers))
    apart = np.square(traits[:, None] - traits[None]).sum(-1)
    rows = np.square(traits).sum(1)
    bend, reach = np.exp(-0.5 * apart / LENGTH**2) + 0.25 * traits @ traits.T, np.exp(-0.5 * rows / LENGTH**2)
    persist = pairs @ pairs.T
    heights, keeps, noises = (grid.ravel() for grid in np.meshgrid(HEIGHTS, PERSISTENCES, NOISES))
    prior = -0.5 * np.square((np.log([heights, keeps, noises]).T - USUAL) / DOUBT).sum(1)
    smooth = heights[:, None, None] ** 2 * bend + keeps[:, None, None] ** 2 * persist + LEVEL**2
    target = heights[:, None] ** 2 * reach + LEVEL**2
    extra = np.eye(len(answers)) * looseness
    mean = variance = share = np.zeros(0)
    for last in (False, True):
        inverse = np.linalg.inv(smooth + noises[:, None, None] ** 2 * extra)
        weights = inverse @ (answers - centre)
        diagonal = np.einsum("gnn->gn", inverse)
        logdet = -np.linalg.slogdet(inverse)[1]
        evidence = prior - 0.5 * weights @ (answers - centre) - 0.5 * logdet
        share = np.exp(evidence - evidence.max())
        share /= share.sum()
        mean = centre + (target * weights).sum(1)
        solved = np.einsum("gnm,gm->gn", inverse, target)
        variance = heights**2 + LEVEL**2 - (target * solved).sum(1) + noises**2
        if not last:
            best = int(np.argmax(evidence))
            # left-one-out residuals in standard units (Rasmussen and Williams, equations 5.10 to 5.12)
            score = np.abs(weights[best]) / np.sqrt(diagonal[best])
            score = score / max(1.0, 1.4826 * float(np.median(score)))
            extra = extra * np.where(score > OUTLYING, (score / OUTLYING) ** 4, 1.0)
    middle = float(share @ mean)
    spread = float(share @ (np.maximum(variance, 0.0) + (mean - middle) ** 2))
    return middle, float(np.sqrt(spread))
