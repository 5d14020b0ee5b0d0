"""What a stopping rule said of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StopCall:
    """A stopping rule has called for the end of a run; only `acted` says that it was ended.

    Attributes:
        rule: Name of the rule.
        reason: Why, in words.
        evidence: The numbers behind it, by name.
        tokens: Tokens trained on when it was called.
        step: Optimiser step, if known.
        wall_time: Seconds since the epoch, if known.
        saved_flops: Compute in FLOPs that the rest of the plan would take; `None` where the plan is unknown.
        acted: Whether the run was ended for it, rather than watched by a rule that only records or alerts.
    """

    rule: str
    reason: str
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])
    tokens: float
    step: float = math.nan
    wall_time: float = math.nan
    saved_flops: float | None = None
    acted: bool = False
