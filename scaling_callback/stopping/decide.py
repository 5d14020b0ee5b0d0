"""What the rules of a training say of one of its runs, refit after refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

from scaling_callback.records import Run, StopCall
from scaling_callback.snapshot import Decision, Snapshot
from scaling_callback.stopping.base import AnyRule, Verdict
from scaling_callback.stopping.combining import Combined, as_verdict, name_rule

T = TypeVar("T")


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
    attempt: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> tuple[Decision, dict[str, Streak]]:
    """Whether a run goes on by what is known now, and how often each rule has called for its end by now.

    Args:
        rules: Of these one that speaks is enough; every one is asked.
        snapshot: What is known.
        run: Of whom.
        before: What the last call gave; `None` at first.
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
    calls = [
        _record(name_rule(rule), verdict, known, tokens)
        for place, rule in enumerate(rules)
        if (verdict := watch.ask(rule, str(place))) is not None
    ]
    return Decision(stop=bool(calls), calls=tuple(calls)), watch.after


class _Watch(NamedTuple):
    """One look at a run."""

    snapshot: Snapshot
    run: str
    tokens: float
    before: Mapping[str, Streak]
    after: dict[str, Streak]
    attempt: Callable[[Callable[[], Any]], Any]

    def ask(self, rule: AnyRule, place: str) -> Verdict | None:
        """The verdict of a rule whose patience is exhausted."""
        if isinstance(rule, Combined):
            parts = [self.ask(part, f"{place}.{index}") for index, part in enumerate(rule.rules)]
            verdict = rule.combine(parts)
        else:
            verdict = as_verdict(self.attempt(lambda: rule(self.snapshot, self.run)))
        if verdict is None:
            return None
        held = self.before.get(place, Streak(0, -1.0))
        # the same observations once more are no further proof
        streak = Streak(held.refits + 1, self.tokens) if self.tokens > held.tokens else held
        self.after[place] = streak
        return verdict if streak.refits >= getattr(rule, "patience", 1) else None


def _record(rule: str, verdict: Verdict, run: Run | None, tokens: float) -> StopCall:
    left: float | None = None
    if run is not None and run.horizon is not None:
        left = max(run.horizon - tokens, 0.0) * run.flops_per_token
    call = StopCall(rule=rule, reason=verdict.reason, evidence=verdict.evidence, tokens=tokens, saved_flops=left)
    if run is None or not len(run.curve):
        return call
    return replace(call, step=run.curve[-1].step, wall_time=run.curve[-1].wall_time)
