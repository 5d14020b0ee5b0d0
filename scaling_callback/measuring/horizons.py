"""How long a training is planned to be, from its Trainer (of either Lightning namespace), else from its schedule.

All is counted in micro-batches of one rank. A tick is a step of the optimiser, or of a scheduler every `frequency` of
them: after each `accumulate_grad_batches` micro-batches, and at the end of an epoch.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from scaling_callback.measuring.schedules import done_ticks, find_end, pick_group

_log = logging.getLogger("scaling_callback")


def planned_batches(trainer: Any, batches: int) -> float | None:
    """Micro-batches of one rank in the training that is planned, `batches` of which are done.

    The Trainer's limits on steps and epochs count, the first to be reached. Where it has none, as with data without a
    length or with a time limit alone, the training is planned to end where its schedule does. `None` where that
    has no end either.
    """
    limits = [math.inf]
    if trainer.max_steps > 0:
        limits.append(_batches_at_step(trainer, batches, trainer.max_steps))
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs * epoch_batches(trainer, batches))
    planned = min(limits)
    if math.isfinite(planned):
        return planned if planned > 0 else None
    return told_end(trainer, batches)


def told_end(trainer: Any, batches: int) -> float | None:
    """Micro-batches until the schedule has ended; `None` where it has no end or does not tell."""
    try:
        return _schedule_end(trainer, batches)
    except Exception:  # noqa: BLE001 - a schedule is the user's own code
        _log.debug("the schedule does not tell where it ends", exc_info=True)
        return None


def _schedule_end(trainer: Any, batches: int) -> float | None:
    found = pick_group(trainer.optimizers)
    configs = driving(trainer)
    if found is None or len(configs) != 1 or configs[0].reduce_on_plateau:
        return None
    end = find_end(configs[0].scheduler, found[1], kept(trainer))
    if end is None:
        return None
    planned = _batches_at_tick(trainer, batches, configs[0], end)
    return planned if math.isfinite(planned) and planned > 0 else None


def driving(trainer: Any) -> list[Any]:
    """The configurations of the schedulers that set the training's rate."""
    found = pick_group(trainer.optimizers)
    configs = list(trainer.lr_scheduler_configs)
    return [config for config in configs if found is not None and config.scheduler.optimizer is found[0]]


def kept(trainer: Any) -> list[object]:
    """What a scheduler of the user's may refer to and must not be copied with it: all that is large."""
    module = trainer.lightning_module
    return [trainer, *module.modules(), *module.parameters(), *module.buffers()]


def epoch_batches(trainer: Any, batches: int) -> float:
    """Micro-batches in an epoch: of data without a length as many as in the epochs so far, infinite in the first."""
    length = float(trainer.num_training_batches)
    if math.isfinite(length):
        return length
    progress = trainer.fit_loop.epoch_loop.batch_progress
    begun = trainer.fit_loop.epoch_progress.current.ready
    if progress.is_last_batch:
        return batches / max(begun, 1)
    return (batches - progress.current.ready) / (begun - 1) if begun > 1 else math.inf


def count_ticks(trainer: Any, batches: int, config: Any, planned: float) -> float | None:
    """Ticks of a scheduler in so many micro-batches, `batches` of which are done; `None` where that cannot be told."""
    if not trainer.lightning_module.automatic_optimization:
        return planned * done_ticks(config.scheduler) / batches if batches else None
    length = epoch_batches(trainer, batches)
    if config.interval == "epoch":
        return planned / length / config.frequency if math.isfinite(length) else None
    return _ticks_in(planned, float(trainer.num_training_batches), _accumulation(trainer), config.frequency)


def count_steps(trainer: Any, batches: int, planned: float) -> float | None:
    """Optimiser steps, as the Trainer counts them, in so many micro-batches, `batches` of which are done."""
    if not trainer.lightning_module.automatic_optimization:
        return planned * trainer.global_step / batches if batches else None
    return _ticks_in(planned, float(trainer.num_training_batches), _accumulation(trainer), 1)


