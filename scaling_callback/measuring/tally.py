"""The tokens of a training so far, added up without waiting for a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Tally:
    """Counts the tokens of micro-batches on one rank, and those of all ranks where they meet.

    Args:
        count: Tokens of a micro-batch: a number, or a tensor that stays on its device until the ranks meet.

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

    def __init__(self, count: Callable[[Any], int | Tensor]) -> None:
        self._count = count
        self.restart(0.0, 0)

    def restart(self, tokens: float, batches: int, lost: str | None = None) -> None:
        """Begin a training that continues after `tokens` in `batches`."""
        self.tokens, self.batches, self.lost = tokens, batches, lost
        self._began = tokens, batches
        self._pending: int | Tensor = 0  # of this rank since the last gathering
        self._gathered = batches
        self._failure: str | None = None

    def add(self, batch: Any) -> None:
        """Add a micro-batch. One that cannot be counted is remembered: without it every later sum is wrong."""
        self.batches += 1
        if self.trouble:
            return
        try:
            count = self._count(batch)
            if isinstance(count, int) and count < 0:
                raise ValueError(f"{count} tokens")
            self._pending = self._pending + (
                count if isinstance(count, int) else torch.as_tensor(count).sum(dtype=torch.int64)
            )
        except Exception as error:  # noqa: BLE001 - whatever a user's counter raises
            self._failure = f"the tokens of a batch could not be counted ({type(error).__name__}: {error})"

    @property
    def trouble(self) -> str | None:
        """Why the tokens are, or on this rank will be, no longer known."""
        return self.lost or self._failure

    def pending(self, ranks: int) -> float:
        """About how many tokens all `ranks` have added since they last met, from this one alone."""
        return float(self._pending) * ranks

    def gather(self, reduce: Callable[[Tensor], Tensor]) -> None:
        """Add up what the ranks counted since they last met; `reduce` sums a tensor (2,) over them.

        Every rank must call it at the same places.
        """
        mine = torch.as_tensor(self._pending).to(torch.int64)
        failed = torch.ones_like(mine) if self._failure else torch.zeros_like(mine)
        summed = reduce(torch.stack([mine, failed])).cpu()  # the one place that waits for the device
        counted, failures = int(summed[0]), int(summed[1])
        if failures:
            self.lost = self._failure or "the tokens of a batch could not be counted on another rank"
        elif counted < 0 or (counted == 0 and self.batches > self._gathered):
            self.lost = f"{self.batches - self._gathered} micro-batches were counted as {counted} tokens"
        else:
            self.tokens += counted
        self._pending, self._gathered = 0, self.batches

    def extrapolate(self, planned: float | None) -> float | None:
        """Tokens after `planned` micro-batches, if the rest are like those of this training so far."""
        tokens, batches = self._began
        if planned is None or self.batches <= batches:
            return None
        return self.tokens + (planned - self.batches) * (self.tokens - tokens) / (self.batches - batches)
