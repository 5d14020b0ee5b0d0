"""What a live run does about its stopping rules: what they say is recorded; it may alert, or end the training.

A rule that is watched only must change nothing in a training: nothing in here draws a random number or holds a tensor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from scaling_callback.errors import InputError
from scaling_callback.records import FINAL_PROGRESS, Observation, Run, RunCard, StopCall
from scaling_callback.reporting.units import format_flops, format_percent
from scaling_callback.reporting.words.lines import make_visible
from scaling_callback.snapshot import Decision, Snapshot
from scaling_callback.stopping import AnyRule, Streak, Streaks, decide, name_rule

Action: TypeAlias = Literal["record", "alert", "stop"]
"""What comes of a call: `record` writes it down and changes nothing, `alert` also alerts, `stop` ends the training."""

MOST_EVIDENCE = 50
"""Numbers that are kept of one call: a rule of one's own may give any amount."""

MOST_WORDS = 1000
"""Characters that are kept of a reason."""

_log = logging.getLogger("scaling_callback")


@dataclass(frozen=True)
class Watched:
    """What is remembered of a run's rules from one refit to the next.

    Attributes:
        streaks: How often in a row each has called for the run's end.
        called: Those whose first call is recorded.
        stopped: For what this training is being ended; a training that resumes it begins without.
    """

    streaks: Streaks = field(default_factory=dict[str, Streak])
    called: frozenset[str] = frozenset()
    stopped: StopCall | None = None

    def pack(self, rules: Sequence[AnyRule]) -> dict[str, Any]:
        """It as plain data, which a checkpoint holds."""
        return {
            "rules": _list_names(rules),
            "streaks": {place: [streak.refits, streak.tokens] for place, streak in self.streaks.items()},
            "called": sorted(self.called),
        }

    @classmethod
    def unpack(cls, rules: Sequence[AnyRule], packed: Mapping[str, Any]) -> Watched:
        """What `pack` gave; streaks count for the same rules alone.

        Example:
            >>> rule = lambda snapshot, run: "enough"
            >>> watched = Watched({"0": Streak(2, 1e9)}, frozenset({"lambda"}))
            >>> Watched.unpack([rule], watched.pack([rule])) == watched
            True
        """
        same = packed.get("rules") == _list_names(rules)
        streaks: Mapping[str, Any] = packed.get("streaks", {}) if same else {}
        held = {str(place): Streak(int(refits), float(tokens)) for place, (refits, tokens) in streaks.items()}
        return cls(held, frozenset(map(str, packed.get("called", ()))))


