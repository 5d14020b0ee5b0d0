"""What should be known of a plan."""

from __future__ import annotations

from collections.abc import Sequence

from scaling_callback.forecasting import FAR
from scaling_callback.planning.places import FIVE_SIZES, LEAST_GAIN, Costs, Place, list_sizes, name_reached, name_sides


def note_plan(
    goal: Place, flops: float, places: Sequence[Place], trained: Sequence[Place], cost: Costs
) -> dict[str, str]:
    """What should be known of a plan whose runs, with those trained, are at `places`."""
    notes: dict[str, str] = {}
    own = cost.flops(*goal)
    if reached := name_reached(goal, trained, cost):
        notes["within_ladder"] = reached
    if own <= flops:
        notes["target_affordable"] = (
            f"the budget pays for the target itself ({own:.3g} FLOPs): trained, it needs no forecast"
        )
    if len(places) == len(trained):
        notes["nothing_narrows"] = (
            f"no run that the budget pays for narrows the interval by {LEAST_GAIN:.0%}: raise it, or stop here"
        )
    if (sizes := len(list_sizes(places))) < FIVE_SIZES:
        notes["few_sizes"] = f"{sizes} size(s) with this plan; a ladder should have {FIVE_SIZES}: raise the budget"
    if len(name_sides(places, goal)) < 2:
        notes["one_sided_ratios"] = (
            f"all D/N lie on one side of the target's {goal[1] / goal[0]:.3g}, also with this plan: raise the budget"
        )
    if own > FAR * (largest := max((cost.flops(*place) for place in places), default=0.0)):
        notes["far_extrapolation"] = (
            f"the target costs {own / largest:.2g} times the largest run, also with this plan; no published forecast "
            f"is reliable beyond about {FAR:g}"
        )
    return notes
