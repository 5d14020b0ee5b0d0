"""What one run says of the largest size, with A and alpha from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import Case, ask, list_places, miss, score
from protocol import START, fit_published, gather_checkpoints

from axes.tally import is_text
from axes.ways import BASELINES
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Borrowed, Points, fit
from scaling_callback.replaying import Goal

LENT = {"a": START["a"], "alpha": START["alpha"]}
"""Muennighoff's ln A and alpha."""


FLAT = {"a": -np.inf, "alpha": 0.0}
"""No size term: of one size it is a constant, and without it a part of E."""


@dataclass(frozen=True)
class Single:
    """Forecasts of the largest size from one run.

    Attributes:
        params: Its size.
        distance: ln of the largest size over it.
        borrowed: Error with Muennighoff's A and alpha, by the protocol.
        own: Error of its own final as the forecast.
        library: The same with this library's fit at its certified optimum.
        ridges: The same with B tied to beta by the published line.
        floor: What its own curve says that it falls to, with whatever its size costs it.
        level: Forecasts of the targets if size changed nothing: to them comes what a lent size term says.
    """

    params: float
    distance: float
    borrowed: float | None
    own: float | None
    library: float | None
    ridges: float | None
    floor: float | None
    level: tuple[float, ...]


@dataclass(frozen=True)
class Borrowing:
    """What one family lends, and what it can do with what is lent.

    Attributes:
        source: The study that it comes from: families of one study do not lend to each other.
        language: Whether its loss is of text, in nats per token.
        baseline: The lower of the errors of the two baselines.
        lends: ln A and alpha of the protocol's law through all of its runs; `None` without one.
        target: Size of the largest.
        losses: What the finals of the largest size are.
        singles: From the largest run of each smaller size, smallest first.
    """

    source: str
    language: bool
    baseline: float | None
    lends: tuple[float, float] | None
    target: float
    losses: tuple[float, ...]
    singles: tuple[Single, ...]


def measure(case: Case) -> Borrowing | None:
    """Forecasts of the largest size from one run of each smaller size."""
    if not case.has_curves:
        return None
    singles = [single for size in case.sizes[:-1] if (single := measure_single(case, size)) is not None]
    if not singles:
        return None
    baselines = [error for way in BASELINES if (error := ask(way, case.ladder, case.goals)) is not None]
    points = gather_checkpoints(case.runs)
    law = None if points is None else fit_published(points)
    return Borrowing(
        case.family.source,
        is_text(case.family.name),
        min(baselines, default=None),
        None if law is None else (law.values["a"], law.values["alpha"]),
        case.sizes[-1],
        tuple(goal.loss for goal in case.goals),
        tuple(singles),
    )


def measure_single(case: Case, size: float) -> Single | None:
    """Forecasts from the longest run of one size; `None` where it has too few checkpoints for a curve."""
    run = max((run for run in case.ladder if run.params == size), key=lambda run: (run.curve.tokens[-1], run.name))
    points = gather_checkpoints([run])
    if points is None or len(points) < 3 or run.final is None:
        return None
    lent = fit_published(points, LENT)
    flat = fit_published(points, FLAT)
    return Single(
        size,
        float(np.log(case.sizes[-1] / size)),
        miss(lent, case.goals),
        score([run.final.loss] * len(case.goals), case.goals),
        fit_lent(points, case.goals, ridges=False),
        fit_lent(points, case.goals, ridges=True),
        None if flat is None else float(np.exp(flat.values["e"])),
        () if flat is None else tuple(flat.predict(*list_places(case.goals)).tolist()),
    )


def fit_lent(points: Points, goals: Sequence[Goal], *, ridges: bool) -> float | None:
    """The error of this library's fit with Muennighoff's A and alpha; `None` where it refuses."""
    try:
        return miss(fit(points, borrowed=Borrowed.published("muennighoff", "A", "alpha"), ridges=ridges), goals)
    except NotEnoughData:
        return None


def lend(name: str, found: Mapping[str, Borrowing]) -> list[float]:
    """Errors of one family's largest size with A and alpha of each family of text from another source."""
    made = found[name]
    single = made.singles[-1]
    errors: list[float] = []
    for lender in found.values():
        if lender.lends is None or not lender.language or lender.source == made.source or single.floor is None:
            continue
        log_coefficient, alpha = lender.lends
        here, there = (math.exp(log_coefficient - alpha * math.log(size)) for size in (single.params, made.target))
        if here < single.floor:
            said = np.array(single.level) + there - here
            errors.append(float(np.mean(np.abs(said / made.losses - 1))))
    return errors
