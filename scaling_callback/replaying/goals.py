"""What a replay forecasts: finals that are held out of the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scaling_callback.errors import InputError
from scaling_callback.forecasting import included
from scaling_callback.records import Run, is_count
from scaling_callback.replaying.visible import last_tokens


@dataclass(frozen=True)
class Goal:
    """What a forecast is asked for, and what was then measured.

    Raises:
        InputError: A value is no positive, finite number.
    """

    params: float
    tokens: float
    loss: float
    run: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("params", self.params), ("tokens", self.tokens), ("loss", self.loss)):
            if not is_count(value):
                raise InputError(f"{self._place}: {name} is {value!r}; it must be a positive, finite number")
        if not is_count(6.0 * self.params * self.tokens):
            raise InputError(
                f"{self._place}: params {self.params:g} and tokens {self.tokens:g} take too many FLOPs for a number; "
                "give plain counts"
            )

    @property
    def _place(self) -> str:
        return "target" if self.run is None else f"target {self.run!r}"


def hold_out(
    runs: Sequence[Run], *, largest: int = 0, split: tuple[float, float] | None = None
) -> tuple[tuple[Run, ...], tuple[Goal, ...]]:
    """The ladder, and the finals that it is to forecast.

    Args:
        runs: All runs.
        largest: Hold out every run of so many largest sizes.
        split: Instead: by params * tokens the first int(A n) runs are the ladder, from int(B n) on their finals the
            goals.

    Raises:
        InputError: Nothing is left on one side.
    """
    runs = included(runs)
    if split is not None:
        begin, end = split
        if not 0 < begin <= end < 1:
            raise InputError(f"split is {begin:g},{end:g}; give two shares A,B with 0 < A <= B < 1, such as 0.7,0.85")
        ordered = sorted(runs, key=lambda run: (run.params * last_tokens(run), run.name))
        ladder, held = ordered[: int(begin * len(ordered))], ordered[int(end * len(ordered)) :]
    else:
        sizes = sorted({run.params for run in runs})
        if len(sizes) < 2:
            raise InputError(
                f"there are {len(sizes)} sizes, so none can be held out and forecast from others; give two sizes, "
                "or hold out by --split or --own"
            )
        if not 0 < largest < len(sizes):
            raise InputError(f"largest is {largest}; there are {len(sizes)} sizes, hold out 1 to {len(sizes) - 1}")
        ladder = [run for run in runs if run.params < sizes[-largest]]
        held = [run for run in runs if run.params >= sizes[-largest]]
    goals = make_goals(held)
    if not (ladder and goals):
        raise InputError(
            f"{len(ladder)} run(s) are left for the ladder, and {len(goals)} of {len(held)} held-out run(s) have a "
            "finite final; hold out other runs"
        )
    return tuple(ladder), goals


def make_goals(runs: Sequence[Run]) -> tuple[Goal, ...]:
    """The finals of finished runs, as goals."""
    return tuple(Goal(run.params, run.final.tokens, run.final.loss, run.name) for run in runs if run.final is not None)
