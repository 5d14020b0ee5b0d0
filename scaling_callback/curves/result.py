"""What is said of a running run's final loss."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from statistics import NormalDist


@dataclass(frozen=True)
class FinalForecast:
    """The loss that a run is expected to end at.

    Attributes:
        median: In units of the loss.
        spread: Standard deviation around it, in units of the loss.
        method: How it was made.
        templates: How many finished runs took part.

    Example:
        >>> lower, upper = FinalForecast(median=3.0, spread=0.1, method="template", templates=4).interval(0.9)
        >>> round(lower, 4), round(upper, 4)
        (2.8399, 3.1691)
    """

    median: float
    spread: float
    method: str
    templates: int

    def interval(self, level: float = 0.9) -> tuple[float, float]:
        """The central interval of a log-normal distribution with this median and spread: no loss is negative."""
        half = NormalDist().inv_cdf((1 + level) / 2) * self.spread / self.median
        return self.median * exp(-half), self.median * exp(half)


@dataclass(frozen=True)
class Abstention:
    """Nothing honest can be said, and why.

    Attributes:
        code: The precondition that is missing, as one word.
        reason: The sentence that the user reads.
    """

    code: str
    reason: str
