"""Bootstrap by cluster: how far the optimum moves when other runs of the same recipe had been trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scaling_callback.fitting.points import Points
from scaling_callback.fitting.solver import Problem, anneal, minimise
from scaling_callback.records import Array

CHUNK = 250
"""Replicates solved together: large enough to amortise the loop, small enough for the processor's cache."""

Progress = Callable[[int, int], None]
"""Told how many replicates are done, and of how many."""


def bootstrap(
    problem: Problem, points: Points, theta: Array, replicates: int, seed: int, progress: Progress | None = None
) -> Array:
    """Working parameters (R, P) of `replicates` refits, each re-converged.

    Clusters (runs, or trunks with their branches) are resampled with replacement, never single points:
    checkpoints of one run share its noise. Where a prior takes part, each replicate draws the prior's medians
    anew: the prior steadies the centre and must not narrow the interval (DESIGN 5.3).
    """
    rng = np.random.default_rng(seed)
    clusters = points.n_clusters
    draws: list[Array] = []
    for begin in range(0, replicates, CHUNK):
        size = min(CHUNK, replicates - begin)
        counts = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=size)
        weight = counts[:, points.cluster] * points.weight
        shifted = problem.prior_log + problem.prior_sd * rng.standard_normal((size, len(problem.prior_sd)))
        part = replace(problem, prior_log=shifted)
        found = minimise(part, np.repeat(theta[None], size, 0), weight)
        lost = ~found.converged
        if lost.any():
            again = anneal(replace(part, prior_log=shifted[lost]), np.repeat(theta[None], lost.sum(), 0), weight[lost])
            found.theta[lost] = again.theta
        draws.append(found.theta)
        if progress is not None:
            progress(begin + size, replicates)
    return np.concatenate(draws) if draws else np.empty((0, len(theta)))
