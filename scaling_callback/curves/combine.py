"""One forecast from several: methods weigh by what the record says of their spreads, and so does the interval.

A method's claimed spread is scaled by what its past errors were in units of the spreads it claimed,

    kappa_m^2 = (n0 + sum_r w_r z_mr^2) / (n0 + sum_r w_r),   z = error / spread,

and forecasts are averaged with weights p_m / (kappa_m spread_m)^2: a method that has been right elsewhere but says that
it is out of its depth here counts little. The combination is scored on the same runs and scaled in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaling_callback.curves.cooldown import GAP_UNKNOWN, NOT_AHEAD
from scaling_callback.curves.methods import METHODS
from scaling_callback.curves.observed import SEED_TO_COME, ends_alike, find_obstacle, order_finished
from scaling_callback.curves.progress import mark
from scaling_callback.curves.record import Record, make_record
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, Run

FIRST_CHOICE = {"gap": 1.0, "cooldown": 1.0, "template": 0.5}
"""Weights of the methods at equal spreads: the order in which they are trusted while the record is empty; 0.25 is
for all others."""

DOUBT = {"gap": 1.0}
"""kappa of each method while the record is empty: by how much it claims too little; 1.5 is for all others."""

PRIOR_RUNS = 2.0
"""Scored runs that these weigh: as few as the noise of a fit has (`fitting.noise`). Set beforehand, not fitted."""

SHARPNESS = 4.0
"""Power of the spread in a method's weight: 2 would be best if errors were independent, and those of one ladder are
not: the better of two methods that err together deserves nearly all of the weight. Set beforehand, not fitted."""

WORST = 5.0
"""Largest |z| that counts: one spoiled run is no record."""


def forecast_final(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """Median and spread of the loss that `run` ends at, or why that cannot be said.

    Args:
        run: The running run, with a known horizon.
        finished: The other runs of the same ladder, of every phase; none that is held out. One that has no final is
            used as the trunk of its branches only; one whose rate was held where that of `run` will decay as that, and
            by the laws of schedules.
    """
    obstacle = find_obstacle(run)
    if obstacle is not None and (obstacle.code != "too_early" or run.card.parent is None):
        return obstacle
    ordered = order_finished(run, finished)
    parents = {other.card.parent for other in (run, *ordered)} - {run.name}
    trunks = tuple(other for other in finished if other.name in parents and other not in ordered)
    answers = {name: method(run, (*ordered, *trunks)) for name, method in METHODS.items()}
    # its own curve knows nothing of a decay that lies ahead: only a record can say what that costs
    recorded = any(ends_alike(run, other) for other in ordered)
    if answers["cooldown"] == GAP_UNKNOWN or (not recorded and run.phase != "constant"):
        del answers["own-power-law"]
    made = {name: answer for name, answer in answers.items() if isinstance(answer, FinalForecast)}
    if obstacle is not None:  # a branch is forecast from its trunk before it has a curve of its own
        made = {name: answer for name, answer in made.items() if name == "cooldown"}
    if not made:
        reasons = [answers["cooldown"], obstacle, *answers.values()]
        known = [reason for reason in reasons if isinstance(reason, Abstention) and reason.code != NOT_AHEAD]
        return known[0]
    return _combine(made, make_record(run, ordered, trunks, mark(run), tuple(made)))


def _combine(made: dict[str, FinalForecast], record: Record) -> FinalForecast:
    names = tuple(made)
    medians = np.log([made[name].median for name in names])
    spreads = np.array([made[name].spread / made[name].median for name in names])
    doubts = np.array([DOUBT.get(name, 1.5) for name in names])
    kappa = np.array(
        [
            _scale(error, spread, record.nearness, doubt)
            for error, spread, doubt in zip(record.error, record.spread, doubts, strict=True)
        ]
    )
    trust = np.array([FIRST_CHOICE.get(name, 0.25) for name in names])
    middle, spread = _mix(medians[:, None], (kappa * spreads)[:, None], trust)
    past = _mix(record.error, kappa[:, None] * record.spread, trust)
    scale = _scale(*past, record.nearness, 1.0)
    median = float(np.exp(middle[0]))
    widened = float(scale * spread[0]) * _widen(past[0], record.nearness)
    deviation = max(widened, SEED_TO_COME * _noise(past[0], record.nearness))
    best = names[int(np.argmax(trust * (kappa * spreads) ** -SHARPNESS))]
    return FinalForecast(median, median * deviation, best, made[best].templates)


def _scale(error: Array, spread: Array, nearness: Array, before: float) -> float:
    """Kappa from errors, claimed spreads and weights (R,), and what it is `before` any is known."""
    known = np.isfinite(error)
    z = np.minimum(np.abs(error[known]) / spread[known], WORST)
    squares = PRIOR_RUNS * before**2 + float(nearness[known] @ z**2)
    return float(np.sqrt(squares / (PRIOR_RUNS + float(nearness[known].sum()))))


def _widen(error: Array, nearness: Array) -> float:
    """How much wider a 90% interval is for a deviation that rests on a few scored runs: Student's t for normal."""
    from scipy.special import ndtri, stdtrit  # importing the package must not wait for it

    degrees = PRIOR_RUNS + float(nearness[np.isfinite(error)].sum())
    return float(stdtrit(degrees, 0.95) / ndtri(0.95))


def _noise(error: Array, nearness: Array) -> float:
    """Seed noise that past errors (R,) allow, with the usual one as a prior of one degree (as `fitting.noise`).

    Never more than the usual one, and less where past errors were smaller: finals that are told better than two seeds
    usually differ are those of a quieter ladder.
    """
    known = np.isfinite(error)
    squares = SEED_NOISE**2 + float(nearness[known] @ np.minimum(error[known] ** 2, SEED_NOISE**2))
    return float(np.sqrt(squares / (1.0 + nearness[known].sum())))


def _mix(values: Array, spreads: Array, trust: Array) -> tuple[Array, Array]:
    """Weighted means (R,) of M methods' values (M, R), and their spreads (R,); NaN where none has one."""
    weights = np.nan_to_num(trust[:, None] * spreads**-SHARPNESS)
    total = weights.sum(0)
    weights = weights / np.where(total > 0, total, np.nan)
    middle = (weights * np.nan_to_num(values)).sum(0)
    # the mean of the spreads, as if errors were one: those of one ladder nearly are
    return middle, (weights * np.nan_to_num(spreads)).sum(0)
