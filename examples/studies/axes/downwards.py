"""Scaling down: the smallest size forecast from the larger ones, from all of their training or from part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask, ask_published, score
from page import Finding, Section, judge, table

from axes.base import Axis
from scaling_callback import Run
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting.units import format_percent

PUBLISHED_BEST = 0.04
"""The error that the study calls the best typically obtained."""

SHARES = (0.3, 0.4)
"""How much of the training of the larger sizes is seen: the study says 30 to 40%."""

UP, NEXT = "protocol, upwards", "next size's final"


def name_share(share: float) -> str:
    """The way that sees that share of the larger runs."""
    return f"protocol, {share:.0%} seen"


COLUMNS = (UP, PROTOCOL, *map(name_share, SHARES), DEFAULT, NEXT)


def measure(case: Case) -> dict[str, float | None] | None:
    """Errors of the forecasts of the smallest size's finals, and of the protocol's forecast of the largest."""
    larger = [run for run in case.runs if run.params > case.sizes[0]]
    goals = make_goals([run for run in case.runs if run.params == case.sizes[0]])
    errors = {UP: ask(PROTOCOL, case.ladder, case.goals)}
    errors |= {way: ask(way, larger, goals) for way in (PROTOCOL, DEFAULT)}
    for share in SHARES if case.has_curves else ():
        errors[name_share(share)] = score(ask_published([cut(run, share) for run in larger], goals), goals)
    errors[NEXT] = score(guess_next(larger, goals), goals)
    return errors


def cut(run: Run, share: float) -> Run:
    """A run as it stood after that share of its training."""
    return run if run.horizon is None else run.until(share * run.horizon)


def guess_next(larger: Sequence[Run], goals: Sequence[Goal]) -> list[float]:
    """For each goal the final of the next larger size, of the run that is nearest in tokens."""
    size = min(run.params for run in larger)
    known = make_goals([run for run in larger if run.params == size])
    return [min(known, key=lambda other: abs(np.log(other.tokens / goal.tokens))).loss for goal in goals]
