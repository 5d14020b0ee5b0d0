"""Which runs to train next: those that narrow a target's interval most for a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit, log_variables
from scaling_callback.forecasting import MEMBERS, Forecast
from scaling_callback.laws import Law, get_law
from scaling_callback.laws.muennighoff import heed_repetition
from scaling_callback.planning.design import Design
from scaling_callback.planning.notes import note_plan
from scaling_callback.planning.places import (
    HALF,
    LEAST_GAIN,
    Costs,
    Place,
    name_gain,
    propose,
    round_count,
)
from scaling_callback.records import Array, Target

FIRST_LAW = MEMBERS[0].law
"""What is usual of this law stands in where there is no fit, and none is asked for."""

MOST_KNOWN = 300
"""Finished runs that are looked at: their covariance has the square of that many entries for each draw."""

NO_FIT = (
    "fewer than 3 runs have finished: the plan rests on what is usual of scaling laws, and its widths are cautious; "
    "once runs have finished forecasts are several times narrower"
)

THRIFT = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Powers of a run's cost by which its gain is divided: 0 takes what teaches most, 1 what teaches most per FLOP. Neither
spends a budget well alone, so that each is tried, and the set that narrows most is taken."""


@dataclass(frozen=True)
class Planned:
    """A run to train.

    Attributes:
        params: N.
        tokens: D.
        flops: Its cost.
        expected_interval_width: Width of the target's interval after it and those before, in units of the loss.
        expected_relative_width: The same over the loss.
        reason: Why it is among them.
    """

    params: float
    tokens: float
    flops: float
    expected_interval_width: float
    expected_relative_width: float
    reason: str


@dataclass(frozen=True)
class Plan:
    """Runs to train next, the cheapest first: what it teaches may change the rest.

    Attributes:
        params: N of the target.
        tokens: D of the target.
        budget: FLOPs that there are to spend.
        level: Nominal coverage of the interval.
        width_now: Width of its interval now, in units of the loss; `None` while there is no forecast.
        runs: The runs; together they cost no more than the budget.
        notes: What should be known of the plan, by name, each with a sentence.
    """

    params: float
    tokens: float
    budget: float
    level: float
    width_now: float | None
    runs: tuple[Planned, ...]
    notes: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def flops(self) -> float:
        """What the runs cost together."""
        return sum(run.flops for run in self.runs)


def place_target(
    target: Target,
    fit: Fit | None = None,
    *,
    law: str | Law = FIRST_LAW,
    further: Mapping[str, float] | None = None,
    cost: Cost = SIX_ND,
) -> Place:
    """(N, D) of the target; of one by compute alone the optimum of the fit, or of what is usual of `law` without one.

    However little the runs know of their optimum: a plan is asked for when they know little.

    Raises:
        InputError: A target by compute alone has no optimum under the law.

    Example:
        >>> place_target(Target(flops=6e20))
        (2000000000.0, 49000000000.0)
    """
    if target.params is not None and target.tokens is not None:
        return target.params, target.tokens
    known, form = further or {}, get_law(law) if fit is None else fit.law
    natural = np.array(form.typical)[None] if fit is None else form.natural(fit.theta[None], fit.centre)
    form, natural = heed_repetition(form, natural, known)
    params, tokens = form.optimum(natural, target.compute, known, cost)
    if not np.isfinite(params[0]):
        raise InputError(
            f"the law {form.name} says no compute-optimal size at {target.compute:.3g} FLOPs; give params=... and "
            "tokens=..."
        )
    return round_count(float(params[0])), round_count(float(tokens[0]))


