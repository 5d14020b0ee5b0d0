"""How a compute budget splits into parameters and tokens, or the named reasons why that cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from scaling_callback.allocating.constraints import UNCONSTRAINED, Constraints
from scaling_callback.allocating.frontier import Frontier, IsoFlop
from scaling_callback.allocating.reasons import (
    doubt_analyses,
    doubt_design,
    doubt_fit,
    doubt_ratio,
    doubt_reach,
    doubt_split,
    explain_no_optimum,
)
from scaling_callback.allocating.split import Budget
from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit
from scaling_callback.forecasting import doubt_repetition, heed_repetition, spread_around, take_interval
from scaling_callback.records import Array

USUAL_LEVEL = 0.9
"""Level of the interval that is too wide or not: a lower one must not buy a recommendation."""

FAR_RATIO = 10.0
"""Factor by which the D/N of a model that is given may lie outside the ladder's before its loss is a guess."""

EXCESSES = (0.005, 0.01)
"""How far above the lowest loss a valley reaches, as a share of it."""


@dataclass(frozen=True)
class Valley:
    """Where along the budget the loss stays near its lowest: what an engineer chooses from.

    Attributes:
        excess: How far above the lowest loss, as a share of it.
        params: Least and most N.
        tokens: D at the least and at the most N: the first is the larger.
        sure: Least and most N for which that holds under nearly every replicate, at the level of the intervals;
            `None` where there is no such N.
    """

    excess: float
    params: tuple[float, float]
    tokens: tuple[float, float]
    sure: tuple[float, float] | None


@dataclass(frozen=True)
class Growth:
    """The exponent with which an optimal count grows with the budget, and its interval."""

    exponent: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Allocation:
    """The compute-optimal split of a budget.

    Attributes:
        flops: The budget.
        params: Optimal N; `None` when not identified, as are all values.
        tokens: Optimal D.
        tokens_per_param: D / N.
        loss: Forecast loss there.
        level: Nominal coverage of the intervals.
        intervals: Lower and upper ends, by name of the value; empty when not identified.
        reasons: Why the split is not identified, by name, each with a sentence; empty when it is.
        doubts: What else should be known of it, likewise.
        cost: What a model costs.
        growth: How optimal `params` and `tokens` grow with the budget.
        valleys: Where the loss is nearly as low, the narrowest first.
        fixed: `params` or `tokens`, where one was given and the other follows.
        excess: How much higher the loss is than at the free optimum, as a share of it, where one is fixed and that
            optimum is identified.
        budgets: The same for other budgets.
        approaches: What the approaches that know no law say of this budget, and the law's own answer.
        profiles: The losses at equal compute that the ladder holds.
    """

    flops: float
    params: float | None
    tokens: float | None
    tokens_per_param: float | None
    loss: float | None
    level: float
    intervals: Mapping[str, tuple[float, float]]
    reasons: Mapping[str, str]
    doubts: Mapping[str, str] = field(default_factory=dict[str, str])
    cost: Cost = SIX_ND
    growth: Mapping[str, Growth] = field(default_factory=dict[str, Growth])
    valleys: tuple[Valley, ...] = ()
    fixed: str | None = None
    excess: float | None = None
    budgets: tuple[Allocation, ...] = ()
    approaches: tuple[Frontier, ...] = ()
    profiles: tuple[IsoFlop, ...] = ()

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
    cost: Cost = SIX_ND,
    constraints: Constraints = UNCONSTRAINED,
    analyses: Mapping[str, Fit] | None = None,
) -> Allocation:
    """The optimum of the fitted law among all models that cost `flops`, with intervals made as those of a forecast are.

    In closed form where the law has one and the cost is in proportion to N D; else the place where the derivative of
    the loss along the budget changes its sign (`laws.optima`).

    Args:
        fit: The fitted law, with its bootstrap.
        flops: The budget, for training and for the tokens that the cost says are served.
        level: Nominal coverage of the intervals.
        seed: Seed of the noise in the interval of the loss.
        further: Values of further variables of the law. With `unique_tokens` a Chinchilla law is answered with the
            published decay of repeated tokens.
        cost: What a model costs, such as `constraints.cost(runs)`.
        constraints: Whether N or D is fixed beforehand.
        analyses: Fits of the same points by other analyses, by name: a split that turns on them is refused.

    Raises:
        InputError: The budget is not a positive, finite number, nothing of it is left for training, or the law has no
            form for repeated tokens.

    Example:
        >>> from scaling_callback.fitting import Points, fit as fit_points
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8, 1e9], [1e9, 4e9, 16e9, 64e9])
        >>> points = Points.of(N.ravel(), D.ravel(), (1.8 + 480 / N**0.35 + 2100 / D**0.37).ravel())
        >>> made = allocate(fit_points(points, replicates=50), 1e21)
        >>> f"{made.params:.3g}", f"{made.growth['params'].exponent:.3f}", made.identified
        ('2.94e+09', '0.514', True)
    """
    check_budget(flops)
    known = dict(further or {})
    doubts, fit = doubt_repetition(fit, known), heed_repetition(fit, known)
    natural = np.concatenate([fit.law.natural(fit.theta[None], fit.centre), fit.natural_draws])
    if cost.tokens(1.0, flops) <= 1.0:
        raise InputError(
            f"{flops:.3g} FLOPs are too few to train one parameter on one token"
            + (f" and serve {cost.inference_tokens:.3g} tokens with it" if cost.inference_tokens else "")
            + "; raise --flops"
        )
    best = Budget(fit.law, natural, flops, cost, known)
    if constraints.fixed_params is not None or constraints.fixed_tokens is not None:
        free = allocate(fit, flops, level=level, seed=seed, further=known, cost=cost, analyses=analyses)
        return _follow(fit, best, constraints, free, level=level, seed=seed, doubts=doubts)
    params, tokens = best.optimum()
    found = bool(np.isfinite(params[0]))
    spent = cost.training_flops(float(params[0]), float(tokens[0])) if found else flops
    reasons = doubt_fit(fit) | doubt_design(fit) | doubt_reach(fit, spent, cost)
    empty = Allocation(flops, None, None, None, None, level, {}, reasons, doubts, cost)
    if not found:
        return replace(empty, reasons=reasons | explain_no_optimum(fit, known))
    usable = np.isfinite(params)
    values = {"params": params, "tokens": tokens, "tokens_per_param": tokens / params}
    values |= {"loss": best.losses(params, tokens)}
    ends = {
        name: _interval(fit, value[usable], level, seed if name == "loss" else None) for name, value in values.items()
    }
    ratio = float(tokens[0] / params[0])
    wide = _interval(fit, values["tokens_per_param"][usable], USUAL_LEVEL, None)
    reasons |= doubt_split(fit, ratio, wide, int((~usable).sum()), level)
    others = {name: _ratio(other, best) for name, other in (analyses or {}).items()}
    reasons |= doubt_analyses(ratio, others)
    if reasons:
        return replace(empty, reasons=reasons)
    growth = dict(zip(("params", "tokens"), best.exponents(), strict=True))
    return replace(
        empty,
        params=float(params[0]),
        tokens=float(tokens[0]),
        tokens_per_param=ratio,
        loss=float(values["loss"][0]),
        intervals=ends,
        growth={name: Growth(float(value[0]), *_range(value, level)) for name, value in growth.items()},
        valleys=tuple(_valley(best, tokens, excess, level) for excess in EXCESSES),
    )


