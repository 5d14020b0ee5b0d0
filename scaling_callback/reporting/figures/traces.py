"""What earlier moments and other splits would have said, as plain numbers for figures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling_callback.fitting import Fit
from scaling_callback.forecasting import PastForecast
from scaling_callback.records import Array
from scaling_callback.reporting.figures.series import POINTS, can_trace
from scaling_callback.snapshot import Snapshot

MOST_ISSUED = 60
"""More issued forecasts than this are not drawn: every n-th of them is."""

BUDGETS = 5
"""Budgets whose valleys are drawn where no approach names any."""

WALLS = 40.0
"""A valley of the law is drawn to so many times fewer and more parameters than its optimum."""


@dataclass(frozen=True, eq=False)
class PastSeries:
    """Forecasts of the target by the compute of the ladder, each column of shape (n,)."""

    made: tuple[PastForecast, ...]

    def __len__(self) -> int:
        return len(self.made)

    @cached_property
    def compute(self) -> Array:
        """FLOPs that the ladder had taken."""
        return np.array([one.compute for one in self.made])

    @cached_property
    def median(self) -> Array:
        """Forecast losses."""
        return np.array([one.median for one in self.made])

    @cached_property
    def lower(self) -> Array:
        """Lower ends of their intervals."""
        return np.array([one.lower for one in self.made])

    @cached_property
    def upper(self) -> Array:
        """Upper ends of their intervals."""
        return np.array([one.upper for one in self.made])


@dataclass(frozen=True)
class Past:
    """Earlier forecasts, and where the ladder stands.

    Attributes:
        recomputed: From the runs that had finished by then, today's forecast last.
        issued: While training, thinned.
        now: FLOPs that the ladder has taken.
    """

    recomputed: PastSeries
    issued: PastSeries
    now: float


@dataclass(frozen=True, eq=False)
class Valley:
    """The loss along one budget.

    Attributes:
        flops: The budget.
        params: N along it, shape (m,); empty where no law can be drawn.
        loss: The law's loss, shape (m,).
        optimum: N and loss at the law's optimum; `None` where the law has none.
        measured_params: N of measured losses at this budget, shape (s,).
        measured_loss: Those losses, shape (s,).
    """

    flops: float
    params: Array
    loss: Array
    optimum: tuple[float, float] | None
    measured_params: Array
    measured_loss: Array


def trace_past(snapshot: Snapshot) -> Past | None:
    """Earlier forecasts of the target; `None` where there is no forecast, or no earlier one."""
    now, forecast = spent_by(snapshot), snapshot.forecast
    recomputed = [one for one in snapshot.past if one.kind == "recomputed"]
    issued = [one for one in snapshot.past if one.kind == "issued"]
    if forecast is None or not (recomputed or issued) or now <= 0:
        return None
    if recomputed:
        last = PastForecast(
            kind="recomputed",
            runs=len(snapshot.evidence.used),
            compute=now,
            median=forecast.median,
            lower=forecast.lower,
            upper=forecast.upper,
        )
        recomputed = [*(one for one in recomputed if one.compute < now), last]
    shown = issued[:: max(1, -(-len(issued) // MOST_ISSUED))]
    return Past(PastSeries(tuple(recomputed)), PastSeries(tuple(shown)), now)


def spent_by(snapshot: Snapshot) -> float:
    """FLOPs that the runs of the ladder have taken, held-out ones left aside: they are no part of what was known."""
    return sum(
        run.flops_per_token * float(run.curve.tokens[-1])
        for run in snapshot.runs
        if len(run.curve) and not run.card.held_out
    )


def trace_valleys(snapshot: Snapshot) -> tuple[Valley, ...]:
    """The loss along budgets, increasing, the one that is split last; empty without a budget or a law.

    The budgets are those at which the ladder holds losses of several sizes, else spread from the least of the evidence.
    """
    fit, allocation = snapshot.fit, snapshot.allocation
    if fit is None or allocation is None or not can_trace(snapshot, fit):
        return ()
    measured, asked = allocation.profiles, allocation.flops
    if measured:
        step = -(-len(measured) // BUDGETS)
        chosen = measured[::-1][::step][::-1]  # the largest always
        budgets = [(profile.flops, profile) for profile in chosen]
    else:
        evidence = 6.0 * fit.points.params * fit.points.tokens
        spread = np.geomspace(float(evidence.min()), float(evidence.max()), BUDGETS - 1)
        budgets = [(float(flops), None) for flops in spread]
    valleys: list[Valley] = []
    for flops, profile in [*budgets, (asked, None)]:
        params, loss, optimum = _trace_valley(snapshot, fit, flops, profile.params if profile else ())
        none = np.empty(0)
        valleys.append(
            Valley(
                flops=flops,
                params=params,
                loss=loss,
                optimum=optimum,
                measured_params=np.array(profile.params) if profile else none,
                measured_loss=np.array(profile.loss) if profile else none,
            )
        )
    return tuple(valleys)


def _trace_valley(
    snapshot: Snapshot, fit: Fit, flops: float, also: tuple[float, ...]
) -> tuple[Array, Array, tuple[float, float] | None]:
    """The law along a budget, across its optimum and every N in `also`."""
    assert snapshot.allocation is not None
    further, cost = snapshot.config.further, snapshot.allocation.cost
    best, best_tokens = fit.optimum(flops, further, cost)
    optimum = None
    around: list[float] = [*also]
    if np.isfinite(best) and best > 0 and best_tokens > 0:
        optimum = best, float(fit.predict(best, best_tokens, **further)[0])
        around += [best / WALLS, best * WALLS] if not also else [best]
    else:
        around += [float(fit.points.params.min()), float(fit.points.params.max())]
    params = np.geomspace(min(around), max(around), POINTS)
    tokens = np.array([cost.tokens(float(n), flops) for n in params])
    reached = tokens > 1.0
    params, tokens = params[reached], tokens[reached]
    return params, fit.predict(params, tokens, **further) if len(params) else params, optimum
