"""The final loss of a running run, from the shape of the curves of finished runs.

For runs of one schedule shape, log loss against progress collapses onto one curve up to an offset and a scale
(DESIGN 5.5): ln L(x) = a + b (ln L_r(x) - ln L_r(1)) for a finished run r, so that `a` is the log final. What templates
of other sizes, horizons and rates miss by is itself regular: it is learnt from pairs of finished runs, one laid on the
other at the same progress, and taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import numpy as np

from scaling_callback.curves.observed import (
    KEPT,
    MIN_OBSERVATIONS,
    SEED_TO_COME,
    conclude,
    ends_alike,
    find_obstacle,
    lay_beside,
    log_final,
    observe,
    order_finished,
    relate,
    schedule_distances,
)
from scaling_callback.curves.progress import cut, mark
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.curves.robust import median
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, Run

SHRINKAGE = 0.01
"""Prior standard deviation of b around 1: curves of one recipe hardly differ in height. Of 0.005,
0.01, 0.02 and 0.04 it has the smallest errors on nine unlike ladders in geometric mean (by 2%, 8% and 13%). Whichever
one is left out, 0.02 and 0.04 are worse by at least 6%; 0.005 is better by 1% without one or another of two ladders."""

UNSEEN = 0.01
"""Least relative spread at the start of a run; it falls with the square of what remains of it. Templates that agree
by chance early on are no proof, and what they share they cannot show."""

REACH = 0.5
"""Distance in the traits at which a template counts half. 0.25 and 1 are worse on nine ladders, by 1% and 9%."""

DRIFT = 1.0
"""Sum of squared distances that pairs must span before the drift that they show is half believed: a factor of e. On
nine ladders 0.25 is 2% better, 4 is 5% worse; where learning rates were swept the drift is better not believed, which
is one reason why other methods go first."""

MOST_RUNS = 32
"""Finished runs that serve as templates of one run: the nearest ones."""

CLIPPED = 3.0
"""Robust deviations beyond which an observation weighs less: a spike is no shape."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What each of n templates says: log finals, misfits and schedule distances (n,), and traits (n, 5)."""

    answer: Array
    miss: Array
    schedule: Array
    traits: Array

    @property
    def nearness(self) -> Array:
        """Weight of each template by how far away it is, shape (n,)."""
        apart = np.square(self.traits).sum(1) + np.square(self.schedule)
        return 1.0 / (1.0 + apart / REACH**2)


