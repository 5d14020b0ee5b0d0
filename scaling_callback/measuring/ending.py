"""Where a training ends: how far it came, and what of a training that is ended early is still missing."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scaling_callback.errors import WarnOnce
from scaling_callback.ladder.format import safe_name
from scaling_callback.measuring.tally import Tally
from scaling_callback.measuring.training import is_completed
from scaling_callback.records import FINAL_PROGRESS
from scaling_callback.reporting.words.lines import make_visible

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
        self._path: str | None = None  # of what it wrote itself
        self._step = -1
        self._where: str | None = None
        self._last: str | None = None  # what the log says at the end

    def attach(self, trainer: Any, callback: Any) -> None:
        """Give the Trainer a callback of this training, behind all others: it calls `save`."""
        self.detach(trainer)  # that of a training that broke off
        self._callback, self._path, self._step, self._where = callback, None, -1, None
        trainer.callbacks.append(callback)

    def detach(self, trainer: Any) -> None:
        """Take it away again, and say where the training was saved."""
        if self._callback in trainer.callbacks:
            trainer.callbacks.remove(self._callback)
        if self._last is not None and trainer.is_global_zero:
            _log.warning("%s", self._last)
        self._callback = self._last = None

    def save(self, trainer: Any, run: str | None, rule: str, warn: WarnOnce) -> bool:
        """Save, unless this step is saved. Every rank must call it.

        Nothing between two collective calls may fail on one rank only: the others would wait for it.

        Args:
            trainer: The Trainer.
            run: Name of the run, which the first rank knows.
            rule: Name of the rule that ends it.
            warn: Told why it cannot be saved.

        Returns:
            Whether the training may end here, the same on every rank: nothing that it has learnt for some steps, or
            was to keep, is lost.
        """
        step: int = trainer.global_step
        if self._step == step:
            return True
        if not trainer.checkpoint_callbacks:
            self._last = (
                "ScalingCallback did not save the training that it stopped, as its Trainer has "
                "enable_checkpointing=False: it cannot be resumed"
            )
            return True
        saved, path = trainer.strategy.broadcast((_find_saved(trainer), _place(trainer, run)))
        if saved is None and not _write(
            trainer, path, f"{f'run {run}' if run else 'this run'} is to be stopped by rule {rule}", warn
        ):
            if self._where is None:
                return False
            self._last = f"the training is saved at step {self._step}, and can be resumed with ckpt_path={self._where}"
            return True
        before, self._path = self._path, path if saved is None else None
        self._where, self._step = saved or path, step
        self._last = f"the training is saved where it stopped, and can be resumed with ckpt_path={self._where}"
        if before not in (None, self._path):
            with suppress(Exception):  # one file too many does no harm
                trainer.strategy.remove_checkpoint(before)
        return True


def _write(trainer: Any, path: str, what: str, warn: WarnOnce) -> bool:
    """Whether every rank has written its share of a checkpoint; one that is torn is removed as far as possible."""
    is_new = "://" not in path and not os.path.lexists(path)
    failed: Exception | None = None
    try:
        trainer.save_checkpoint(path)
    except Exception as error:  # noqa: BLE001 - of whatever filesystem
        failed = error
        trainer.strategy.barrier("Trainer.save_checkpoint")  # ranks on which nothing failed wait there
    if trainer.strategy.reduce_boolean_decision(failed is None):
        return True
    if trainer.is_global_zero or failed is not None:
        why = f"{type(failed).__name__}: {failed}" if failed is not None else "another rank says why"
        warn(
            make_visible(
                f"{what}, but its state cannot be saved in {path.rpartition('/')[0]} ({why}); free the disk, or have "
                "the Trainer save elsewhere"
            ),
            about="stop is not saved",
        )
    if is_new:
        with suppress(Exception):
            trainer.strategy.remove_checkpoint(path)
    if isinstance(failed, OSError) and failed.filename2 == path:  # it was written elsewhere, and could not be moved
        with suppress(OSError):
            Path(failed.filename).unlink()
    return False


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