def _batches_at_step(trainer: Any, batches: int, step: int) -> float:
    """Micro-batches until a step of the optimiser."""
    if trainer.global_step >= step:
        return batches
    if not trainer.lightning_module.automatic_optimization:
        # steps are what the user's own code makes of a batch, and several optimisers all count
        return step * batches / trainer.global_step if trainer.global_step else math.inf
    return _batches_at(trainer, batches, step, trainer.global_step, 1)


def _batches_at_tick(trainer: Any, batches: int, config: Any, tick: int) -> float:
    """Micro-batches until a tick of a scheduler."""
    done = done_ticks(config.scheduler)
    if not trainer.lightning_module.automatic_optimization:
        return tick * batches / done if done else math.inf
    if config.interval == "epoch":
        return tick * config.frequency * epoch_batches(trainer, batches)
    return _batches_at(trainer, batches, tick, done, config.frequency)


def _batches_at(trainer: Any, batches: int, tick: int, done: int, frequency: int) -> float:
    """Micro-batches until a tick, `done` of which are made."""
    length, accumulation = float(trainer.num_training_batches), _accumulation(trainer)
    if math.isfinite(length):
        return _batches_until(tick, int(length), accumulation, frequency)
    # nobody knows where the next epochs end: counted on from here
    every = math.lcm(trainer.accumulate_grad_batches, frequency)
    pending = trainer.fit_loop.epoch_loop.batch_progress.current.ready % every
    return batches - pending + (tick - done) * every


def _accumulation(trainer: Any) -> Mapping[int, int]:
    """Micro-batches in a step, by the epoch from which on that holds."""
    for callback in trainer.callbacks:
        if hasattr(callback, "scheduling") and hasattr(callback, "get_accumulate_grad_batches"):
            return {0: 1, **callback.scheduling}
    return {0: trainer.accumulate_grad_batches}


def _ticks_in_epoch(length: int, accumulated: int, frequency: int) -> int:
    """The end of an epoch forces a tick, where it is one of those that the frequency takes."""
    forced = length % accumulated != 0 and length % frequency == 0
    return length // math.lcm(accumulated, frequency) + forced


def _batches_until(ticks: int, length: int, accumulation: Mapping[int, int], frequency: int) -> float:
    """Micro-batches until so many ticks, in epochs of one length.

    Example:
        >>> _batches_until(7, 5, {0: 2}, 1), _batches_until(7, 5, {0: 1, 1: 5}, 1)
        (12, 15)
    """
    batches, begun = 0, sorted(accumulation)
    for epoch, following in zip(begun, [*begun[1:], math.inf], strict=True):
        each = _ticks_in_epoch(length, accumulation[epoch], frequency)
        if each and ticks <= each * (following - epoch):
            epochs, rest = divmod(ticks, each)
            return batches + epochs * length + rest * math.lcm(accumulation[epoch], frequency)
        batches += length * (following - epoch)
        ticks -= each * int(following - epoch) if math.isfinite(following) else 0
    return math.inf


def _ticks_in(batches: float, length: float, accumulation: Mapping[int, int], frequency: int) -> float:
    """Ticks in so many micro-batches, a share of one aside: the inverse of `_batches_until`.

    Example:
        >>> _ticks_in(12, 5, {0: 2}, 1), _ticks_in(15, 5, {0: 1, 1: 5}, 1)
        (7, 7)
    """
    batches = round(batches)
    if not math.isfinite(length):
        return batches // math.lcm(accumulation[0], frequency)
    ticks, begun = 0, sorted(accumulation)
    for epoch, following in zip(begun, [*begun[1:], math.inf], strict=True):
        taken = min(batches, length * (following - epoch))
        epochs, rest = divmod(int(taken), int(length))
        each = _ticks_in_epoch(int(length), accumulation[epoch], frequency)
        ticks += epochs * each + rest // math.lcm(accumulation[epoch], frequency)
        batches -= taken
    return ticks
