"""What a forecast is for, and the forecasts that were issued."""

from __future__ import annotations

from dataclasses import dataclass

from scaling_callback.errors import InputError
from scaling_callback.records.counts import is_count


@dataclass(frozen=True)
class Target:
    """What a forecast is for: a model of `params` trained on `tokens`, or the best one for `flops`.

    Raises:
        InputError: A value is not a positive, finite count, or neither form is complete.

    Example:
        >>> Target(params=7e9, tokens=4e12).compute
        1.68e+23
    """

    params: float | None = None
    tokens: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        for name in ("params", "tokens", "flops"):
            value = getattr(self, name)
            if value is not None and not is_count(value):
                raise InputError(f"target {name} is {value!r}; it must be a positive, finite count")
        pair = self.params is not None and self.tokens is not None
        if pair == (self.flops is not None) or (self.params is None) != (self.tokens is None):
            raise InputError("a target is either params=... and tokens=..., or flops=... alone; give one of the two")

    @property
    def compute(self) -> float:
        """Its compute in FLOPs: as given, else 6 N D."""
        if self.flops is not None:
            return self.flops
        assert self.params is not None
        assert self.tokens is not None
        return 6.0 * self.params * self.tokens


@dataclass(frozen=True, kw_only=True)
class IssuedForecast:
    """A forecast that was made while training, kept so that it can be scored when the truth is known.

    Attributes:
        by: The run that made it.
        at_tokens: Tokens that this run had seen.
        run: The run whose final it is for; `None` for the ladder's target.
        params: N of what is forecast.
        tokens: D of what is forecast.
        median: Forecast loss.
        lower: Lower end of its interval.
        upper: Upper end of its interval.
        level: Nominal coverage of the interval.
        forecaster: Who made it.
        wall_time: When, in seconds since the epoch.
        loss_kind: What loss it is of.
    """

    by: str
    at_tokens: float
    run: str | None
    params: float
    tokens: float
    median: float
    lower: float
    upper: float
    level: float
    forecaster: str
    wall_time: float
    loss_kind: str | None = None
