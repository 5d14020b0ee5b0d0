"""The rules in the tools that people sweep with: Optuna's studies, Ray Tune's trials, and how both are read as runs."""

from __future__ import annotations

import importlib
import math
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support_training import TARGET, Tiny, train

from scaling_callback import Config, Ladder, ScalingCallback, Target, pipeline
from scaling_callback.errors import InputError, MissingDependency, ScalingWarning
from scaling_callback.records import Run
from scaling_callback.replaying import audit_stops
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import Budget, Converged, Dominated, any_of, patient
from scaling_callback.sweeping import State, Sweep, Trial, describe_call, judge, read_call
from scaling_callback.tables import read_table, write_table
from scaling_callback.testing import planted_ladder

optuna = pytest.importorskip("optuna", reason="the pruner needs Optuna: pip install 'scaling-callback[optuna]'")

from scaling_callback.integrations.optuna import ATTRIBUTE, ScalingPruner  # noqa: E402 - once it is known to be there

STEPS = 10
SWEEP = Sweep(params=1e6, steps=STEPS, tokens_per_step=1e3)
RATES = (3e-3, 1e-2, 1e-3, 1e-4, 5e-3, 1e-1)
BEST = 3e-3


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def loss_at(rate: float, step: int) -> float:
    """A curve that ends the higher the farther its rate lies from the best."""
    return 3.0 + abs(math.log10(rate / BEST)) + 1.0 / step


def behind(snapshot: Snapshot, run: str) -> str | None:
    """Ends a run whose loss is above that of a finished one of its size and horizon at the same place."""
    (own,) = (each for each in snapshot.runs if each.name == run)
    for rival in snapshot.runs:
        if rival.final is not None and (rival.params, rival.horizon) == (own.params, own.horizon):
            there = rival.curve.loss[rival.curve.tokens == own.curve.tokens[-1]]
            if len(there) and own.curve.loss[-1] > there[0]:
                return f"behind {rival.name}"
    return None


vars(behind)["needs"] = "curve"  # as documented: no law need be fitted for it


def objective(trial: Any) -> float:
    rate = trial.suggest_float("lr", 1e-5, 1.0)
    for step in range(1, STEPS + 1):
        trial.report(loss_at(rate, step), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return loss_at(rate, STEPS)


def study_of(pruner: Any, **options: Any) -> Any:
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0), **options)
    for rate in RATES:
        study.enqueue_trial({"lr": rate})
    return study


def swept(pruner: Any, work: Callable[[Any], float] = objective, **options: Any) -> Any:
    study = study_of(pruner, **options)
    study.optimize(work, n_trials=len(RATES))
    return study


def states(study: Any) -> list[str]:
    return [trial.state.name for trial in study.trials]


# trials as runs --------------------------------------------------------------------------------------------------


def test_a_trial_is_a_run_with_its_size_plan_and_hyperparameters() -> None:
    sweep = Sweep(
        params=lambda settings: 12.0 * settings["width"] ** 2,
        tokens="budget",
        tokens_per_step="batch",
        batch_tokens="batch",
        schedule="shape",
    )
    settings = {"width": 100, "budget": 4e4, "batch": 1000, "learning_rate": 0.02, "shape": "cosine", "seed": 7}
    run = sweep.read(Trial(name="a", state="running", losses={10: 4.0, 20: 3.5}, settings=settings))
    card = run.card
    assert (run.params, run.horizon, run.curve.tokens.tolist()) == (1.2e5, 4e4, [1e4, 2e4])
    assert (card.peak_lr, card.batch_tokens, card.schedule, card.seed) == (0.02, 1000.0, "cosine", "7")
    assert card.extra["width"] == "100"
    assert run.final is None


