"""A target that a run in hand can be cooled down to: its size, and tokens that it has passed at a constant rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scaling_callback.curves import Abstention, FinalForecast, forecast_final
from scaling_callback.records import Curve, Run

SAME_SIZE = 1e-6
"""Relative difference of params up to which it is the same model; families hold sizes that differ by one percent."""


def cool_down(runs: Sequence[Run], params: float, tokens: float) -> tuple[FinalForecast, str] | None:
    """The loss of a branch that cools a constant run of that size down to that many tokens, and the run's name.

    `None` where no run at a constant rate has passed there, or no finished branch shows what a cooldown takes off. It
    knows the model's own loss before the cooldown, which a law of other runs can only guess.
    """
    known = [run for run in runs if not run.card.held_out]
    trunks = [
        run
        for run in known
        if run.phase == "constant"
        and len(run.curve)
        and run.curve.tokens[-1] >= tokens
        and abs(run.params / params - 1) <= SAME_SIZE
    ]
    branches = [
        run for run in known if run.card.parent is not None and run.final is not None and run.phase != "constant"
    ]
    # of two that could be cooled down it cannot be told which one is meant
    if len(trunks) != 1 or not branches:
        return None
    (trunk,) = trunks
    # planned as the nearest branch was, under a name that no run has
    nearest = min(branches, key=lambda run: (_distance(run, params, tokens), run.name))
    name = "+".join(["target", *sorted(run.name for run in known)])
    card = replace(nearest.card, name=name, params=params, horizon=tokens, parent=trunk.name)
    made = forecast_final(Run(card, Curve.of([])), known)
    return None if isinstance(made, Abstention) else (made, trunk.name)


def _distance(run: Run, params: float, tokens: float) -> float:
    return math.hypot(math.log(run.params / params), math.log((run.horizon or tokens) / tokens))
