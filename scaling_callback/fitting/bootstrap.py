"""Bootstrap by cluster: how far the optimum moves when other runs of the same recipe had been trained.

Clusters are runs, or trunks with their branches, or what the user names. Where they are many they are resampled with
replacement (pairs bootstrap). Where they are few such replicates lose whole directions of the design, which the
ladder itself has: there the design stays, and each replicate sees the fitted losses with new noise (residual bootstrap,
Davison and Hinkley 1997, section 6.2.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from scaling_callback.fitting.noise import Noise
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.problem import Problem
from scaling_callback.fitting.solver import anneal, minimise
from scaling_callback.records import Array

CHUNK = 250
"""Replicates solved together: large enough to amortise the loop, small enough for the processor's cache."""

TOLERANCE = 1e-7
"""As in the solver, for a replicate: its optimum need not be known better than replicates differ (a thousandth of what
one of a hundred observations costs)."""

MAX_ITERATIONS = 1000
"""Steps after which a replicate is searched again from the optimum: it is the only search of its data."""

NEGLIGIBLE = 1e-14
"""The same in absolute terms: residuals of 1e-7 in ln L, where few different runs can be matched exactly."""

FARTHEST = 1.5
"""Largest standard deviation of a displaced start, in units of ln and of an exponent."""

MANY = 10
"""Clusters a parameter from which pairs are resampled: their variance is then at most a tenth too small."""

Progress = Callable[[int, int], None]
"""Told how many replicates are done, and of how many."""


class _Resampled(NamedTuple):
    """What the replicates of one chunk see: weights and log losses of the points, each (R, n)."""

    weight: Array
    log_loss: Array


def fewest_replicates(level: float) -> int:
    """Bootstrap replicates of which each tail of an interval holds one: 2 / (1 - level).

    With fewer its ends would be the extremes of whatever was drawn.

    Example:
        >>> fewest_replicates(0.9), fewest_replicates(0.99)
        (20, 200)
    """
    return math.ceil(round(2 / (1 - level), 6))  # rounded: 1 - 0.9 is a little less than 0.1


def bootstrap(
    problem: Problem,
    points: Points,
    optima: Array,
    covariance: Array,
    replicates: int,
    *,
    noise: Noise,
    seed: int,
    progress: Progress | None = None,
) -> Array:
    """Working parameters (R, P) of `replicates` refits, each re-converged.

    Searches begin at one of the `optima` (S, P; the best first) that explain the data about equally well, displaced
    along the linearised `covariance` (P, P): where the data leave a direction open, replicates must not all stay at
    the place where the first search happened to stop.

    What is drawn anew is a cluster, never a single point: checkpoints of one run share its noise. Where a prior
    takes part, each replicate draws the prior's medians anew: the prior steadies the centre and must not narrow the
    interval (DESIGN 5.3).
    """
    rng = np.random.default_rng(seed)
    fitted = problem.law.log_loss(optima[:1], problem.x)[0][0]
    # fewer clusters than parameters have no residuals: only leaving some out shows how much rests on each; of one
    # cluster none can be left out
    free = int((problem.lower < problem.upper).sum())
    pairs = points.n_independent > 1 and not free <= points.n_independent < MANY * free
    spreads, directions = np.linalg.eigh(covariance)
    reach = np.minimum(np.sqrt(np.maximum(spreads, 0.0)), FARTHEST)
    recipes = np.array([term.recipes for term in problem.terms])
    draws: list[Array] = []
    for begin in range(0, replicates, CHUNK):
        size = min(CHUNK, replicates - begin)
        if pairs:
            seen = resample_clusters(problem.y[0], points, rng, size)
        else:
            seen = renew_noise(fitted, points, noise, rng, size)
        shifted = recipes * rng.standard_normal((size, len(recipes)))
        # forecast losses share the finished runs that they were made from: half of their variance is common
        # (drawn by run, not by row, so that the order of the rows changes nothing)
        common, own = rng.standard_normal((size, 1)), rng.standard_normal((size, int(points.run.max()) + 1))
        drawn = seen.log_loss + points.spread * (common + own[:, points.run]) / np.sqrt(2.0)
        part = replace(problem, prior_shift=shifted, y=drawn)
        start = optima[rng.integers(len(optima), size=size)]
        start = start + (rng.standard_normal((size, len(reach))) * reach) @ directions.T
        draws.append(_reconverge(part, start, seen.weight, optima[0]))
        if progress is not None:
            progress(begin + size, replicates)
    return np.concatenate(draws) if draws else np.empty((0, optima.shape[1]))


def resample_clusters(log_loss: Array, points: Points, rng: np.random.Generator, size: int) -> _Resampled:
    """Clusters drawn with replacement: the points of one carry its count as weight."""
    clusters = int(points.cluster.max()) + 1
    counts = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=size)
    return _Resampled(counts[:, points.cluster] * points.weight, np.broadcast_to(log_loss, (size, len(points))))


def renew_noise(fitted: Array, points: Points, noise: Noise, rng: np.random.Generator, size: int) -> _Resampled:
    """The fitted ln L (n,) with new noise, half of whose variance the points of a cluster share.

    What they do not share is their own: checkpoints of a run, branches of a trunk and seeds of a size are neither one
    measurement nor independent.

    Its standard deviation is itself drawn from what the data allow of it, so that a few runs give the tails of
    Student's t. Residuals are not redrawn: an objective that is nearly an L1 norm makes as many of them zero as
    there are parameters.
    """
    clusters = int(points.cluster.max()) + 1
    scale = noise.draw(rng, size)[:, None]
    shocks = rng.standard_normal((size, clusters))[:, points.cluster]
    if clusters < len(points):
        shocks = (shocks + rng.standard_normal(shocks.shape)) / np.sqrt(2.0)
    return _Resampled(np.broadcast_to(points.weight, (size, len(points))), fitted + scale * shocks)


def _reconverge(problem: Problem, start: Array, weight: Array, best: Array) -> Array:
    """Optima (R, P) from `start`; a search that is lost begins again at the best optimum of the data."""
    found = minimise(problem, start, weight, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE, negligible=NEGLIGIBLE)
    lost = ~found.converged
    if lost.any():
        part = replace(problem, prior_shift=problem.prior_shift[lost], y=problem.y[lost])
        found.theta[lost] = anneal(part, np.tile(best, (int(lost.sum()), 1)), weight[lost]).theta
    return found.theta
