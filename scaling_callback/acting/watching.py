"""The rules of one live run, asked observation after observation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scaling_callback.acting.calls import Action, describe_call, end_at
from scaling_callback.acting.turns import Turns
from scaling_callback.records import FINAL_PROGRESS, Observation, RunCard, StopCall
from scaling_callback.reporting.units import format_percent
from scaling_callback.reporting.words.lines import make_visible
from scaling_callback.snapshot import Decision, Snapshot
from scaling_callback.stopping import AnyRule, Streak, Streaks, decide, name_rules

_log = logging.getLogger("scaling_callback")


@dataclass(frozen=True)
class Watched:
    """What is remembered of a run's rules from one look to the next.

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
            "rules": name_rules(rules),
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
        same = packed.get("rules") == name_rules(rules)
        streaks: Mapping[str, Any] = packed.get("streaks", {}) if same else {}
        held = {str(place): Streak(int(refits), float(tokens)) for place, (refits, tokens) in streaks.items()}
        return cls(held, frozenset(map(str, packed.get("called", ()))))


class Watcher:
    """The rules of one live run, asked at its observations.

    Args:
        rules: What is asked: all of them after a refit, some between two (`Turns`).
        action: What comes of their calls.
        kept: What `state_dict` gave in the training that this one continues.
        attempt: Asks one rule, and catches what it raises.
        share: Share of wall time that rules which look at forecast finals may take between refits.
    """

    def __init__(
        self,
        rules: Sequence[AnyRule],
        action: Action,
        kept: Mapping[str, Any],
        attempt: Callable[[Callable[[], Any]], Any],
        *,
        share: float | None,
    ) -> None:
        self._rules, self._action, self._attempt = tuple(rules), action, attempt
        self._watched = Watched.unpack(self._rules, kept)
        self._turns = Turns(self._rules, share)
        self._went_on = False  # after a call that was acted on in vain
        self.unwritten: list[StopCall] = []
        """Calls that the run's record lacks so far."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold of it: plain data."""
        return self._watched.pack(self._rules)

    def forget(self) -> None:
        """Begin without streaks: it is another run that is watched."""
        self._watched = Watched()

    def go_on(self) -> None:
        """The run is not ended for what was called: a later call that ends it is recorded at the end."""
        self._watched, self._went_on = replace(self._watched, stopped=None), True

    def describe_alone(self) -> str | None:
        """What is not asked of a run whose ladder cannot be used; `None` without rules."""
        return self._turns.describe_alone()

    def glance(self, look: Callable[[], Snapshot], run: str, seen: Observation, *, alone: bool = False) -> Decision:
        """What a training does at an observation without a refit, by the rules that need none.

        Args:
            look: What is known, if any rule is asked.
            run: Of whom.
            seen: Its last observation.
            alone: Whether the run's own curve is all that is known.
        """
        chosen = self._turns.choose_alone() if alone else self._turns.choose(refitted=False)
        if not any(chosen):
            return Decision()
        began = time.monotonic()
        try:
            return self._ask(look(), run, seen, chosen, ended=False)
        finally:
            self._turns.spend(time.monotonic() - began)

    def ask(self, snapshot: Snapshot, run: str, seen: Observation, *, ended: bool = False) -> Decision:
        """What a training does after a refit; says in the log what is new.

        Args:
            snapshot: What is known.
            run: Of whom.
            seen: Its last observation.
            ended: Whether its training has ended, so that nothing is left to stop.
        """
        chosen = (True,) * len(self._rules) if ended else self._turns.choose(refitted=True)
        return self._ask(snapshot, run, seen, chosen, ended=ended)

    def _ask(self, snapshot: Snapshot, run: str, seen: Observation, chosen: Sequence[bool], *, ended: bool) -> Decision:
        before, known = self._watched, next((each for each in snapshot.runs if each.name == run), None)
        asked = [rule for rule, is_chosen in zip(self._rules, chosen, strict=True) if is_chosen]
        said, streaks = decide(
            self._rules,
            snapshot,
            run,
            before.streaks,
            asked=lambda rule: any(rule is each for each in asked),
            attempt=self._attempt,
        )
        news = [call for call in said.calls if call.rule not in before.called]
        # a run that has reached the end of its plan is stopped by none
        stops = said.stop and self._action == "stop" and not ended and (known is None or known.final is None)
        stopped = before.stopped
        if stops and stopped is None:
            stopped = end_at(said.calls[0], seen, known.flops_per_token if known is not None else 0.0)
            news = [*([] if self._went_on else [stopped]), *(call for call in news if call is not said.calls[0])]
        for call in news:
            _log.warning("%s", describe_call(call, run, known))
        self.unwritten += news
        self._watched = Watched(streaks, before.called | {call.rule for call in said.calls}, stopped)
        return Decision(stop=stops, calls=said.calls, alert=said.stop and self._action != "record")

    def end(self, card: RunCard, seen: Observation, planned: float | None, *, completed: bool) -> bool:
        """Whether a training that has ended completed its plan; one that a rule has stopped before did not.

        Args:
            card: Who the run is.
            seen: Its last observation.
            planned: Its planned tokens, if known.
            completed: Whether its loop says so.
        """
        if (seldom := self._turns.describe()) is not None:
            _log.warning("%s", seldom)
        call = self._watched.stopped
        if call is None or (
            completed and seen.tokens >= (FINAL_PROGRESS * planned if planned else call.tokens * _MORE)
        ):
            return completed
        if self._went_on or seen.tokens > call.tokens * _MORE:  # it went on to where it could end
            call = end_at(call, seen, card.flops_per_token or 6.0 * card.params)
            self.unwritten.append(call)
            share = (
                f"at {format_percent(seen.tokens / planned)} of its plan" if planned else f"at {seen.tokens:g} tokens"
            )
            _log.warning("%s", make_visible(f"run {card.name}, that rule {call.rule} stops, ended {share}"))
        return False


_MORE = 1.0 + 1e-9
"""Tokens that rise by more than this are more tokens."""
