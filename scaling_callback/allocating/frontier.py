"""What an approach to the compute-optimal frontier says: N*(C) = k C^a, or the named reason why it cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from scaling_callback.costs import Cost
from scaling_callback.forecasting import take_interval
from scaling_callback.records import Array, Run

MIN_OPTIMA = 3
"""Optima below which a power law through them has no residual that could speak against it."""


@dataclass(frozen=True)
class IsoFlop:
    """Losses of several sizes at one budget.

    Attributes:
        flops: The budget C.
        params: N of each, increasing.
        loss: Loss of each, brought to the budget.
        optimum: N at which the approach sees the lowest; `None` where that is not inside the sizes.
    """

    flops: float
    params: tuple[float, ...]
    loss: tuple[float, ...]
    optimum: float | None


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """Compute-optimal sizes as one approach finds them, and what it says of a budget.

    Attributes:
        name: The approach: `envelope`, `isoflop` or `parametric`.
        source: What it was made from, in words.
        flops: The budget C that was asked about.
        exponent: a of N* = k C^a; `None` with a `reason`, as are the other values.
        params: N* at the budget.
        tokens: D* at the budget.
        tokens_per_param: D* / N*.
        level: Nominal coverage of the intervals.
        intervals: Lower and upper ends by name of the value, `exponent` among them; empty without replicates.
        optima: The pairs (C, N*) that the power law goes through.
        profiles: The losses at equal compute that it looked at, where it looks at such.
        points: How many measured or interpolated losses they rest on.
        bias: The D/N of this approach over that of the law which made the losses, where the losses at the very same
            points are those of the fitted law: what the approach itself adds; `None` without such a law.
        notes: What to know of it, by name, each with a sentence.
        reason: Why there is no frontier, as a name and a sentence; `None` where there is one.
    """

    name: str
    source: str
    flops: float
    exponent: float | None = None
    params: float | None = None
    tokens: float | None = None
    tokens_per_param: float | None = None
    level: float = 0.9
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    optima: tuple[tuple[float, float], ...] = ()
    profiles: tuple[IsoFlop, ...] = ()
    points: int = 0
    bias: float | None = None
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    reason: tuple[str, str] | None = None

    @property
    def budgets(self) -> int:
        """How many optima the power law goes through."""
        return len(self.optima)


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """Power laws ln N* = height + exponent (ln C - centre), R of them.

    Attributes:
        exponent: a, shape (R,).
        height: ln N* at the centre, shape (R,).
        centre: ln C around which they hold.
    """

    exponent: Array
    height: Array
    centre: float

    def at(self, log_flops: float) -> Array:
        """Ln N* at a budget, shape (R,)."""
        return self.height + self.exponent * (log_flops - self.centre)


def fit_power_law(log_flops: Array, log_params: Array, weight: Array) -> PowerLaw:
    """Weighted least squares of ln N* (R, B) on ln C (B,), with weights (B,).

    Example:
        >>> law = fit_power_law(np.log([1e18, 1e20]), np.log([[1e8, 1e9]]), np.ones(2))
        >>> law.exponent.round(3), np.exp(law.at(np.log(1e22))).round()
        (array([0.5]), array([1.e+10]))
    """
    centre = float(np.average(log_flops, weights=weight))
    distance = log_flops - centre
    exponent = log_params @ (weight * distance) / (weight @ distance**2)
    return PowerLaw(exponent, log_params @ weight / weight.sum(), centre)


def scatter_variance(log_flops: Array, log_params: Array, variance: Array) -> float:
    """Variance of ln N* around a power law beyond the `variance` (B,) of each optimum, for optima (B,).

    The estimate of moments of a meta-regression (DerSimonian and Laird 1986): what an approach does not explain by
    noise it must not spread over its intervals as if it were not there.

    Example:
        >>> scatter_variance(np.arange(4.0), np.arange(4.0) / 2, np.full(4, 0.01))
        0.0
    """
    weight = 1.0 / variance
    law = fit_power_law(log_flops, log_params[None], weight)
    excess = log_params - law.height[0] - law.exponent[0] * (log_flops - law.centre)
    design = np.stack([np.ones_like(log_flops), log_flops - law.centre])
    inverse = np.linalg.inv((design * weight) @ design.T)
    used = float(np.trace(inverse @ ((design * weight**2) @ design.T)))
    return max(0.0, (float(weight @ excess**2) - (len(log_flops) - 2)) / (float(weight.sum()) - used))


def recount(runs: Sequence[Run], cost: Cost) -> tuple[Run, ...]:
    """The runs with the FLOPs a token of that cost: what a budget is counted in, and nothing else."""
    return tuple(
        replace(run, card=replace(run.card, flops_per_token=cost.training_flops(run.params, 1.0))) for run in runs
    )


def describe(found: Frontier, law: PowerLaw, draws: PowerLaw, cost: Cost) -> Frontier:
    """The frontier with the values of a power law (R = 1) and intervals from those of replicates.

    Every N has the tokens that the budget leaves it at that `cost`.
    """
    log_flops = math.log(found.flops)
    log_params = law.at(log_flops)
    log_tokens = log_flops - cost.log_per_token(log_params)
    ends: dict[str, tuple[float, float]] = {}
    if len(draws.exponent):
        # replicates spread around the estimate; that they also lie off it is noise seen a second time
        drawn = draws.at(log_flops)
        spread = drawn - np.median(drawn) + log_params
        tokens = log_flops - cost.log_per_token(spread)
        exponents = draws.exponent - np.median(draws.exponent) + law.exponent[0]
        ends = {
            "exponent": take_interval(exponents, found.level),
            "params": take_interval(np.exp(spread), found.level),
            "tokens": take_interval(np.exp(tokens), found.level),
            "tokens_per_param": take_interval(np.exp(tokens - spread), found.level),
        }
    notes = dict(found.notes)
    reached = max((flops for flops, _ in found.optima), default=math.inf)
    if found.flops > reached:
        notes["extrapolated"] = (
            f"the budget is {found.flops / reached:.3g} times the largest at which an optimum was found"
        )
    return replace(
        found,
        exponent=float(law.exponent[0]),
        params=math.exp(log_params[0]),
        tokens=math.exp(log_tokens[0]),
        tokens_per_param=math.exp(log_tokens[0] - log_params[0]),
        intervals=ends,
        notes=notes,
    )


def refuse(found: Frontier, name: str, sentence: str) -> Frontier:
    """The frontier that cannot be said, with the reason."""
    return replace(found, reason=(name, sentence))


def find_disagreement(frontiers: Sequence[Frontier]) -> dict[str, str]:
    """Pairs of approaches whose intervals of D/N at the budget do not meet, by name, each with a sentence.

    Example:
        >>> said = {"source": "", "flops": 1e20}
        >>> one = Frontier(name="a", tokens_per_param=20.0, intervals={"tokens_per_param": (15, 25)}, **said)
        >>> two = Frontier(name="b", tokens_per_param=60.0, intervals={"tokens_per_param": (40, 90)}, **said)
        >>> find_disagreement([one, two])["a_b"]
        'a says 20 tokens per parameter (15 to 25), b says 60 (40 to 90): chance alone does not explain it'
    """
    found: dict[str, str] = {}
    spoken = [frontier for frontier in frontiers if "tokens_per_param" in frontier.intervals]
    for one, other in combinations(spoken, 2):
        (low, high), (lower, upper) = one.intervals["tokens_per_param"], other.intervals["tokens_per_param"]
        if low > upper or lower > high:
            found[f"{one.name}_{other.name}"] = (
                f"{one.name} says {one.tokens_per_param:.3g} tokens per parameter ({low:.3g} to {high:.3g}), "
                f"{other.name} says {other.tokens_per_param:.3g} ({lower:.3g} to {upper:.3g}): "
                "chance alone does not explain it"
            )
    return found
