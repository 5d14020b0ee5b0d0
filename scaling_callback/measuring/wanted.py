"""What a user says of a run, as far as it is not to be read from the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from scaling_callback.errors import InputError
from scaling_callback.measuring.flops import CONVENTIONS
from scaling_callback.measuring.identity import read_recipe
from scaling_callback.measuring.sizes import COUNTINGS
from scaling_callback.records import is_count


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a user says of a run; what is not said is measured.

    Attributes:
        run: Its name in the ladder.
        horizon: Tokens that it is planned to train on.
        params: Which counting of N is primary, or N itself.
        sizes: N in further countings, such as `{"active": 1.3e9}`.
        flops_per_token: Training FLOPs per token: a convention, or their number.
        tokens_per_batch: Counts the tokens of a micro-batch on one rank.
        schedule: Name of the learning-rate schedule's shape.
        recipe: What all runs of the ladder must share.
        held_out: Whether it stays out of every fit.

    Raises:
        InputError: A value is out of its range.
    """

    run: str | None = None
    horizon: float | None = None
    params: str | float = "total"
    sizes: Mapping[str, float] = field(default_factory=dict[str, float])
    flops_per_token: str | float | None = None
    tokens_per_batch: Callable[[Any], Any] | None = None
    schedule: str | None = None
    recipe: Mapping[str, str | float] = field(default_factory=dict[str, str | float])
    held_out: bool = False

    def __post_init__(self) -> None:
        if not isinstance(cast("Any", self.sizes), Mapping) or not all(
            isinstance(cast("Any", name), str) and is_count(size) for name, size in self.sizes.items()
        ):
            raise InputError(f"sizes is {self.sizes!r}; it must be a mapping such as {{'active': 1.3e9}}")
        known = (*COUNTINGS, *self.sizes)
        if isinstance(self.params, str) and self.params not in known:
            raise InputError(
                f"params is {self.params!r}, no counting of N; use {', '.join(known)}, one of your own in sizes=, or "
                "a number"
            )
        for name, number in {"horizon": self.horizon, "params": self.params}.items():
            if not (number is None or isinstance(number, str)) and not is_count(number):
                raise InputError(f"{name} is {number!r}; it must be a positive, finite count")
        if not (self.flops_per_token is None or self.flops_per_token in CONVENTIONS or is_count(self.flops_per_token)):
            raise InputError(
                f"flops_per_token is {self.flops_per_token!r}; use {', '.join(CONVENTIONS)}, or a positive number"
            )
        for name, text in {"run": self.run, "schedule": self.schedule}.items():
            check_name(name, text)
        if self.tokens_per_batch is not None and not callable(self.tokens_per_batch):
            raise InputError(f"tokens_per_batch is {self.tokens_per_batch!r}; it must be a function of a batch")
        if not isinstance(cast("Any", self.held_out), bool):
            raise InputError(f"held_out is {self.held_out!r}; it must be True or False")
        object.__setattr__(self, "recipe", read_recipe(self.recipe))


def check_name(argument: str, value: Any) -> None:
    """Refuse what is neither a name nor `None`.

    Raises:
        InputError: It is neither.
    """
    if value is not None and not (isinstance(value, str) and value):
        raise InputError(f"{argument} is {value!r}; it must be a name")
