"""Where a training ends: how far it came, and what of a training that is ended early is still missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from scaling_callback.errors import WarnOnce
from scaling_callback.ladder.format import safe_name
from scaling_callback.measuring.tally import Tally
from scaling_callback.measuring.training import is_completed
from scaling_callback.records import FINAL_PROGRESS

_log = logging.getLogger("scaling_callback")


def find_ending(
    trainer: Any,
    tally: Tally,
    *,
    planned: float | None,
    follows: bool,
    seen_at: int,
    monitors: Sequence[str],
    stopped: bool,
    warn: WarnOnce,
) -> tuple[bool, float | None]:
    """Whether the training that ends here reached the end of its plan, and the tokens of that plan.

    Args:
        trainer: The Trainer.
        tally: What was counted.
        planned: The planned tokens as they are known by now.
        follows: Whether the plan is what a training that completed has come to, rather than what a user said.
        seen_at: Micro-batches at the last observation; below 0 before the first.
        monitors: The losses that are recorded.
        stopped: Whether a rule ended it, which is said elsewhere.
        warn: Told what its record lacks.
    """
    completed = is_completed(trainer)
    if completed and follows:
        planned = tally.tokens
    progress = tally.tokens / planned if planned else 0.0
    if seen_at < 0:
        for monitor in monitors:
            message = f"{monitor!r} was never observed, so nothing was recorded; log it in validation_step"
            warn(message, about=f"monitor {monitor}")
    elif planned is not None and progress < FINAL_PROGRESS:
        completed = False
        if not stopped:
            warn(
                f"training ended at {progress:.0%} of its {planned:g} planned tokens, so this run counts as "
                "unfinished; resume it, or pass the horizon= that it has"
            )
    elif completed and seen_at < FINAL_PROGRESS * tally.batches:
        warn(
            f"the last validation was after {seen_at / tally.batches:.0%} of the training, so this run "
            "has no final loss; validate at its last step, with a val_check_interval that divides max_steps"
        )
    return completed, planned


class StopSaver:
    """Saves a training where a rule ends it, unless another callback has saved all of it there.

    A training that goes on for some steps, such as to its `min_steps`, is saved again, and its last state is kept. One
    whose Trainer is to save nothing (`enable_checkpointing=False`) is not saved. Where it is, the log says at the end.
    """

    def __init__(self) -> None:
        self._callback: Any = None
        self._path: str | None = None
        self._step = -1
        self._where: str | None = None

    def attach(self, trainer: Any, callback: Any) -> None:
        """Give the Trainer a callback of this training, behind all others: it calls `save`."""
        self.detach(trainer)  # that of a training that broke off
        self._callback, self._path, self._step, self._where = callback, None, -1, None
        trainer.callbacks.append(callback)

    def detach(self, trainer: Any) -> None:
        """Take it away again, and say where the training was saved."""
        if self._callback in trainer.callbacks:
            trainer.callbacks.remove(self._callback)
        if self._where is not None and trainer.is_global_zero:
            _log.warning("%s", self._where)
        self._callback = self._where = None

    def save(self, trainer: Any, run: str | None) -> None:
        """Save, unless this step is saved; every rank must call it, of which the first knows the name of the run."""
        if self._step == trainer.global_step:
            return
        if not trainer.checkpoint_callbacks:
            self._where = (
                "ScalingCallback did not save the training that it stopped, as its Trainer has "
                "enable_checkpointing=False: it cannot be resumed"
            )
            return
        saved = _find_saved(trainer)
        path = trainer.strategy.broadcast(_place(trainer, run)) if saved is None else None
        if path is not None:
            trainer.save_checkpoint(path)
        if self._path not in (None, path):
            trainer.strategy.remove_checkpoint(self._path)
        self._where = f"the training is saved where it stopped, and can be resumed with ckpt_path={path or saved}"
        self._path, self._step = path, trainer.global_step


def _find_saved(trainer: Any) -> str | None:
    """Where another callback has saved all of the training after this step, if one has."""
    return next(
        (
            str(getattr(callback, "_last_checkpoint_saved", "") or "last")
            for callback in trainer.callbacks
            if getattr(callback, "_last_global_step_saved", -1) == trainer.global_step
            and not getattr(callback, "save_weights_only", False)
        ),
        None,
    )


def _place(trainer: Any, run: str | None) -> str:
    """Beside what other callbacks save, else below the Trainer's root."""
    folders = [str(folder) for callback in trainer.checkpoint_callbacks if (folder := getattr(callback, "dirpath", ""))]
    folder = folders[0] if folders else f"{str(trainer.default_root_dir).rstrip('/')}/checkpoints"
    return f"{folder.rstrip('/')}/{safe_name(run or 'run')}-stopped-step={trainer.global_step}.ckpt"


def validate_once_more(trainer: Any) -> None:
    """Validate within a training, as its Trainer does between two batches. Every rank must call it."""
    trainer.validating = True
    try:
        trainer.fit_loop.epoch_loop.val_loop.run()
    finally:
        trainer.training = True