@pytest.mark.parametrize(
    ("state", "losses", "value", "final"),
    [
        ("running", {5: 3.5}, None, None),
        ("running", {5: 3.5, 10: 3.1}, None, 3.1),  # all of the plan is trained, whatever the tool says of it
        ("completed", {5: 3.5, 10: 3.1}, 3.0, 3.1),  # its curve is of one loss
        ("completed", {3: 3.5, 6: 3.3, 9: 3.2}, 3.1, 3.1),  # every third step is reported, and the end returned
        ("completed", {}, 3.1, 3.1),
        ("completed", {1: 3.9, 2: 3.5, 3: 3.3}, 3.3, None),  # its objective gave up early
        ("stopped", {5: 3.5}, None, None),
    ],
    ids=str,
)
def test_a_trial_has_a_final_where_it_ended_as_planned(
    state: State, losses: Mapping[float, float], value: float | None, final: float | None
) -> None:
    run = SWEEP.read(Trial(name="a", state=state, losses=losses, value=value))
    assert (run.final and run.final.loss) == final
    assert (run.stopped is not None) == (state == "stopped")
    assert len(run.notes) == (state == "completed" and final is None)


def test_steps_that_are_counted_from_zero_end_where_the_plan_does() -> None:
    run = SWEEP.read(Trial(name="a", state="running", losses=dict.fromkeys(range(STEPS), 3.0)))
    assert run.progress[[0, -1]].tolist() == [0.1, 1.0]


