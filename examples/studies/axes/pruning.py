"""Leave-one-out as a way to choose a size that is left out of the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, Case, ask
from numpy.typing import NDArray
from page import Finding, Section, table
from protocol import fit_published, gather_checkpoints

from axes.base import Axis
from scaling_callback.fitting import Points
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting.units import format_percent

PUBLISHED_WORST = 0.58
"""Share of cases in which leaving out the size that leave-one-out chooses was the worst choice possible."""

FEWEST, MOST = 4, 25
"""Sizes below the largest. With three, two remain and each is forecast from one; with more than 25 a size is one run of
many, and leaving it out changes nothing."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pruned:
    """What leaving out one size does to the forecast of the largest.

    Attributes:
        errors: Of the forecast without each size in turn, smallest size first; infinite where no law was found.
        none: With all of them.
        consistent: Place of the size without which the others forecast each other best.
        unexpected: Place of the size that the others forecast worst.
        default: Error of this library's default, which leaves none out.
    """

    errors: tuple[float, ...]
    none: float
    consistent: int
    unexpected: int
    default: float | None


def measure(case: Case) -> Pruned | None:
    """The forecasts of the largest size without each other size, and which of these leave-one-out would choose."""
    sizes = case.sizes[:-1]
    points = gather_checkpoints(case.ladder)
    if points is None or not FEWEST <= len(sizes) <= MOST:
        return None
    goals = {size: make_goals([run for run in case.ladder if run.params == size]) for size in sizes}

    def miss(without: Sequence[float], at: Sequence[Goal]) -> float:
        return miss_goals(points.take(~np.isin(points.params, without)), at)

    alone = [miss([size], goals[size]) for size in sizes]
    without = [
        float(np.mean([miss([size, other], goals[other]) for other in sizes if other != size])) for size in sizes
    ]
    return Pruned(
        tuple(miss([size], case.goals) for size in sizes),
        miss([], case.goals),
        int(np.argmin(without)),
        int(np.argmax(alone)),
        ask(DEFAULT, case.ladder, case.goals),
    )


def miss_goals(points: Points, goals: Sequence[Goal]) -> float:
    """Mean absolute relative error of the protocol's law through these points; infinite where there is no law."""
    law = fit_published(points)
    if law is None:
        return np.inf
    said = law.predict(np.array([goal.params for goal in goals]), np.array([goal.tokens for goal in goals]))
    return float(np.mean(np.abs(said / [goal.loss for goal in goals] - 1)))
