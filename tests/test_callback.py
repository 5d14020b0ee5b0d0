"""The callback in real Trainers: it counts right, records once, and never ends a training."""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from support import only
from support_training import TARGET, Bytes, Stream, Tiny, train
from torch import Tensor, nn

from scaling_callback import Ladder, ScalingCallback
from scaling_callback.errors import InputError, ScalingWarning
from scaling_callback.records import Observation, RunCard
from scaling_callback.reporting.scalars import TOKENS


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


def climb(ladder: Path, runs: int = 4, logger: Callable[[int], Any] = lambda _: False) -> ScalingCallback:
    """Train several runs of different sizes and horizons into one ladder, each refitted at its start and end."""
    callback = None
    for index in range(runs):
        callback = ScalingCallback(TARGET, ladder, refit_budget=0.0, replicates=20)
        steps = 12 if index % 2 else 24
        train(callback, model=Tiny(4 * 2 ** (index // 2)), max_steps=steps, logger=logger(index))
    assert callback is not None
    return callback


# what is recorded ------------------------------------------------------------------------------------------------


def test_the_losses_recorded_are_those_that_were_logged(ladder: Path) -> None:
    seen: list[float] = []

    class Spy(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if not trainer.sanity_checking:
                seen.append(float(trainer.callback_metrics["val_loss"]))

    train(ScalingCallback(TARGET, ladder), callbacks=[Spy()])
    run = only(ladder)
    assert run.curve.loss.tolist() == seen
    assert run.curve.step.tolist() == [4, 8, 12]
    assert run.curve.lr.tolist() == pytest.approx([1e-2 * (1 - s / 12) for s in (4, 8, 12)])
    assert run.phase == "annealed"


def test_neither_the_sanity_check_nor_a_fast_run_is_recorded(ladder: Path) -> None:
    train(ScalingCallback(TARGET, ladder), num_sanity_val_steps=2)
    assert len(only(ladder).curve) == 3
    train(ScalingCallback(TARGET, ladder / "fast"), fast_dev_run=True, val_check_interval=None)
    assert Ladder(ladder / "fast").runs() == ()


def test_the_card_says_who_the_run_is(ladder: Path) -> None:
    train(ScalingCallback(TARGET, ladder, recipe={"data": "bytes"}, params="non_embedding"))
    card = only(ladder).card
    assert card.name == "Tiny-80"
    assert card.params == 80
    assert card.sizes == {"total": 144.0, "trainable": 144.0, "non_embedding": 80.0, "without_head": 64.0}
    assert (card.schedule, card.peak_lr, card.batch_tokens, card.seed) == ("linear", 1e-2, 32.0, "0")
    assert (card.loss_kind, card.recipe) == ("val_loss", {"data": "bytes"})


def test_a_training_that_never_validates_says_that_nothing_was_recorded(ladder: Path) -> None:
    with pytest.warns(ScalingWarning, match=r"'val_loss' was never observed, so nothing was recorded"):
        train(ScalingCallback(TARGET, ladder), limit_val_batches=0)


def test_a_training_that_ends_without_a_validation_says_that_it_has_no_final(ladder: Path) -> None:
    with pytest.warns(ScalingWarning, match=r"after 62% of the training, so this run has no final loss"):
        train(ScalingCallback(TARGET, ladder), max_steps=13, val_check_interval=8)
    assert only(ladder).final is None


# the ladder, and what is said of it ------------------------------------------------------------------------------


def test_from_three_finished_runs_on_the_target_loss_is_logged(ladder: Path, tmp_path: Path) -> None:
    climb(ladder, logger=lambda index: CSVLogger(tmp_path, version=index))
    logged = [
        (tmp_path / "lightning_logs" / f"version_{index}" / "metrics.csv").read_text(encoding="utf-8")
        for index in range(4)
    ]
    assert ["scaling/target_loss_lower" in text for text in logged] == [False, False, True, True]
    assert TOKENS in logged[0]


def test_a_held_out_run_is_recorded_and_changes_no_forecast(ladder: Path) -> None:
    before = climb(ladder).snapshot
    held = ScalingCallback(TARGET, ladder, held_out=True, refit_budget=0.0, replicates=20)
    train(held, model=Tiny(64, loss=9.0))
    assert before is not None
    assert held.snapshot is not None
    assert before.forecast is not None
    assert held.snapshot.forecast is not None
    assert held.snapshot.forecast.median == before.forecast.median
    assert any(run.card.held_out for run in Ladder(ladder).runs())


def test_forecasts_are_kept_to_be_scored(ladder: Path) -> None:
    climb(ladder, runs=4)
    issued = Ladder(ladder).issued()
    assert {forecast.run for forecast in issued} <= {None, *(run.name for run in Ladder(ladder).runs())}
    assert any(forecast.run is None for forecast in issued)
    assert all(forecast.lower <= forecast.median <= forecast.upper for forecast in issued)


def test_two_trainings_of_one_callback_are_two_runs(ladder: Path) -> None:
    callback = ScalingCallback(TARGET, ladder)
    train(callback)
    train(callback)
    assert [run.name for run in Ladder(ladder).runs()] == ["Tiny-144", "Tiny-144-2"]
    assert all(run.curve.tokens.tolist() == [128, 256, 384] for run in Ladder(ladder).runs())


def test_a_module_that_was_trained_before_is_no_new_run(ladder: Path) -> None:
    callback, model = ScalingCallback(TARGET, ladder), Tiny()
    train(callback, model=model)
    with pytest.warns(ScalingWarning, match="this module was trained before and its steps begin at 0 again"):
        train(callback, model=model)
    assert only(ladder).curve.tokens.tolist() == [128, 256, 384]
    assert pickle.loads(pickle.dumps(callback))._trained is None


# its plan and its arguments ---------------------------------------------------------------------------------------


class StopAt(pl.Callback):
    """Asks for the end of the training, as EarlyStopping does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


@pytest.mark.parametrize(
    "options",
    [
        {},
        # the last epoch is stopped halfway, which Lightning counts as a whole one
        {"max_steps": -1, "max_epochs": 1},
        {"max_steps": -1, "max_epochs": 1, "data": Stream()},
        {"max_steps": -1, "max_epochs": 1, "limit_train_batches": 12},
    ],
    ids=["steps", "epochs", "iterable", "limit"],
)
def test_an_early_stop_leaves_an_unfinished_run(ladder: Path, options: dict[str, Any]) -> None:
    # of a stream the schedule alone tells the plan
    with pytest.warns(ScalingWarning, match=r"ended at \d+% of its \d+ planned tokens"):
        train(ScalingCallback(TARGET, ladder), callbacks=[StopAt(6)], **options)
    run = only(ladder)
    assert run.final is None
    assert not run.completed


def test_a_horizon_worked_out_too_early_is_put_right(ladder: Path) -> None:
    class Growing(Bytes):
        """Windows that are mostly padding at first."""

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            return Bytes(1, padding=6 if index < 16 else 0)[index]

    train(ScalingCallback(TARGET, ladder), data=Growing(64))
    run = only(ladder)
    assert run.curve.tokens.tolist() == [32, 160, 288]
    assert run.horizon == 288
    assert run.progress.tolist() == pytest.approx([32 / 288, 160 / 288, 1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 7e9}, "target is a float; give Target"),
        ({"monitor": ""}, "monitor is ''; it must be a name"),
        ({"run": 7}, "run is 7; it must be a name"),
        ({"schedule": ["cosine"]}, r"schedule is \['cosine'\]; it must be a name"),
        ({"tokens_per_batch": 1024}, "tokens_per_batch is 1024; it must be a function"),
        ({"recipe": "c4"}, "recipe is 'c4'; it must be a mapping"),
        ({"recipe": {"data": ["c4"]}}, r"recipe holds 'data': \['c4'\]; it must hold names with a text or a number"),
        ({"flops": 0}, "flops is 0"),
        ({"horizon": float("inf")}, "horizon is inf"),
        ({"horizon": True}, "horizon is True"),
        ({"replicates": 1.5}, "replicates is 1.5"),
        ({"seed": "one"}, "seed is 'one'"),
        ({"held_out": "no"}, "held_out is 'no'"),
        ({"level": "0.9"}, "level is '0.9'"),
        ({"horizon": -5}, "horizon is -5"),
        ({"params": "nonsense"}, "params is 'nonsense', no counting of N; use total"),
        ({"law": "kepler"}, "no law named 'kepler'"),
        ({"level": 2}, "level is 2"),
        ({"refit_budget": -1}, "refit_budget is -1"),
        ({"refit_budget": "1%"}, "refit_budget is '1%'"),
        ({"ladder": ""}, "ladder is '', which is no place"),
        ({"ladder": None}, "ladder is None, which is no place"),
        ({"seed": np.int64(-3)}, r"seed is np.int64\(-3\)"),
        ({"ladder": "nowhere://bucket"}, "'nowhere://bucket' cannot be opened"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScalingCallback(**{"target": TARGET, "ladder": "ladder", **arguments})


# faults ----------------------------------------------------------------------------------------------------------


def test_an_unknown_monitor_is_answered_with_the_metrics_that_exist(ladder: Path) -> None:
    with pytest.warns(ScalingWarning, match=r"'loss/val' was not logged; monitor= one of .*: val_loss") as caught:
        trainer = train(ScalingCallback(TARGET, ladder, monitor="loss/val"), max_steps=-1, max_epochs=2)
    assert sum(issubclass(w.category, ScalingWarning) for w in caught) == 1
    assert trainer.global_step == 32


def test_a_loss_that_is_not_a_number_is_recorded_and_left_out(ladder: Path) -> None:
    climb(ladder, runs=3)
    callback = ScalingCallback(TARGET, ladder, refit_budget=0.0, replicates=20)
    train(callback, model=Tiny(32, loss=float("nan")))
    assert callback.snapshot is not None
    run = next(run for run in callback.snapshot.runs if run.name == callback.run)
    assert len(run.curve) == 3
    assert any("3 loss(es) that are not a positive number" in note for note in run.notes)
    assert "diverged" in callback.snapshot.evidence.left_out[run.name]
    assert callback.snapshot.forecast is not None


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("scaling_callback.refitting.refit.refresh", "RuntimeError: planted"),
        ("scaling_callback.callback.identify", "RuntimeError: planted"),
        ("scaling_callback.ladder.writer.create", "RuntimeError: planted"),
    ],
)
def test_a_fault_inside_becomes_one_warning_and_the_training_goes_on(
    ladder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, cause: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(fault, fail)
    with pytest.warns(ScalingWarning, match=cause):
        trainer = train(ScalingCallback(TARGET, ladder, refit_budget=None))
    assert trainer.global_step == 12


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (lambda batch: batch["labels"], r"could not be counted \(TypeError: "),
        (lambda _: -5, r"could not be counted \(ValueError: -5 tokens\)"),
        (lambda _: torch.tensor(-5), "4 micro-batches were counted as -20 tokens"),
        (lambda _: 0, "4 micro-batches were counted as 0 tokens"),
    ],
    ids=["raises", "negative", "negative on the device", "zero"],
)
def test_a_batch_that_cannot_be_counted_ends_the_record_with_one_warning(
    ladder: Path, count: Callable[[Any], Any], message: str
) -> None:
    with pytest.warns(ScalingWarning, match=f"{message}.* not recorded from here on; pass tokens_per_batch=") as caught:
        trainer = train(ScalingCallback(TARGET, ladder, tokens_per_batch=count))
    assert sum(issubclass(w.category, ScalingWarning) for w in caught) == 1
    assert trainer.global_step == 12
    assert Ladder(ladder).runs() == ()


def test_tokens_that_were_counted_in_part_are_never_recorded(ladder: Path) -> None:
    calls: list[int] = []

    def count(batch: Any) -> int:
        calls.append(1)
        if len(calls) == 6:
            raise KeyError("labels")
        return batch[0].numel()

    with pytest.warns(ScalingWarning, match="KeyError: 'labels'"):
        train(ScalingCallback(TARGET, ladder, tokens_per_batch=count))
    run = only(ladder)
    assert run.curve.tokens.tolist() == [128]
    assert run.final is None


def test_a_recipe_of_numbers_is_kept_as_text(ladder: Path) -> None:
    train(ScalingCallback(TARGET, ladder, recipe={"layers": 12, "data": "c4"}))
    assert only(ladder).card.recipe == {"layers": "12", "data": "c4"}


def test_a_counting_that_finds_no_parameters_costs_the_other_sizes_nothing(ladder: Path) -> None:
    class Table(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Identity()  # the table is all there is
            self.embed = nn.Embedding(16, 16)

    train(ScalingCallback(TARGET, ladder), model=Table())
    assert only(ladder).card.sizes == {"total": 256.0, "trainable": 256.0, "without_head": 256.0}
    with pytest.warns(ScalingWarning, match="the module has no non_embedding parameters; pass params="):
        train(ScalingCallback(TARGET, ladder, params="non_embedding"), model=Table())


def test_a_logger_that_fails_costs_no_observation_and_no_other_logger(ladder: Path, tmp_path: Path) -> None:
    class Broken(CSVLogger):
        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            if "scaling/runs" in metrics:
                raise ConnectionError("planted")
            super().log_metrics(metrics, step)

    with pytest.warns(ScalingWarning, match=r"a logger did not take .*ConnectionError: planted"):
        train(ScalingCallback(TARGET, ladder), logger=[Broken(tmp_path / "a"), CSVLogger(tmp_path / "b")])
    assert len(only(ladder).curve) == 3
    (metrics,) = (tmp_path / "b").rglob("metrics.csv")
    assert "scaling/runs" in metrics.read_text(encoding="utf-8")


def test_a_ladder_that_cannot_be_written_does_not_end_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.warns(ScalingWarning, match="is a file|NotADirectoryError|FileExistsError"):
        trainer = train(ScalingCallback(TARGET, tmp_path / "file" / "ladder"))
    assert trainer.global_step == 12


def test_a_ladder_that_vanishes_is_warned_of_once(ladder: Path) -> None:
    class Vanish(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 6:
                shutil.rmtree(ladder)

    with pytest.warns(ScalingWarning, match="FileNotFoundError") as caught:
        trainer = train(ScalingCallback(TARGET, ladder), callbacks=[Vanish()])
    assert sum(issubclass(w.category, ScalingWarning) for w in caught) == 1
    assert trainer.global_step == 12


def test_warnings_as_errors_do_not_end_the_training(ladder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScalingWarning)
        assert train(ScalingCallback(TARGET, ladder, monitor="nothing")).global_step == 12


def test_the_callback_does_not_change_the_trained_weights(ladder: Path) -> None:
    with_it, without = Tiny(), Tiny()
    without.load_state_dict(with_it.state_dict())
    train(ScalingCallback(TARGET, ladder, refit_budget=None), model=with_it)
    train(None, model=without)
    for one, other in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(one, other)


# loggers ---------------------------------------------------------------------------------------------------------


def test_tensorboard_gets_scalars_and_reasons(ladder: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path, name="board")
    climb(ladder, runs=1, logger=lambda _: logger)
    events = EventAccumulator(logger.log_dir).Reload()
    assert "scaling/runs" in events.Tags()["scalars"]
    assert "scaling/target_loss/text_summary" in events.Tags()["tensors"]


def test_a_card_is_written_before_the_first_observation(ladder: Path) -> None:
    # the store's contract, seen from a writer: a run that dies early is still known
    Ladder(ladder).start(RunCard(name="early", params=1.0)).observe([Observation(1.0, 2.0)])
    assert only(ladder).name == "early"


def test_a_training_loss_beside_a_validation_loss_is_recorded_where_it_was_measured(ladder: Path) -> None:
    callback = ScalingCallback(TARGET, ladder, monitor=["val_loss", "train_loss"])
    options: dict[str, Any] = {"val_check_interval": None, "check_val_every_n_epoch": 1}
    train(callback, max_steps=-1, max_epochs=3, data=Bytes(16), **options)
    for kind in callback.monitors:
        (run,) = Ladder(ladder).runs(where=[("loss_kind", kind)])
        assert run.curve.tokens.tolist() == [128, 256, 384]


def test_a_callback_that_was_added_in_mid_training_ends_nothing(ladder: Path) -> None:
    class Late(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 2:
                trainer.callbacks.append(ScalingCallback(TARGET, ladder))  # type: ignore[attr-defined]

    assert train(None, callbacks=[Late()]).global_step == 12
