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


def planned_batches(trainer: Any, batches: int) -> float | None:
    """Micro-batches of one rank in the training that the Trainer plans, `batches` of which are done.

    `None` where the plan cannot be told: data without a length, or a time limit alone.
    """
    limits: list[float] = []
    epoch, accumulated = float(trainer.num_training_batches), trainer.accumulate_grad_batches
    if trainer.max_steps > 0 and not trainer.lightning_module.automatic_optimization:
        # steps are what the user's own code makes of a batch, and several optimisers all count
        limits.append(trainer.max_steps * batches / trainer.global_step if trainer.global_step else math.inf)
    elif trainer.max_steps > 0 and math.isfinite(epoch):
        # the end of an epoch forces a step
        epochs, rest = divmod(trainer.max_steps, math.ceil(epoch / accumulated))
        limits.append(epochs * epoch + rest * accumulated)
    elif trainer.max_steps > 0:
        limits.append(trainer.max_steps * accumulated)
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs * epoch)
    planned = min(limits, default=math.inf)
    return planned if math.isfinite(planned) and planned > 0 else None


def is_completed(trainer: Any) -> bool:
    """Whether training reached the end of its plan, rather than being stopped."""
    steps_done = 0 < trainer.max_steps <= trainer.global_step
    epochs_done = trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch
    # Lightning counts an epoch that was stopped halfway as a whole one
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    whole = trainer.is_last_batch or seen >= trainer.num_training_batches
    return steps_done or (epochs_done and whole)


def is_promised(trainer: Any, metric: str) -> bool:
    """Whether the training logs this metric for the end of its epoch, where it is not yet to be seen."""
    results: Any = getattr(trainer.fit_loop.epoch_loop, "_results", {})
    return any(str(key).partition(".")[2] == metric for key in results)
