"""What comes of a rule's call, and how it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

from scaling_callback.errors import InputError
from scaling_callback.records import Observation, Run, StopCall
from scaling_callback.reporting.units import format_flops, format_percent
from scaling_callback.reporting.words.lines import make_visible

Action: TypeAlias = Literal["record", "alert", "stop"]
"""What comes of a call: `record` writes it down and changes nothing, `alert` also alerts, `stop` ends the training."""


def check_action(action: Any) -> None:
    """Refuse what is no action.

    Raises:
        InputError: It is none.
    """
    if action not in get_args(Action):
        raise InputError(f"action is {action!r}; it must be one of {', '.join(map(repr, get_args(Action)))}")


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
    verb, end = ("is stopped", "; the run counts as unfinished") if call.acted else ("would be stopped", "")
    return make_visible(f"run {run} {verb} by rule {call.rule}: {call.reason}; {saved}{end}")
