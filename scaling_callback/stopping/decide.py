"""What the rules of a training say of one of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from scaling_callback.snapshot import Decision, Snapshot

Rule: TypeAlias = Callable[[Snapshot, str], str | None]
"""Says of a snapshot and a run's name why that run should stop, or `None` if it should go on.

What is no text stops nothing.
"""


def decide(rules: Sequence[Rule], snapshot: Snapshot, run: str) -> Decision:
    """Stop with the reason of the first rule that has one; else go on.

    Example:
        >>> from scaling_callback import Config, refresh
        >>> decide([lambda snapshot, run: f"{run} has taught enough"], refresh([]), "a")
        Decision(stop=True, reason='a has taught enough')
        >>> decide([], refresh([]), "a").stop
        False
    """
    reasons = (rule(snapshot, run) for rule in rules)
    reason = next((reason for reason in reasons if reason and isinstance(cast("Any", reason), str)), None)
    return Decision() if reason is None else Decision(stop=True, reason=reason)
