"""Trials of a sweep read as runs, whichever tool sweeps, and what the rules say of one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal, TypeAlias, cast, get_args

from scaling_callback.errors import InputError, WarnOnce
from scaling_callback.pipeline import glance, refresh
from scaling_callback.records import FINAL_PROGRESS, Curve, Observation, Run, RunCard, StopCall, Target, is_count
from scaling_callback.snapshot import Config, Decision
from scaling_callback.stopping import AnyRule, Streak, Streaks, check_rules, decide, find_needs, make_rule

Amount: TypeAlias = float | str | Callable[[Mapping[str, Any]], float]
"""A number; the name of a hyperparameter or attribute that holds it; or a function of all of these by name."""

State: TypeAlias = Literal["running", "completed", "stopped"]

TrialAction: TypeAlias = Literal["stop", "record"]
"""What a rule that calls for a trial's end does: stop it, or only keep what it would have done."""

LEARNING_RATES = ("peak_lr", "max_lr", "learning_rate", "lr")
"""Names under which a sweep's learning rate is looked for, where none was told."""

LONGEST = 300
"""Text of a hyperparameter is kept up to so many characters."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial, as the tool that sweeps tells it.

    Attributes:
        name: Its name, unique in its sweep.
        state: Whether it trains, ended by itself, or was stopped; one that failed tells nothing.
        losses: The loss that it reported at each step.
        value: What it ended with, where the tool was told.
        settings: Its hyperparameters and attributes, by name.
        calls: What rules have said of it so far.
    """

    name: str
    state: State
    losses: Mapping[float, float]
    value: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    calls: tuple[StopCall, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """How the trials of a sweep are counted: their size, their plan, and what a step is.

    A trial whose first report is at step 0 counts from 0, as epochs are: its step s ends s + 1 steps.

    Attributes:
        params: N of the model.
        steps: The steps that a trial is planned to train; or
        tokens: the tokens.
        tokens_per_step: Tokens in one step, as steps are reported. With 1 shares of compute are right, amounts are not.
        batch_tokens: Tokens in one optimiser step, where they are to be kept.
        learning_rate: Name of the hyperparameter that is the peak learning rate; by default one of `LEARNING_RATES`.
        schedule: Name of the hyperparameter that is the schedule, or the schedule of all trials in words.
        seed: Name of the hyperparameter that is the seed.

    Raises:
        InputError: A value is no amount, or not exactly one of `steps` and `tokens` is given.

    Example:
        >>> sweep = Sweep(params="size", steps=4, tokens_per_step=1000)
        >>> trial = Trial(name="a", state="running", losses={1: 4.0, 2: 3.5}, settings={"size": 1e6, "lr": 0.01})
        >>> run = sweep.read(trial)
        >>> run.params, run.progress.tolist(), run.card.peak_lr
        (1000000.0, [0.25, 0.5], 0.01)
    """

    params: Amount
    steps: Amount | None = None
    tokens: Amount | None = None
    tokens_per_step: Amount = 1.0
    batch_tokens: Amount | None = None
    learning_rate: str | None = None
    schedule: str | None = None
    seed: str = "seed"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.tokens is None):
            raise InputError("a sweep needs the plan of its trials; give one of steps= and tokens=")
        for name in ("params", "steps", "tokens", "tokens_per_step", "batch_tokens"):
            amount: Any = getattr(self, name)
            named = (isinstance(amount, str) and amount) or callable(amount)
            if amount is not None and not named and not is_count(amount):
                raise InputError(
                    f"{name} is {amount!r}; give a positive number, the name of a hyperparameter, or a function of them"
                )

    def read(self, trial: Trial) -> Run:
        """The trial as a run: with a final where it ended as planned, else as one under way.

        Raises:
            InputError: It lacks an amount, or that is no positive, finite number.
        """
        per_step = self._resolve("tokens_per_step", trial)
        horizon = (
            self._resolve("tokens", trial) if self.tokens is not None else per_step * self._resolve("steps", trial)
        )
        rate = self.learning_rate or next((name for name in LEARNING_RATES if name in trial.settings), "")
        seed, schedule = trial.settings.get(self.seed), self.schedule
        card = RunCard(
            name=trial.name,
            params=self._resolve("params", trial),
            horizon=horizon,
            schedule=schedule and str(trial.settings.get(schedule, schedule)),
            peak_lr=float(trial.settings[rate]) if is_count(trial.settings.get(rate)) else None,
            seed=None if seed is None else str(seed)[:LONGEST],
            batch_tokens=self._resolve("batch_tokens", trial) if self.batch_tokens is not None else None,
            extra={name: str(value)[:LONGEST] for name, value in trial.settings.items() if _is_plain(value)},
        )
        return _assemble(card, trial, per_step, horizon)

    def _resolve(self, name: str, trial: Trial) -> float:
        amount: Any = getattr(self, name)
        if isinstance(amount, str):
            if amount not in trial.settings:
                known = ", ".join(map(repr, trial.settings)) or "nothing yet"
                raise InputError(f"{trial.name}: {name} is read from {amount!r}, which it has not; it has {known}")
            amount = trial.settings[amount]
        elif callable(amount):
            amount = amount(trial.settings)
        if not is_count(amount):
            raise InputError(f"{trial.name}: {name} is {amount!r}; it must be a positive, finite number")
        return float(amount)


def read_trial(sweep: Sweep, trial: Trial, warn: WarnOnce) -> Run | None:
    """The trial as a run; `None`, with one warning for all such trials, where it lacks an amount."""
    if any(loss <= 0 for loss in trial.losses.values()):
        warn("a trial reports losses of 0 or below, of which most rules say nothing", about="a loss of 0 or below")
    try:
        return sweep.read(trial)
    except InputError as error:
        warn(f"a trial is left out: {error}", about="a trial is left out")
        return None


