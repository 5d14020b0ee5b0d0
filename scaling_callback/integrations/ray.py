"""Ray Tune: a scheduler and a stopper on the stopping rules.

Both see the results of all trials, read them as runs, and ask the rules about the one that reports. The scheduler is
the one to take; the stopper goes beside a scheduler of another kind. Whatever fails in here becomes one warning with
its cause; the trials go on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from scaling_callback.errors import InputError, MissingDependency, WarnOnce
from scaling_callback.records import Run, StopCall, Target
from scaling_callback.reporting.words.lines import make_visible
from scaling_callback.stopping import AnyRule, Streaks
from scaling_callback.sweeping import (
    State,
    Sweep,
    Trial,
    TrialAction,
    check_action,
    check_minimised,
    check_sweep,
    flatten,
    judge,
    read_trial,
    take_rules,
)

if TYPE_CHECKING:
    from ray.tune.schedulers import FIFOScheduler, TrialScheduler
    from ray.tune.stopper import Stopper
else:
    try:
        from ray.tune.schedulers import FIFOScheduler, TrialScheduler
        from ray.tune.stopper import Stopper
    except ImportError:
        raise MissingDependency("rules in Ray Tune need it: pip install 'scaling-callback[ray]'") from None

_log = logging.getLogger("scaling_callback")

REASON = "scaling_stop"
"""Where the stopper says in a trial's last result why it stopped it, or would have."""


class ScalingScheduler(FIFOScheduler):
    """Runs trials in the order in which they come, and stops one whose end a stopping rule calls for.

    After `Tuner.restore` it knows of the trials that ended before what they reported last.

    Args:
        sweep: How trials are counted; names in it are those of the config, of nested ones as `outer/inner`.
        rules: Of these one that speaks is enough; by default `Dominated()`.
        metric: The reported loss; by default that of `TuneConfig`.
        step: The reported count of steps.
        action: `stop` stops trials; `record` never does, and keeps what it would have done.
        target: What the forecast is for, where a rule asks for one.

    Raises:
        InputError: An argument is out of its range, or Tune is told to maximise.

    Example:
        >>> from scaling_callback.stopping import Budget
        >>> sweep = Sweep(params=1e6, steps=100, tokens_per_step=1e3)
        >>> scheduler = ScalingScheduler(sweep, [Budget(tokens=4e4)], metric="val_loss")
        >>> scheduler.debug_string()
        'ScalingScheduler: 0 of 0 trials stopped.'
    """

    def __init__(
        self,
        sweep: Sweep,
        rules: Sequence[AnyRule] | None = None,
        *,
        metric: str | None = None,
        step: str = "training_iteration",
        action: TrialAction = "stop",
        target: Target | None = None,
    ) -> None:
        super().__init__()
        self._metric = metric
        self._watch = _watch(type(self).__name__, sweep, rules, step=step, action=action, target=target)

    @property
    def calls(self) -> Mapping[str, StopCall]:
        """Why each trial was stopped, or would have been, by its id."""
        return self._watch.calls

    def runs(self) -> list[Run]:
        """The trials as runs, such as for `write_table` and then `audit-stops`; failed ones are left out."""
        return self._watch.runs()

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take the metric of `TuneConfig`; false where another one was given."""
        if mode is not None:
            check_minimised({"max": "maximize"}.get(mode, mode), "Tune")
        taken: Any = super()  # its further arguments have no types
        return bool(taken.set_search_properties(metric, mode, **spec))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether the trial goes on."""
        call = self._watch.warn.attempt(lambda: self._result(tune_controller, trial, result))
        return TrialScheduler.STOP if call is not None and call.acted else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Keep that it has ended."""
        self._watch.end(trial.trial_id, "completed")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Forget it, unless it is tried again."""
        self._watch.forget(trial.trial_id)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Keep that another one ended it."""
        self._watch.end(trial.trial_id, "completed")

    def debug_string(self) -> str:
        """What it has done, in a line."""
        acted = sum(call.acted for call in self.calls.values())
        return f"{type(self).__name__}: {acted} of {len(self._watch.seen)} trials stopped."

    def _result(self, tune_controller: Any, trial: Any, result: Mapping[str, Any]) -> StopCall | None:
        for known in tune_controller.get_trials():  # those that ended before a restoration
            if known.trial_id not in self._watch.seen and known.status == "TERMINATED" and known.last_result:
                self._watch.observe(known.trial_id, known.config, flatten(known.last_result), str(self._metric))
        return self._watch.judge(trial.trial_id, trial.config, result, str(self._metric))


class ScalingStopper(Stopper):
    """Stops a trial whose end a stopping rule calls for, beside any scheduler; the reason stands in its last result.

    It takes a trial whose result says `done` for ended. Others that a scheduler has stopped or that have failed
    look to it as if they still trained.

    Args:
        sweep: How trials are counted, as for `ScalingScheduler`.
        rules: Of these one that speaks is enough; by default `Dominated()`.
        metric: The reported loss.
        step: The reported count of steps.
        action: `stop` stops trials; `record` never does, and keeps what it would have done.
        target: What the forecast is for, where a rule asks for one.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> from scaling_callback.stopping import Budget
        >>> stopper = ScalingStopper(Sweep(params=1e6, steps=100), [Budget(tokens=40)], metric="val_loss")
        >>> results = [{"config": {}, "training_iteration": n, "val_loss": 4.0 - n / 100} for n in (20, 40)]
        >>> [stopper("a", result) for result in results], results[1]["scaling_stop"]
        ([False, True], 'it has spent 40 tokens, of 40 that it may')
    """

    def __init__(
        self,
        sweep: Sweep,
        rules: Sequence[AnyRule] | None = None,
        *,
        metric: str,
        step: str = "training_iteration",
        action: TrialAction = "stop",
        target: Target | None = None,
    ) -> None:
        if not (isinstance(cast("Any", metric), str) and metric):
            raise InputError(f"metric is {metric!r}; it must be the name of the reported loss, such as 'val_loss'")
        self._metric = metric
        self._watch = _watch(type(self).__name__, sweep, rules, step=step, action=action, target=target)

    @property
    def calls(self) -> Mapping[str, StopCall]:
        """Why each trial was stopped, or would have been, by its id."""
        return self._watch.calls

    def runs(self) -> list[Run]:
        """The trials as runs, such as for `write_table` and then `audit-stops`."""
        return self._watch.runs()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial ends here."""
        call = self._watch.warn.attempt(lambda: self._result(trial_id, result))
        return call is not None and call.acted

    def stop_all(self) -> bool:
        """Never: each trial is looked at for itself."""
        return False

    def _result(self, trial_id: str, result: dict[str, Any]) -> StopCall | None:
        config: Any = result.get("config") or {}
        call = self._watch.judge(trial_id, config, flatten(result), self._metric)
        if call is not None:
            result[REASON] = call.reason
        if result.get("done"):
            self._watch.end(trial_id, "completed")
        return call


