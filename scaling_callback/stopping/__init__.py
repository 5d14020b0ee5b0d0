"""Whether a run should go on: rules are pure functions of a snapshot. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from scaling_callback.errors import InputError
from scaling_callback.stopping.base import AnyRule, Rule, Verdict, read_settings
from scaling_callback.stopping.budget import Budget
from scaling_callback.stopping.checking import check_rules
from scaling_callback.stopping.combining import all_of, any_of, name_rule, patient
from scaling_callback.stopping.converged import Converged
from scaling_callback.stopping.decide import Streak, Streaks, decide, find_needs, name_rules
from scaling_callback.stopping.diverged import Diverged
from scaling_callback.stopping.dominated import Dominated
from scaling_callback.stopping.off_law import OffLaw

RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (Converged, Dominated, OffLaw, Diverged, Budget)}
"""The rules by name."""


def make_rule(name: str, settings: Mapping[str, str] | None = None) -> Rule:
    """The rule of that name, with settings as they are typed on a command line.

    Raises:
        InputError: There is no such rule or setting, or a value is none that it takes.

    Example:
        >>> make_rule("budget", {"tokens": "1e9"}).tokens
        1000000000.0
    """
    if name not in RULES:
        raise InputError(f"there is no rule {name!r}; choose one of: {', '.join(RULES)}")
    return read_settings(RULES[name], settings or {})


__all__ = [
    "RULES",
    "AnyRule",
    "Budget",
    "Converged",
    "Diverged",
    "Dominated",
    "OffLaw",
    "Rule",
    "Streak",
    "Streaks",
    "Verdict",
    "all_of",
    "any_of",
    "check_rules",
    "decide",
    "find_needs",
    "make_rule",
    "name_rule",
    "name_rules",
    "patient",
]
