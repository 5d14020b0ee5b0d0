"""What a person should be told at once, in a line each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scaling_callback.curves import Abstention
from scaling_callback.errors import NotEnoughData
from scaling_callback.forecasting import further_variables
from scaling_callback.records import Run, same_count
from scaling_callback.reporting.units import format_level, format_loss, format_percent
from scaling_callback.snapshot import Decision, Snapshot

OFF_LAW = 3.0
"""Deviations of one run's noise above the law at which a run is called off it: by chance about once in a thousand."""


@dataclass(frozen=True)
class Alert:
    """Something that happened between two refits and that a person should know of.

    Attributes:
        name: What it is, in kebab case; a logger may thin alerts of one name.
        title: It in a few words.
        text: It in a sentence with its figures; may hold words from outside.
        level: How urgent it is, in W&B's words.
    """

    name: str
    title: str
    text: str
    level: Literal["INFO", "WARN", "ERROR"]


class Reference(NamedTuple):
    """The narrowest interval so far of the target with this N and D: what later forecasts should stay inside."""

    params: float
    tokens: float
    lower: float
    upper: float


def find_alerts(
    snapshot: Snapshot, run: str, decision: Decision, reference: Reference | None
) -> tuple[tuple[Alert, ...], Reference | None]:
    """What is to be told of a refit, and the interval that the next one is held against.

    Args:
        snapshot: What the ladder says.
        run: The run that asks.
        decision: Whether it goes on.
        reference: What the last call gave; `None` at first.

    Example:
        >>> from scaling_callback import Config, Target, refresh
        >>> from scaling_callback.records import StopCall
        >>> from scaling_callback.testing import planted_ladder
        >>> made = refresh(planted_ladder(), (), Config(target=Target(params=1e9, tokens=2e10)))
        >>> stopped = Decision(stop=True, calls=(StopCall(rule="own", reason="it has taught enough", tokens=1e9),))
        >>> alerts, reference = find_alerts(made, "a", stopped, None)
        >>> [alert.text for alert in alerts]
        ['run a stops: it has taught enough']
        >>> alerts, _ = find_alerts(made, "a", Decision(), reference._replace(lower=2.0, upper=2.1))
        >>> [alert.name for alert in alerts]
        ['forecast-left-interval']
    """
    alerts: list[Alert] = []
    left, reference = _hold_against(snapshot, reference)
    alerts += [left] if left else []
    own = next((each for each in snapshot.runs if each.name == run), None)
    if own is not None and (off := _find_off_law(snapshot, own)):
        alerts.append(off)
    alerts += _tell_calls(run, decision, own)
    return tuple(alerts), reference


def _tell_calls(run: str, decision: Decision, own: Run | None) -> list[Alert]:
    """What rules say of the run: that it stops, or once a rule that it should, or that it would have been stopped."""
    if decision.stop:
        return [Alert("stopped", "A stopping rule fired", f"run {run} stops: {decision.reason}", "WARN")]
    known = {call.rule for call in own.calls} if own is not None else set[str]()
    called = [call for call in decision.calls if call.rule not in known]
    if decision.alert:
        return [
            Alert("should-stop", f"Rule {call.rule} calls for a stop", f"run {run} should stop: {call.reason}", "WARN")
            for call in called
        ]
    return [
        Alert("would-stop", f"Rule {call.rule} would have stopped", f"run {run} goes on: {call.reason}", "INFO")
        for call in called
    ]


def _hold_against(snapshot: Snapshot, reference: Reference | None) -> tuple[Alert | None, Reference | None]:
    made = snapshot.forecast
    if made is None or not (math.isfinite(made.lower) and math.isfinite(made.upper)):
        return None, reference
    now = Reference(made.params, made.tokens, made.lower, made.upper)
    if reference is None or not (same_count(reference.params, now.params) and same_count(reference.tokens, now.tokens)):
        return None, now
    if reference.lower <= made.median <= reference.upper:
        narrower = now.upper - now.lower < reference.upper - reference.lower
        return None, now if narrower else reference
    text = (
        f"the target is now forecast at {format_loss(made.median)} ({format_level(made.level)} interval "
        f"{format_loss(made.lower)} to {format_loss(made.upper)}), outside the earlier interval "
        f"{format_loss(reference.lower)} to {format_loss(reference.upper)}: that one was too narrow"
    )
    return Alert("forecast-left-interval", "The forecast left its earlier interval", text, "WARN"), now


def _find_off_law(snapshot: Snapshot, run: Run) -> Alert | None:
    """Whether the run ends, or is forecast to end, above the law by more than chance."""
    fit, horizon = snapshot.fit, run.horizon
    if fit is None or horizon is None or not fit.noise > 0:
        return None
    guess = snapshot.finals.get(run.name)
    if run.final is not None:
        at, least, words = run.final.tokens, run.final.loss, f"ended at {format_loss(run.final.loss)}"
    elif guess is not None and not isinstance(guess, Abstention):
        at, least = horizon, guess.interval(snapshot.config.level)[0]
        words = f"is forecast to end at {format_loss(guess.median)}, at best at {format_loss(least)}"
    else:
        return None
    try:
        lawful = float(fit.predict(run.params, at, **further_variables(run, at))[0])
    except NotEnoughData:  # the law needs to know more of the run than it says
        return None
    if math.log(least / lawful) <= OFF_LAW * fit.noise:
        return None
    text = (
        f"run {run.name} {words}; the law says {format_loss(lawful)} at its size and length, and by chance a run lies "
        f"{format_percent(fit.noise)} off it: look at its data and its learning rate"
    )
    return Alert("off-law", "A run falls off the law", text, "WARN")
