"""What a learning-rate scheduler of PyTorch will do: its rates, sampled on a copy, and the step at which it ends.

Neither the scheduler nor its optimiser is ever changed. A tick is one call of the scheduler's `step`.
"""

# ruff: noqa: SLF001 - PyTorch's schedulers have no public door to what they will do

from __future__ import annotations

import copy
import math
import time
import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import lr_scheduler

from scaling_callback.measuring.shapes import ENDLESS, name_shape

Array = NDArray[np.float64]

SAMPLES = 256
"""Intervals of a schedule between the points at which it is sampled."""

MOST_TICKS = 10_000
"""Ticks that a scheduler without a closed form is stepped through: a count, so that two machines say the same."""

PATIENCE = 0.2
"""Seconds after which a slow scheduler is given up."""

FARTHEST = 2**40
"""Tick at which every schedule has ended, if it ever does."""

_CLOSED = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR, lr_scheduler.CosineAnnealingWarmRestarts)
"""Schedulers whose `get_lr` looks at nothing but the tick that they stand at."""

_ENDS = {
    lr_scheduler.CosineAnnealingLR: "T_max",
    lr_scheduler.OneCycleLR: "total_steps",
    lr_scheduler.LinearLR: "total_iters",
    lr_scheduler.PolynomialLR: "total_iters",
}
"""Where schedulers say at which tick they have ended."""


class Simulated:
    """A copy of a scheduler on an optimiser of no parameters, which may be stepped anywhere.

    Args:
        scheduler: The scheduler; a ReduceLROnPlateau, which follows the loss, cannot be simulated.
        group: Which of its optimiser's parameter groups counts.
        keep: What must not be copied though the scheduler refers to it: the module and all in it.

    Raises:
        Exception: Whatever copying it raises.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> scheduler = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=10)
        >>> Simulated(scheduler).rates([0, 5, 10]).round(3).tolist(), scheduler.last_epoch
        ([0.5, 0.25, 0.0], 0)
    """

    def __init__(self, scheduler: Any, group: int = 0, keep: Iterable[object] = ()) -> None:
        real = scheduler.optimizer
        self._group = group
        self._dummy = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        self._dummy.param_groups = [
            {**copy.deepcopy({key: value for key, value in theirs.items() if key != "params"}), "params": []}
            for theirs in real.param_groups
        ]
        memo: dict[int, Any] = {id(thing): thing for thing in keep}
        self._scheduler = copy.deepcopy(scheduler, memo | {id(real): self._dummy})
        self._present = done_ticks(scheduler), float(real.param_groups[group]["lr"])

    def rates(self, ticks: Sequence[int] | Array) -> Array:
        """The rates after so many ticks, shape (n,), from increasing ticks.

        Raises:
            ValueError: It has no closed form and is too slow, or does not come to where the real one stands.
            Exception: Whatever the scheduler raises.
        """
        tick, rate = self._present
        wanted = sorted({*(int(t) for t in ticks), tick})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of steps before the optimiser's own, which the copy never makes
            try:
                found = {t: float(self._closed(self._scheduler, t)) for t in wanted}
            except NotImplementedError:
                found = self._step_through(wanted)
        if not math.isclose(found[tick], rate, rel_tol=1e-4, abs_tol=1e-12):
            raise ValueError(f"the schedule was changed from outside: {rate:g} where it would set {found[tick]:g}")
        return np.array([found[int(t)] for t in ticks])

    def _closed(self, scheduler: Any, tick: int) -> Any:
        """The rate after so many ticks, without making them."""
        kind = cast("type[object]", type(scheduler))
        if kind.__module__ != lr_scheduler.__name__:  # a class of the user's own may inherit a form that is not its own
            raise NotImplementedError
        if kind is lr_scheduler.LambdaLR:
            return scheduler.base_lrs[self._group] * scheduler.lr_lambdas[self._group](tick)
        if kind is lr_scheduler.SequentialLR:
            index = bisect_right(scheduler._milestones, tick)
            begun = scheduler._milestones[index - 1] if index else 0
            return self._closed(scheduler._schedulers[index], tick - begun)
        if hasattr(scheduler, "_get_closed_form_lr"):
            scheduler.last_epoch = tick
            return scheduler._get_closed_form_lr()[self._group]
        if not isinstance(scheduler, _CLOSED):
            raise NotImplementedError
        if isinstance(scheduler, lr_scheduler.CosineAnnealingWarmRestarts):
            scheduler.step(tick)
            return self._dummy.param_groups[self._group]["lr"]
        scheduler.last_epoch = tick
        scheduler._get_lr_called_within_step = True  # pyright: ignore[reportPrivateUsage] - as its own step does
        return scheduler.get_lr()[self._group]

    def _step_through(self, wanted: list[int]) -> dict[int, float]:
        if wanted[-1] > MOST_TICKS:
            raise ValueError(f"{wanted[-1]} ticks are too many to make")
        for group in self._dummy.param_groups:
            group["lr"] = group.get("initial_lr", group["lr"])
        _rewind(self._scheduler)
        found: dict[int, float] = {}
        give_up = time.monotonic() + PATIENCE
        for tick in range(wanted[-1] + 1):
            if tick:
                self._scheduler.step()
            if tick in wanted[:1]:
                found[wanted.pop(0)] = float(self._dummy.param_groups[self._group]["lr"])
            if time.monotonic() > give_up:
                raise ValueError("the scheduler is too slow to be simulated")
        return found


