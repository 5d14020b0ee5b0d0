"""The rows of a replay, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from scaling_callback.replaying.goals import Goal


@dataclass(frozen=True)
class Row:
    """One forecast of a replay, or why there is none (then `median` is `None`).

    `warnings` are the names of the doubts that stood beside the default's forecast of a target.
    """

    fraction: float
    goal: Goal
    forecaster: str
    median: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def error(self) -> float | None:
        """(forecast - measured) / measured."""
        return None if self.median is None else (self.median - self.goal.loss) / self.goal.loss

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds what was measured; `None` without one."""
        if self.lower is None or self.upper is None:
            return None
        return self.lower <= self.goal.loss <= self.upper


@dataclass(frozen=True)
class Summary:
    """What the forecasts of one forecaster at one fraction come to.

    Attributes:
        are: Mean absolute relative error, as a fraction; `None` where none was answered.
        median_are: The median of the same.
        bias: Mean relative error.
        coverage: Share of the intervals that hold what was measured.
        answered: How many forecasts there are.
        asked: How many were asked for.
    """

    are: float | None
    median_are: float | None
    bias: float | None
    coverage: float | None
    answered: int
    asked: int


@dataclass(frozen=True)
class Replay:
    """Every forecast of a replay, by fraction, then goal, then forecaster."""

    rows: tuple[Row, ...]

    def summary(self) -> dict[str, dict[float, Summary]]:
        """By forecaster and fraction."""
        found: dict[str, dict[float, Summary]] = {}
        rows = sorted(self.rows, key=lambda row: (row.forecaster, row.fraction))
        for (forecaster, fraction), group in groupby(rows, key=lambda row: (row.forecaster, row.fraction)):
            found.setdefault(forecaster, {})[fraction] = _summarise(list(group))
        # those that the user gets first, in the order of the rows
        return {name: found[name] for name in dict.fromkeys(row.forecaster for row in self.rows)}


def _summarise(rows: Sequence[Row]) -> Summary:
    errors = [row.error for row in rows if row.error is not None]
    held = [row.covered for row in rows if row.covered is not None]
    return Summary(
        are=float(np.mean(np.abs(errors))) if errors else None,
        median_are=float(np.median(np.abs(errors))) if errors else None,
        bias=float(np.mean(errors)) if errors else None,
        coverage=float(np.mean(held)) if held else None,
        answered=len(errors),
        asked=len(rows),
    )
