"""Optuna: a pruner on the stopping rules.

It reads the trials of a study as runs, asks the rules about the one that reports, and keeps what they say as an
attribute of that trial. Whatever fails in here becomes one warning with its cause; the study goes on, and nothing is
pruned for it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from scaling_callback.errors import MissingDependency, WarnOnce
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
    describe_call,
    judge,
    read_call,
    read_trial,
    take_rules,
)

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.study import Study
    from optuna.trial import FrozenTrial
else:
    try:
        from optuna.pruners import BasePruner
    except ImportError:
        raise MissingDependency("the pruner needs Optuna: pip install 'scaling-callback[optuna]'") from None

_log = logging.getLogger("scaling_callback")

ATTRIBUTE = "scaling_stop"
"""The user attribute of a trial that says why a rule has called for its end: a call as plain data."""

_STATES: dict[str, State] = {"RUNNING": "running", "COMPLETE": "completed", "PRUNED": "stopped"}
"""By Optuna's; trials that wait or have failed tell nothing."""


class ScalingPruner(BasePruner):
    """Prunes a trial whose end a stopping rule calls for.

    Trials must report the loss that the study minimises, as they return it at their end. Why a trial was pruned stands
    in its user attribute `scaling_stop`. Several processes may share a study: each makes a pruner of its own, and a
    trial's patience is counted by the one that trains it. Of one process, threads may share a pruner.

    Args:
        sweep: How trials are counted; names in it are hyperparameters or user attributes of the trials. An attribute
            must be set before the first report.
        rules: Of these one that speaks is enough; by default `Dominated()`.
        action: `stop` prunes; `record` never does, and keeps what it would have done.
        target: What the forecast is for, where a rule asks for one.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> import optuna
        >>> from scaling_callback.stopping import Budget
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> def train(trial):
        ...     rate = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
        ...     for step in range(1, 11):
        ...         trial.report(3.0 + rate + 1.0 / step, step)
        ...         if trial.should_prune():
        ...             raise optuna.TrialPruned
        ...     return 3.1 + rate
        >>> pruner = ScalingPruner(Sweep(params=1e6, steps=10, tokens_per_step=1e3), [Budget(tokens=4e3)])
        >>> study = optuna.create_study(pruner=pruner)
        >>> study.optimize(train, n_trials=1)
        >>> study.trials[0].state.name, study.trials[0].user_attrs["scaling_stop"]["reason"]
        ('PRUNED', 'it has spent 4k tokens, of 4k that it may')
    """

    def __init__(
        self,
        sweep: Sweep,
        rules: Sequence[AnyRule] | None = None,
        *,
        action: TrialAction = "stop",
        target: Target | None = None,
    ) -> None:
        check_sweep(sweep)
        check_action(action)
        self.warn = WarnOnce(type(self).__name__)
        """Says each thing once, and never ends a study."""
        self._sweep, self._rules, self._target = sweep, take_rules(rules, target), target
        self._acts = action == "stop"
        # of one trial only the thread that trains it writes here
        self._streaks: dict[tuple[str, int], Streaks] = {}
        self._ended: dict[tuple[str, int], Run] = {}  # trials that cannot change any more

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial ends here.

        Raises:
            InputError: The study maximises.
        """
        for direction in study.directions:
            check_minimised(direction.name.lower(), "the study")
        return self.warn.attempt(lambda: self._judge(study, trial)) is True

    def runs(self, study: Study) -> list[Run]:
        """The trials as runs, such as for `write_table` and then `audit-stops`; failed ones are left out.

        One that lacks an amount is left out with a warning.
        """
        return self._read(study, study.get_trials(deepcopy=False))

    def _judge(self, study: Study, trial: FrozenTrial) -> bool:
        if not trial.intermediate_values:
            return False
        key = (study.study_name, trial.number)
        trials = study.get_trials(deepcopy=False)
        others = [each for each in trials if each.number != trial.number]
        own = self._read_one(study, trial)
        if own is None:
            return False
        runs = [*self._read(study, others), own]
        decision, self._streaks[key] = judge(
            self._rules,
            runs,
            own.name,
            self._streaks.get(key),
            target=self._target,
            attempt=self.warn.attempt,
        )
        if not decision.stop:
            return False
        # the copy of a trial that Optuna hands to a pruner does not know what was kept past it
        if not any(_called(each, acted=self._acts) for each in trials if each.number == trial.number):
            self._keep(study, trial, decision.calls[0])
        return self._acts

    def _read(self, study: Study, trials: Sequence[FrozenTrial]) -> list[Run]:
        read = [self._read_one(study, trial) for trial in trials if trial.state.name in _STATES]
        return [run for run in read if run is not None]

    def _read_one(self, study: Study, trial: FrozenTrial) -> Run | None:
        key = (study.study_name, trial.number)
        if key in self._ended:
            return self._ended[key]
        run = self.warn.attempt(lambda: read_trial(self._sweep, _describe(trial), self.warn))
        if run is not None and trial.state.is_finished():
            self._ended[key] = run
            self._streaks.pop(key, None)
        return run

    def _keep(self, study: Study, trial: FrozenTrial, call: StopCall) -> None:
        """Keep why in the trial."""
        record = {**describe_call(call), "acted": self._acts}
        # a frozen trial takes no attributes: as Optuna's own pruners do, past it
        storage, number = cast("Any", study)._storage, cast("Any", trial)._trial_id  # noqa: SLF001
        self.warn.attempt(lambda: storage.set_trial_user_attr(number, ATTRIBUTE, record))
        _log.warning(
            "%s %s %s: %s",
            type(self).__name__,
            "prunes" if self._acts else "would prune",
            _name(trial),
            make_visible(call.reason),
        )


def _name(trial: FrozenTrial) -> str:
    return f"trial-{trial.number}"


def _called(trial: FrozenTrial, *, acted: bool) -> bool:
    """Whether a trial keeps a call already: any one, or one that ended it."""
    call = read_call(trial.user_attrs.get(ATTRIBUTE))
    return call is not None and call.acted >= acted


def _describe(trial: FrozenTrial) -> Trial:
    attributes = {name: value for name, value in trial.user_attrs.items() if name != ATTRIBUTE}
    call = read_call(trial.user_attrs.get(ATTRIBUTE))
    return Trial(
        name=_name(trial),
        state=_STATES[trial.state.name],
        losses=cast("dict[float, float]", trial.intermediate_values),
        value=trial.value if trial.state.name == "COMPLETE" else None,
        settings={**attributes, **trial.params},
        calls=() if call is None else (call,),
    )
