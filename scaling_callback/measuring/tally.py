"""The tokens of a training so far, added up without waiting for a device."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor


def batch_copies(trainer: Any) -> int:
    """How many ranks train on the same micro-batch: those of one tensor-parallel group; else 1.

    Ranks that are given the same data in any other way cannot be told from those that are not.
    """
    # a property that needs a mesh, which strategies other than ModelParallelStrategy do not have
    sampled: Any = getattr(trainer.strategy, "distributed_sampler_kwargs", None) or {}
    replicas = int(sampled.get("num_replicas") or trainer.world_size)
    return max(trainer.world_size // replicas, 1)


class Tally:
    """Counts the tokens of micro-batches on one rank, and those of all ranks where they meet.

    Args:
        count: Tokens of a micro-batch: a number, or a tensor that stays on its device until the ranks meet. A tensor
            may have any shape and is summed; what is negative in it is seen only where the sum is.

    Attributes:
        tokens: Tokens of all ranks, as of the last `gather`.
        batches: Micro-batches of this rank.
        lost: Why the tokens are no longer known; `None` while they are.

    Example:
        >>> tally = Tally(lambda batch: batch.numel())
        >>> tally.add(torch.zeros(8, 128))
        >>> tally.gather(lambda counts: counts)
        >>> tally.tokens, tally.batches, tally.extrapolate(10)
        (1024.0, 1, 10240.0)
    """

    def __init__(self, count: Callable[[Any], int | float | Tensor]) -> None:
        self._count = count
        self.restart(0.0, 0)

    def restart(self, tokens: float, batches: int, lost: str | None = None, *, copies: int = 1) -> None:
        """Begin a training that continues after `tokens` in `batches`; `copies` ranks see each micro-batch."""
        self.tokens, self.batches, self.lost = tokens, batches, lost
        self._began = tokens, batches
        self._copies = copies
        self._known: float = 0  # of this rank since the last gathering, as far as it is known without a device
        self._pending: dict[torch.device, Tensor] = {}  # the rest, on each device
        self._gathered = batches
        self._failure: str | None = None

    def add(self, batch: Any) -> None:
        """Add a micro-batch. One that cannot be counted is remembered: without it every later sum is wrong."""
        self.batches += 1
        if self.lost is not None or self._failure is not None:
            return
        try:
            count = self._count(batch)
            if type(count) is int and count >= 0:
                self._known += count
            elif type(count) is Tensor and count.dtype is torch.int64 and count.ndim == 0:
                self._keep(count)
            elif isinstance(count, Real):
                self._known += _checked(count)
            else:
                self._keep(_summed(count))
        except Exception as error:  # noqa: BLE001 - whatever a user's counter raises
            self._failure = f"the tokens of a batch could not be counted ({type(error).__name__}: {error})"

    def _keep(self, count: Tensor) -> None:
        # a new sum and not in place: what was made in inference mode must not be changed outside it, and the first
        # count may be a buffer of the user's own
        kept = self._pending.get(count.device)
        self._pending[count.device] = count.clone() if kept is None else kept + count

    @property
    def trouble(self) -> str | None:
        """Why the tokens are, or on this rank will be, no longer known."""
        return self.lost or self._failure

    def pending(self, ranks: int) -> float:
        """About how many tokens all `ranks` have added since they last met, from this one alone; waits for a device."""
        return self._read() * ranks / self._copies

    def gather(self, reduce: Callable[[Tensor], Tensor]) -> None:
        """Add up what the ranks counted since they last met; `reduce` sums a tensor (2,) over them.

        Every rank must call it at the same places. It waits for the device.
        """
        try:
            counts = torch.tensor([round(self._read()), int(self._failure is not None)], dtype=torch.int64)
        except Exception as error:  # noqa: BLE001 - the other ranks wait for this one
            counts = torch.tensor([0, 1], dtype=torch.int64)
            self._failure = f"the tokens of a batch could not be added up ({type(error).__name__}: {error})"
        summed = reduce(counts).cpu()
        counted, failures = int(summed[0]), int(summed[1])
        if failures:
            self.lost = self._failure or "the tokens of a batch could not be counted on another rank"
        elif counted < 0 or (counted == 0 and self.batches > self._gathered):
            self.lost = f"{self.batches - self._gathered} micro-batches were counted as {counted} tokens"
        else:
            self.tokens += counted / self._copies
        self._known, self._pending, self._gathered = 0, {}, self.batches

    def _read(self) -> float:
        return self._known + sum(total.item() for total in self._pending.values())

    def extrapolate(self, planned: float | None) -> float | None:
        """Tokens after `planned` micro-batches, if the rest are like those of this training so far."""
        tokens, batches = self._began
        if planned is None or self.batches <= batches:
            return None
        return self.tokens + (planned - self.batches) * (self.tokens - tokens) / (self.batches - batches)


def _checked(count: Any) -> float:
    """A count that is a number of its own, such as a float or one of numpy's."""
    if isinstance(count, bool) or not 0 <= count < math.inf:
        raise ValueError(f"{count} tokens")
    return int(count) if count == int(count) else float(count)


def _summed(count: Any) -> Tensor:
    """A count that is a tensor or an array of any shape, summed without the graph that it may be part of."""
    if count is None or isinstance(count, str):
        raise TypeError(f"{count!r} is no number and no tensor")
    counts = torch.as_tensor(count).detach()
    return counts.sum(dtype=torch.float64 if counts.is_floating_point() else torch.int64)
