"""What the rules of a training say of one of its runs, look after look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias, cast, get_args

import numpy as np

from scaling_callback.errors import InputError, RuleFailed
from scaling_callback.records import Run, StopCall, bound_evidence, bound_words
from scaling_callback.snapshot import Decision, Snapshot
from scaling_callback.stopping.base import AnyRule, Needs, Verdict
from scaling_callback.stopping.combining import Combined, as_verdict, name_rule


class Streak(NamedTuple):
    """How often in a row a rule has called for a run's end, and after how many tokens it did last."""

    refits: int
    tokens: float


Streaks: TypeAlias = Mapping[str, Streak]
"""Of each rule, by its place among the rules: plain data, that a checkpoint can hold."""


def decide(
    rules: Sequence[AnyRule],
    snapshot: Snapshot,
    run: str,
    before: Streaks | None = None,
    *,
    asked: Callable[[AnyRule], bool] = lambda rule: True,  # noqa: ARG005 - all
    attempt: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> tuple[Decision, dict[str, Streak]]:
    """Whether a run goes on by what is known now, and how often each rule has called for its end by now.

    Args:
        rules: Of these one that speaks is enough; each says it under a name of its own.
        snapshot: What is known.
        run: Of whom.
        before: What the last call gave; `None` at first.
        asked: Whether a rule is asked; of one that is not the streak stays as it was.
        attempt: Asks one rule: where a rule that fails shall keep none of the others unasked, it catches what that
            raises and gives `None`.

    Example:
        >>> from scaling_callback import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> runs = planted_ladder()
        >>> taught = lambda snapshot, run: f"{run} has taught enough"
        >>> decision, streaks = decide([taught], refresh(runs), runs[0].name)
        >>> decision.stop, decision.reason
        (True, 'n1e+07-r5 has taught enough')
    """
    known = next((each for each in snapshot.runs if each.name == run), None)
    tokens = float(known.curve.tokens[-1]) if known is not None and len(known.curve) else 0.0
    watch = _Watch(snapshot, run, tokens, dict(before or {}), {}, attempt)
    calls: list[StopCall] = []
    for place, (name, rule) in enumerate(zip(name_rules(rules), rules, strict=True)):
        if not asked(rule):
            watch.keep(str(place))
        elif (verdict := watch.ask(rule, str(place))) is not None:
            calls.append(_record(name, verdict, known, tokens))
    return Decision(stop=bool(calls), calls=tuple(calls)), watch.after


def find_needs(rule: AnyRule) -> Needs:
    """What a rule looks at; a combination at what the most demanding of its parts does, a function at anything.

    A function of one's own that looks at less says so in its attribute `needs`.

    Example:
        >>> from scaling_callback.stopping import Budget, Dominated, any_of
        >>> find_needs(any_of(Budget(tokens=1e9), Dominated())), find_needs(lambda snapshot, run: None)
        ('finals', 'forecast')
    """
    parts: Any = rule.rules if isinstance(rule, Combined) else ()
    needs: list[Needs] = [find_needs(part) for part in parts] or [getattr(rule, "needs", "forecast")]
    return max(needs, key=get_args(Needs).index)


def read_patience(rule: Any) -> int:
    """How many looks in a row a rule must hold for; 1 where it does not say.

    Raises:
        InputError: It says something else.
    """
    patience: Any = getattr(rule, "patience", 1)
    if not isinstance(patience, Integral) or isinstance(cast("Any", patience), bool) or int(patience) < 1:
        raise InputError(f"{name_rule(rule)}: patience is {patience!r}; it must be a count of refits, 1 or more")
    return int(patience)


def name_rules(rules: Sequence[AnyRule]) -> list[str]:
    """What each rule is called; the second of one name has a number.

    Example:
        >>> name_rules([max, max])
        ['max', 'max 2']
    """
    names: list[str] = []
    for rule in rules:
        name, number = name_rule(rule), 1
        while (numbered := name if number == 1 else f"{name} {number}") in names:
            number += 1
        names.append(numbered)
    return names


class _Watch(NamedTuple):
    """One look at a run."""

    snapshot: Snapshot
    run: str
    tokens: float
    before: Mapping[str, Streak]
    after: dict[str, Streak]
    attempt: Callable[[Callable[[], Any]], Any]

    def keep(self, place: str) -> None:
        """Leave the streaks of a rule, and of its parts, as they were."""
        for known, streak in self.before.items():
            if known == place or known.startswith(f"{place}."):
                self.after[known] = streak

    def ask(self, rule: AnyRule, place: str) -> Verdict | None:
        """The verdict of a rule whose patience is exhausted."""
        if isinstance(rule, Combined):
            parts = [self.ask(part, f"{place}.{index}") for index, part in enumerate(rule.rules)]
            verdict, patience = rule.combine(parts), rule.patience
        else:
            verdict, patience = self.attempt(lambda: self._hear(rule, place)) or (None, 1)
        if verdict is None:
            return None
        held = self.before.get(place, Streak(0, -1.0))
        # the same observations once more are no further proof
        streak = Streak(held.refits + 1, self.tokens) if self.tokens > held.tokens else held
        self.after[place] = streak
        return verdict if streak.refits >= patience else None

    def _hear(self, rule: AnyRule, place: str) -> tuple[Verdict | None, int]:
        """What one rule says, as it can be kept and sent to other ranks, and its patience.

        Raises:
            RuleFailed: It fails, or says what nobody can.
        """
        name, about = bound_words(name_rule(rule)), f"rule {place}"
        try:
            given: Any = rule(self.snapshot, self.run)
        except Exception as error:
            raise RuleFailed(f"rule {name} failed ({_show(error)}); mend it, or leave it out", about) from error
        said = as_verdict(given)
        if said is None and not _is_nothing(given):
            raise RuleFailed(f"rule {name} gave {_show(given)}; give a sentence, a Verdict or None", about)
        try:
            return (None, 1) if said is None else (_tidy(said, name), read_patience(rule))
        except InputError as error:
            raise RuleFailed(str(error), about) from error


def _is_nothing(given: Any) -> bool:
    """Whether a rule lets the run go on: `condition and "a reason"` gives a false condition."""
    return given is None or (isinstance(given, bool | np.bool_ | str) and not given)


def _show(given: Any) -> str:
    """Whatever it is in one line of bounded length."""
    words = f"{type(given).__name__}: {given}" if isinstance(given, Exception) else repr(given)
    line = " ".join(words.split())[:200]
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def _tidy(said: Verdict, rule: str) -> Verdict:
    evidence: Any = said.evidence
    if not isinstance(evidence, Mapping):
        raise InputError(f"{rule}: evidence is {evidence!r}; it must be a mapping from names to numbers")
    given = {str(name): _number(value) for name, value in cast("Mapping[Any, Any]", evidence).items()}
    numbers = {name: number for name, number in given.items() if number is not None}
    return replace(said, reason=bound_words(str(said.reason)), evidence=bound_evidence(numbers))


def _record(rule: str, verdict: Verdict, run: Run | None, tokens: float) -> StopCall:
    left: float | None = None
    if run is not None and run.horizon is not None:
        left = max(run.horizon - tokens, 0.0) * run.flops_per_token
    call = StopCall(
        rule=bound_words(rule),
        reason=bound_words(verdict.reason),
        evidence=bound_evidence(verdict.evidence),
        tokens=tokens,
        saved_flops=left,
    )
    if run is None or not len(run.curve):
        return call
    return replace(call, step=run.curve[-1].step, wall_time=run.curve[-1].wall_time)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
