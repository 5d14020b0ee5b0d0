"""What a stopping rule said of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

MOST_EVIDENCE = 50
"""Numbers that are kept of one call: a rule of one's own may give any amount."""

MOST_WORDS = 1000
"""Characters that are kept of a reason, or of a rule's name."""


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


def bound_words(text: str) -> str:
    """As much of a text as is kept."""
    return text[:MOST_WORDS]


def bound_evidence(numbers: Mapping[str, float]) -> dict[str, float]:
    """As many numbers as are kept; none that is not finite is one.

    Example:
        >>> bound_evidence({"probability": 0.97, "spread": math.inf})
        {'probability': 0.97}
    """
    finite = [(bound_words(name), number) for name, number in numbers.items() if math.isfinite(number)]
    return dict(finite[:MOST_EVIDENCE])
