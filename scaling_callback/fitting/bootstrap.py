"""Bootstrap by cluster: how far the optimum moves when other runs of the same recipe had been trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

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

Progress = Callable[[int, int], None]
"""Told how many replicates are done, and of how many."""


def bootstrap(
    problem: Problem,
    points: Points,
    optima: Array,
    covariance: Array,
    replicates: int,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Array:
    """Working parameters (R, P) of `replicates` refits, each re-converged.

    Searches begin at one of the `optima` (S, P) that explain the data about equally well, displaced along the
    linearised `covariance` (P, P): where the data leave a direction open, replicates must not all stay at
    the place where the first search happened to stop.

    Clusters (runs, or trunks with their branches) are resampled with replacement, never single points:
    checkpoints of one run share its noise. Where a prior takes part, each replicate draws the prior's medians
    anew: the prior steadies the centre and must not narrow the interval (DESIGN 5.3).
    """
    rng = np.random.default_rng(seed)
    clusters = int(points.cluster.max()) + 1
    spreads, directions = np.linalg.eigh(covariance)
    reach = np.minimum(np.sqrt(np.maximum(spreads, 0.0)), FARTHEST)
    draws: list[Array] = []
    for begin in range(0, replicates, CHUNK):
        size = min(CHUNK, replicates - begin)
        counts = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=size)
        weight = counts[:, points.cluster] * points.weight
        shifted = rng.standard_normal((size, len(problem.terms)))
        # forecast losses share the finished runs that they were made from: half of their variance is common
        common, own = rng.standard_normal((size, 1)), rng.standard_normal((size, len(points)))
        drawn = problem.y + points.spread * (common + own) / np.sqrt(2.0)
        part = replace(problem, prior_shift=shifted, y=drawn)
        start = optima[rng.integers(len(optima), size=size)]
        start = start + (rng.standard_normal((size, len(reach))) * reach) @ directions.T
        found = minimise(part, start, weight, max_iterations=MAX_ITERATIONS, tolerance=TOLERANCE, negligible=NEGLIGIBLE)
        lost = ~found.converged
        if lost.any():
            again = anneal(
                replace(part, prior_shift=shifted[lost], y=drawn[lost]), optima[np.zeros(lost.sum(), int)], weight[lost]
            )
            found.theta[lost] = again.theta
        draws.append(found.theta)
        if progress is not None:
            progress(begin + size, replicates)
    return np.concatenate(draws) if draws else np.empty((0, optima.shape[1]))
