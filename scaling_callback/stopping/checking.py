"""Rules that cannot work together, or not with what is asked: refused before a run begins, in one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast, get_args

from scaling_callback.errors import InputError
from scaling_callback.snapshot import Config
from scaling_callback.stopping.base import AnyRule, Needs, Rule
from scaling_callback.stopping.combining import Combined, name_rule
from scaling_callback.stopping.decide import read_patience


def check_rules(rules: Any, config: Config) -> tuple[AnyRule, ...]:
    """The rules, once it is known that each can speak.

    What turns on the runs is not looked at: a budget beyond the horizon of one may lie within that of the next.

    Raises:
        InputError: There is something among `rules` that is none, or one whose patience is no count; one stands there
            twice; or one looks at what `config` does not ask for: a target, its interval, the law, what was forecast
            before.

    Example:
        >>> from scaling_callback.stopping.budget import Budget
        >>> from scaling_callback.stopping.converged import Converged
        >>> len(check_rules([Budget(tokens=1e9)], Config()))
        1
        >>> check_rules([Converged()], Config())
        Traceback (most recent call last):
        ...
        scaling_callback.errors.InputError: converged needs a target; give target=Target(params=..., tokens=...)
    """
    if isinstance(rules, str) or not isinstance(rules, Sequence):
        raise InputError(f"rules is {rules!r}; it must be a list of rules, such as [Diverged(), Budget(hours=24)]")
    given = cast("Sequence[Any]", rules)
    for rule in given:
        for part in _unfold(rule):
            _check_rule(part)
            _check_needs(part, config)
    _check_twice(given)
    return tuple(given)


def _unfold(rule: Any) -> Iterator[Any]:
    """A rule, or those that it is made of."""
    if isinstance(rule, Combined):
        for part in rule.rules:
            yield from _unfold(part)
    else:
        yield rule


def _check_rule(rule: Any) -> None:
    _check_callable(rule)
    read_patience(rule)
    needs: Any = getattr(rule, "needs", "forecast")
    if needs not in get_args(Needs):
        raise InputError(f"{name_rule(rule)}: needs is {needs!r}; it must be one of {', '.join(get_args(Needs))}")


def _check_callable(rule: Any) -> None:
    if isinstance(rule, str):
        raise InputError(f"rules holds the text {rule!r}; give a rule, by its name make_rule({rule!r})")
    if isinstance(rule, type):
        raise InputError(f"rules holds the class {rule.__name__}; give a rule of it: {rule.__name__}(...)")
    if not callable(rule):
        raise InputError(f"rules holds {rule!r}; give rules, or functions of a snapshot and a run's name")


def _check_needs(rule: Any, config: Config) -> None:
    """Refuse a built-in rule that would never say anything."""
    if not isinstance(rule, Rule):
        return
    if rule.needs_target and config.target is None:
        raise InputError(f"{rule.name} needs a target; give target=Target(params=..., tokens=...)")
    if rule.needs == "forecast" and not config.fits:
        raise InputError(f"{rule.name} looks at the law, and fits is False; leave it at True")
    if rule.needs_target and not config.replicates:
        raise InputError(f"{rule.name} looks at the target's interval, and replicates is 0; give 200, say")
    if rule.needs_target and not config.past:
        raise InputError(f"{rule.name} looks at what was forecast before, and past is False; leave it at True")


def _check_twice(rules: Sequence[Any]) -> None:
    """Refuse one built-in rule side by side with itself: that the looser of them decides is seldom what was meant."""
    seen: dict[type[Rule], Rule] = {}
    for rule in rules:
        if not isinstance(rule, Rule):
            continue
        if type(rule) in seen:
            same = seen[type(rule)] == rule
            how = "leave one out" if same else "give one, or any_of(...) of both if either shall end a run"
            raise InputError(f"rules holds {name_rule(rule)} twice; {how}")
        seen[type(rule)] = rule
