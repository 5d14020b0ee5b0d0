"""Why a split of a budget cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scaling_callback.costs import Cost
from scaling_callback.fitting import Fit, Status, fewest_replicates
from scaling_callback.forecasting import FAR

WIDE = 10.0
"""An interval of D/N whose ends differ by more than this factor is no recommendation."""

LOST = 0.01
"""Share of replicates without an optimum above which there is none to speak of."""

BLOCKING = (
    "one_size",
    "one_horizon",
    "narrow_ratio",
    "exponent_at_bound",
    "floor_unidentified",
    "disagreeing_basins",
    "no_variation",
    "poor_fit",
)
"""Diagnostics of a fit under which the split of a budget is not determined by the data."""


def doubt_fit(fit: Fit) -> dict[str, str]:
    """What of the fit itself speaks against any split, and against any loss."""
    return {} if fit.status is not Status.NOT_CONVERGED else {"not_converged": Status.NOT_CONVERGED.value}


def doubt_design(fit: Fit) -> dict[str, str]:
    """What the runs lack for any split."""
    return {name: sentence for name, sentence in fit.diagnostics.items() if name in BLOCKING}


def doubt_reach(fit: Fit, flops: float, cost: Cost) -> dict[str, str]:
    """A training of `flops` far outside those of the runs."""
    log_params, log_tokens = np.log(fit.points.params), np.log(fit.points.tokens)
    spent = cost.log_per_token(log_params) + log_tokens
    below, above = math.log(flops) - float(spent.min()), math.log(flops) - float(spent.max())
    if below < -math.log(FAR):
        return {
            "far_budget": (
                f"the training takes {math.exp(below):.2g} times the smallest run's compute, a far "
                f"extrapolation; below 1/{FAR:g} the split is a guess"
            )
        }
    if above > math.log(FAR):
        return {
            "far_budget": (
                f"the training takes {math.exp(min(above, 700.0)):.2g} times the largest run's compute, a far "
                f"extrapolation; beyond {FAR:g} the split is a guess"
            )
        }
    return {}


def doubt_ratio(fit: Fit, ratio: float, what: str = "the optimum") -> dict[str, str]:
    """Tokens per parameter that no run comes near from both sides."""
    known = fit.points.tokens / fit.points.params
    if known.min() <= ratio <= known.max():
        return {}
    return {
        "outside_ratios": (
            f"{what} at {ratio:.3g} tokens per parameter lies outside the ladder's "
            f"{known.min():.3g} to {known.max():.3g}; train runs that bracket it"
        )
    }


def doubt_split(fit: Fit, ratio: float, interval: tuple[float, float], lost: int, level: float) -> dict[str, str]:
    """What speaks against an optimum at `ratio` tokens per parameter, of which `lost` replicates have none."""
    reasons = doubt_ratio(fit, ratio)
    lower, upper = interval
    fewest = fewest_replicates(level)
    if len(fit.draws) < fewest:
        reasons["no_interval"] = (
            f"{len(fit.draws)} replicates say nothing of the uncertainty; at level {level:g} at least {fewest} do"
        )
    elif lost > LOST * len(fit.draws):
        reasons["no_optimum"] = f"{lost} of {len(fit.draws)} replicates have no optimum at this budget"
    elif upper > WIDE * lower:
        reasons["wide_interval"] = (
            f"the 90% interval of tokens per parameter runs from {lower:.3g} to {upper:.3g}: "
            f"more than a factor of {WIDE:g}, no recommendation"
        )
    return reasons


def doubt_analyses(ratio: float, others: Mapping[str, float]) -> dict[str, str]:
    """Analyses of the same points, none of which they reject, whose optima are no recommendation.

    Example:
        >>> list(doubt_analyses(20.0, {"another loss": 15.0})), list(doubt_analyses(20.0, {"another loss": 400.0}))
        ([], ['disagreeing_choices'])
    """
    ratios = {"as asked": ratio, **{name: value for name, value in others.items() if math.isfinite(value)}}
    low, high = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
    if ratios[high] <= WIDE * ratios[low]:
        return {}
    return {
        "disagreeing_choices": (
            f"the optimum is {ratios[low]:.3g} tokens per parameter under one choice ({low}) and {ratios[high]:.3g} "
            f"under another ({high}): more than a factor of {WIDE:g} that the data do not decide"
        )
    }


def explain_no_optimum(fit: Fit, known: Mapping[str, float]) -> dict[str, str]:
    """Why the fitted law has none."""
    missing = [name for name in fit.law.variables if name not in ("params", "tokens", "compute", *known)]
    if missing:
        why = f"the law needs {' and '.join(missing)} of the budget, which is not given"
    elif not {"params", "tokens"} <= {*fit.law.variables}:
        why = f"the law {fit.law.name} does not know both N and D: it prefers no split; take a law of N and D"
    else:
        why = "the fitted law has no optimum at this budget"
    return {"no_optimum": why}