def forecast_by_template(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The weighted median over the templates; the spread is their scatter, and no less than their misfit."""
    obstacle = find_obstacle(run)
    if obstacle is not None:
        return obstacle
    ordered = tuple(other for other in order_finished(run, finished) if ends_alike(run, other))
    found = _match(run, ordered)
    if found is None:
        return Abstention("no_template", "no finished run has the same schedule and a curve that covers this one's")
    answers = found.answer - found.traits @ _drift(ordered, mark(run))
    weights = found.nearness / (found.miss**2 + 1e-6)
    middle, scatter = _weighted_median(answers, weights)
    remaining = 1.0 - float(observe(run).progress[-1])
    least = float(np.average(found.miss, weights=weights)) * (0.5 + remaining)
    # one template alone cannot show how far templates scatter
    alone = 2.0 * UNSEEN * remaining if len(answers) < MIN_OBSERVATIONS else 0.0
    spread = max(scatter, least, UNSEEN * remaining**2, alone, SEED_TO_COME * SEED_NOISE)
    return conclude(middle, spread, "template", len(answers))


@lru_cache(maxsize=KEPT)
def _match(run: Run, templates: tuple[Run, ...]) -> Matches | None:
    """Lay the seen part of `run` on each template; `None` where there is none to lay it on."""
    seen = observe(run)
    traits, schedule = relate(run, templates), schedule_distances(run, templates)
    # from the second last observation on a template must have begun
    latest = seen.log_progress[-2] if len(seen) >= 2 else -np.inf
    apart = np.square(traits).sum(1) + schedule**2
    order: list[int] = np.argsort(apart, kind="stable").tolist()
    fit = (index for index in order if apart[index] >= 0 and _covers(templates[index], latest))
    near = list(islice(fit, MOST_RUNS))
    if not near:
        return None
    chosen = tuple(templates[index] for index in near)
    basis = lay_beside(run, chosen) - np.array([[log_final(template)] for template in chosen])
    begins = np.array([[observe(template).log_progress[0]] for template in chosen])
    weight = (seen.log_progress >= begins) * seen.progress**2
    _, _, residual = _lay(seen.log_loss, basis, weight)
    usual = 1.4826 * np.median(np.abs(residual), axis=1, keepdims=True) + 1e-9
    weight *= np.minimum(1.0, CLIPPED * usual / np.maximum(np.abs(residual), 1e-12))
    weight, answer, residual = _lay(seen.log_loss, basis, weight)
    miss = np.sqrt((weight * residual**2).sum(1))
    return Matches(answer, miss, schedule[near], traits[near])


def _covers(template: Run, latest: float) -> bool:
    curve = observe(template)
    return len(curve) > MIN_OBSERVATIONS and bool(curve.log_progress[0] <= latest)


def _lay(loss: Array, basis: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Weights that sum to 1 (T, n), log finals (T,) and residuals (T, n) of log losses (n,) on T templates (T, n)."""
    weight = weight / weight.sum(1, keepdims=True)
    level = weight @ loss
    height = (weight * basis).sum(1)
    centred, deviation = basis - height[:, None], loss - level[:, None]
    variance = np.maximum((weight * centred**2).sum(1), 1e-30)
    free = (weight * centred * deviation).sum(1) / variance
    error = (weight * (deviation - free[:, None] * centred) ** 2).sum(1) / (variance * len(loss))
    # b is shrunk to 1 by its own uncertainty: a short, flat stretch says little about it
    slope = (free * SHRINKAGE**2 + error) / (SHRINKAGE**2 + error)
    answer = level - slope * height
    return weight, answer, loss - answer[:, None] - slope[:, None] * basis


def _drift(finished: tuple[Run, ...], progress: float) -> Array:
    """What ln final is overestimated by for each unit of the traits (5,), from pairs of finished runs.

    Ridge regression through the origin, with residuals beyond two robust deviations weighing less.
    """
    found = [_learn(finished[:index], finished[index], progress) for index in range(1, len(finished))]
    known = [pair for pair in found if pair is not None]
    if not known:
        return np.zeros(5)
    traits, error, weight = (np.concatenate(part) for part in zip(*known, strict=True))
    residual = np.abs(error - traits @ _ridge(traits, error, weight))
    usual = 1.4826 * median(residual) + 1e-9
    return _ridge(traits, error, weight * np.minimum(1.0, 2.0 * usual / np.maximum(residual, 1e-12)))


def _ridge(traits: Array, error: Array, weight: Array) -> Array:
    scaled = traits * weight[:, None]
    return np.asarray(np.linalg.solve(scaled.T @ traits + DRIFT * np.eye(5), scaled.T @ error), dtype=np.float64)


@lru_cache(maxsize=32768)
def _learn(earlier: tuple[Run, ...], run: Run, progress: float) -> tuple[Array, Array, Array] | None:
    """Traits, errors and weights of the templates of a finished run, cut at that progress."""
    found = _match(part, earlier) if len(observe(part := cut(run, progress))) >= 2 else None
    if found is None:
        return None
    return found.traits, found.answer - log_final(run), found.nearness / len(found.answer)


def _weighted_median(values: Array, weights: Array) -> tuple[float, float]:
    """The weighted median, and 1.4826 times the weighted median distance from it."""
    middle = _middle(values, weights)
    return middle, 1.4826 * _middle(np.abs(values - middle), weights)


def _middle(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    position = (np.cumsum(weights[order]) - 0.5 * weights[order]) / weights.sum()
    return float(np.interp(0.5, position, values[order]))
