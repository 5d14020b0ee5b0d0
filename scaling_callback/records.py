"""What is recorded: runs, their observations, targets, and the forecasts that were issued for them.

Units throughout: parameters, tokens and FLOPs are plain counts; losses are nats per token unless the user
names another unit; times are seconds since the epoch. A value that is not known is `None` in a scalar field
and NaN in a column.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from numbers import Real
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from scaling_callback.errors import InputError

Array: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Phase: TypeAlias = Literal["annealed", "constant", "unknown"]

SCHEMA_VERSION = 1
"""Version of everything written to disk; readers accept this version and every older one."""

FINAL_PROGRESS = 0.97
"""From this share of its horizon on, the last observation of a run counts as its final (DESIGN 4.1)."""

SAME_COUNT = 0.02
"""Two sizes or horizons that differ by no more than this fraction are the same."""

ANNEALED_BELOW = 0.5
"""A run whose last learning rate is below this share of its peak has been annealed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One measured point of a run.

    Attributes:
        tokens: Tokens trained on so far (a count, not of this step alone).
        loss: The monitored loss; may be NaN or infinite when training diverged.
        step: Optimiser step, if known.
        lr: Learning rate, if known.
        wall_time: Seconds since the epoch, if known.
        is_final: Whether this is flagged as the end of the run's schedule.
    """

    tokens: float
    loss: float
    step: float = math.nan
    lr: float = math.nan
    wall_time: float = math.nan
    is_final: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """The observations of one run as columns of equal length `n`, by increasing tokens.

    Example:
        >>> curve = Curve.of([Observation(2e6, 3.1), Observation(1e6, 4.0)])
        >>> curve.tokens.tolist(), curve.loss.tolist()
        ([1000000.0, 2000000.0], [4.0, 3.1])
    """

    tokens: Array
    loss: Array
    step: Array
    lr: Array
    wall_time: Array
    is_final: BoolArray

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Curve:
        """The curve through `observations`, sorted by tokens; of equal tokens the last stays."""
        latest = {observation.tokens: observation for observation in observations}
        ordered = [latest[tokens] for tokens in sorted(latest)]
        numbers = ("tokens", "loss", "step", "lr", "wall_time")
        columns = {name: np.array([getattr(o, name) for o in ordered], dtype=float) for name in numbers}
        return cls(**columns, is_final=np.array([o.is_final for o in ordered], dtype=bool))

    def take(self, mask: BoolArray) -> Curve:
        """The observations where `mask` (n,) is true."""
        return Curve(**{column.name: getattr(self, column.name)[mask] for column in fields(self)})

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Observation:
        return Observation(
            tokens=float(self.tokens[index]),
            loss=float(self.loss[index]),
            step=float(self.step[index]),
            lr=float(self.lr[index]),
            wall_time=float(self.wall_time[index]),
            is_final=bool(self.is_final[index]),
        )

    def __iter__(self) -> Iterator[Observation]:
        return (self[index] for index in range(len(self)))


@dataclass(frozen=True, kw_only=True)
class RunCard:
    """Who a run is: what is known of it without its losses.

    Attributes:
        name: Its name, unique in its ladder.
        params: N in the primary counting convention.
        sizes: N in every counting convention that is known, by name.
        horizon: The tokens it is planned to train on; `None` if unknown.
        schedule: The learning-rate schedule in words.
        peak_lr: The highest learning rate of the schedule.
        seed: The seed of its initialisation and data order.
        parent: The run that this one branched from.
        parent_step: The step of the parent at which it did.
        batch_tokens: Tokens in one optimiser step.
        flops_per_token: Training FLOPs per token; 6 N where not measured.
        loss_kind: What the loss is: the monitored metric, the data set.
        held_out: Recorded to be compared with the forecast, and never part of the evidence.
        recipe: What all runs of a ladder must share (architecture, data, tokenizer, metric).
        created: When it began, in seconds since the epoch.
        extra: Anything else worth keeping (software versions, hardware).
    """

    name: str
    params: float
    sizes: Mapping[str, float] = field(default_factory=dict[str, float])
    horizon: float | None = None
    schedule: str | None = None
    peak_lr: float | None = None
    seed: str | None = None
    parent: str | None = None
    parent_step: int | None = None
    batch_tokens: float | None = None
    flops_per_token: float | None = None
    loss_kind: str | None = None
    held_out: bool = False
    recipe: Mapping[str, str] = field(default_factory=dict[str, str])
    created: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: its card, its curve, and what was odd about its record.

    Attributes:
        card: Who it is.
        curve: What was measured.
        notes: Sentences on what was left out or repaired while reading it.
        completed: Whether the training said that it reached the end of its plan.

    Example:
        >>> card = RunCard(name="a", params=1e6, horizon=2e6)
        >>> run = Run(card, Curve.of([Observation(1e6, 4.0), Observation(2e6, 3.1)]))
        >>> run.progress.tolist(), run.final.loss
        ([0.5, 1.0], 3.1)
    """

    card: RunCard
    curve: Curve
    notes: tuple[str, ...] = ()
    completed: bool = False

    def until(self, tokens: float) -> Run:
        """The run as it stood after `tokens`: what was observed later is unknown, and so is that it completed."""
        return Run(self.card, self.curve.take(self.curve.tokens <= tokens), self.notes)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.card.name

    @property
    def params(self) -> float:
        """N in the primary counting convention."""
        return self.card.params

    @cached_property
    def horizon(self) -> float | None:
        """Planned tokens; those trained on where the plan is unknown and the run completed."""
        if self.card.horizon is None and self.completed and len(self.curve):
            return float(self.curve.tokens[-1])
        return self.card.horizon

    @cached_property
    def progress(self) -> Array:
        """Share of the horizon at each observation, in (0, 1]; NaN where no horizon is known."""
        if self.horizon is None:
            return np.full(len(self.curve), np.nan)
        return np.minimum(self.curve.tokens / self.horizon, 1.0)

    @cached_property
    def final(self) -> Observation | None:
        """The observation that ends the run's schedule, or `None` if it has not ended.

        The last flagged observation, else the last one at progress 0.97 or more. A final whose loss is
        no positive, finite number is none.
        """
        candidates = np.flatnonzero(self.curve.is_final)
        if not len(candidates):
            candidates = np.flatnonzero(self.progress >= FINAL_PROGRESS)
        if not len(candidates):
            return None
        last = self.curve[int(candidates[-1])]
        return last if is_count(last.loss) else None

    @cached_property
    def phase(self) -> Phase:
        """Whether the run's schedule anneals the learning rate, holds it, or is unknown.

        Decided from the recorded learning rates where there are any, else from the words of the schedule.
        """
        rates = self.curve.lr[np.isfinite(self.curve.lr)]
        peak = max([*rates, self.card.peak_lr or 0.0], default=0.0)
        if self.final is not None and math.isfinite(self.final.lr) and peak > 0:
            return "annealed" if self.final.lr < ANNEALED_BELOW * peak else "constant"
        words = (self.card.schedule or "").lower()
        if "const" in words and "cool" not in words and "anneal" not in words:
            return "constant"
        return "annealed" if words and "unknown" not in words else "unknown"

    @property
    def flops_per_token(self) -> float:
        """Training FLOPs per token: measured where the card has it, else 6 N."""
        return self.card.flops_per_token or 6.0 * self.params

    @property
    def planned_flops(self) -> float | None:
        """Compute of the whole run in FLOPs, or `None` while its horizon is unknown."""
        return None if self.horizon is None else self.flops_per_token * self.horizon

    @property
    def cluster(self) -> str:
        """The trunk of a branch, else the run itself: what a bootstrap resamples as one."""
        return self.card.parent or self.name


def is_count(value: Any) -> bool:
    """Whether a value is a positive, finite number.

    Example:
        >>> is_count(7e9), is_count(0), is_count(math.inf), is_count(True), is_count("7B")
        (True, False, False, False, False)
    """
    if not isinstance(value, Real) or isinstance(cast("Any", value), bool):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:  # a whole number beyond any float
        return False


def as_count(text: str) -> float | None:
    """A text as a positive, finite number; `None` where it is none.

    Example:
        >>> as_count("2e9"), as_count("-1"), as_count("torch")
        (2000000000.0, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_count(value) else None


def same_count(one: float | None, other: float | None) -> bool:
    """Whether two counts (sizes, horizons) are known and differ by at most 2%.

    Example:
        >>> same_count(1.00e9, 1.01e9), same_count(1.0e9, 1.1e9)
        (True, False)
    """
    return one is not None and other is not None and abs(one - other) <= SAME_COUNT * max(one, other)


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
