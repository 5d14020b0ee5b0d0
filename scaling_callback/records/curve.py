"""What was measured of one run: observations, and the columns that they make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]

NUMBERS = ("tokens", "loss", "step", "lr", "wall_time")
"""Columns of a curve that hold numbers; `is_final` holds truth values."""


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
        columns = {name: np.array([getattr(o, name) for o in observations], dtype=float) for name in NUMBERS}
        return cls.of_columns({**columns, "is_final": np.array([o.is_final for o in observations], dtype=bool)})

    @classmethod
    def of_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Curve:
        """The same from columns of equal length in the order recorded, by the names of an observation's fields.

        Example:
            >>> columns = {name: np.array([2.0, 1.0, 2.0]) for name in NUMBERS}
            >>> Curve.of_columns({**columns, "loss": np.array([3.1, 4.0, 3.0]), "is_final": np.zeros(3, bool)}).loss
            array([4., 3.])
        """
        tokens = columns["tokens"]
        if (np.diff(tokens) > 0).all():  # as almost every run is recorded
            return cls(**columns)
        order = np.argsort(tokens, kind="stable")
        last = np.append(np.diff(tokens[order]) != 0, np.ones(min(len(order), 1), dtype=bool))
        return cls(**{name: column[order[last]] for name, column in columns.items()})

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
        return map(Observation, *(getattr(self, column.name).tolist() for column in fields(Observation)))