def _follow(
    fit: Fit,
    best: Budget,
    constraints: Constraints,
    free: Allocation,
    *,
    level: float,
    seed: int,
    doubts: Mapping[str, str],
) -> Allocation:
    """The loss where N or D is given and the other follows from the budget."""
    cost, flops = best.cost, best.flops
    if constraints.fixed_params is not None:
        fixed, params = "params", constraints.fixed_params
        tokens = cost.tokens(params, flops)
    else:
        assert constraints.fixed_tokens is not None
        fixed, tokens = "tokens", constraints.fixed_tokens
        params = cost.params(tokens, flops)
    if params < 1 or tokens < 1:
        served = f" beside {cost.inference_tokens:.3g} tokens to serve" if cost.inference_tokens else ""
        raise InputError(
            f"{flops:.3g} FLOPs leave no training for a model of {max(params, 0):.3g} parameters{served}: it would see "
            f"{max(tokens, 0):.3g} tokens; raise --flops, or fix another value"
        )
    reasons = doubt_fit(fit) | doubt_reach(fit, cost.training_flops(params, tokens), cost)
    ratio = tokens / params
    known = fit.points.tokens / fit.points.params
    if not known.min() / FAR_RATIO <= ratio <= known.max() * FAR_RATIO:
        reasons |= doubt_ratio(fit, ratio, "this model")
    missing = [name for name in best.law.variables if name not in ("params", "tokens", *best.known)]
    if missing:
        reasons |= explain_no_optimum(fit, best.known)
    if reasons:
        return Allocation(flops, None, None, None, None, level, {}, reasons, doubts, cost, fixed=fixed)
    rows = np.ones(len(best.natural))
    losses = best.losses(params * rows, tokens * rows)
    return Allocation(
        flops=flops,
        params=params,
        tokens=tokens,
        tokens_per_param=ratio,
        loss=float(losses[0]),
        level=level,
        intervals={"loss": _interval(fit, losses, level, seed)} if len(losses) > 1 else {},
        reasons={},
        doubts={**fit.diagnostics, **doubts, **doubt_ratio(fit, ratio, "this model")},
        cost=cost,
        fixed=fixed,
        excess=None if free.loss is None else float(losses[0]) / free.loss - 1,
    )


def _interval(fit: Fit, values: Array, level: float, noise_seed: int | None) -> tuple[float, float]:
    """The interval of a value that comes first, from that of each replicate after it."""
    draws = spread_around(fit, float(values[0]), values[1:], noise_seed=noise_seed)
    return take_interval(draws, level, float(values[0]))


def _range(values: Array, level: float) -> tuple[float, float]:
    """The same of a value that may have any sign."""
    known = values[1:][np.isfinite(values[1:])]
    return take_interval(known - np.median(known) + values[0], level, float(values[0]))


def _ratio(other: Fit, best: Budget) -> float:
    """Optimal D/N of the same budget under another fit."""
    params, tokens = heed_repetition(other, best.known).optimum(best.flops, best.known, best.cost)
    return tokens / params


def _valley(best: Budget, tokens: Array, excess: float, level: float) -> Valley:
    fewest, most = best.valley(tokens, excess)
    largest, smallest = best.params(fewest), best.params(most)
    usable = np.isfinite(largest) & np.isfinite(smallest)
    # the valley of nearly every replicate begins where that of the last begins, and ends where that of the first does
    _, begin = _range(np.log(smallest[usable]), level)
    end, _ = _range(np.log(largest[usable]), level)
    return Valley(
        excess,
        (float(smallest[0]), float(largest[0])),
        (float(most[0]), float(fewest[0])),
        (math.exp(begin), math.exp(end)) if begin < end else None,
    )