def plan(
    goal: Place,
    flops: float,
    *,
    fit: Fit | None = None,
    law: str | Law = FIRST_LAW,
    forecast: Forecast | None = None,
    known: Sequence[Place] = (),
    coming: Sequence[Place] = (),
    candidates: Sequence[Place] | None = None,
    cost: Costs = SIX_ND,
    level: float = 0.9,
    further: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Plan:
    """The runs that narrow the target's interval most, of all that `flops` can pay for together.

    With K the covariance of ln L over all places under what is known, a finished run i at place x_i leaves
    K - k_i k_i' / (K_ii + s^2) of it, for the noise s of one run. K is G P G' + M: G the gradients of the law at one
    draw, P what the weak prior and a wide one on coefficients allow, M how far laws miss (`MISFIT`).

    Args:
        goal: (N, D) of the target.
        flops: The budget.
        fit: The law as fitted to the finished runs; without one, what is usual of `law` stands in.
        law: The law, where there is no fit.
        forecast: The forecast now, whose interval is to be narrowed.
        known: (N, D) of finished runs; by default the points of the fit.
        coming: (N, D) of runs that are being trained and paid for.
        candidates: (N, D) to choose from; by default a grid below the target (`propose`).
        cost: What a run costs; 6 N D by default.
        level: Nominal coverage of the interval, where no forecast says it.
        further: Values of further variables of the law, such as `unique_tokens`.
        seed: Of the draws where there is no fit.

    Raises:
        InputError: The budget is no positive, finite number or pays for no run.

    Example:
        >>> first = plan((1e9, 2e10), 1e19)
        >>> len({run.params for run in first.runs}) >= 5, first.flops <= 1e19
        (True, True)
        >>> widths = [run.expected_interval_width for run in first.runs]
        >>> widths == sorted(widths, reverse=True)
        True
    """
    check_budget(flops)
    if not min(goal) >= 1:
        raise InputError(f"the target has {goal[0]:.3g} parameters and {goal[1]:.3g} tokens; give plain counts")
    further, form = further or {}, get_law(law) if fit is None else fit.law
    if fit is not None and not known:
        known = [*zip(fit.points.params.tolist(), fit.points.tokens.tolist(), strict=True)]
    known = thin_known(known)
    trained = [*known, *coming]
    free = propose(goal, flops, trained, cost) if candidates is None else list(candidates)
    price = np.array([cost.flops(*place) for place in free])
    if not (price <= flops).any():
        least = f"the least that could be trained next costs {price.min():.3g}" if free else "there is no run to choose"
        raise InputError(f"the budget of {flops:.3g} FLOPs pays for no run: {least}; raise the budget")
    design = Design.of(form, fit, [*trained, *free, goal], further, seed).given(range(len(known)))
    now = design.spread
    design = design.given(range(len(known), len(trained))).keep(len(trained))
    chosen = _choose(design, free, price, flops, trained, goal)
    loss, width, depth = _state(forecast, fit, form, goal, further, level, now + design.floor)

    def expect(then: Design) -> float:
        share = math.sqrt((then.spread + then.floor) / (now + then.floor))
        return 2 * math.sinh(depth * share) * loss

    notes: dict[str, str] = {}
    if coming:
        notes["still_training"] = (
            f"{len(coming)} run(s) that are still training count as if they had finished: with them alone the width "
            f"should be {expect(design):.3g}"
        )
    runs: list[Planned] = []
    for index in sorted(chosen, key=lambda i: float(price[i])):
        design = design.given([index])
        expected = expect(design)
        runs.append(Planned(*free[index], float(price[index]), expected, expected / loss, chosen[index]))
    notes = note_plan(goal, flops, [*trained, *(free[i] for i in chosen)], trained, cost) | notes
    if forecast is not None:  # what the present forecast is doubted for, the plan is too
        notes = {**forecast.warnings, **notes}
    if fit is None:
        notes = {"no_fit": NO_FIT, **notes}
    return Plan(*goal, flops, level if forecast is None else forecast.level, width, tuple(runs), notes)


def thin_known(known: Sequence[Place]) -> Sequence[Place]:
    """At most `MOST_KNOWN` finished runs, evenly over their compute: what more would teach is not worth the memory."""
    if len(known) <= MOST_KNOWN:
        return known
    ordered = sorted(known, key=lambda place: place[0] * place[1])
    places = np.linspace(0, len(ordered) - 1, MOST_KNOWN).round().astype(int)
    return [ordered[int(place)] for place in places]


def _choose(
    design: Design, free: Sequence[Place], price: Array, flops: float, trained: Sequence[Place], goal: Place
) -> dict[int, str]:
    """Places of the runs that leave the least spread, each with the reason for it."""
    reasons = _make_up(design, free, price, flops, trained, goal)
    first = list(reasons)
    sets = [_spend(design, price, flops, first, power) for power in THRIFT]
    chosen = min(sets, key=lambda runs: design.given(runs).spread)
    while more := [index for index in chosen if index not in reasons]:
        # what hardly narrows the interval is not worth its FLOPs, whatever is left of the budget
        left = np.sqrt((design.without_each(chosen) + design.floor) / (design.given(chosen).spread + design.floor)) - 1
        loss = dict(zip(chosen, left.tolist(), strict=True))
        least = min(more, key=lambda index: loss[index])
        if loss[least] >= LEAST_GAIN:
            break
        chosen.remove(least)
    return {index: reasons.get(index, "narrows the interval") for index in chosen}


def _make_up(
    design: Design, free: Sequence[Place], price: Array, flops: float, trained: Sequence[Place], goal: Place
) -> dict[int, str]:
    """Runs that bring the ladder to five sizes, and its D/N to both sides of the target's, from half of the budget.

    A law that is fitted to fewer may be right about its own uncertainty, and wrong about its form.
    """
    found: dict[int, str] = {}
    left, places = HALF * flops, list(trained)
    while True:
        payable = [index for index in range(len(free)) if price[index] <= left]
        reason = {index: why for index in payable if (why := name_gain(free[index], places, goal))}
        if not reason:
            return found
        gains = (design.gains / price).tolist()
        best = max(reason, key=gains.__getitem__)
        found[best] = reason[best]
        left -= float(price[best])
        places.append(free[best])
        design = design.given([best])


def _spend(design: Design, price: Array, flops: float, first: Sequence[int], power: float) -> list[int]:
    """Runs one after the other, those first with the most gain per cost^power, until nothing more can be paid."""
    chosen = list(first)
    design = design.given(first)
    left = flops - float(price[chosen].sum())
    while True:
        payable = price <= left
        payable[chosen] = False
        if not payable.any():
            return chosen
        best = int(np.argmax(np.where(payable, design.gains / price**power, -1.0)))
        chosen.append(best)
        left -= float(price[best])
        design = design.given([best])


def _state(
    forecast: Forecast | None,
    fit: Fit | None,
    law: Law,
    goal: Place,
    further: Mapping[str, float],
    level: float,
    variance: float,
) -> tuple[float, float | None, float]:
    """Loss of the target, width of its interval, and half of it in ln L: as forecast, else by what is known."""
    if forecast is not None and forecast.upper > forecast.lower:
        width = forecast.upper - forecast.lower
        return forecast.median, width, math.asinh(width / (2 * forecast.median))
    if fit is not None:
        loss = float(fit.predict(*goal, **further)[0])
    else:
        x = log_variables({"params": goal[0], "tokens": goal[1], **further}, law.variables)
        theta = law.working(np.array(law.typical)[None], np.zeros(len(x)))
        loss = float(np.exp(law.log_loss(theta, x)[0][0, 0]))
    return loss, None, float(ndtri((1 + level) / 2)) * math.sqrt(variance)
