"""How a compute budget splits into parameters and tokens, or the named reasons why that cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit, Status, log_variables
from scaling_callback.forecasting import spread_around, take_interval
from scaling_callback.records import Array

WIDE = 10.0
"""An interval of D/N whose ends differ by more than this factor is no recommendation."""

LOST = 0.01
"""Share of replicates without an optimum above which there is none to speak of."""

FAR = 1000.0
"""A budget more than this many times that of the largest run is beyond what the law can carry."""

BLOCKING = (
    "one_size",
    "one_horizon",
    "narrow_ratio",
    "exponent_at_bound",
    "floor_unidentified",
    "disagreeing_basins",
    "no_variation",
)
"""Diagnostics of a fit under which the split of a budget is not determined by the data."""


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal split of a budget.

    Attributes:
        flops: The budget C = 6 N D.
        params: Optimal N; `None` when not identified, as are all values.
        tokens: Optimal D.
        tokens_per_param: D / N.
        loss: Forecast loss there.
        level: Nominal coverage of the intervals.
        intervals: Lower and upper ends, by name of the value; empty when not identified.
        reasons: Why the split is not identified, by name, each with a sentence; empty when it is.
    """

    flops: float
    params: float | None
    tokens: float | None
    tokens_per_param: float | None
    loss: float | None
    level: float
    intervals: Mapping[str, tuple[float, float]]
    reasons: Mapping[str, str]

    @property
    def identified(self) -> bool:
        """Whether the data hold an answer."""
        return not self.reasons


def allocate(
    fit: Fit,
    flops: float,
    *,
    level: float = 0.9,
    seed: int = 0,
    further: Mapping[str, float] | None = None,
    other_ratios: Mapping[str, float] | None = None,
) -> Allocation:
    """The optimum of the fitted law on C = 6 N D, with intervals made as those of a forecast are.

    `further` holds values of further variables of the law, such as `unique_tokens`; `other_ratios` the optimal D/N
    that other analyses of the same points arrive at, by name of the analysis.

    Raises:
        InputError: The budget is not a positive, finite number.
    """
    if not (math.isfinite(flops) and flops > 0):
        raise InputError(f"flops is {flops}; a budget must be a positive, finite number of FLOPs")
    further = further or {}
    natural = fit.law.natural(fit.theta[None], fit.centre)
    params, tokens = (float(v[0]) for v in fit.law.optimum(natural, flops, further))
    draws = _draws(fit, flops, further)
    intervals: dict[str, tuple[float, float]] = {}
    if math.isfinite(params) and len(draws["params"]):
        loss = float(fit.predict(params, tokens, **further)[0])
        centres = {"params": params, "tokens": tokens, "tokens_per_param": tokens / params, "loss": loss}
        for name, centre in centres.items():
            noise_seed = seed if name == "loss" else None
            intervals[name] = take_interval(spread_around(fit, centre, draws[name], noise_seed=noise_seed), level)
    reasons = _reasons(fit, flops, params, tokens, intervals, len(fit.draws) - len(draws["params"]))
    if not math.isfinite(params):
        reasons["no_optimum"] = _why_no_optimum(fit, further)
    reasons |= _disagreement(other_ratios or {})
    if reasons:
        return Allocation(flops, None, None, None, None, level, {}, reasons)
    loss = float(fit.predict(params, tokens, **further)[0])
    return Allocation(flops, params, tokens, tokens / params, loss, level, intervals, {})


def _why_no_optimum(fit: Fit, further: Mapping[str, float]) -> str:
    missing = [name for name in fit.law.variables if name not in ("params", "tokens", "compute", *further)]
    if missing:
        return f"the law needs {' and '.join(missing)} of the budget, which is not given"
    if not {"params", "tokens"} <= {*fit.law.variables}:
        return f"the law {fit.law.name} does not know both N and D: it prefers no split; take a law of N and D"
    return "the fitted law has no optimum at this budget"


def _draws(fit: Fit, flops: float, further: Mapping[str, float]) -> dict[str, Array]:
    """The optimum under each replicate that has one."""
    params, tokens = fit.law.optimum(fit.natural_draws, flops, further)
    usable = np.isfinite(params)
    params, tokens = params[usable], tokens[usable]
    if not len(params):
        return dict.fromkeys(("params", "tokens", "tokens_per_param", "loss"), params)
    x = log_variables({"params": params, "tokens": tokens, **further}, fit.law.variables) - fit.centre[:, None]
    # each replicate at its own optimum: the diagonal of the (R, R) table of predictions
    losses = np.array(
        [math.exp(fit.law.log_loss(theta[None], x[:, [i]])[0][0, 0]) for i, theta in enumerate(fit.draws[usable])]
    )
    return {"params": params, "tokens": tokens, "tokens_per_param": tokens / params, "loss": losses}


def _reasons(
    fit: Fit, flops: float, params: float, tokens: float, intervals: Mapping[str, tuple[float, float]], lost: int
) -> dict[str, str]:
    reasons = {name: sentence for name, sentence in fit.diagnostics.items() if name in BLOCKING}
    if fit.status is Status.NOT_CONVERGED:
        reasons["not_converged"] = Status.NOT_CONVERGED.value
    points = fit.points
    smallest, largest = (6.0 * float(c) for c in np.quantile(points.params * points.tokens, [0.0, 1.0]))
    if flops * FAR < smallest:
        reasons["far_budget"] = (
            f"the budget is {flops / smallest:.2g} times the smallest run's compute; "
            f"below 1/{FAR:g} the split is a guess"
        )
    if flops > FAR * largest:
        reasons["far_budget"] = (
            f"the budget is {flops / largest:.2g} times the largest run's compute; beyond {FAR:g} the split is a guess"
        )
    if not math.isfinite(params):
        return reasons
    ratios = points.tokens / points.params
    if not ratios.min() <= tokens / params <= ratios.max():
        reasons["outside_ratios"] = (
            f"the optimum at {tokens / params:.3g} tokens per parameter lies outside the ladder's "
            f"{ratios.min():.3g} to {ratios.max():.3g}; train runs that bracket it"
        )
    if not len(fit.draws):
        reasons["no_interval"] = "without a bootstrap nothing is known of the uncertainty; ask for replicates"
    elif lost > LOST * len(fit.draws):
        reasons["no_optimum"] = f"{lost} of {len(fit.draws)} replicates have no optimum at this budget"
    elif intervals["tokens_per_param"][1] > WIDE * intervals["tokens_per_param"][0]:
        lower, upper = intervals["tokens_per_param"]
        reasons["wide_interval"] = (
            f"the interval of tokens per parameter runs from {lower:.3g} to {upper:.3g}: "
            f"more than a factor of {WIDE:g}, no recommendation"
        )
    return reasons


def _disagreement(ratios: Mapping[str, float]) -> dict[str, str]:
    """Whether analyses of the same points, none of which they reject, give splits that are no recommendation."""
    if not ratios or max(ratios.values()) <= WIDE * min(ratios.values()):
        return {}
    low, high = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
    return {
        "disagreeing_choices": (
            f"the optimum is {ratios[low]:.3g} tokens per parameter under one choice ({low}) and {ratios[high]:.3g} "
            f"under another ({high}): more than a factor of {WIDE:g} that the data do not decide"
        )
    }
