"""Trainings side by side in one ladder, and several losses of one training: each is a run that the others see."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from apart import start, wait_for
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from support import plant, read_wandb
from support_lifecycle import At, die, save_at
from support_training import TARGET, Tiny, train

from scaling_callback import Ladder, ScalingCallback
from scaling_callback.records import Run
from scaling_callback.reporting.scalars import METRICS, TOKENS


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


# rungs -----------------------------------------------------------------------------------------------------------


def train_beside(folder: Path, me: str, waits_for_end: bool) -> None:
    """Train a run of the name that the other one has too; wait in the middle for what the other one has to show."""

    def others() -> list[Run]:
        return [run for run in Ladder(folder / "ladder").runs() if run.name != callback.run]

    def wait_for_the_other(_: pl.Trainer) -> None:
        wait_for(lambda: any(run.completed if waits_for_end else len(run.curve) for run in others()))

    callback = ScalingCallback(TARGET, folder / "ladder", run="rung", refit_budget=None, replicates=20)
    train(callback, callbacks=[At(6, wait_for_the_other)])
    assert callback.snapshot is not None
    seen = {run.name: run.final is not None for run in callback.snapshot.runs}
    (folder / f"{me}.json").write_text(json.dumps([callback.run, seen]), encoding="utf-8")


def test_two_rungs_of_one_name_that_train_at_once_are_two_runs_and_see_each_other(ladder: Path, tmp_path: Path) -> None:
    rungs = [
        start(train_beside, tmp_path, me, waits, log=tmp_path / f"{me}.log")
        for me, waits in [("first", False), ("last", True)]
    ]
    for rung in rungs:
        rung.join(60)
    assert [rung.exitcode for rung in rungs] == [0, 0]
    runs = {run.name: run for run in Ladder(ladder).runs()}
    assert sorted(runs) == ["rung", "rung-2"]
    assert all(run.curve.tokens.tolist() == [128, 256, 384] and run.completed for run in runs.values())
    (first, seen_first), (last, seen_last) = (
        json.loads((tmp_path / f"{me}.json").read_text(encoding="utf-8")) for me in ("first", "last")
    )
    assert seen_first == {first: True, last: False}
    assert seen_last == {first: True, last: True}


# losses ----------------------------------------------------------------------------------------------------------


class Both(Tiny):
    """It measures two losses."""

    def validation_step(self, batch: Any) -> None:
        super().validation_step(batch)
        self.log("other_loss", torch.tensor(5.0) + self.step(batch))


BOTH = ["val_loss", "other_loss"]


def watch(ladder: Path) -> ScalingCallback:
    return ScalingCallback(TARGET, ladder, monitor=BOTH, refit_budget=0.0, replicates=20)


def test_two_losses_are_two_runs_and_one_checkpoint_resumes_both(ladder: Path, tmp_path: Path) -> None:
    six = tmp_path / "six.ckpt"
    with pytest.raises(RuntimeError, match="died"):
        train(watch(ladder), model=Both(), callbacks=[save_at(6, six), At(10, die)])
    train(watch(ladder), model=Both(), ckpt_path=six)
    store = Ladder(ladder)
    (one,), (other,) = (store.runs(where=[("loss_kind", kind)]) for kind in BOTH)
    for run in (one, other):
        assert run.curve.step.tolist() == [4, 8, 12]
        assert run.curve.tokens.tolist() == [128, 256, 384]
        assert run.notes == ("1 observation(s) superseded by a resume",)
        assert run.completed
    assert other.curve.loss.tolist() == pytest.approx([5 + loss for loss in one.curve.loss.tolist()])
    assert other.name == f"{one.name}.other_loss"


def test_every_logger_gets_each_metric_of_each_loss_or_why_it_is_absent(
    ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("WANDB_SILENT", "true")
    for kind in BOTH:
        plant(ladder, kind)
    board, table = TensorBoardLogger(tmp_path), CSVLogger(tmp_path)
    loggers = [board, table, WandbLogger(project="test", offline=True, save_dir=tmp_path)]
    train(watch(ladder), model=Both(), logger=loggers)
    wandb.finish()
    wandb.teardown()

    with (Path(table.log_dir) / "metrics.csv").open(newline="", encoding="utf-8") as file:
        in_table = set(csv.DictReader(file).fieldnames or ())
    tags = EventAccumulator(board.log_dir).Reload().Tags()
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    records = read_wandb(path)
    rows = [json.dumps(record) for record in records if record["type"] == "history"]
    words = json.dumps([record for record in records if record["type"] == "summary"])
    for prefix in ("scaling", "scaling-other_loss"):
        names = {name: name.replace("scaling", prefix, 1) for name in METRICS}
        assert names["scaling/target_loss"] in in_table
        for name in names.values():
            logged = [row for row in rows if f'"{name}"' in row]
            assert all(f'"{names.get(TOKENS, TOKENS.replace("scaling", prefix, 1))}"' in row for row in logged)
            assert logged or name in words
            assert bool(logged) == (name in in_table) == (name in tags["scalars"])
            assert logged or f"{name}/text_summary" in tags["tensors"]
