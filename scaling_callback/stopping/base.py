"""What a rule is: a pure function of what is known, that says why a run should end.

A built-in rule is a frozen dataclass: its fields are fixed before the run, and calling it changes nothing. Whatever
else takes a snapshot and a run's name and gives a sentence or `None` is a rule as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any, ClassVar, Literal, TypeAlias, cast

from scaling_callback.errors import InputError
from scaling_callback.records import Run
from scaling_callback.snapshot import Snapshot


@dataclass(frozen=True)
class Verdict:
    """Why a run should end.

    Attributes:
        reason: In words, with the run's own figures.
        evidence: The numbers behind it, by name.
    """

    reason: str
    evidence: Mapping[str, float] = field(default_factory=dict[str, float])


AnyRule: TypeAlias = Callable[[Snapshot, str], Verdict | str | None]
"""Says of a snapshot and a run's name why that run should end, or `None` if it should go on."""

Needs: TypeAlias = Literal["curve", "finals", "forecast"]
"""What a rule looks at: runs as they were observed; also forecast finals of those under way; also law and target."""


@dataclass(frozen=True, kw_only=True)
class Rule(ABC):
    """A rule with a minimum progress and patience.

    Attributes:
        min_progress: Share of its horizon that a run must have trained; a run whose horizon is unknown has no progress,
            and none is asked of it.
        patience: How many refits in a row, each with something new of the run, must call for its end.

    Raises:
        InputError: A setting is out of its range, or contradicts another.
    """

    min_progress: float = 0.0
    patience: int = 1

    name: ClassVar[str]
    """As it is called on the command line and in records, in kebab case."""

    needs: ClassVar[Needs]

    needs_target: ClassVar[bool] = False
    """Whether it says nothing where no target is given."""

    def __post_init__(self) -> None:
        check_share(self, "min_progress", at_least=0.0, below=1.0)
        patience: Any = self.patience
        if not isinstance(patience, Integral) or isinstance(cast("Any", patience), bool) or patience < 1:
            raise InputError(f"{self.name}: patience is {patience!r}; it must be a count of refits, 1 or more")

    def __call__(self, snapshot: Snapshot, run: str) -> Verdict | None:
        """Why that run should end; `None` if it should go on, has ended, or is not known."""
        found = next((known for known in snapshot.runs if known.name == run), None)
        if found is None or not len(found.curve) or found.final is not None:
            return None
        if float(found.progress[-1]) < self.min_progress:
            return None
        return self.judge(snapshot, found)

    @abstractmethod
    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        """Why a run under way should end, or `None`."""


def check_share(rule: Any, setting: str, *, at_least: float, below: float) -> None:
    """Refuse a setting of a rule that does not lie in [`at_least`, `below`).

    Raises:
        InputError: It does not, or is no number.
    """
    value: Any = getattr(rule, setting)
    if not isinstance(value, int | float) or isinstance(value, bool) or not at_least <= value < below:
        raise InputError(f"{rule.name}: {setting} is {value!r}; it must lie from {at_least:g} to below {below:g}")


def read_settings(kind: type[Rule], typed: Mapping[str, str]) -> Rule:
    """The rule with settings as they are typed: numbers, or `none`.

    Raises:
        InputError: It has no such setting, or the value is none that it takes.
    """
    known = [each.name for each in fields(kind)]
    values: dict[str, Any] = {}
    for setting, text in typed.items():
        key = setting.replace("-", "_")
        if key not in known:
            raise InputError(f"{kind.name} has no setting {setting!r}; it has: {', '.join(known)}")
        values[key] = _read(kind.name, setting, text)
    return kind(**values)


def _read(rule: str, setting: str, text: str) -> float | int | None:
    if text.lower() == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"{rule}: {setting} is {text!r}; give a number, or none")
