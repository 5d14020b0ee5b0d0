"""What befalls a training at a step, and the process in which it refits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from scaling_callback import ScalingCallback


class At(pl.Callback):
    """Does something after a step, when all that the training counts has been counted."""

    def __init__(self, step: int, act: Callable[[pl.Trainer], object]) -> None:
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            self.act(trainer)


def save_at(step: int, path: Path) -> At:
    """Writes a checkpoint after a step."""
    return At(step, lambda trainer: trainer.save_checkpoint(path))


def die(_: pl.Trainer) -> None:
    """Ends a training as a fault would."""
    raise RuntimeError("the machine died")


def find_worker(callback: ScalingCallback) -> int:
    """The process in which the callback refits."""
    process = callback._recorders["val_loss"]._refits._process
    assert process is not None
    assert process._process is not None
    return process._process.pid


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
