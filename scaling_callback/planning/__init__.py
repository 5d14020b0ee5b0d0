"""Which runs to train next, so that a target is known better."""

from __future__ import annotations

from scaling_callback.planning.finishing import expect_finishing
from scaling_callback.planning.places import Costs, Place, propose
from scaling_callback.planning.plan import Plan, Planned, place_target, plan

__all__ = ["Costs", "Place", "Plan", "Planned", "expect_finishing", "place_target", "plan", "propose"]