def done_ticks(scheduler: Any) -> int:
    """How often a scheduler was stepped."""
    return int(scheduler.last_epoch) if hasattr(scheduler, "last_epoch") else done_ticks(scheduler._schedulers[0])


def _rewind(scheduler: Any) -> None:
    """Put a copy where its constructor puts it."""
    if not hasattr(scheduler, "_schedulers"):
        scheduler.last_epoch = -1
        scheduler._initial_step()
    elif hasattr(scheduler, "_milestones"):
        scheduler.last_epoch = 0
        for nested in scheduler._schedulers:
            nested.last_epoch = -1
        _rewind(scheduler._schedulers[bisect_right(scheduler._milestones, 0)])
    else:
        for nested in scheduler._schedulers:
            _rewind(nested)


def pick_group(optimizers: Sequence[Any]) -> tuple[Any, int] | None:
    """The optimiser and the parameter group whose rate is that of the training: the one with most parameters.

    Embeddings, norms and biases often have groups of their own, with other rates. `None` where no group has a rate.
    """
    groups = [(optimizer, index) for optimizer in optimizers for index in range(len(optimizer.param_groups))]
    rated = [(optimizer, index) for optimizer, index in groups if "lr" in optimizer.param_groups[index]]
    if len(rated) < 2:  # nothing to choose, and nothing to count
        return rated[0] if rated else None
    return max(rated, key=lambda found: sum(p.numel() for p in found[0].param_groups[found[1]]["params"]))


def find_end(scheduler: Any, group: int = 0, keep: Iterable[object] = ()) -> int | None:
    """The tick from which a schedule stays where it is, if it decays to an end.

    Schedules that are endless by their shape (constant, steps, exponential, inverse square root, restarts) have none,
    nor has a warmup. Some say where they end; of others the rates tell.

    Raises:
        Exception: Whatever the scheduler raises.

    Example:
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        >>> find_end(lr_scheduler.LambdaLR(optimizer, lambda tick: max(0.1, 1 - tick / 70)))
        63
    """
    kind = cast("type[object]", type(scheduler))
    if kind is lr_scheduler.ChainedScheduler:
        ends = [find_end(nested, group, keep) for nested in scheduler._schedulers]
        return max((end for end in ends if end is not None), default=None)
    if kind is lr_scheduler.SequentialLR:
        end = find_end(scheduler._schedulers[-1], group, keep)
        return None if end is None else end + sum(scheduler._milestones[-1:])
    if kind is lr_scheduler.LinearLR and scheduler.end_factor >= scheduler.start_factor:
        return None
    for says, name in _ENDS.items():
        if isinstance(scheduler, says):
            return int(getattr(scheduler, name))
    if kind is not lr_scheduler.LambdaLR:
        return None
    # the warmups and decays of Hugging Face say it: their cosine comes back behind its end
    told = getattr(scheduler.lr_lambdas[group], "keywords", {}).get("num_training_steps")
    return int(told) if isinstance(told, int) and told > 0 else _search_end(Simulated(scheduler, group, keep))


def _search_end(simulated: Simulated) -> int | None:
    """The tick from which rates stay the same, by bisection; `None` where they do not, or do so at their peak."""
    grid = np.unique(np.rint(np.geomspace(1, FARTHEST, 4 * 40)).astype(np.int64))
    rates = simulated.rates(grid.astype(np.float64))
    near = 1e-9 * float(np.abs(rates).max())
    moving = np.flatnonzero(np.abs(rates - rates[-1]) > near)
    if not len(moving) or moving[-1] >= len(grid) // 2:  # what moves beyond a million steps moves for ever
        return None
    before, after = int(grid[moving[-1]]), int(grid[moving[-1] + 1])
    while after - before > 1:
        middle = (before + after) // 2
        still = abs(float(simulated.rates([middle])[0]) - float(rates[-1])) <= near
        before, after = (before, middle) if still else (middle, after)
    _, curve = sample(simulated.rates, after)
    falls = curve[-1] < curve.max() * (1.0 - 1e-3)
    return after if falls and name_shape(np.linspace(0.0, 1.0, len(curve)), curve) not in ENDLESS else None


def sample(rates: Callable[[Array], Array], ticks: int) -> tuple[Array, Array]:
    """Ticks and rates of a whole schedule, shape (n,) each, at `SAMPLES` intervals or at every tick."""
    at = np.unique(np.rint(np.linspace(0, ticks, min(ticks, SAMPLES) + 1)))
    return at, rates(at)
