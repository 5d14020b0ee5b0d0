"""A run may cost so much and no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, cast

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import Curve, Run
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict

PAUSE = 10.0
"""Times what its tokens usually take from which the time between two observations is a pause: a job that was not
running. Anything shorter cannot be told from slow training (a long validation, a busy disk), and counts."""


@dataclass(frozen=True, kw_only=True)
class Budget(Rule):
    """Ends a run that has spent what it may, whatever it could still reach. It forecasts nothing: it is never wrong.

    The limit that is reached first ends it. With a `min_progress` it goes on until then, however much it has spent.

    Attributes:
        flops: Compute in FLOPs, by the run's FLOPs per token.
        tokens: Tokens; those of the trunk count in a branch, as they do in its horizon.
        hours: Hours that it trained between its first and its last observation. The time between two jobs, while it
            waited to be resumed, is none of them (`count_hours`); without wall times nothing has been spent.

    Raises:
        InputError: No limit is given, or one is no positive, finite number.

    Example:
        >>> from scaling_callback import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> run = planted_ladder()[-1]
        >>> Budget(tokens=1e9)(refresh([run.until(2e9)]), run.name).reason
        'it has spent 2B tokens, of 1B that it may'
    """

    flops: float | None = None
    tokens: float | None = None
    hours: float | None = None

    name: ClassVar[str] = "budget"
    needs: ClassVar[Needs] = "curve"

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = self._limits
        if not limits:
            raise InputError("budget has no limit; give flops=, tokens= or hours=")
        for name, limit in limits.items():
            if not isinstance(cast("Any", limit), Real) or isinstance(limit, bool) or not 0 < limit < math.inf:
                raise InputError(f"budget: {name} is {limit!r}; it must be a positive, finite number")

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:  # noqa: ARG002 - it looks at the run alone
        """Why a run under way should end, or `None`."""
        for name, limit in self._limits.items():
            spent = _SPENT[name](run)
            if spent >= limit:
                said = _WORDS[name]
                reason = f"it has spent {said(spent)} {_UNITS[name]}, of {said(limit)} that it may"
                return Verdict(reason, {f"spent_{name}": spent, f"limit_{name}": float(limit)})
        return None

    @property
    def _limits(self) -> Mapping[str, float]:
        given = {"flops": self.flops, "tokens": self.tokens, "hours": self.hours}
        return {name: limit for name, limit in given.items() if limit is not None}


def count_hours(curve: Curve) -> float:
    """Hours of training between the first and the last observation that have a wall time.

    Nothing but these times is known. A gap `PAUSE` times as long as its tokens take at the median pace is one in which
    the job was not running, and so is one in which the clock was set back: each counts what its tokens usually take.

    Example:
        >>> from scaling_callback.records import Curve, Observation
        >>> hour = 3600.0
        >>> times = [0 * hour, 1 * hour, 2 * hour, 50 * hour, 51 * hour]
        >>> count_hours(Curve.of([Observation(1e6 * i, 3.0, wall_time=t) for i, t in enumerate(times, start=1)]))
        4.0
    """
    timed = np.isfinite(curve.wall_time)
    gaps, tokens = np.diff(curve.wall_time[timed]), np.diff(curve.tokens[timed])
    forward = gaps > 0
    if not forward.any():
        return 0.0
    usual = float(np.median(gaps[forward] / tokens[forward])) * tokens
    return float(np.where(forward & (gaps < PAUSE * usual), gaps, usual).sum()) / 3600.0


def _say_count(count: float) -> str:
    """A count with three digits and its suffix: 1B, 2.35T."""
    # 999.5k would be said as 1e+03k, so it already belongs to the next suffix
    suffix, unit = next(((s, u) for s, u in _SUFFIXES if count >= 0.9995 * u), ("", 1.0))
    return f"{count / unit:.3g}{suffix}"


_SUFFIXES = (("P", 1e15), ("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3))


def _spend_tokens(run: Run) -> float:
    return float(run.curve.tokens[-1])


_SPENT: dict[str, Callable[[Run], float]] = {
    "flops": lambda run: _spend_tokens(run) * run.flops_per_token,
    "tokens": _spend_tokens,
    "hours": lambda run: count_hours(run.curve),
}

_UNITS = {"flops": "FLOPs", "tokens": "tokens", "hours": "hours"}

_WORDS: dict[str, Callable[[float], str]] = {
    "flops": lambda flops: f"{flops:.2e}".replace("e+", "e"),
    "tokens": _say_count,
    "hours": lambda hours: f"{hours:.3g}",
}
"""How each is said, with three digits, so that what was spent is not said to be less than what it may."""
