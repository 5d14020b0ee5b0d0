"""Finished runs as they stood: cut at a progress, of which there are few, so that what is learnt there is kept."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from scaling_callback.curves.observed import observe
from scaling_callback.records import Run

MARKS = (0.01, 0.02, 0.035, 0.05, 0.075, *(round(0.05 * step, 2) for step in range(2, 20)))
"""Shares of a run at which the record is taken. A finer grid costs time with every new observation; methods change
little over a twentieth of a run."""


def mark(run: Run) -> float:
    """The mark that is nearest to what a run has seen of itself."""
    seen = observe(run)
    return min(MARKS, key=lambda share: abs(share - float(seen.progress[-1]))) if len(seen) else MARKS[0]


@lru_cache(maxsize=1024)
def cut(run: Run, progress: float) -> Run:
    """A finished run as it stood at that share of its horizon."""
    assert run.horizon is not None
    return run.until(progress * run.horizon * (1.0 + 1e-9))


def log_distance(run: Run, other: Run) -> float:
    """Distance of two runs in ln of size and horizon."""
    assert run.horizon is not None
    assert other.horizon is not None
    return float(np.hypot(np.log(other.params / run.params), np.log(other.horizon / run.horizon)))
