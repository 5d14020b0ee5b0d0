"""Replicates in a few steps: how far the optimum moves, for fits of many points that are refreshed while training.

A refit to convergence (`bootstrap`) of many checkpoints costs seconds. Here each replicate sees the fitted losses with
new noise, as in the residual bootstrap, begins where the linearised law puts its optimum, and takes a few steps towards
the least squares: the noise that was drawn is normal, for which squares are the right loss, and they are smooth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scaling_callback.fitting.bootstrap import FARTHEST, Progress, renew_noise
from scaling_callback.fitting.noise import Noise
from scaling_callback.fitting.objective import get_objective
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.problem import IndexArray, Problem
from scaling_callback.fitting.solver import minimise
from scaling_callback.records import Array

STEPS = 4
"""Steps of each replicate. Over forty prefixes of ten ladders the interval of a forecast is then within 3% of the one
after 60."""

POINTS = 4
"""Points of one run that a replicate sees: half of their noise is common, so that more add little. With all of them
intervals are 2% wider in the median, and within a tenth."""

CHUNK = 100
"""Replicates solved together: their points and parameters fit the processor's cache."""


def step_replicates(
    problem: Problem,
    points: Points,
    theta: Array,
    covariance: Array,
    replicates: int,
    *,
    noise: Noise,
    seed: int,
    progress: Progress | None = None,
) -> Array:
    """Working parameters (R, P) of `replicates` approximate refits around the optimum `theta` (P,).

    `covariance` (P, P) is the linearised one. A prior's medians are drawn anew, as in `bootstrap`.
    """
    rng = np.random.default_rng(seed)
    kept, weight = _thin(points)
    few = replace(points.take(kept), weight=weight)
    x = problem.x[:, kept]
    value, jacobian = problem.law.log_loss(theta[None], x)
    slopes = np.array([term.score(theta[None])[1][0] for term in problem.terms]).reshape(-1, len(theta))
    active = problem.prior_weight > 0
    squares = replace(
        problem,
        x=x,
        objective=get_objective("log-squared"),
        # one standard score costs what one run that lies off by the noise does
        prior_weight=np.where(active, noise.scale**2, 0.0),
    )
    recipes = np.array([term.recipes for term in problem.terms])
    draws = np.empty((replicates, len(theta)))
    for begin in range(0, replicates, CHUNK):
        size = min(CHUNK, replicates - begin)
        seen = renew_noise(value[0], few, noise, rng, size).log_loss
        common, own = rng.standard_normal((size, 1)), rng.standard_normal((size, int(few.run.max()) + 1))
        seen = seen + few.spread * (common + own[:, few.run]) / np.sqrt(2.0)
        shifted = recipes * rng.standard_normal((size, len(recipes)))
        pull = ((seen - value) * weight) @ jacobian[0] / noise.scale**2 + (shifted * active) @ slopes
        start = theta + np.clip(pull @ covariance, -FARTHEST, FARTHEST)
        part = replace(squares, y=seen, prior_shift=_centre_scores(problem, theta) + shifted)
        found = minimise(part, start, np.broadcast_to(weight, seen.shape), max_iterations=STEPS)
        draws[begin : begin + size] = found.theta
        if progress is not None:
            progress(begin + size, replicates)
    return draws


def _centre_scores(problem: Problem, theta: Array) -> Array:
    """Scores (1, T) of the optimum: replicates scatter around it, not around the prior."""
    return np.array([[float(term.score(theta[None])[0][0]) for term in problem.terms]]).reshape(1, -1)


def _thin(points: Points) -> tuple[IndexArray, Array]:
    """At most `POINTS` points of each run, and their weights, of which the others pass theirs on.

    The heaviest is kept, which is its final, as it is; of the others those evenly over its tokens.
    """
    kept: list[int] = []
    weight: list[float] = []
    for run in range(int(points.run.max()) + 1):
        rows = np.flatnonzero(points.run == run)
        rows = rows[np.lexsort((points.tokens[rows], points.weight[rows]))]
        others, heaviest = rows[:-1], rows[-1]
        others = others[np.argsort(points.tokens[others], kind="stable")]
        places = np.unique(np.linspace(0, len(others) - 1, min(POINTS - 1, len(others))).round().astype(np.intp))
        share = points.weight[others].sum() / max(points.weight[others[places]].sum(), 1e-300)
        kept += [int(heaviest), *(int(row) for row in others[places])]
        weight += [float(points.weight[heaviest]), *(share * points.weight[others[places]])]
    return np.array(kept, dtype=np.intp), np.array(weight)