@given(
    losses=st.dictionaries(st.integers(0, 50), st.floats(), max_size=12),
    state=st.sampled_from(["running", "completed", "stopped"]),
    value=st.none() | st.floats(1e-3, 1e3),
)
def test_whatever_a_trial_reports_is_a_run_in_order_and_of_what_it_reported(
    losses: dict[float, float], state: State, value: float | None
) -> None:
    run = SWEEP.read(Trial(name="a", state=state, losses=losses, value=value))
    assert (run.curve.tokens > 0).all()
    assert ((run.progress > 0) & (run.progress <= 1)).all()
    assert len(losses) <= len(run.curve) <= len(losses) + 1
    assert state == "completed" or run.curve.loss.tolist() == pytest.approx(
        [losses[step] for step in sorted(losses)], nan_ok=True
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"params": 1e6}, "give one of steps= and tokens="),
        ({"params": 1e6, "steps": 10, "tokens": 1e4}, "give one of steps= and tokens="),
        ({"params": 0, "steps": 10}, "params is 0"),
        ({"params": True, "steps": 10}, "params is True"),
        ({"params": "", "steps": 10}, "params is ''"),
        ({"params": 1e6, "steps": -1}, "steps is -1"),
        ({"params": 1e6, "tokens": math.inf}, "tokens is inf"),
        ({"params": 1e6, "steps": 10, "tokens_per_step": math.nan}, "tokens_per_step is nan"),
    ],
    ids=str,
)
def test_a_sweep_that_cannot_be_counted_is_refused_in_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Sweep(**arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rules": []}, "rules is"),
        ({"rules": Budget(tokens=1)}, "rules is"),
        ({"rules": ["dominated"]}, "rules holds the text 'dominated'"),
        ({"rules": [Budget]}, "rules holds the class Budget"),
        ({"rules": [Budget(tokens=1), Budget(tokens=2)]}, "rules holds budget twice"),
        ({"rules": [any_of(behind, Converged())]}, "converged needs a target"),
        ({"rules": [behind], "action": "prune"}, "one of 'stop', 'record'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_rule_or_action_is_refused_in_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ScalingPruner(SWEEP, **arguments)


def test_a_rule_sees_in_a_sweep_what_it_sees_in_the_audit_of_it() -> None:
    seen: list[Snapshot] = []

    def watch(snapshot: Snapshot, _: str) -> None:
        seen.append(snapshot)

    target = Target(params=1e9, tokens=2e10)
    *ladder, last = planted_ladder(ratios=(5.0, 40.0), points=4, noise=0.001)
    audit_stops([*ladder, last], [watch], Config(target=target, replicates=10), looks=[0.5])
    judge([watch], [*ladder, last.until(0.5 * (last.horizon or 0.0))], last.name, target=target)
    audited, swept = seen[-2:]
    assert audited.forecast is not None
    assert swept.forecast is not None
    assert swept.forecast.median == pytest.approx(audited.forecast.median, rel=1e-3)
    assert [past.runs for past in swept.past] == [past.runs for past in audited.past] != []


def test_a_rule_that_looks_at_no_law_has_none_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Config] = []

    def refresh(runs: Any, forecasts: Any, config: Config) -> Snapshot:
        asked.append(config)
        return pipeline.refresh(runs, forecasts, config)

    monkeypatch.setattr("scaling_callback.sweeping.refresh", refresh)
    run = SWEEP.read(Trial(name="a", state="running", losses={5: 3.5}))
    for rules in ([Budget(tokens=5e3)], [any_of(Dominated(), Budget(tokens=5e3))]):
        judge(rules, [run], "a")
    assert asked == []
    judge([any_of(Dominated(), broken)], [run], "a", attempt=lambda _: None)
    assert [config.fits for config in asked] == [True]


def test_what_says_nothing_of_how_trials_are_counted_is_refused(tune: Any) -> None:
    for kind in (ScalingPruner, tune.ScalingScheduler):
        with pytest.raises(InputError, match="sweep is None; it must be a Sweep"):
            kind(None)


def test_losses_of_which_no_rule_can_speak_are_said_once() -> None:
    study = study_of(ScalingPruner(SWEEP))
    with pytest.warns(ScalingWarning, match="losses of 0 or below") as caught:
        study.optimize(report_negative, n_trials=2)
    assert len(caught) == 1


def report_negative(trial: Any) -> float:
    for step in range(1, STEPS + 1):
        trial.report(-float(step), step)
        assert not trial.should_prune()
    return -float(STEPS)


def test_a_call_is_read_back_as_it_was_described_and_other_data_are_none() -> None:
    run = SWEEP.read(Trial(name="a", state="running", losses={5: 3.5}))
    (call,) = judge([Budget(tokens=5e3)], [run], "a")[0].calls
    read = read_call(describe_call(call))
    assert read is not None
    assert describe_call(read) == describe_call(call)
    for other in (None, "text", {}, {"rule": 1}, [1], {**describe_call(call), "evidence": 3}):
        assert read_call(other) is None


# Optuna ----------------------------------------------------------------------------------------------------------


def test_a_study_prunes_what_a_rule_calls_for_and_keeps_the_best_trial() -> None:
    pruner = ScalingPruner(SWEEP, [behind])
    study = swept(pruner)
    assert states(study) == ["COMPLETE", *["PRUNED"] * 5]
    assert study.best_params["lr"] == BEST
    for trial in study.trials[1:]:
        kept = trial.user_attrs[ATTRIBUTE]
        assert (kept["rule"], kept["reason"], kept["acted"]) == ("behind", "behind trial-0", True)
        assert kept["saved_flops"] == pytest.approx(6 * 1e6 * (STEPS - trial.last_step) * 1e3)
    runs = pruner.runs(study)
    assert [run.stopped is not None for run in runs] == [False, *[True] * 5]
    assert [run.card.peak_lr for run in runs] == list(RATES)


def test_rules_with_less_to_do_than_a_ladder_has_end_the_same_trial_as_in_a_training() -> None:
    study = swept(ScalingPruner(SWEEP, [Budget(tokens=4e3)]))
    assert {trial.last_step for trial in study.trials} == {4}


def test_patience_counts_reports_and_no_further_question_about_the_same_report() -> None:
    def curious(trial: Any) -> float:
        rate = trial.suggest_float("lr", 1e-5, 1.0)
        for step in range(1, STEPS + 1):
            trial.report(loss_at(rate, step), step)
            if sum(trial.should_prune() for _ in range(3)):  # each is asked
                raise optuna.TrialPruned
        return loss_at(rate, STEPS)

    study = swept(ScalingPruner(SWEEP, [patient(behind, 3)]), curious)
    assert [trial.last_step for trial in study.trials] == [STEPS, *[3] * 5]


def test_shadow_mode_changes_no_trial_and_keeps_what_it_would_have_done() -> None:
    shadow = swept(ScalingPruner(SWEEP, [behind], action="record"))
    plain = swept(optuna.pruners.NopPruner())
    assert [trial.values for trial in shadow.trials] == [trial.values for trial in plain.trials]
    assert [trial.intermediate_values for trial in shadow.trials] == [t.intermediate_values for t in plain.trials]
    calls = [trial.user_attrs.get(ATTRIBUTE) for trial in shadow.trials]
    assert calls[0] is None
    assert all(call["acted"] is False and call["step"] == 1 for call in calls[1:])
    assert all(run.stopped is None and run.calls for run in ScalingPruner(SWEEP, [behind]).runs(shadow)[1:])


def test_two_threads_share_a_pruner() -> None:
    study = study_of(ScalingPruner(SWEEP, [behind]))
    study.optimize(objective, n_trials=len(RATES), n_jobs=2)
    assert states(study).count("PRUNED") >= 4
    assert study.best_params["lr"] == BEST


def test_processes_that_share_a_journal_see_the_trials_of_each_other(tmp_path: Path) -> None:
    def load() -> Any:
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log"))
        return optuna.storages.JournalStorage(backend)

    optuna.create_study(storage=load(), study_name="shared")
    for rate in (BEST, 1e-1):  # each knows of the other what the file says
        pruner = ScalingPruner(SWEEP, [behind])
        study = optuna.load_study(study_name="shared", storage=load(), pruner=pruner)
        study.enqueue_trial({"lr": rate})
        study.optimize(objective, n_trials=1)
    read = optuna.load_study(study_name="shared", storage=load())
    assert states(read) == ["COMPLETE", "PRUNED"]
    assert read.trials[1].user_attrs[ATTRIBUTE]["reason"] == "behind trial-0"


def test_a_study_that_maximises_is_refused_in_one_line() -> None:
    study = study_of(ScalingPruner(SWEEP, [behind]), direction="maximize")
    with pytest.raises(InputError, match=r"told to maximize; the rules look at a loss") as caught:
        study.optimize(objective, n_trials=1)
    assert "\n" not in str(caught.value)


def broken(*_: Any) -> str:
    raise RuntimeError("no such thing")


def fails(*_: Any) -> Any:
    raise OSError("the disk is full")


@pytest.mark.parametrize(
    ("sweep", "rules", "said"),
    [
        (SWEEP, [broken], "no such thing"),
        (Sweep(params="width", steps=STEPS), [behind], "params is read from 'width', which it has not; it has 'lr'"),
        (Sweep(params=lambda settings: settings["x"], steps=STEPS), [behind], "KeyError"),
        (Sweep(params=lambda _: -1, steps=STEPS), [behind], "params is -1"),
    ],
    ids=["rule", "name", "function", "value"],
)
def test_a_fault_is_one_warning_and_the_study_goes_on(sweep: Sweep, rules: list[Any], said: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = swept(ScalingPruner(sweep, rules))
    assert states(study) == ["COMPLETE"] * len(RATES)
    (warning,) = caught
    assert said in str(warning.message)


def test_a_rule_that_fails_leaves_the_others_their_say() -> None:
    with pytest.warns(ScalingWarning, match="no such thing"):
        study = swept(ScalingPruner(SWEEP, [broken, behind]))
    assert states(study).count("PRUNED") == 5


def test_a_storage_that_keeps_no_reason_costs_the_reason_only(monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_of(ScalingPruner(SWEEP, [behind]))
    monkeypatch.setattr(study._storage, "set_trial_user_attr", fails)
    with pytest.warns(ScalingWarning, match="the disk is full"):
        study.optimize(objective, n_trials=len(RATES))
    assert states(study).count("PRUNED") == 5


def test_trials_that_failed_report_no_number_or_bring_hostile_text_do_no_harm(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>'\"\x1b[31m\n\u202e" + "x" * 300

    def odd(trial: Any) -> float:
        trial.suggest_categorical("text", [hostile])
        if trial.number == 0:
            raise ValueError("this one fails")
        if trial.number == 1:
            trial.report(math.nan, STEPS)
            assert not trial.should_prune()
            return 9.0
        return objective(trial)

    pruner = ScalingPruner(SWEEP, [behind])
    study = study_of(pruner)
    study.optimize(odd, n_trials=4, catch=(ValueError,))
    assert states(study)[0] == "FAIL"
    assert [run.name for run in pruner.runs(study)] == ["trial-1", "trial-2", "trial-3"]
    write_table(pruner.runs(study), tmp_path / "study.csv")
    assert len(read_table(tmp_path / "study.csv")) == 3


def test_a_study_can_be_pickled_with_its_pruner() -> None:
    study = swept(ScalingPruner(SWEEP, [behind]))
    copied = pickle.loads(pickle.dumps(study))
    copied.enqueue_trial({"lr": 0.5})
    copied.optimize(objective, n_trials=1)
    assert states(copied)[-1] == "PRUNED"


class Reports(pl.Callback):
    """Reports each validation to a trial, as Optuna's own callback for Lightning does."""

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self.trial.report(float(trainer.callback_metrics["val_loss"]), trainer.global_step)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def test_a_lightning_training_that_reports_is_pruned() -> None:
    def fit(trial: Any) -> float:
        loss = trial.suggest_categorical("loss", [2.0, 3.0])
        trainer = train(None, model=Tiny(loss=loss), callbacks=[Reports(trial)], num_sanity_val_steps=0)
        return float(trainer.callback_metrics["val_loss"])

    study = optuna.create_study(pruner=ScalingPruner(Sweep(params=212, steps=12, tokens_per_step=32), [behind]))
    for loss in (2.0, 3.0):
        study.enqueue_trial({"loss": loss})
    study.optimize(fit, n_trials=2)
    assert states(study) == ["COMPLETE", "PRUNED"]
    assert study.trials[1].last_step == 4


@pytest.mark.parametrize("package", ["optuna", "ray"])
def test_without_the_package_the_line_that_installs_it_is_said(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"scaling_callback.integrations.{package}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    for module in ("optuna.pruners", "ray.tune.schedulers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=rf"pip install 'scaling-callback\[{package}\]'"):
        importlib.import_module(name)


# W&B: the callback in each run of a sweep -------------------------------------------------------------------------


class Rated(Tiny):
    """A model whose learning rate the sweep sets."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.rate)
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 12))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}


def test_runs_of_a_sweep_that_differ_in_learning_rate_alone_are_rivals(tmp_path: Path) -> None:
    asked: dict[str, str | None] = {}

    def watch(snapshot: Snapshot, run: str) -> None:
        asked.setdefault(run, behind(snapshot, run))

    for name, rate in (("5s0id", 1e-1), ("x81qa", 1e-4)):
        callback = ScalingCallback(
            TARGET, tmp_path, run=name, rules=[watch], recipe={"data": "bytes"}, refit_budget=None, replicates=10
        )
        train(callback, model=Rated(rate))
    assert asked == {"5s0id": None, "x81qa": "behind 5s0id"}
    assert {run.name: run.card.peak_lr for run in Ladder(tmp_path).runs()} == {"5s0id": 1e-1, "x81qa": 1e-4}


# Ray Tune --------------------------------------------------------------------------------------------------------


class Controller:
    """What Ray's controller is to a scheduler, and how it calls one."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.trials: dict[str, Any] = {}

    def get_trials(self) -> list[Any]:
        return [*self.trials.values()]

    def report(self, name: str, rate: float, step: int, loss: float | None = None) -> str:
        new = SimpleNamespace(trial_id=name, config={"optimizer": {"lr": rate}}, status="RUNNING", last_result={})
        if name not in self.trials:
            self.scheduler.on_trial_add(self, new)
        trial = self.trials.setdefault(name, new)
        result = {"training_iteration": step, "val_loss": loss_at(rate, step) if loss is None else loss}
        decision = self.scheduler.on_trial_result(self, trial, result)
        trial.last_result = result
        if decision == "STOP" or step == STEPS:
            trial.status = "TERMINATED"
            self.scheduler.on_trial_complete(self, trial, result)
        return str(decision)

    def train(self, name: str, rate: float) -> int:
        """The step at which the trial ended."""
        return next(step for step in range(1, STEPS + 1) if self.report(name, rate, step) == "STOP" or step == STEPS)


@pytest.fixture
def tune() -> Any:
    pytest.importorskip("ray.tune", reason="Ray Tune needs: pip install 'scaling-callback[ray]'")
    return importlib.import_module("scaling_callback.integrations.ray")


RAY = Sweep(params=1e6, steps=STEPS, tokens_per_step=1e3, learning_rate="optimizer/lr")


def test_the_scheduler_stops_what_a_rule_calls_for(tune: Any) -> None:
    scheduler = tune.ScalingScheduler(RAY, [behind])
    assert scheduler.set_search_properties("val_loss", "min")
    controller = Controller(scheduler)
    assert [controller.train(f"t{rate:g}", rate) for rate in RATES] == [STEPS, *[1] * 5]
    runs: list[Run] = scheduler.runs()
    assert [run.card.peak_lr for run in runs] == list(RATES)
    assert [run.stopped is not None for run in runs] == [False, *[True] * 5]
    assert {call.reason for call in scheduler.calls.values()} == {"behind t0.003"}
    assert scheduler.debug_string() == "ScalingScheduler: 5 of 6 trials stopped."


def test_patience_in_ray_counts_reports(tune: Any) -> None:
    controller = Controller(tune.ScalingScheduler(RAY, [patient(behind, 3)], metric="val_loss"))
    assert [controller.train(f"t{rate:g}", rate) for rate in RATES[:3]] == [STEPS, 3, 3]


def test_the_scheduler_in_shadow_mode_stops_nothing(tune: Any) -> None:
    scheduler = tune.ScalingScheduler(RAY, [behind], metric="val_loss", action="record")
    controller = Controller(scheduler)
    assert {controller.train(f"t{rate:g}", rate) for rate in RATES} == {STEPS}
    assert len(scheduler.calls) == 5
    assert not any(call.acted for call in scheduler.calls.values())
    assert all(run.final is not None for run in scheduler.runs())


def test_after_a_restoration_trials_that_ended_before_are_rivals(tune: Any) -> None:
    def ends_higher(snapshot: Snapshot, run: str) -> str | None:
        finals = [each.final.loss for each in snapshot.runs if each.final is not None]
        (own,) = (each for each in snapshot.runs if each.name == run)
        return "above a final" if finals and own.curve.loss[-1] > 2 * min(finals) else None

    before = Controller(tune.ScalingScheduler(RAY, [ends_higher], metric="val_loss"))
    before.train("a", BEST)
    before.trials["half"] = SimpleNamespace(
        trial_id="half", config={}, status="TERMINATED", last_result={"training_iteration": 6, "val_loss": 0.1}
    )  # it was stopped: what it reported last is no final
    restored = Controller(tune.ScalingScheduler(RAY, [ends_higher], metric="val_loss"))
    restored.trials = before.trials
    assert restored.report("b", BEST, 1, loss=3.5) == "CONTINUE"
    assert restored.report("c", BEST, 1, loss=9.0) == "STOP"


def test_a_report_reads_its_own_trial_anew_and_no_other(tune: Any) -> None:
    scheduler = tune.ScalingScheduler(RAY, [behind], metric="val_loss")
    controller = Controller(scheduler)
    controller.train("a", BEST)
    controller.report("b", BEST, 1)
    before = {run.name: run for run in scheduler.runs()}
    controller.report("c", BEST, 1)
    controller.report("b", BEST, 2)
    after = {run.name: run for run in scheduler.runs()}
    assert after["a"] is before["a"]
    assert len(after["b"].curve) == 2
    controller.report("b", BEST, 2, loss=3.2)  # told again, by a trial that was restored
    assert {run.name: run for run in scheduler.runs()}["b"].curve.loss[-1] == 3.2
    assert {run.name: run for run in scheduler.runs()}["c"] is after["c"]


def test_a_trial_that_fails_is_forgotten_until_it_is_tried_again(tune: Any) -> None:
    scheduler = tune.ScalingScheduler(RAY, [behind], metric="val_loss")
    controller = Controller(scheduler)
    controller.report("a", BEST, 1)
    scheduler.on_trial_error(controller, controller.trials["a"])
    assert scheduler.runs() == []
    controller.report("a", BEST, 1)
    assert [run.name for run in scheduler.runs()] == ["a"]


def test_a_fault_in_the_scheduler_is_one_warning_and_the_trials_go_on(tune: Any) -> None:
    controller = Controller(tune.ScalingScheduler(RAY, [broken], metric="val_loss"))
    with pytest.warns(ScalingWarning, match="no such thing") as caught:
        assert {controller.train(f"t{rate:g}", rate) for rate in RATES} == {STEPS}
    assert len(caught) == 1


def test_a_result_without_the_loss_names_what_it_has(tune: Any) -> None:
    controller = Controller(tune.ScalingScheduler(RAY, [behind], metric="loss"))
    with pytest.warns(ScalingWarning, match=r"no number 'loss'.*'training_iteration', 'val_loss'"):
        assert controller.report("a", BEST, 1) == "CONTINUE"


def test_ray_is_refused_to_maximise_and_two_metrics(tune: Any) -> None:
    with pytest.raises(InputError, match="Tune is told to maximize"):
        tune.ScalingScheduler(RAY, [behind]).set_search_properties("accuracy", "max")
    assert not tune.ScalingScheduler(RAY, [behind], metric="val_loss").set_search_properties("loss", "min")
    with pytest.raises(InputError, match="metric is ''"):
        tune.ScalingStopper(RAY, [behind], metric="")


def test_the_stopper_stops_beside_any_scheduler_and_says_why_in_the_result(tune: Any) -> None:
    stopper = tune.ScalingStopper(RAY, [behind], metric="val_loss")
    ended: dict[float, int] = {}
    for rate in RATES[:3]:
        for step in range(1, STEPS + 1):
            result = {
                "training_iteration": step,
                "val_loss": loss_at(rate, step),
                "config": {"optimizer": {"lr": rate}},
            }
            if stopper(f"t{rate:g}", result | {"done": step == STEPS}):
                break
        ended[rate] = step
    assert list(ended.values()) == [STEPS, 1, 1]
    result = {"training_iteration": 2, "val_loss": 9.0, "config": {}}
    assert stopper("last", result)
    assert result[tune.REASON] == "behind t0.003"
    assert stopper.stop_all() is False


def test_scheduler_and_stopper_travel_to_other_processes(tune: Any) -> None:
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    scheduler = cloudpickle.loads(cloudpickle.dumps(tune.ScalingScheduler(RAY, [behind], metric="val_loss")))
    controller = Controller(scheduler)
    assert [controller.train(f"t{rate:g}", rate) for rate in RATES[:2]] == [STEPS, 1]
    assert not cloudpickle.loads(cloudpickle.dumps(tune.ScalingStopper(RAY, [behind], metric="val_loss"))).stop_all()
