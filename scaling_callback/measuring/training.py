"""Schedule, plan and end of a live training, read from its Trainer (of either Lightning namespace)."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_callback.measuring.horizons import (
    count_steps,
    count_ticks,
    driving,
    kept,
    planned_batches,
    told_end,
)
from scaling_callback.measuring.schedules import Simulated, pick_group, sample
from scaling_callback.measuring.shapes import FEWEST, HELD, name_shape

__all__ = [
    "Schedule",
    "averaging",
    "describe_schedule",
    "is_completed",
    "learning_rate",
    "planned_batches",
]

_log = logging.getLogger("scaling_callback")

_AVERAGES = re.compile(r"[Aa]verag|(?<![A-Z])(EMA|SWA)|Ema(?![a-z])")


@dataclass(frozen=True)
class Schedule:
    """What the learning rate is planned to do.

    Attributes:
        shape: One of `shapes.SHAPES`; the schedulers' class names where it was not recognised.
        ends_at_step: The optimiser step, as the Trainer counts them, at which it has ended; `None` where it has no end.
        peak_lr: The highest rate of the training; `None` without an optimiser.
        schedulers: Class names of all schedulers of the training.
        warmup: Share of the planned training after which the rate first comes within a hundredth of its peak, to
            within a point of the simulation; 0 for a rate that begins there, `None` where it is not known.
    """

    shape: str
    ends_at_step: float | None
    peak_lr: float | None
    schedulers: tuple[str, ...]
    warmup: float | None = None


def learning_rate(trainer: Any) -> tuple[float, float | None]:
    """The present learning rate and the peak that its schedule is built on; NaN and `None` without optimiser.

    Of several parameter groups that with most parameters counts, over all optimisers; the first of equals.
    """
    found = pick_group(trainer.optimizers)
    if found is None:
        return math.nan, None
    group = found[0].param_groups[found[1]]
    rate = float(group["lr"])
    return rate, float(group.get("max_lr", group.get("initial_lr", rate))) or None


def describe_schedule(trainer: Any, progress: float | None = None) -> Schedule:
    """What the learning rate is planned to do: its shape from a simulation over the planned training.

    It is made once in a training, and takes at most a fraction of a second. The schedule itself is not changed, and
    nothing that a user's own schedule does wrong gets out of here: it costs the recognition alone.

    Args:
        trainer: The Trainer.
        progress: Share of the planned training that is done, where the user says how long that is.
    """
    names = tuple(type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs)
    peak, configs = learning_rate(trainer)[1], driving(trainer)
    if not configs:
        return Schedule("constant", None, peak, names, None if peak is None else 0.0)
    unknown = Schedule(" + ".join(type(config.scheduler).__name__ for config in configs), None, peak, names)
    if len(configs) > 1:
        return unknown
    if configs[0].reduce_on_plateau:
        return Schedule("plateau", None, peak, names)
    try:
        return _simulate(trainer, configs[0], progress, unknown)
    except Exception:  # noqa: BLE001 - a schedule is the user's own code
        _log.debug("the schedule could not be simulated", exc_info=True)
        return unknown


def _simulate(trainer: Any, config: Any, progress: float | None, unknown: Schedule) -> Schedule:
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    planned = batches / progress if progress else planned_batches(trainer, batches)
    ticks = None if planned is None else count_ticks(trainer, batches, config, planned)
    found = pick_group(trainer.optimizers)
    if found is None or ticks is None or ticks < FEWEST - 1:
        return unknown
    simulated = Simulated(config.scheduler, found[1], kept(trainer))
    at, rates = sample(simulated.rates, round(ticks))
    ends = told_end(trainer, batches)
    peak = float(np.nanmax(rates))
    if unknown.peak_lr is not None and math.isclose(peak, unknown.peak_lr, rel_tol=HELD):
        peak = unknown.peak_lr  # the top lies between two samples
    return Schedule(
        name_shape(at / ticks, rates),
        None if ends is None else count_steps(trainer, batches, ends),
        peak if 0 < peak < math.inf else None,
        unknown.schedulers,
        float(at[np.argmax(rates >= (1.0 - HELD) * peak)] / ticks) if 0 < peak < math.inf else None,
    )


def averaging(trainer: Any) -> str | None:
    """Names of the callbacks that average weights, as text; `None` where none does.

    They are known by their name or that of a base: averaging, EMA or SWA. The loss of a run may then be that of
    averaged weights.
    """
    kinds: list[type[object]] = [type(callback) for callback in trainer.callbacks]
    names = {kind.__name__: None for kind in kinds if any(_AVERAGES.search(base.__name__) for base in kind.__mro__)}
    return " + ".join(names) or None


def is_completed(trainer: Any) -> bool:
    """Whether training reached the end of its plan, rather than being stopped."""
    steps_done = 0 < trainer.max_steps <= trainer.global_step
    epochs_done = trainer.max_epochs is not None and 0 < trainer.max_epochs <= trainer.current_epoch
    # Lightning counts an epoch that was stopped halfway as a whole one
    seen = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    whole = trainer.is_last_batch or seen >= trainer.num_training_batches
    return steps_done or (epochs_done and whole)
