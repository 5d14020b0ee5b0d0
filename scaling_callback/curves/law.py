"""What a scaling law of the finished runs says of a run's final, whatever it has shown so far.

L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, equation 2) through the finals of the finished runs of the
same phase, averaged over both exponents by their posterior under the weak prior (DESIGN 5.3). A point fit would do
for the median; the average also says by how much laws differ that the finals cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from scaling_callback.curves.observed import conclude, log_final, order_finished
from scaling_callback.curves.regression import average
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import MIN_RUNS, SEED_NOISE
from scaling_callback.records import Array, Run

EXPONENTS = np.geomspace(0.08, 1.2, 14)
"""Values of each exponent: the range of published ones, a fifth apart."""

PRIOR = (np.log([0.34, 0.37]), 0.35)
"""Means and deviation of ln alpha and ln beta: the weak prior (DESIGN 5.3)."""


def forecast_by_law(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The law's loss at the run's size and horizon."""
    if run.horizon is None:
        return Abstention("horizon_unknown", "its planned tokens are unknown: pass `horizon=`")
    ordered = order_finished(run, finished)
    alike = tuple(other for other in ordered if other.phase == run.phase)
    if len(alike) < MIN_RUNS:
        return Abstention(
            "too_few_finals", f"{len(alike)} finished runs of phase {run.phase!r}; a law needs at least {MIN_RUNS}"
        )
    found = _fit(alike, float(np.log(run.params)), float(np.log(run.horizon)))
    if found is None:
        return Abstention("no_law", "the finals of the finished runs do not fall with size and tokens")
    median, spread = found
    return conclude(float(np.log(median)), max(spread / median, SEED_NOISE), "law", len(alike))


@lru_cache(maxsize=4096)
def _fit(finished: tuple[Run, ...], log_params: float, log_tokens: float) -> tuple[float, float] | None:
    n = np.log([run.params for run in finished])
    d = np.log([run.final.tokens for run in finished if run.final is not None])
    return average_laws(n, d, np.exp([log_final(run) for run in finished]), (log_params, log_tokens))


def average_laws(
    n: Array, d: Array, loss: Array, place: tuple[float, float], weight: Array | None = None
) -> tuple[float, float] | None:
    """Mean and deviation at a `place` (ln N, ln D) of the laws through losses (k,) at ln N and ln D (k,).

    `weight` (k,) is each loss's share of an observation. `None` where no law falls with size or tokens.

    Example:
        >>> n, d = np.log([1e7, 1e8, 1e9]), np.log([1e9, 1e10, 1e11])
        >>> loss = 1.8 + np.exp(6.2 - 0.34 * n) + np.exp(7.7 - 0.37 * d)
        >>> mean, deviation = average_laws(n, d, loss, (np.log(1e9), np.log(1e11)))
        >>> bool(abs(mean / loss[-1] - 1) < 0.01), bool(deviation / mean < 0.01)
        (True, True)
    """
    unit, centre = float(np.median(loss)), (float(n.mean()), float(d.mean()))
    alpha, beta = (grid.ravel() for grid in np.meshgrid(EXPONENTS, EXPONENTS))
    ones = np.ones((len(alpha), len(loss)))
    design = np.stack([ones, np.exp(-np.outer(alpha, n - centre[0])), np.exp(-np.outer(beta, d - centre[1]))], -1)
    with np.errstate(over="ignore"):
        goal = [np.exp(-alpha * (place[0] - centre[0])), np.exp(-beta * (place[1] - centre[1]))]
    target = np.stack([np.ones(len(alpha)), *goal], -1)
    scores = (np.log([alpha, beta]).T - PRIOR[0]) / PRIOR[1]
    prior = -0.5 * np.square(scores).sum(1)
    # relative errors: a loss counts in units of itself. Few finals may want one term to be negative: it is left out
    for terms in ([0, 1, 2], [0, 2], [0, 1]):
        scaled = design[..., terms] / loss[:, None] * unit
        found = average(scaled, np.ones(len(loss)), target[:, terms], prior, weight)
        if found is not None:
            return found[0] * unit, found[1] * unit
    return None
