"""The final loss of a running run, from the shape of the curves of finished runs.

For runs of one schedule shape, loss against progress collapses onto one curve up to an offset and a scale
(DESIGN 5.5): L(x) = a + b (L_r(x) - L_r(1)) for a finished run r, so that `a` is the final loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.records import Array, Run

EARLIEST = 0.05
"""Progress before which a curve is warmup and chance."""

MIN_OBSERVATIONS = 3
SHRINKAGE = 0.02
"""Prior standard deviation of b around 1: curves of one recipe differ in height by a few percent. Of 0.01, 0.03
and 0.1 the two smaller are better on each of three unlike ladders (transformers with cosine schedules on two data
sets, pixel transformers with linear decay), by a factor of 1.5 to 3 at a tenth of the run."""

UNSEEN = 0.01
"""Least relative spread at the start of a run; it falls with the square of what remains of it. Templates that agree
by chance early on are no proof, and what they share they cannot show."""

REACH = 0.5
"""Distance in (ln N, ln horizon) at which a template counts half. Of 0.5, 1 and 2 the same on those three."""


def forecast_final(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """Median and spread of the loss that `run` ends at, or why that cannot be said.

    Args:
        run: The running run, with a known horizon.
        finished: Runs of the same ladder that have a final.

    Returns:
        The weighted median over the templates; the spread is their scatter, and no less than what the
        templates miss by on the part of the curve that was seen.
    """
    if run.horizon is None:
        return Abstention("horizon_unknown", "its planned tokens are unknown: pass `horizon=`")
    if len(run.curve) and not np.isfinite(run.curve.loss[-1]):
        return Abstention("diverged", f"its last loss is {run.curve.loss[-1]}")
    seen = np.isfinite(run.curve.loss) & (run.progress >= EARLIEST)
    if seen.sum() < MIN_OBSERVATIONS:
        return Abstention(
            "too_early",
            f"{int(seen.sum())} observations beyond {EARLIEST:.0%} of the run; {MIN_OBSERVATIONS} are needed",
        )
    x, loss = run.progress[seen], run.curve.loss[seen]
    answers: list[float] = []
    misses: list[float] = []
    weights: list[float] = []
    for template in finished:
        if template.name == run.name or template.card.schedule != run.card.schedule or template.horizon is None:
            continue
        matched = _match(x, loss, template)
        if matched is None:
            continue
        answer, miss = matched
        distance = np.hypot(np.log(template.params / run.params), np.log(template.horizon / run.horizon))
        answers.append(answer)
        misses.append(miss)
        weights.append(1.0 / ((1.0 + (distance / REACH) ** 2) * (miss**2 + (1e-3 * answer) ** 2)))
    if not answers:
        return Abstention("no_template", "no finished run has the same schedule and a curve that covers this one's")
    median, scatter = _weighted_median(np.array(answers), np.array(weights))
    remaining = 1.0 - float(x[-1])
    least = float(np.average(misses, weights=weights)) * (0.5 + remaining)
    # one template alone cannot show how far templates scatter
    alone = 0.02 * remaining * median if len(answers) < 3 else 0.0
    unseen = UNSEEN * remaining**2 * median
    return FinalForecast(
        median=median, spread=max(scatter, least, unseen, alone), method="template", templates=len(answers)
    )


def _match(x: Array, loss: Array, template: Run) -> tuple[float, float] | None:
    """The final loss that `template` implies for losses at progress `x`, and the misfit in units of the loss."""
    final = template.final
    usable = np.isfinite(template.curve.loss) & (template.progress > 0)
    if final is None or usable.sum() < 2 * MIN_OBSERVATIONS:
        return None
    known, shape = template.progress[usable], template.curve.loss[usable] - final.loss
    inside = x >= known[0]
    if inside.sum() < MIN_OBSERVATIONS:
        return None
    x, loss = x[inside], loss[inside]
    basis = np.interp(x, known, shape)
    weight = x**2 / (x**2).sum()
    centre = float(weight @ basis)
    variance = float(weight @ (basis - centre) ** 2)
    slope_free = float(weight @ ((basis - centre) * (loss - weight @ loss))) / max(variance, 1e-30)
    residual = loss - weight @ loss - slope_free * (basis - centre)
    error = float(weight @ residual**2) / max(variance * len(x), 1e-30)
    # b is shrunk to 1 by its own uncertainty: a short, flat stretch says little about it
    slope = (slope_free * SHRINKAGE**2 + error) / (SHRINKAGE**2 + error)
    answer = float(weight @ loss) - slope * centre
    miss = float(np.sqrt(weight @ (loss - answer - slope * basis) ** 2))
    return (answer, miss) if np.isfinite(answer) and answer > 0 else None


def _weighted_median(values: Array, weights: Array) -> tuple[float, float]:
    """The weighted median, and 1.4826 times the weighted median distance from it."""
    median = _middle(values, weights)
    return median, 1.4826 * _middle(np.abs(values - median), weights)


def _middle(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    position = (np.cumsum(weights[order]) - 0.5 * weights[order]) / weights.sum()
    return float(np.interp(0.5, position, values[order]))
