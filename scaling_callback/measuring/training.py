"""Schedule and plan of a live training, read from its Trainer (of either Lightning namespace)."""

from __future__ import annotations

import math
from typing import Any


def learning_rate(trainer: Any) -> tuple[float, float | None]:
    """The present learning rate and the peak that its schedule is built on; NaN and `None` without optimiser."""
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            rate = float(group["lr"])
            return rate, float(group.get("max_lr", group.get("initial_lr", rate))) or None
    return math.nan, None


def schedule_name(trainer: Any) -> str:
    """Name of the learning-rate schedule: the schedulers' classes, or `constant` without any."""
    names = [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs]
    return " + ".join(names) or "constant"


def planned_tokens(trainer: Any, per_batch: float) -> float | None:
    """Tokens of all ranks in the training that the Trainer plans; `per_batch` is the mean over ranks so far."""
    limits: list[float] = []
    epoch, accumulated = float(trainer.num_training_batches), trainer.accumulate_grad_batches
    if trainer.max_steps > 0 and math.isfinite(epoch):
        # the end of an epoch forces a step
        epochs, rest = divmod(trainer.max_steps, math.ceil(epoch / accumulated))
        limits.append(epochs * epoch + rest * accumulated)
    elif trainer.max_steps > 0:
        limits.append(trainer.max_steps * accumulated)
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs * epoch)
    batches = min(limits, default=math.inf)
    return batches * per_batch if math.isfinite(batches) and per_batch > 0 else None


def is_completed(trainer: Any) -> bool:
    """Whether training reached the end of its plan, rather than being stopped."""
    steps_done = 0 < trainer.max_steps <= trainer.global_step
    epochs_done = trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch
    return steps_done or epochs_done
