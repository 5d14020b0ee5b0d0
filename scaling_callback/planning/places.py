"""Where runs might be trained: sizes and tokens around a ladder and its target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from scaling_callback.costs import SIX_ND
from scaling_callback.errors import InputError

Place: TypeAlias = tuple[float, float]
"""N and D of a run."""

FIVE_SIZES = 5
"""Sizes that a ladder should have: "5 models are a safe bet, more sizes beat more seeds" (Choshen et al. 2024)."""

RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""D/N of proposed runs, over that of the target."""

SMALLEST = 1 / 40
"""Size of the smallest proposed run over that of the largest: six sizes in steps of 2, smaller ones teach little."""

LEAST = 1e-4
"""The same over the target's, where no ladder is smaller."""

HALF = 0.5
"""Most of the budget that one proposed run may take, and that new sizes may: a ladder has several rungs."""

LEAST_GAIN = 0.01
"""Share by which a run must narrow the interval: a smaller gain is not worth its FLOPs, and drawn from a model that is
not that exact."""

APART = 0.2
"""Sizes that are closer in ln N are one, and so are horizons: repeated runs are not proposed."""

EVEN = 1.02
"""D/N that differ by less than this factor are the same."""


class Costs(Protocol):
    """What a run costs."""

    def flops(self, params: float, tokens: float) -> float:
        """FLOPs of training N parameters on D tokens."""
        ...


def propose(goal: Place, flops: float, trained: Sequence[Place] = (), cost: Costs = SIX_ND) -> list[Place]:
    """Runs that might be trained: sizes in steps of 2 below the target's, at D/N around its own (`RATIOS`).

    The largest takes at most half of the budget, the smallest is `SMALLEST` of it. None is smaller than the ladder, or
    while that has not five sizes than `LEAST` of the target. Counts have two digits. Sizes of the ladder are kept where
    they lie near, and runs like those trained left out.

    Raises:
        InputError: The budget pays for none of them, or the ladder has reached the target.

    Example:
        >>> sorted({params for params, _ in propose((1e9, 2e10), 1e18)})
        [3200000.0, 6400000.0, 13000000.0, 26000000.0, 51000000.0, 100000000.0]
    """
    own, most = [params for params, _ in trained], min(HALF * flops, cost.flops(*goal))
    if reached := name_reached(goal, trained, cost):
        raise InputError(reached)
    ratio = goal[1] / goal[0]
    floor = min(own) if len(list_sizes(trained)) >= FIVE_SIZES else min([*own, LEAST * goal[0]])
    steps = max(1, math.ceil(math.log2(goal[0] / floor)))
    sizes = {_near(floor * 2.0**step, own) for step in range(steps)}
    grid = [(size, round_count(size * ratio * factor)) for size in sorted(sizes) for factor in RATIOS]
    largest = max((place[0] for place in grid if cost.flops(*place) <= most), default=0.0)
    found = [
        place
        for place in grid
        if cost.flops(*place) <= most
        and place[0] >= SMALLEST * largest
        and not any(_same(place, other) for other in trained)
    ]
    if not found:
        fresh = [place for place in grid if not any(_same(place, other) for other in trained)]
        if not fresh:
            raise InputError(
                "every size and horizon below the target that is worth training has been trained; train the target, "
                "or name a larger one"
            )
        least = min(fresh, key=lambda place: cost.flops(*place))
        raise InputError(
            f"the budget of {flops:.3g} FLOPs pays for no run worth training: the least, {least[0]:.3g} parameters on "
            f"{least[1]:.3g} tokens, costs {cost.flops(*least):.3g} and should take at most half; raise the budget"
        )
    return found


def name_reached(goal: Place, trained: Sequence[Place], cost: Costs) -> str:
    """That a run was trained which costs no less than the target; empty where none was."""
    own, largest = cost.flops(*goal), max((cost.flops(*place) for place in trained), default=0.0)
    if own > largest:
        return ""
    return (
        f"the target costs {own:.3g} FLOPs and the largest run {largest:.3g}: there is nothing to extrapolate; train "
        "the target itself, or name a larger one"
    )


def list_sizes(places: Sequence[Place]) -> list[float]:
    """The sizes that are `APART`, smallest first."""
    found: list[float] = []
    for params in sorted(params for params, _ in places):
        if not found or math.log(params / found[-1]) > APART:
            found.append(params)
    return found


def name_sides(places: Sequence[Place], goal: Place) -> set[str]:
    """The sides of the target's D/N on which there are runs; its own is both."""
    over = [tokens / params / (goal[1] / goal[0]) for params, tokens in places]
    return {side for ratio in over for side, on in (("below", ratio <= EVEN), ("above", ratio >= 1 / EVEN)) if on}


def name_gain(place: Place, places: Sequence[Place], goal: Place) -> str:
    """What a run here would bring that those at `places` lack, in words; empty where that is nothing."""
    if len(list_sizes(places)) < FIVE_SIZES:
        new = len(list_sizes([*places, place])) > len(list_sizes(places))
        return f"a new size: a ladder should have {FIVE_SIZES}" if new else ""
    one_side = len(name_sides(places, goal)) < len(name_sides([*places, place], goal))
    return "its D/N brackets the target's" if one_side else ""


def _same(one: Place, other: Place) -> bool:
    """Whether one run would repeat another."""
    return all(abs(math.log(a / b)) <= APART for a, b in zip(one, other, strict=True))


def _near(size: float, own: Sequence[float]) -> float:
    """The size of the ladder nearest to this one, if it lies within half a step of 2; else this one, in two digits."""
    nearest = min(own, key=lambda params: abs(math.log(params / size)), default=math.inf)
    return nearest if abs(math.log(nearest / size)) <= 0.5 * math.log(2.0) else round_count(size)


def round_count(count: float) -> float:
    """A count with two digits.

    Example:
        >>> round_count(123456789.0)
        120000000.0
    """
    return float(f"{count:.1e}")