def judge(
    rules: Sequence[AnyRule],
    runs: Sequence[Run],
    run: str,
    before: Streaks | None = None,
    *,
    target: Target | None = None,
    attempt: Callable[[Callable[[], Any]], Any] = lambda work: work(),
) -> tuple[Decision, dict[str, Streak]]:
    """What the rules say of one of these runs; a law is fitted only where a rule looks at one.

    Other runs that were stopped are not looked at: none of them is the best of its kind, and to forecast anew at every
    report where each would have ended takes seconds in a sweep of hundreds.

    Args:
        rules: Of these one that speaks is enough.
        runs: Of all trials.
        run: Of whom.
        before: What the last call for this run gave; `None` at first.
        target: What the forecast is for, where a rule asks for one.
        attempt: As for `stopping.decide`.
    """
    config = _ask_for(rules, target)
    looked_at = [each for each in runs if each.name == run or each.stopped is None]
    snapshot = refresh(looked_at, (), config) if config.fits else glance(looked_at, config)
    return decide(rules, snapshot, run, before, attempt=attempt)


def take_rules(rules: Sequence[AnyRule] | None, target: Target | None = None) -> tuple[AnyRule, ...]:
    """The rules that were given; by default `Dominated`, which is made for sweeps.

    Raises:
        InputError: They are no rules, or one could never say anything of what `judge` shows it (`check_rules`).
    """
    if rules is None:
        return (make_rule("dominated"),)
    if not isinstance(cast("Any", rules), Sequence) or not rules:
        raise InputError(f"rules is {rules!r}; it must be a list of rules, such as [Dominated()]")
    return check_rules(rules, _ask_for(rules, target))


def check_sweep(sweep: Any) -> None:
    """Refuse what says nothing of how trials are counted.

    Raises:
        InputError: It is no `Sweep`.
    """
    if not isinstance(sweep, Sweep):
        raise InputError(f"sweep is {sweep!r}; it must be a Sweep, such as Sweep(params=1e8, steps=1000)")


def check_action(action: Any) -> None:
    """Refuse what is no action.

    Raises:
        InputError: It is none.
    """
    if action not in get_args(TrialAction):
        raise InputError(f"action is {action!r}; it must be one of {', '.join(map(repr, get_args(TrialAction)))}")


def check_minimised(direction: str, tool: str) -> None:
    """Refuse to look at what is not a loss.

    Raises:
        InputError: The direction is another one than down.
    """
    if not direction.lower().startswith("min"):
        raise InputError(f"{tool} is told to {direction}; the rules look at a loss: report one, and minimise it")


def flatten(settings: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Hyperparameters by name, those in a mapping within as `outer/inner`.

    Example:
        >>> flatten({"lr": 0.1, "model": {"width": 8}})
        {'lr': 0.1, 'model/width': 8}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(cast("Mapping[Any, Any]", value), f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def describe_call(call: StopCall) -> dict[str, Any]:
    """A call as plain data that JSON can hold; what is not known is `None`."""
    values = {each.name: getattr(call, each.name) for each in fields(call)}
    values["evidence"] = {str(name): _finite(value) for name, value in call.evidence.items()}
    return {name: _finite(value) if isinstance(value, float) else value for name, value in values.items()}


def read_call(record: Any) -> StopCall | None:
    """The call of which that was described, or `None` where it is none."""
    try:
        return StopCall(
            rule=str(record["rule"]),
            reason=str(record["reason"]),
            evidence={str(name): float(value) for name, value in record["evidence"].items() if value is not None},
            tokens=float(record["tokens"]),
            step=math.nan if record["step"] is None else float(record["step"]),
            saved_flops=None if record["saved_flops"] is None else float(record["saved_flops"]),
            acted=record["acted"] is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _ask_for(rules: Sequence[AnyRule], target: Target | None) -> Config:
    """What is asked of the trials so that every rule can speak."""
    law = any(find_needs(rule) == "forecast" for rule in rules)
    return Config(target=target, fits=law, past=law, splits=False)


def _assemble(card: RunCard, trial: Trial, per_step: float, horizon: float) -> Run:
    """The run of a card: a trial that ended by itself far from its plan has no final, and a note that says so."""
    steps = sorted(step for step in trial.losses if math.isfinite(step) and step >= 0)
    first = 1 if steps and steps[0] == 0 else 0
    seen = [Observation((step + first) * per_step, float(trial.losses[step]), step=step) for step in steps]
    seen = [each for each in seen if each.tokens > 0]
    reached = seen[-1].tokens if seen else 0.0
    notes: tuple[str, ...] = ()
    if trial.state == "completed":
        places = [0.0, *(each.tokens for each in seen)]
        interval = max((b - a for a, b in pairwise(places)), default=horizon)
        if reached >= FINAL_PROGRESS * horizon:
            seen[-1] = Observation(reached, seen[-1].loss, step=seen[-1].step, is_final=True)
        elif horizon - reached > interval * (1 + 1e-9):
            notes = (f"it ended by itself at {reached / horizon:.0%} of its plan: it has no final",)
        elif trial.value is not None:  # its last steps were not reported, what came of them was
            seen.append(Observation(horizon, float(trial.value), is_final=True))
    calls = trial.calls
    if trial.state == "stopped" and not any(call.acted for call in calls):
        other = StopCall(rule="other", reason="the sweep stopped it", tokens=reached, acted=True)
        calls = (*calls, other)
    return Run(card, Curve.of(seen), notes, completed=trial.state == "completed" and not notes, calls=calls)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(float(value)) else None
