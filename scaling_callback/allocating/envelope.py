"""Approach 1 of Hoffmann et al. (2022, section 3.1): the envelope of training curves.

At each compute C the curve with the lowest loss names the size N*(C) to train, and a power law goes through these. A
size wins over a whole range of C, so N* climbs in steps; each size counts once, at the middle of its range and with
the width of it: a line through every place of the steps would be too flat, by a ninth for three of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling_callback.allocating.frontier import (
    MIN_OPTIMA,
    Frontier,
    PowerLaw,
    describe,
    fit_power_law,
    recount,
    refuse,
)
from scaling_callback.allocating.profiles import MIN_SIZES, Codes, Track, code_sizes, trace_curves
from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, BoolArray, Run

MIN_CHECKPOINTS = 5
"""Observations below which a curve is no curve."""

PLACES = 500
"""Places in ln C at which the curves are compared; the 1500 of the study change the third digit of an exponent."""


@dataclass(frozen=True, eq=False)
class _Curves:
    """Curves of R runs of S sizes at G places.

    Attributes:
        log_flops: Ln C of the places, shape (G,).
        log_loss: Ln L, shape (R, G); infinite where a run was not measured.
        size: Code of each run's size, shape (R,).
        log_params: Ln N of each size, shape (S,).
        run: Place of each curve's run among the runs, shape (R,).
        end: Ln C at which each run's schedule ends, shape (R,).
        between: Whether a size has a smaller and a larger neighbour that was measured there, shape (S, G).
    """

    log_flops: Array
    log_loss: Array
    size: Codes
    log_params: Array
    run: Codes
    end: Array
    between: BoolArray


@dataclass(frozen=True, eq=False)
class _Steps:
    """The K sizes that win somewhere between two others.

    Attributes:
        log_flops: Middle of the range of ln C in which each wins, shape (K,).
        log_params: Ln N, shape (K,).
        width: Places that it wins, shape (K,).
        size: Code of the size, shape (K,).
        unfinished: Places at which the winner is in the middle of its schedule.
    """

    log_flops: Array
    log_params: Array
    width: Array
    size: Codes
    unfinished: int


def estimate_envelope(
    runs: Sequence[Run], flops: float, *, cost: Cost = SIX_ND, level: float = 0.9, seed: int = 0, replicates: int = 200
) -> Frontier:
    """The frontier along the envelope of training curves.

    A size counts only where the next smaller and the next larger one were measured too: where one of them has ended
    or not begun, the winner is a matter of which runs were made. Uncertainty is that of other seeds (each curve is
    moved as a whole by the usual noise) and of other sizes (jackknife: each winning size is left out in turn).

    Args:
        runs: The ladder.
        flops: The budget that N* and D* are said for.
        cost: What compute is counted as.
        level: Nominal coverage of the intervals.
        seed: Seed of the replicates.
        replicates: How many replicates; without any there are no intervals.

    Raises:
        InputError: The budget is not a positive, finite number.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> sizes = (1e7, 2e7, 4e7, 8e7, 1.6e8, 3.2e8)
        >>> found = estimate_envelope(planted_ladder(sizes=sizes, ratios=(10, 20, 40, 80, 160), noise=0.0), 1e20)
        >>> found.budgets, "mid_schedule" in found.notes
        (4, True)
    """
    check_budget(flops)
    runs = recount(runs, cost)
    start = Frontier(name="envelope", source="training curves", flops=flops, level=level)
    tracks = [track for track in trace_curves(runs) if len(track.log_flops) >= MIN_CHECKPOINTS]
    if len({*code_sizes([track.log_params for track in tracks])}) < MIN_SIZES:
        return refuse(
            start,
            "no_curves",
            f"the envelope needs training curves of {MIN_SIZES} sizes with {MIN_CHECKPOINTS} observations each",
        )
    curves = _compare(tracks)
    steps = _climb(curves, curves.log_loss)
    start = replace(start, points=sum(len(track.log_flops) for track in tracks))
    if len(steps.size) < MIN_OPTIMA:
        return refuse(
            start,
            "few_sizes",
            f"{len(steps.size)} sizes are the best somewhere between a smaller and a larger one that were measured "
            f"there too; a power law needs {MIN_OPTIMA}",
        )
    law = fit_power_law(steps.log_flops, steps.log_params[None], steps.width)
    used = [runs[int(i)] for i in curves.run[np.isin(curves.size, steps.size)]]
    notes: dict[str, str] = {}
    if steps.unfinished:
        notes["mid_schedule"] = (
            f"at {steps.unfinished / steps.width.sum():.0%} of the envelope the best run is in the middle of its "
            "schedule: the optimum is that of these checkpoints, not of finished runs"
        )
    elif any(run.phase == "constant" for run in used):
        notes["constant_rate"] = "the curves are at a constant learning rate: the optimum is that before a cooldown"
    optima = zip(np.exp(steps.log_flops).tolist(), np.exp(steps.log_params).tolist(), strict=True)
    draws = _redraw(curves, steps, law, seed, replicates)
    return describe(replace(start, optima=tuple(optima), notes=notes), law, draws, cost)


def _compare(tracks: Sequence[Track]) -> _Curves:
    size = np.array(code_sizes([track.log_params for track in tracks]), dtype=np.intp)
    log_params = np.array([track.log_params for track in tracks])
    lowest = min(float(track.log_flops[0]) for track in tracks)
    highest = max(float(track.log_flops[-1]) for track in tracks)
    places = np.linspace(lowest, highest, PLACES)
    table = np.stack([track.read(places) for track in tracks])
    sizes = int(size.max()) + 1
    measured = np.stack([np.isfinite(table[size == code]).any(0) for code in range(sizes)])
    between = np.zeros_like(measured)
    between[1:-1] = measured[:-2] & measured[2:]
    return _Curves(
        places,
        np.where(np.isfinite(table), table, np.inf),
        size,
        np.array([log_params[size == code].mean() for code in range(sizes)]),
        np.array([int(track.run[0]) for track in tracks], dtype=np.intp),
        np.array([track.end for track in tracks]),
        between,
    )


def _climb(curves: _Curves, log_loss: Array) -> _Steps:
    """The steps of the envelope of curves (R, G)."""
    sizes = len(curves.log_params)
    best = np.argmin(log_loss, axis=0)
    winner = curves.size[best]
    between = curves.between[winner, np.arange(len(winner))]
    width = np.bincount(winner[between], minlength=sizes)
    total = np.bincount(winner[between], weights=curves.log_flops[between], minlength=sizes)
    won = np.flatnonzero(width)
    unfinished = int((between & (curves.log_flops < curves.end[best])).sum())
    return _Steps(total[won] / width[won], curves.log_params[won], width[won].astype(float), won, unfinished)


def _redraw(curves: _Curves, steps: _Steps, law: PowerLaw, seed: int, replicates: int) -> PowerLaw:
    """Power laws of replicates, around the centre of `law`."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, float]] = []
    for shift in rng.normal(0.0, SEED_NOISE, size=(replicates, len(curves.run))):
        drawn = _climb(curves, curves.log_loss + shift[:, None])
        if len(drawn.size) >= MIN_OPTIMA:
            one = fit_power_law(drawn.log_flops, drawn.log_params[None], drawn.width)
            found.append((float(one.exponent[0]), float(one.at(law.centre)[0])))
    draws = np.array(found).reshape(-1, 2) + _jackknife(steps, law, rng.standard_normal((len(found), 2)))
    return PowerLaw(draws[:, 0], draws[:, 1], law.centre)


def _jackknife(steps: _Steps, law: PowerLaw, chance: Array) -> Array:
    """Deviations (R, 2) of exponent and height as of other sizes, from normal ones.

    Variance is (K - 1)/K times the sum of squares over the power laws without one of the K steps (Quenouille 1956).
    """
    count = len(steps.size)
    without: list[tuple[float, float]] = []
    for left_out in range(count):
        kept = np.arange(count) != left_out
        one = fit_power_law(steps.log_flops[kept], steps.log_params[None, kept], steps.width[kept])
        without.append((float(one.exponent[0]), float(one.at(law.centre)[0])))
    deviations = np.array(without) - np.mean(without, axis=0)
    covariance = (count - 1) / count * deviations.T @ deviations
    spreads, directions = np.linalg.eigh(covariance)
    return np.asarray(chance * np.sqrt(np.maximum(spreads, 0.0)) @ directions.T, dtype=np.float64)
