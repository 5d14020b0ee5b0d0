"""The final of a run that has its cooldown ahead: the loss at a constant rate, and what cooldowns took off elsewhere.

ln F = ln L_const(D) + g(N, D): the first term is the curve of the constant rate at the run's horizon, its trunk's
where the run branched from one, extrapolated by a power law where the curve ends before; the gap g is learnt from
finished branches of visible trunks, as a smooth function of size and horizon. A constant-rate curve alone does not know
its gap: without one finished branch nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from scaling_callback.curves.observed import (
    MIN_OBSERVATIONS,
    SEED_TO_COME,
    conclude,
    holds_rate,
    log_final,
    observe,
    order_finished,
    relate,
)
from scaling_callback.curves.own import forecast_by_own_law
from scaling_callback.curves.process import regress
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Run

MOST_BRANCHES = 32
"""Finished branches that the gap is learnt from, the nearest ones: twice as many cost eight times as much."""

NOT_AHEAD = "no_cooldown_ahead"
GAP_UNKNOWN = Abstention(
    "cooldown_gap_unknown",
    "its learning rate is still constant, and what a cooldown takes off is unknown until a branch has been cooled down",
)


def forecast_by_cooldown(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The constant-rate loss at the horizon, less the gap that finished branches show.

    Runs of `finished` without a final serve as trunks only.
    """
    if run.horizon is None:
        return Abstention("horizon_unknown", "its planned tokens are unknown: pass `horizon=`")
    trunks = {other.name: other for other in finished}
    trunk = trunks.get(run.card.parent or "", run)
    if run.phase == "constant" or (trunk is run and not holds_rate(run)):
        return Abstention(NOT_AHEAD, "it is no branch, and its learning rate is not held constant")
    if (base := _constant_loss(trunk, run.horizon)) is None:
        return Abstention("too_early", f"its constant rate has fewer than {MIN_OBSERVATIONS} usable observations")
    branches: list[tuple[Run, float]] = [
        (other, float(np.log(gapless[0])))
        for other in order_finished(run, finished)
        if other.phase != "constant"
        and (stem := trunks.get(other.card.parent or "")) is not None
        and other.final is not None
        and (gapless := _constant_loss(stem, other.final.tokens)) is not None
    ]
    if not branches:
        return GAP_UNKNOWN
    traits = relate(run, tuple(other for other, _ in branches))
    near: list[int] = np.argsort(np.square(traits).sum(1), kind="stable")[:MOST_BRANCHES].tolist()
    gaps = np.array([log_final(branches[index][0]) - branches[index][1] for index in near])
    gap, spread = regress(traits[near], np.zeros((len(gaps), 2)), gaps, np.ones(len(gaps)))
    loss, deviation = base
    relative = float(np.sqrt(spread**2 + deviation**2 + (SEED_TO_COME * SEED_NOISE) ** 2))
    return conclude(float(np.log(loss)) + gap, relative, "cooldown", len(gaps))


@lru_cache(maxsize=8192)
def _constant_loss(trunk: Run, tokens: float) -> tuple[float, float] | None:
    """Loss of a constant-rate curve at so many tokens, and its relative deviation; `None` where it is too short."""
    # the curve as if it were planned to end there
    whole = Run(replace(trunk.card, horizon=tokens), trunk.curve)
    seen = observe(whole)
    if len(seen) < MIN_OBSERVATIONS:
        return None
    if trunk.curve.tokens[-1] >= tokens * (1.0 - 1e-9):
        known = np.isfinite(trunk.curve.loss) & (trunk.curve.loss > 0) & (trunk.curve.tokens > 0)
        at = np.interp([np.log(tokens)], np.log(trunk.curve.tokens[known]), np.log(trunk.curve.loss[known]))
        return float(np.exp(at[0])), 0.0
    card = replace(whole.card, schedule="constant")
    made = forecast_by_own_law(Run(card, trunk.curve), ())
    return (made.median, made.spread / made.median) if isinstance(made, FinalForecast) else None
