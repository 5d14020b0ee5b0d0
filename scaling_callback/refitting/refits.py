"""The refits of one live run: inside a share of its wall time, here or in a process beside the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from scaling_callback.errors import RefitFailed
from scaling_callback.ladder import Ladder
from scaling_callback.refitting.budget import RefitBudget
from scaling_callback.refitting.process import RefitProcess
from scaling_callback.refitting.refit import Ask, Refit, refit

Where: TypeAlias = Literal["training", "process"]

LAST_WAIT = 60.0
"""Seconds that the end of a training waits for the process, before it refits itself."""


class Refits:
    """Refits that are asked for while a run trains, and given when they are done.

    Args:
        ladder: What is refitted.
        share: Share of wall time that the training may wait for them; `None` for no limit.
        where: `training` refits at once, `process` beside the training: the answer is given at a later call.
        warn: Told once why the process cannot be used; then refits are made at once.

    Example:
        >>> from scaling_callback import Config
        >>> refits = Refits(Ladder("memory://refits"), share=None, where="training", warn=print)
        >>> refits.ask(Ask(Config(), run="a", loss_kind=None))
        >>> refits.take().snapshot.absent["forecast"]
        'no target was given'
        >>> refits.take() is None
        True
    """

    def __init__(self, ladder: Ladder, *, share: float | None, where: Where, warn: Callable[[str], None]) -> None:
        self._ladder = ladder
        self._budget = RefitBudget(share)
        self._process = RefitProcess(ladder.location) if where == "process" else None
        self._warn = warn
        self._done: Refit | None = None

    def ask(self, ask: Ask) -> None:
        """Refit, if there is time for it and the last one is done."""
        if self._budget.allows():
            self._refit(ask)

    def take(self, wait: float = 0.0) -> Refit | None:
        """What a refit has said since the last call, if it is done within `wait` seconds."""
        began = time.monotonic()
        try:
            if self._process is not None and self._process.busy:
                self._done = self._process.answer(wait)
        except RefitFailed as failed:
            self._leave_process(failed)
        finally:
            self._budget.wait(time.monotonic() - began)
        done, self._done = self._done, None
        return done

    def wait(self, seconds: float) -> None:
        """The training has waited so long for what follows a refit."""
        self._budget.wait(seconds)

    def last(self, ask: Ask) -> Refit | None:
        """A refit at the end of the training, unless it would not fit into the share of a long one."""
        if not self._budget.allows_last():
            return None
        self.take(LAST_WAIT)  # it did not know all that is known now
        self._refit(ask)
        done = self.take(LAST_WAIT)
        if done is None:
            self._leave_process(RefitFailed(f"no answer in {LAST_WAIT:g} seconds"))
            self._refit(ask)
            done = self.take()
        return done

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.close()

    def _refit(self, ask: Ask) -> None:
        began = time.monotonic()
        try:
            if self._process is None:
                self._done = refit(self._ladder, ask)
            elif not self._process.busy:
                self._process.ask(ask)
        except RefitFailed as failed:
            self._leave_process(failed)
            self._done = refit(self._ladder, ask)
        finally:  # a refit that fails costs its time as well
            self._budget.spend(time.monotonic() - began)

    def _leave_process(self, failed: RefitFailed) -> None:
        self.close()
        if self._process is not None:
            self._warn(f"refits cannot be made beside the training ({failed}); they are made between its steps")
        self._process = None
