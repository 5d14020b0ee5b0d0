"""Rules made of rules: any of them, all of them, one with more patience."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from scaling_callback.errors import InputError
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import AnyRule, Verdict


@dataclass(frozen=True)
class Combined:
    """Rules that are asked together; each keeps its own patience.

    Attributes:
        name: How they are combined, and what.
        rules: What is combined.
        combine: From the verdict of each, in order, to one.
        patience: Refits in a row for which the combination itself must hold.
    """

    name: str
    rules: tuple[AnyRule, ...]
    combine: Callable[[Sequence[Verdict | None]], Verdict | None]
    patience: int = 1

    def __call__(self, snapshot: Snapshot, run: str) -> Verdict | None:
        """What they say of one snapshot, without any patience."""
        return self.combine([as_verdict(rule(snapshot, run)) for rule in self.rules])


def any_of(*rules: AnyRule) -> Combined:
    """Ends a run where one of `rules` does, for the first reason.

    Raises:
        InputError: There are no rules.

    Example:
        >>> from scaling_callback import refresh
        >>> enough, never = (lambda snapshot, run: "enough"), (lambda snapshot, run: None)
        >>> any_of(never, enough)(refresh([]), "a").reason
        'enough'
    """
    return Combined(_name("any-of", rules), rules, _first)


def all_of(*rules: AnyRule) -> Combined:
    """Ends a run where every one of `rules` does, for all their reasons.

    Raises:
        InputError: There are no rules.

    Example:
        >>> from scaling_callback import refresh
        >>> enough, never = (lambda snapshot, run: "enough"), (lambda snapshot, run: None)
        >>> all_of(never, enough)(refresh([]), "a") is None
        True
    """
    return Combined(_name("all-of", rules), rules, _every)


def patient(rule: AnyRule, refits: int) -> Combined:
    """The rule with the patience to hold for so many refits in a row, each with something new of the run.

    Raises:
        InputError: `refits` is no count.
    """
    if not isinstance(cast("Any", refits), int) or isinstance(cast("Any", refits), bool) or refits < 1:
        raise InputError(f"patient: refits is {refits!r}; it must be a count, 1 or more")
    return Combined(_name("patient", (rule,)), (rule,), _first, refits)


def as_verdict(said: Any) -> Verdict | None:
    """What a rule of one's own said: a verdict or a sentence; anything else stops nothing."""
    if isinstance(said, str) and said:
        return Verdict(said)
    return said if isinstance(said, Verdict) else None


def name_rule(rule: AnyRule) -> str:
    """What a rule is called: its name, or that of the function."""
    name: Any = getattr(rule, "name", None) or getattr(rule, "__name__", None) or type(rule).__name__
    return str(name).replace("_", "-").strip("<>")


def _name(how: str, rules: Sequence[Any]) -> str:
    if not rules or not all(map(callable, rules)):
        raise InputError(f"{how} is given {list(rules)!r}; give rules, such as {how.replace('-', '_')}(Diverged())")
    return f"{how}({', '.join(map(name_rule, rules))})"


def _first(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict is not None), None)


def _every(verdicts: Sequence[Verdict | None]) -> Verdict | None:
    spoken = [verdict for verdict in verdicts if verdict is not None]
    if len(spoken) < len(verdicts):
        return None
    evidence = {name: value for verdict in spoken for name, value in verdict.evidence.items()}
    return Verdict("; ".join(verdict.reason for verdict in spoken), evidence)
