"""Forecasts beside what was then measured, and what they say together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """One forecast and the loss that was then measured."""

    run: str
    median: float
    lower: float
    upper: float
    measured: float

    @property
    def error(self) -> float:
        """(forecast - measured) / measured."""
        return (self.median - self.measured) / self.measured

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds the measured loss; `None` without one."""
        if not (np.isfinite(self.lower) and np.isfinite(self.upper)):
            return None
        return self.lower <= self.measured <= self.upper


@dataclass(frozen=True)
class TrackRecord:
    """Scores, and what they say together; `None` where there are none."""

    scores: tuple[Score, ...] = ()

    @property
    def are(self) -> float | None:
        """Mean absolute relative error, as a fraction."""
        return float(np.mean([abs(score.error) for score in self.scores])) if self.scores else None

    @property
    def bias(self) -> float | None:
        """Mean relative error, as a fraction: positive where forecasts were too high."""
        return float(np.mean([score.error for score in self.scores])) if self.scores else None

    @property
    def coverage(self) -> float | None:
        """Share of intervals that hold the measured loss."""
        known = [score.covered for score in self.scores if score.covered is not None]
        return float(np.mean(known)) if known else None
