"""Trainings that are killed, interrupted and requeued: what was recorded stays, and a resume goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from support import environment, only
from support_training import TARGET, Bytes, Tiny, train
from torch import Tensor

from scaling_callback import Ladder, ScalingCallback
from scaling_callback.errors import ScalingWarning

EVERY = 4
"""Steps between observations."""

SCRIPT = """
import sys, time
from pathlib import Path
import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader
from support_training import TARGET, Bytes, Tiny
from scaling_callback import ScalingCallback
folder, steps, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
class Slow(pl.Callback):
    def on_train_batch_end(self, *_): time.sleep(pause)
saved = ModelCheckpoint(folder / "kept", every_n_train_steps=3, save_last=True, save_top_k=0)
trainer = pl.Trainer(
    accelerator="cpu", max_steps=steps, val_check_interval=4, check_val_every_n_epoch=None, logger=False,
    enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
    callbacks=[ScalingCallback(TARGET, folder / "ladder", horizon=steps * 32), saved, Slow()],
)
last = folder / "kept" / "last.ckpt"
trainer.fit(Tiny(), DataLoader(Bytes(64), 4), DataLoader(Bytes(8), 8), ckpt_path=last if last.exists() else None)
"""


@contextmanager
def training(
    folder: Path, *, pause: float = 0.02, steps: int = 400, **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A training in a process of its own, that takes its time."""
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with (folder / "said").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), str(steps), str(pause)],
            stderr=said,
            env={**environment(), "PYTHONPATH": path, **variables},
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, "the training ended; see the file `said` in its folder"
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)


def observed(folder: Path) -> list[int]:
    return [int(step) for run in Ladder(folder / "ladder").runs() for step in run.curve.step]


def test_a_training_that_is_killed_goes_on_from_its_checkpoint_with_each_step_once(tmp_path: Path) -> None:
    with training(tmp_path) as process:
        wait_for(lambda: len(observed(tmp_path)) >= 4 and (tmp_path / "kept" / "last.ckpt").exists(), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = observed(tmp_path)
    assert before == list(range(EVERY, EVERY * len(before) + 1, EVERY))
    with training(tmp_path) as process:
        wait_for(lambda: len(observed(tmp_path)) >= len(before) + 3, process)
    run = only(tmp_path / "ladder")
    steps = [int(step) for step in run.curve.step]
    assert steps == list(range(EVERY, EVERY * len(steps) + 1, EVERY))
    assert run.curve.tokens.tolist() == [32.0 * step for step in steps]


def test_a_training_that_its_cluster_requeues_is_one_run(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {asked}\n', encoding="utf-8")
    scontrol.chmod(0o755)
    slurm = {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_NAME": "ladder",
        **dict.fromkeys(("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"), "1"),
        **dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0"),
        "PATH": f"{scontrol.parent}{os.pathsep}{environment()['PATH']}",
    }
    with training(tmp_path, **slurm) as process:
        wait_for(lambda: len(observed(tmp_path)) >= 3, process)
        process.send_signal(signal.SIGUSR1)
        wait_for(asked.exists, process)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert asked.read_text(encoding="utf-8").split() == ["requeue", "77"]
    before = observed(tmp_path)
    with training(tmp_path, **slurm) as process:
        wait_for(lambda: len(observed(tmp_path)) >= len(before) + 2, process)
    run = only(tmp_path / "ladder")
    steps = [int(step) for step in run.curve.step]
    assert steps == list(range(EVERY, EVERY * len(steps) + 1, EVERY))
    assert run.curve.tokens.tolist() == [32.0 * step for step in steps]


def test_an_interrupted_training_leaves_an_unfinished_run(tmp_path: Path) -> None:
    with training(tmp_path) as process:
        wait_for(lambda: len(observed(tmp_path)) >= 2, process)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    run = only(tmp_path / "ladder")
    assert not run.completed
    assert run.final is None
    assert "ScalingCallback" not in (tmp_path / "said").read_text(encoding="utf-8")


def test_a_training_that_runs_out_of_memory_keeps_what_it_recorded(tmp_path: Path) -> None:
    class Large(Tiny):
        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            if self.global_step == 9:
                raise torch.OutOfMemoryError("no memory left")
            return super().training_step(batch)

    with pytest.raises(torch.OutOfMemoryError):
        train(ScalingCallback(TARGET, tmp_path, refit_in="process"), model=Large())
    assert only(tmp_path).curve.step.tolist() == [4, 8]
    train(ScalingCallback(TARGET, tmp_path))
    assert [len(run.curve) for run in Ladder(tmp_path).runs()] == [2, 3]


def test_a_run_that_is_resumed_twice_belongs_to_the_last_one(tmp_path: Path) -> None:
    """A job that was requeued while its first process was still alive."""

    class Requeued(Bytes):
        """In the middle of the first training the second one starts, and goes to the end."""

        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            if index == 40 and not started:
                started.append(True)
                train(ScalingCallback(TARGET, tmp_path), ckpt_path=six)
            return super().__getitem__(index)

    started: list[bool] = []
    six = tmp_path / "six.ckpt"

    class SaveAtSix(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 6 and not six.exists():
                trainer.save_checkpoint(six)

    with pytest.warns(ScalingWarning, match="is now written by another process"):
        train(ScalingCallback(TARGET, tmp_path), data=Requeued(64), callbacks=[SaveAtSix()])
    run = only(tmp_path)
    assert run.curve.step.tolist() == [4, 8, 12]
    assert run.completed
