"""A largest model that has been trained for a part of its way, and the loss that it will end at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask, ask_default, ask_published, score
from page import Finding, Section, judge, table
from protocol import fit_published, gather_checkpoints

from axes.base import Axis
from scaling_callback import Run
from scaling_callback.curves import FinalForecast, forecast_final
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting.units import format_percent

SEEN = (0.1, 0.2, 0.3, 0.5)
"""Shares of its training that the target has behind it. A third in the study's advice."""

THIRD = 0.3

PUBLISHED_BEST = 0.04
"""The error that the study calls the best typically obtained."""

OWN, JOINED, FINAL, JOINED_DEFAULT, NOW = (
    "power law of its own tokens",
    "protocol with its checkpoints",
    "this library, its own final",
    "default with its checkpoints",
    "its loss now",
)
COLUMNS = (OWN, JOINED, FINAL, JOINED_DEFAULT, NOW)


@dataclass(frozen=True)
class Third:
    """Errors of the finals of the largest size.

    Attributes:
        anneals: Whether the schedule of the target anneals the learning rate.
        alone: From the smaller sizes alone, by protocol and default.
        seen: By the share of training seen, then by way.
    """

    anneals: bool
    alone: Mapping[str, float | None]
    seen: Mapping[float, Mapping[str, float | None]]


def measure(case: Case) -> Third | None:
    """Forecasts of each run of the largest size, each from its own beginning."""
    if not case.has_curves or any(run.horizon is None for run in case.largest):
        return None
    alone = {way: ask(way, case.ladder, case.goals) for way in (PROTOCOL, DEFAULT)}
    return Third(case.anneals, alone, {share: measure_seen(case, share) for share in SEEN})


def measure_seen(case: Case, share: float) -> dict[str, float | None]:
    """The mean error of each way over the runs of the largest size; `None` where it cannot say them all."""
    ways: dict[str, Callable[[Run, Case, Goal], float | None]] = {
        OWN: extrapolate,
        JOINED: lambda run, case, goal: first(ask_published([*case.ladder, run], [goal])),
        FINAL: lambda run, case, goal: read_median(run, case),
        NOW: lambda run, case, goal: float(run.curve.loss[-1]) if len(run.curve) else None,
    }
    if share == THIRD:  # one refresh of a whole ladder for each run takes a second
        ways[JOINED_DEFAULT] = lambda run, case, goal: first(ask_default([*case.ladder, run], [goal]))
    errors: dict[str, float | None] = {}
    for way, say in ways.items():
        found = [
            score([answer], [goal]) if (answer := say(see(run, share), case, goal)) is not None else None
            for run in case.largest
            for goal in make_goals([run])
        ]
        known = [error for error in found if error is not None]
        errors[way] = float(np.mean(known)) if known and len(known) == len(found) else None
    return errors


def see(run: Run, share: float) -> Run:
    """A run as it stood after that share of its training."""
    assert run.horizon is not None
    return run.until(share * run.horizon)


def extrapolate(run: Run, case: Case, goal: Goal) -> float | None:
    """E + B / D^beta through the run's own checkpoints after its first tenth, at its end."""
    points = gather_checkpoints([run])
    # at one size the size's own term is a part of E
    law = None if points is None else fit_published(points, {"a": -np.inf, "alpha": 0.0})
    return None if law is None else float(law.predict(np.array([goal.params]), np.array([goal.tokens]))[0])


def read_median(run: Run, case: Case) -> float | None:
    """What this library says of the final of a running run beside its finished ladder."""
    made = forecast_final(run, case.ladder)
    return made.median if isinstance(made, FinalForecast) else None


def first(answers: Sequence[float] | None) -> float | None:
    """The only answer; `None` where nothing is said."""
    return None if answers is None else answers[0]