class Watcher:
    """The rules of one live run, asked at each refit.

    Args:
        rules: Each is asked.
        action: What comes of their calls.
        kept: What `state_dict` gave in the training that this one continues.
        attempt: Asks one rule, and catches what it raises.
    """

    def __init__(
        self,
        rules: Sequence[AnyRule],
        action: Action,
        kept: Mapping[str, Any],
        attempt: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._rules, self._action, self._attempt = tuple(rules), action, attempt
        self._watched = Watched.unpack(self._rules, kept)
        self.unwritten: list[StopCall] = []
        """Calls that the run's record lacks so far."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold of it: plain data."""
        return self._watched.pack(self._rules)

    def forget(self) -> None:
        """Begin without streaks: it is another run that is watched."""
        self._watched = Watched()

    def ask(self, snapshot: Snapshot, run: str, seen: Observation, *, ended: bool = False) -> Decision:
        """What a training does by what is known now; says in the log what is new.

        Args:
            snapshot: What is known.
            run: Of whom.
            seen: Its last observation, which the snapshot may not know yet.
            ended: Whether its training has ended, so that nothing is left to stop.
        """
        before, known = self._watched, next((each for each in snapshot.runs if each.name == run), None)
        said, streaks = decide(self._rules, snapshot, run, before.streaks, attempt=self._attempt)
        calls = tuple(_tidy(call) for call in said.calls)
        by_rule = dict(zip(_list_calling(self._rules, streaks), calls, strict=True))
        news = [call for rule, call in by_rule.items() if rule not in before.called]
        # a run that has reached the end of its plan is stopped by none
        stops = bool(calls) and self._action == "stop" and not ended and (known is None or known.final is None)
        stopped = before.stopped
        if stops and stopped is None:
            stopped = end_at(calls[0], seen, known.flops_per_token if known is not None else 0.0)
            news = [stopped, *(call for call in news if call is not calls[0])]
        for call in news:
            _log.log(
                logging.INFO if self._action == "record" else logging.WARNING, "%s", describe_call(call, run, known)
            )
        self.unwritten += news
        self._watched = Watched(streaks, before.called | by_rule.keys(), stopped)
        return Decision(stop=stops, calls=calls, alert=bool(calls) and self._action != "record")

    def end(self, card: RunCard, seen: Observation, planned: float | None, *, completed: bool) -> bool:
        """Whether a training that has ended completed its plan; one that a rule has stopped before did not.

        Args:
            card: Who the run is.
            seen: Its last observation.
            planned: Its planned tokens, if known.
            completed: Whether its loop says so.
        """
        call = self._watched.stopped
        if call is None or (
            completed and seen.tokens >= (FINAL_PROGRESS * planned if planned else call.tokens * _MORE)
        ):
            return completed
        if seen.tokens > call.tokens * _MORE:  # it went on to where it could end
            call = end_at(call, seen, card.flops_per_token or 6.0 * card.params)
            self.unwritten.append(call)
        share = f" at {format_percent(seen.tokens / planned)} of its plan" if planned else ""
        text = (
            f"run {card.name} was stopped{share} by rule {call.rule} ({call.reason}) and counts as unfinished: what it "
            "is forecast to end at serves the ladder, and a training that resumes it goes on with it"
        )
        _log.warning("%s", make_visible(text))
        return False


_MORE = 1.0 + 1e-9
"""Tokens that rise by more than this are more tokens."""


def end_at(call: StopCall, seen: Observation, flops_per_token: float) -> StopCall:
    """The call as the one that a run was ended for after `seen`, which may be later than where it was called."""
    saved = call.saved_flops
    if saved is not None:
        saved = max(saved - (seen.tokens - call.tokens) * flops_per_token, 0.0)
    return replace(call, acted=True, tokens=seen.tokens, step=seen.step, wall_time=seen.wall_time, saved_flops=saved)


def describe_call(call: StopCall, run: str, known: Run | None) -> str:
    """A call in one line: of which rule, why, and what it saves.

    Example:
        >>> call = StopCall(rule="budget", reason="its compute is spent", tokens=1e9, saved_flops=6e15)
        >>> describe_call(call, "tiny", None)
        'run tiny would be stopped by rule budget: its compute is spent; that saves 6.0e15 FLOPs'
    """
    saved = "what that saves is not known, as its planned tokens are not"
    if call.saved_flops is not None:
        planned = known.planned_flops if known is not None else None
        share = f", {format_percent(call.saved_flops / planned)} of its plan" if planned else ""
        saved = f"that saves {format_flops(call.saved_flops)} FLOPs{share}"
    verb = "is stopped" if call.acted else "would be stopped"
    return make_visible(f"run {run} {verb} by rule {call.rule}: {call.reason}; {saved}")


def check_action(action: Any) -> None:
    """Refuse what is no action.

    Raises:
        InputError: It is none.
    """
    if action not in get_args(Action):
        raise InputError(f"action is {action!r}; it must be one of {', '.join(map(repr, get_args(Action)))}")


def _list_names(rules: Sequence[AnyRule]) -> list[str]:
    """What each rule is called; the second of one name has a number."""
    names: list[str] = []
    for rule in rules:
        name, number = name_rule(rule), 1
        while (numbered := name if number == 1 else f"{name} {number}") in names:
            number += 1
        names.append(numbered)
    return names


def _list_calling(rules: Sequence[AnyRule], streaks: Streaks) -> list[str]:
    """Those whose patience is exhausted, in the order of their calls."""
    return [
        name
        for place, (name, rule) in enumerate(zip(_list_names(rules), rules, strict=True))
        if (streak := streaks.get(str(place))) is not None and streak.refits >= getattr(rule, "patience", 1)
    ]


def _tidy(call: StopCall) -> StopCall:
    """The call with what can be written and sent to other ranks: a rule of one's own may give anything as evidence."""
    numbers = {str(name): number for name, value in call.evidence.items() if (number := _number(value)) is not None}
    kept = dict(list(numbers.items())[:MOST_EVIDENCE])
    return replace(call, reason=str(call.reason)[:MOST_WORDS], evidence=kept)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