@dataclass
class _Seen:
    """What a trial has told so far."""

    settings: dict[str, Any]
    losses: dict[float, float] = field(default_factory=dict[float, float])
    state: State = "running"
    streaks: Streaks = field(default_factory=dict[str, Any])
    run: Run | None = None
    """What all of this is as a run; `None` where it is to be read anew."""


@dataclass
class _Watch:
    """All trials that have told something, and what was said of them. One thread uses it."""

    by: str
    warn: WarnOnce
    sweep: Sweep
    rules: tuple[AnyRule, ...]
    step: str
    acts: bool
    target: Target | None
    seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    calls: dict[str, StopCall] = field(default_factory=dict[str, StopCall])

    def observe(self, trial: str, config: Mapping[str, Any], result: Mapping[str, Any], metric: str) -> bool:
        """Keep a result; false, with a warning, where it holds no loss or no count of steps."""
        found = {name: result.get(name) for name in (metric, self.step)}
        lacking = [name for name, value in found.items() if not isinstance(value, Real)]
        if lacking:
            known = ", ".join(map(repr, result))
            self.warn(f"a result has no number {lacking[0]!r}; of metric= and step= it has {known}", about="a result")
            return False
        told = self.seen.setdefault(trial, _Seen(flatten(config)))
        told.losses[float(cast("Any", found[self.step]))] = float(cast("Any", found[metric]))
        told.state, told.run = "running", None
        return True

    def judge(self, trial: str, config: Mapping[str, Any], result: Mapping[str, Any], metric: str) -> StopCall | None:
        """Keep a result, and say why the trial ends with it, or would."""
        if not self.observe(trial, config, result, metric):
            return None
        told, runs = self.seen[trial], self.runs()
        if not any(run.name == trial for run in runs):
            return None
        decision, told.streaks = judge(
            self.rules, runs, trial, told.streaks, target=self.target, attempt=self.warn.attempt
        )
        if not decision.stop:
            return None
        call = replace(decision.calls[0], acted=self.acts)
        if self.acts:
            told.state = "stopped"
        if trial not in self.calls or self.acts:
            self.calls[trial], told.run = call, None
            said = make_visible(call.reason)  # which may hold names from outside
            _log.warning("%s %s trial %r: %s", self.by, "stops" if self.acts else "would stop", trial, said)
        return call

    def end(self, trial: str, state: State) -> None:
        """Keep that a trial has ended, unless it was stopped here."""
        if trial in self.seen and self.seen[trial].state == "running":
            self.seen[trial].state, self.seen[trial].run = state, None

    def forget(self, trial: str) -> None:
        """Leave a trial out."""
        self.seen.pop(trial, None)

    def runs(self) -> list[Run]:
        """The trials as runs; one that has told nothing new is the same object, of which much is known already."""
        for trial, told in self.seen.items():
            told.run = told.run or read_trial(self.sweep, self._describe(trial, told), self.warn)
        return [told.run for told in self.seen.values() if told.run is not None]

    def _describe(self, trial: str, told: _Seen) -> Trial:
        calls = (self.calls[trial],) if trial in self.calls else ()
        return Trial(
            name=trial,
            state=told.state,
            losses=told.losses,
            value=told.losses[max(told.losses)],
            settings=told.settings,
            calls=calls,
        )


def _watch(
    by: str,
    sweep: Sweep,
    rules: Sequence[AnyRule] | None,
    *,
    step: str,
    action: TrialAction,
    target: Target | None,
) -> _Watch:
    """What watches.

    Raises:
        InputError: An argument is out of its range.
    """
    check_sweep(sweep)
    check_action(action)
    return _Watch(by, WarnOnce(by), sweep, take_rules(rules, target), step, action == "stop", target)
