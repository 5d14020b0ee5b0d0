"""Walk a finished ladder as if its rules had ended runs, and see what that saves and costs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

from scaling_callback.errors import InputError
from scaling_callback.pipeline import glance, refresh, select
from scaling_callback.records import Run, StopCall, group_runs
from scaling_callback.replaying.stop_scores import StopAudit, last_token, score, score_calls, take_part
from scaling_callback.replaying.visible import ROUNDING
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.stopping import AnyRule, Streak, check_rules, decide, find_needs

LOOKS = (0.01, 0.02, 0.035, 0.05, 0.075, *(step / 40 for step in range(4, 40)))
"""Shares of the horizon at which the members of a group are looked at: closer together early, where losses fall."""

GroupOrder: TypeAlias = Literal["together", "in-turn"]
"""How runs that share params and horizon are trained: side by side, or one after another."""

__all__ = ["LOOKS", "GroupOrder", "audit_stops", "score_calls"]


def audit_stops(
    runs: Sequence[Run],
    rules: Sequence[AnyRule],
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    looks: Sequence[float] = LOOKS,
    acting: bool = False,
    order: GroupOrder = "together",
    progress: Callable[[int, int], None] | None = None,
) -> StopAudit:
    """What rules would have done to a ladder, had they been in force from its beginning.

    Runs that share params and horizon advance together, from look to look; groups earlier in compute have finished. At
    a look nothing is visible but those groups and what the members had observed by then; members that a rule has ended
    stay as they were. Members are asked in order of their names, each that has a new observation.

    In turn, a member begins once the one before it has ended, as in a sweep that trains one run after another, and sees
    those before it: whole, or as a rule left them. They come by the wall time of their last observation where every
    one has it, else in the order of `runs`.

    Args:
        runs: A ladder, its runs whole; excluded and held-out ones take no part.
        rules: Of these one that speaks is enough.
        config: How rules that look at the law and the target are answered. `runs="best"` chooses before.
        looks: Shares of the horizon, in (0, 1).
        acting: Whether runs of earlier groups that a rule has ended are seen as it left them, as where it acts on the
            whole ladder; by default they are seen whole, as where it only records.
        order: Whether the runs of a group train side by side, or one after another.
        progress: Told of the looks done, and of all.

    Raises:
        InputError: There is no rule or run, a look lies outside (0, 1), or the order is none.

    Example:
        >>> from scaling_callback.stopping import Budget
        >>> from scaling_callback.testing import planted_ladder
        >>> made = audit_stops(planted_ladder(), [Budget(tokens=1e9)])
        >>> made.runs, made.stopped, made.false_stops, made.regret
        (12, 6, 0, 0.0)
    """
    check_looks(looks)
    if order not in get_args(GroupOrder):
        raise InputError(f"order is {order!r}; it must be one of {', '.join(map(repr, get_args(GroupOrder)))}")
    if not rules:
        raise InputError("there is no rule to audit; give one, such as Budget(tokens=1e9)")
    check_rules(rules, config)
    kept = take_part(select(runs, config))
    if not kept:
        raise InputError("no run has an observation that takes part, so no rule can be asked of any; give other runs")
    chosen = replace(config, runs="all", splits=False, sensitivity=False)
    law = any(find_needs(rule) == "forecast" for rule in rules)

    def look(seen: Sequence[Run]) -> Snapshot:
        return refresh(seen, (), chosen) if law else glance(seen, chosen)

    places = {run.name: place for place, run in enumerate(runs)}
    groups = [tuple(replace(run, calls=()) for run in group) for group in group_runs(kept)]
    turns = [_take_turns(group, order, places) for group in groups]
    turns = [[tuple(map(_restart_clock, part)) for part in parts] for parts in turns]
    tell = _count_to(len(looks) * sum(map(len, turns)), progress)
    ended: tuple[Run, ...] = ()
    calls: dict[str, StopCall] = {}
    for group, parts in zip(groups, turns, strict=True):
        stopped: dict[str, Run] = {}
        before: tuple[Run, ...] = ()
        for part in parts:
            stopped |= _train(part, (*ended, *before), rules, sorted(looks), look, tell)
            before = (*before, *(stopped.get(run.name, run) for run in part))
        calls |= {name: run.calls[0] for name, run in stopped.items()}
        ended = (*ended, *(before if acting else group))
    return score(groups, calls)


def check_looks(looks: Sequence[float]) -> None:
    """Refuse looks that are none.

    Raises:
        InputError: There is none, or one lies outside (0, 1).
    """
    if not looks:
        raise InputError("there is no look at which a rule could be asked; give shares of the horizon, such as 0.5")
    for share in looks:
        if not 0 < share < 1:
            raise InputError(f"look is {share:g}; it must be a share of the horizon between 0 and 1, such as 0.5")


_Look = Callable[[Sequence[Run]], Snapshot]
"""What is known of these runs."""


def _take_turns(group: Sequence[Run], order: GroupOrder, places: Mapping[str, int]) -> list[tuple[Run, ...]]:
    """The parts of a group of which one begins when the one before has ended."""
    if order == "together":
        return [tuple(group)]
    times = {run.name: float(run.curve.wall_time[-1]) for run in group}
    known = all(map(math.isfinite, times.values()))
    return [(run,) for run in sorted(group, key=lambda run: (times[run.name] if known else 0.0, places[run.name]))]


def _restart_clock(run: Run) -> Run:
    """The run as one that begins when those beside it do, whenever it was recorded."""
    times = run.curve.wall_time
    return replace(run, curve=replace(run.curve, wall_time=times - times[0]))


def _count_to(total: int, progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    """Tells of one more look."""
    count = itertools.count(1)
    return lambda: None if progress is None else progress(next(count), total)


def _train(
    group: Sequence[Run],
    ended: Sequence[Run],
    rules: Sequence[AnyRule],
    looks: Sequence[float],
    look: _Look,
    tell: Callable[[], None],
) -> dict[str, Run]:
    """The members that rules end, by name, each as it stood then."""
    stopped: dict[str, Run] = {}
    seen: dict[str, int] = {}
    streaks: dict[str, Mapping[str, Streak]] = {}
    earliest = min(map(_earliest, rules))
    for share in looks:
        tell()
        members = {run.name: stopped.get(run.name) or _see(run, share) for run in group}
        known = {name: run for name, run in members.items() if len(run.curve)}
        asked = [
            name
            for name, run in known.items()
            if name not in stopped and run.final is None and len(run.curve) > seen.get(name, 0)
        ]
        seen |= {name: len(members[name].curve) for name in asked}
        for name in asked:
            if not _may_speak(known[name], earliest):
                streaks.pop(name, None)
        speaking = [name for name in asked if _may_speak(known[name], earliest)]
        if not speaking:
            continue
        snapshot = look((*ended, *known.values()))
        for name in speaking:
            decision, streaks[name] = decide(rules, snapshot, name, streaks.get(name))
            if decision.stop:
                call = replace(decision.calls[0], acted=True)
                stopped[name] = replace(known[name], calls=(call,))
                # the others see it as ended; what its curve says of them is as before
                snapshot = replace(snapshot, runs=tuple(stopped.get(run.name, run) for run in snapshot.runs))
    return stopped


def _see(run: Run, share: float) -> Run:
    """The run as it stood at that share of its horizon; of what was recorded where the plan is unknown."""
    return run.until(share * (run.horizon or last_token(run)) * (1 + ROUNDING))


def _may_speak(run: Run, earliest: float) -> bool:
    return run.horizon is None or float(run.progress[-1]) >= earliest


def _earliest(rule: AnyRule) -> float:
    """The progress before which a rule says nothing of a run."""
    parts: Any = getattr(rule, "rules", None)
    if parts is not None:
        return min(map(_earliest, parts))
    return float(getattr(rule, "min_progress", 0.0))
