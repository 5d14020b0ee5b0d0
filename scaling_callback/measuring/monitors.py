"""The losses that a callback monitors, and which of their values are new (of either Lightning namespace)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor

from scaling_callback.errors import InputError, WarnOnce


def read_monitors(monitor: Any) -> tuple[str, ...]:
    """Names of the losses, the first one first.

    Raises:
        InputError: It is neither a name nor a list of different names.

    Example:
        >>> read_monitors("val_loss"), read_monitors(["val_loss", "val_code"])
        (('val_loss',), ('val_loss', 'val_code'))
    """
    if isinstance(monitor, str) or not isinstance(monitor, Sequence):
        monitor = (monitor,)
    monitors = tuple(cast("Sequence[Any]", monitor))
    if (
        not monitors
        or len(set(map(str, monitors))) < len(monitors)
        or not all(isinstance(m, str) and m for m in monitors)
    ):
        shown = monitors[0] if len(monitors) == 1 else list(monitors)
        raise InputError(f"monitor is {shown!r}; it must be a name, or a list of different names")
    return monitors


class Monitors:
    """Finds the values of monitored losses that were not yet observed in a training; the first rank asks it.

    Args:
        names: Metrics that are losses.
        warn: Told of a metric that does not exist.
    """

    def __init__(self, names: Sequence[str], warn: WarnOnce) -> None:
        self._names = names
        self._warn = warn
        self._seen: dict[str, Any] = {}  # the values that were found last
        self._seen_after: dict[str, int] = {}  # and after how many micro-batches

    def find(self, trainer: Any, batches: int, *, validated: bool) -> dict[str, float]:
        """The losses that are there and new after `batches` micro-batches; they count as observed from now on.

        Args:
            trainer: The Trainer.
            batches: Micro-batches of this rank.
            validated: Whether a validation has just ended; else an epoch of the training has.
        """
        metrics = trainer.callback_metrics
        logged = {name: _find_results(trainer, name) for name in self._names}
        for name in self._names:
            if validated and name not in metrics and not logged[name]:
                known = ", ".join(sorted(metrics)) or "none at all"
                self._warn(
                    f"the metric {name!r} was not logged; monitor= one of those that were: {known}",
                    about=f"monitor {name}",
                )
        fresh = {
            name: metrics[name]
            for name in self._names
            if name in metrics
            # a stop in mid-epoch validates once more; steps are no clock where optimisation is manual
            and self._seen_after.get(name) != batches
            and not _same_value(metrics[name], self._seen.get(name))
            and not (validated and _comes_with_epochs(logged[name]))
        }
        self._seen |= fresh
        self._seen_after |= dict.fromkeys(fresh, batches)
        return {name: float(value) for name, value in fresh.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Without the values, which may lie on a device."""
        return {**self.__dict__, "_seen": {}}


def _find_results(trainer: Any, name: str) -> list[Any]:
    """What the training has logged under this name so far, also for the end of its epoch."""
    results: Any = getattr(trainer.fit_loop.epoch_loop, "_results", {})
    return [result for key, result in results.items() if str(key).partition(".")[2] == name]


def _comes_with_epochs(results: Sequence[Any]) -> bool:
    """Whether the training logs it at the end of its epochs alone: before that, an old value is to be seen."""
    kept = [getattr(result, "meta", None) for result in results]
    return bool(kept) and all(getattr(meta, "on_epoch", False) and not getattr(meta, "on_step", True) for meta in kept)


def _same_value(value: Any, other: Any) -> bool:
    """Whether two tensors are views of one memory: Lightning hands out a new view of a stale metric each time."""
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return value.data_ptr() == other.data_ptr()
    return value is other
