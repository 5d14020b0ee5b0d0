"""What must be known before a rule can say anything, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaling_callback.stopping.base import AnyRule


def needs_law(rule: AnyRule) -> bool:
    """Whether a rule looks at the law or the target; a function of one's own may look at anything.

    Example:
        >>> from scaling_callback.stopping import Budget, Converged, any_of
        >>> needs_law(any_of(Budget(tokens=1e9), Converged())), needs_law(Budget(tokens=1e9))
        (True, False)
        >>> needs_law(lambda snapshot, run: None)
        True
    """
    return _ask(rule, any, lambda part: getattr(part, "needs", "forecast") == "forecast")


def earliest_progress(rule: AnyRule) -> float:
    """The share of its horizon before which a rule says nothing of a run; 0 where it may say something at once.

    Example:
        >>> from scaling_callback.stopping import Diverged, OffLaw, any_of
        >>> earliest_progress(any_of(OffLaw(min_progress=0.2), Diverged(min_progress=0.1)))
        0.1
    """
    return _ask(rule, min, lambda part: float(getattr(part, "min_progress", 0.0)))


def _ask(rule: Any, combine: Callable[[list[Any]], Any], question: Callable[[Any], Any]) -> Any:
    parts: Any = getattr(rule, "rules", None)
    return question(rule) if parts is None else combine([_ask(part, combine, question) for part in parts])
