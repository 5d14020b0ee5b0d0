"""The answers under many choices, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scaling_callback.records import Target


@dataclass(frozen=True)
class Row:
    """The answer under one choice.

    Attributes:
        choice: What was done.
        group: What kind of choice it is.
        status: `converged` is a certified optimum, `not_converged` none; a procedure `reached` it or `stalled`.
        params: Natural parameters by name.
        tokens_per_param: Optimal D/N at the panel's budget; `None` where there is none.
        loss: Forecast loss at the target, else at that optimum; `None` where it cannot be said.
        over_optimum: Objective over the certified one of the same problem.
        points: How many points were fitted.
        diagnostics: What these points cannot say, by name; of a published procedure, in what it fails: `stalled`,
            `order_dependent`, `misses_optimum`.
        verdict: What became of a published procedure, in words; empty for a certified search.
        intervals: Lower and upper ends by name of a natural parameter, `tokens_per_param` and `loss`; empty without
            replicates. A value without an interval is not there.
        success: Whether the optimiser of a published procedure says that it converged; `None` for a certified search.
    """

    choice: str
    group: str
    status: str
    params: Mapping[str, float]
    tokens_per_param: float | None
    loss: float | None
    over_optimum: float | None
    points: int
    diagnostics: Mapping[str, str]
    verdict: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    success: bool | None = None


@dataclass(frozen=True)
class Spread:
    """Lowest and highest of some answers, and their ratio.

    Example:
        >>> Spread.of([2.0, 5.0, None])
        Spread(lowest=2.0, highest=5.0, ratio=2.5)
    """

    lowest: float | None = None
    highest: float | None = None
    ratio: float | None = None

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """That of the values that are known."""
        known = [value for value in values if value is not None]
        if not known:
            return cls()
        return cls(min(known), max(known), max(known) / min(known) if min(known) > 0 else math.inf)


@dataclass(frozen=True)
class Panel:
    """How choices move the answer.

    Attributes:
        flops: Budget of the optimal D/N.
        target: What the forecast loss is for; `None` is the optimum of each row at the budget.
        rows: One a choice that the ladder carries, the base first.
        skipped: Why the other choices could not be made, by name.
        level: Nominal coverage of the intervals, where there are any.
    """

    flops: float
    target: Target | None
    rows: tuple[Row, ...]
    skipped: Mapping[str, str] = field(default_factory=dict[str, str])
    level: float = 0.9

    def spread(self, value: str, *, converged: bool) -> Spread:
        """Of `loss` or `tokens_per_param`, over certified optima or over all rows."""
        return Spread.of([getattr(row, value) for row in self.rows if row.status == "converged" or not converged])
