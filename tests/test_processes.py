"""The ranks of one training: one count, one loss, one writer, one decision, and no rank that waits in vain."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from apart import run_ranks
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from support import only, plant
from support_training import CONTEXT, TARGET, Bytes, Tiny
from torch import Tensor
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from scaling_callback import Ladder, ScalingCallback, refresh
from scaling_callback.snapshot import Config, Snapshot

TIMEOUT = timedelta(seconds=20)
"""How long a rank waits for the others before it ends with an error, and the test with it."""


PADDING = 3
"""Tokens of padding in each window of every second rank."""

FOUR_WINDOWS = 4 * (CONTEXT - PADDING / 2)
"""Mean tokens that a rank trains on in a step."""


def load() -> DataLoader[tuple[Tensor, Tensor]]:
    """What this rank trains on, of which an epoch is 8 steps for two ranks."""
    return DataLoader(Bytes(64, padding=PADDING * (int(os.environ["RANK"]) % 2)), batch_size=4)


class Ranked(Tiny):
    """Its loss is 2 and the number of the rank, averaged over the ranks."""

    synchronised = True

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.log("val_loss", torch.tensor(2.0 + self.global_rank), sync_dist=self.synchronised)


class Disagreeing(Ranked):
    """Each rank logs its own loss."""

    synchronised = False


class Alone(Tiny):
    """The first rank alone logs a loss."""

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        if self.global_rank == 0:
            self.log("val_loss", torch.tensor(2.0), rank_zero_only=True)


class Sharded(Ranked):
    """Its parameters are split over the ranks, as FSDP2 does it."""

    def configure_model(self) -> None:
        mesh: Any = self.device_mesh
        for part in (self.embed, self.head, self):
            fully_shard(part, mesh=mesh["data_parallel"])


def make(folder: Path, **options: Any) -> ScalingCallback:
    return ScalingCallback(TARGET, folder / "ladder", refit_budget=None, replicates=20, **options)


def fit(folder: Path, callback: ScalingCallback, model: Tiny, strategy: Any = None) -> None:
    """Train this rank for 6 steps of 4 windows, validating after every second one; then tell how it ended."""
    trainer = make_trainer(callback, strategy, default_root_dir=folder)
    began = time.monotonic()
    trainer.fit(model, load(), DataLoader(Bytes(8), batch_size=1))
    end = {
        "tokens": callback.state_dict()["tokens"],
        "step": trainer.global_step,
        "stopped": trainer.should_stop,
        "run": callback.run,
        "seconds": time.monotonic() - began,
    }
    (folder / f"{trainer.global_rank}.end").write_text(json.dumps(end), encoding="utf-8")


def make_trainer(callback: ScalingCallback, strategy: Any = None, **options: Any) -> pl.Trainer:
    settings: dict[str, Any] = {"max_steps": 6, "val_check_interval": 2, "check_val_every_n_epoch": None}
    return pl.Trainer(
        **settings | options,
        accelerator="cpu",
        devices=int(os.environ["WORLD_SIZE"]),
        strategy=strategy or DDPStrategy(process_group_backend="gloo", timeout=TIMEOUT),
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def read_end(folder: Path, ranks: int = 2) -> dict[str, Any]:
    """How the training ended, which is the same on every rank; the first one alone knows the run."""
    ends = [json.loads((folder / f"{rank}.end").read_text(encoding="utf-8")) for rank in range(ranks)]
    assert all(end.pop("seconds") < TIMEOUT.total_seconds() for end in ends)
    runs = [end.pop("run") for end in ends]
    assert runs[1:] == [None] * (ranks - 1)
    assert ends == ends[:1] * ranks
    return ends[0]


# what is counted and recorded ------------------------------------------------------------------------------------


def train_plainly(folder: Path) -> None:
    fit(folder, make(folder), Ranked())


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_are_one_training_with_one_count_one_loss_and_one_writer(tmp_path: Path, ranks: int) -> None:
    run_ranks(ranks, train_plainly, tmp_path)
    tokens = FOUR_WINDOWS * ranks
    assert read_end(tmp_path, ranks) == {"tokens": 6 * tokens, "step": 6, "stopped": False}
    run = only(tmp_path / "ladder")
    assert run.curve.tokens.tolist() == [2 * tokens, 4 * tokens, 6 * tokens]
    assert run.curve.loss.tolist() == [2 + (ranks - 1) / 2] * 3
    assert run.completed
    assert run.notes == ()
    assert [path.name for path in (tmp_path / "ladder").rglob("card.json")] == ["card.json"]


def train_sharded(folder: Path) -> None:
    split: Any = {"data_parallel_size": 2, "tensor_parallel_size": 1}
    fit(folder, make(folder), Sharded(), ModelParallelStrategy(**split, process_group_backend="gloo", timeout=TIMEOUT))


def test_a_model_that_is_split_over_the_ranks_has_the_size_of_the_whole(tmp_path: Path) -> None:
    run_ranks(2, train_sharded, tmp_path)
    assert read_end(tmp_path)["tokens"] == 12 * FOUR_WINDOWS
    run = only(tmp_path / "ladder")
    assert run.curve.tokens.tolist() == [4 * FOUR_WINDOWS, 8 * FOUR_WINDOWS, 12 * FOUR_WINDOWS]
    whole = Tiny()
    assert run.params == sum(p.numel() for p in whole.parameters())
    assert run.card.sizes["non_embedding"] == sum(p.numel() for p in whole.head.parameters())


def train_alone(folder: Path) -> None:
    fit(folder, make(folder), Alone())


def test_a_monitor_that_one_rank_alone_logs_does_not_desynchronise_the_others(tmp_path: Path) -> None:
    run_ranks(2, train_alone, tmp_path)
    assert read_end(tmp_path)["step"] == 6
    assert only(tmp_path / "ladder").curve.loss.tolist() == [2.0] * 3


def train_twice(folder: Path) -> None:
    trainer, model = make_trainer(make(folder), max_steps=4), Ranked()
    for steps in (4, 6):
        trainer.fit_loop.epoch_loop.max_steps = steps
        trainer.fit(model, load(), DataLoader(Bytes(8), batch_size=1))


def test_ranks_agree_where_a_second_training_of_one_trainer_begins(tmp_path: Path) -> None:
    # the first rank alone knows the run that goes on
    run_ranks(2, train_twice, tmp_path)
    trunk, branch = Ladder(tmp_path / "ladder").runs()
    assert (trunk.curve.step.tolist(), branch.curve.step.tolist()) == ([2, 4], [6])
    assert branch.curve.tokens.tolist() == [12 * FOUR_WINDOWS]
    assert (branch.card.parent, branch.card.parent_step) == (trunk.name, 4)


def train_uncountably(folder: Path) -> None:
    def count(batch: tuple[Tensor, Tensor]) -> int:
        if os.environ["RANK"] == "1" and model.global_step == 3:
            raise KeyError("labels")
        return batch[0].numel()

    model = Ranked()
    fit(folder, make(folder, tokens_per_batch=count), model)


def test_a_batch_that_one_rank_cannot_count_ends_the_record_on_all(tmp_path: Path) -> None:
    assert "could not be counted on another rank" in run_ranks(2, train_uncountably, tmp_path)
    assert only(tmp_path / "ladder").curve.step.tolist() == [2]


# what is decided -------------------------------------------------------------------------------------------------


def is_enough(snapshot: Snapshot, run: str) -> str | None:
    """Stop at the second observation, which is in the middle of the epoch."""
    return "enough" if sum(len(seen.curve) for seen in snapshot.runs if seen.name == run) > 1 else None


def train_until_enough(folder: Path) -> None:
    fit(folder, make(folder, rules=[is_enough], action="stop"), Disagreeing())


def test_a_rule_stops_every_rank_within_an_epoch_whatever_each_measured(tmp_path: Path) -> None:
    said = run_ranks(2, train_until_enough, tmp_path)
    assert "is stopped by rule is-enough: enough" in said
    assert read_end(tmp_path) == {"tokens": 8 * FOUR_WINDOWS, "step": 4, "stopped": True}
    run = only(tmp_path / "ladder")
    assert run.curve.loss.tolist() == [2.0, 2.0]  # of the first rank
    assert not run.completed


def train_beside(folder: Path) -> None:
    callback = make(folder, refit_in="process", held_out=True)
    fit(folder, callback, Ranked())
    if callback.snapshot is not None:
        (folder / "forecast").write_text(repr(callback.snapshot.forecast), encoding="utf-8")


def test_refits_beside_a_training_of_several_ranks_say_what_the_ladder_says(tmp_path: Path) -> None:
    plant(tmp_path / "ladder")
    assert "The training goes on" not in run_ranks(2, train_beside, tmp_path)
    assert read_end(tmp_path)["step"] == 6
    ladder = Ladder(tmp_path / "ladder")
    assert sum(len(run.curve) for run in ladder.runs() if run.card.held_out) == 3
    again = refresh(ladder.runs(), ladder.issued(), Config(target=TARGET, replicates=20))
    assert again.forecast is not None
    assert (tmp_path / "forecast").read_text(encoding="utf-8") == repr(again.forecast)


# faults of the first rank ----------------------------------------------------------------------------------------


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")


def train_with_failing_refits(folder: Path) -> None:
    with mock.patch("scaling_callback.refitting.refit.refresh", fail):
        fit(folder, make(folder), Ranked())


def train_with_a_failing_rule(folder: Path) -> None:
    fit(folder, make(folder, rules=[fail]), Ranked())


def train_into_a_file(folder: Path) -> None:
    (folder / "ladder").touch()
    fit(folder, make(folder), Ranked())


@pytest.mark.parametrize(
    ("training", "cause", "recorded"),
    [
        (train_with_failing_refits, "RuntimeError: planted", 3),
        (train_with_a_failing_rule, "RuntimeError: planted", 3),
        (train_into_a_file, "is a file", 0),
    ],
)
def test_a_fault_of_the_first_rank_is_one_warning_and_stops_no_rank(
    tmp_path: Path, training: Callable[[Path], None], cause: str, recorded: int
) -> None:
    said = run_ranks(2, training, tmp_path)
    assert said.count("The training goes on") == 1
    assert cause in said
    assert read_end(tmp_path) == {"tokens": 12 * FOUR_WINDOWS, "step": 6, "stopped": False}
    assert sum(len(run.curve) for run in Ladder(tmp_path / "ladder").runs()) == recorded
