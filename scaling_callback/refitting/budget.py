"""When there is time for a refit."""

from __future__ import annotations

import time
from collections.abc import Callable

SHORT = 600.0
"""Seconds of a training that is short: it refits at its end whatever that costs."""


class RefitBudget:
    """A share of a training's wall time, and how much of it refits have taken.

    Refits begin at once and then keep their distance: the next one waits until it, and a last one beside it, fit
    into the share. The share is counted as of a training of at least ten minutes, so that a training that takes
    longer never spends more and a short one is not silent until it ends.

    Args:
        share: Share of wall time from 0 to 1; `None` for no limit.
        clock: Seconds of a clock that never goes back.

    Example:
        >>> now = 0.0
        >>> budget = RefitBudget(0.01, clock=lambda: now)
        >>> budget.spend(2.0)
        >>> budget.allows(), budget.allows_last()
        (True, True)
        >>> budget.spend(2.0)
        >>> budget.allows(), budget.allows_last()
        (False, True)
        >>> now = 1000.0
        >>> budget.allows()
        True
    """

    def __init__(self, share: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._began = clock()
        self._spent = 0.0
        self._cost = 0.0  # of the last refit, which is what the next one is expected to cost

    def spend(self, seconds: float) -> None:
        """A refit has kept the training waiting for so long."""
        self._spent += seconds
        self._cost = seconds

    def wait(self, seconds: float) -> None:
        """The training has waited so long for a refit that is made elsewhere."""
        self._spent += seconds

    def allows(self) -> bool:
        """Whether there is time for a refit now, and for one more at the end."""
        return self._share is None or self._spent + 2 * self._cost <= self._share * max(self._elapsed(), SHORT)

    def allows_last(self) -> bool:
        """Whether there is time for a refit now, at the end of the training."""
        elapsed = self._elapsed()
        return self._share is None or elapsed < SHORT or self._spent + self._cost <= self._share * elapsed

    def _elapsed(self) -> float:
        return self._clock() - self._began
