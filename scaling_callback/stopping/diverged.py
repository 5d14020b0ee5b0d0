"""A run whose loss has left for good."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scaling_callback.records import Array, Run
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict, check_share

FACTOR = 1.25
"""How many times its best a loss must be whatever was learnt: a record that begins late, at a low loss, may lose much
of the little that it shows to a warmed-up rate, or to an error in it, alone."""

NOISES = 6.0
"""Deviations of an observation from its neighbours that it must have risen by: what is not called a spike in a curve is
no divergence either."""

NO_LOSS = (
    "its loss is no positive, finite number: no further training mends nan or inf, and no law can be fitted to a loss "
    "of 0 or below"
)
"""What is said of every loss that is none: a ladder reads one of 0 or below as nan, so which it was is not known."""


@dataclass(frozen=True, kw_only=True)
class Diverged(Rule):
    """Ends a run whose loss is no positive, finite number any more, or has risen far above its own best.

    It looks at the run alone, and needs no horizon. A spike that training recovers from is outlasted by `patience`.

    Attributes:
        unlearnt: Share of what it had learnt, from the highest loss before its best to that best, that it must have
            lost again. A model that diverges goes back to guessing by frequency, which is well below where it began.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> from scaling_callback import refresh
        >>> from scaling_callback.records import Curve, Observation, Run, RunCard
        >>> losses = [9.0, 5.0, 4.0, 3.9, 3.8, 8.1]
        >>> curve = Curve.of([Observation(1e6 * index, loss) for index, loss in enumerate(losses, 1)])
        >>> Diverged()(refresh([Run(RunCard(name="a", params=1e6), curve)]), "a").reason
        'its loss is 8.1, far above the 3.8 that it had reached: it has lost 83% of what it had learnt'
    """

    patience: int = 3
    unlearnt: float = 0.25

    name: ClassVar[str] = "diverged"
    needs: ClassVar[Needs] = "curve"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "unlearnt", at_least=1e-9, below=math.inf)

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:  # noqa: ARG002 - it looks at the run alone
        """Why a run under way should end, or `None`."""
        loss = float(run.curve.loss[-1])
        if not (math.isfinite(loss) and loss > 0):
            return Verdict(NO_LOSS)
        known = run.curve.loss[np.isfinite(run.curve.loss) & (run.curve.loss > 0)]
        place = int(np.argmin(known))
        best, learnt = float(known[place]), float(known[: place + 1].max() - known[place])
        rise = loss - best
        if place == len(known) - 1 or rise <= self.unlearnt * learnt or loss < FACTOR * best:
            return None
        if rise <= NOISES * _scatter(known[: place + 1]):
            return None
        lost = f"it has lost {rise / learnt:.0%} of what it had learnt" if learnt else "it has learnt nothing since"
        reason = f"its loss is {loss:.4g}, far above the {best:.4g} that it had reached: {lost}"
        return Verdict(reason, {"loss": loss, "best_loss": best, "learnt": learnt})


def _scatter(loss: Array) -> float:
    """Robust deviation of one observation from the middle of its neighbours; 0 where there are too few."""
    off = np.abs(loss[1:-1] - 0.5 * (loss[:-2] + loss[2:]))
    return 1.4826 * float(np.median(off)) / math.sqrt(1.5) if len(off) else 0.0
