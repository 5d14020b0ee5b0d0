"""A run may cost so much and no more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import Run
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict


@dataclass(frozen=True, kw_only=True)
class Budget(Rule):
    """Ends a run that has spent what it may, whatever it could still reach. It forecasts nothing: it is never wrong.

    Attributes:
        flops: Compute in FLOPs.
        tokens: Tokens.
        hours: Hours between its first and its last observation.

    Raises:
        InputError: No limit is given, or one is no positive number.

    Example:
        >>> from scaling_callback import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> run = planted_ladder()[-1]
        >>> Budget(tokens=1e9)(refresh([run.until(2e9)]), run.name).reason
        'it has spent 2e+09 tokens, of 1e+09 that it may'
    """

    flops: float | None = None
    tokens: float | None = None
    hours: float | None = None

    name: ClassVar[str] = "budget"
    needs: ClassVar[Needs] = "curve"

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = {"flops": self.flops, "tokens": self.tokens, "hours": self.hours}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        if not given:
            raise InputError("budget has no limit; give flops=, tokens= or hours=")
        for name, limit in given.items():
            if not isinstance(cast("Any", limit), Real) or limit is True or not 0 < limit < math.inf:
                raise InputError(f"budget: {name} is {limit!r}; it must be a positive, finite number")

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:  # noqa: ARG002 - it looks at the run alone
        """Why a run under way should end, or `None`."""
        tokens = float(run.curve.tokens[-1])
        clock = run.curve.wall_time[np.isfinite(run.curve.wall_time)]
        spent = {
            "flops": tokens * run.flops_per_token,
            "tokens": tokens,
            "hours": float(np.ptp(clock)) / 3600.0 if len(clock) else 0.0,
        }
        limits = {"flops": self.flops, "tokens": self.tokens, "hours": self.hours}
        for name, limit in limits.items():
            if limit is not None and spent[name] >= limit:
                reason = f"it has spent {spent[name]:.3g} {_UNITS[name]}, of {limit:.3g} that it may"
                return Verdict(reason, {f"spent_{name}": spent[name], f"limit_{name}": limit})
        return None


_UNITS = {"flops": "FLOPs", "tokens": "tokens", "hours": "hours"}
