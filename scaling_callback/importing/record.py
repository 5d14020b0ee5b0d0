"""One run as another tool keeps it: who it is, and rows of metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from scaling_callback.records import Array

State: TypeAlias = Literal["finished", "unfinished", "unknown"]
"""Whether the training has reached its end; of most files nobody can tell."""

DEEPEST = 16
"""Levels of a nested configuration that are looked into."""


class LeftOut(Exception):
    """Raised where it is found that a run cannot be imported, and the others can: the reason in words."""


@dataclass(frozen=True, eq=False)
class Log:
    """Rows of metrics, in the order recorded.

    Attributes:
        columns: The metrics that were asked for, each (n,); NaN where a row does not hold it, or holds a NaN.
        held: Which rows hold each of them, (n,): a loss that is NaN is a measurement, one that is absent is none.
        order: Where a row stands in the record, (n,), increasing.
        step: The step of each row as the tool itself counts them, (n,); `None` where it counts none.
        wall_time: When, in seconds since the epoch, (n,); NaN where unknown.
        counts_training: Whether `step` counts steps of the training, which fall back when it resumes.
    """

    columns: Mapping[str, Array]
    held: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]
    order: Array
    step: Array | None
    wall_time: Array
    counts_training: bool = True


@dataclass(frozen=True, kw_only=True)
class Record:
    """One run as another tool keeps it.

    Attributes:
        name: What people call it.
        identity: What no other run of any source is called; the same at each import.
        source: The kind of place it comes from.
        metrics: Names of what was logged over time.
        config: What was configured, by flat names.
        summary: The last values of the metrics, and whatever else was noted at the end.
        read: The rows of some of the metrics. Raises `LeftOut` where those of this run cannot be read.
        state: Whether its training has ended.
        ordered: Whether its rows stand in the order recorded: those of a table need not.
        created: When it began, in seconds since the epoch.
        card: Fields of its card that the source itself tells, by their names.
        facts: What its card will say of where it comes from.
        fault: Why nothing of it can be read; empty where it can.
    """

    name: str
    identity: str
    source: str
    metrics: Sequence[str]
    read: Callable[[Sequence[str]], Log]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    state: State = "unknown"
    ordered: bool = True
    created: float | None = None
    card: Mapping[str, Any] = field(default_factory=dict[str, Any])
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    fault: str = ""


def make_faulty(name: str, identity: str, source: str, fault: str) -> Record:
    """A run of which nothing can be read, and why."""

    def read(_: Sequence[str]) -> Log:
        raise LeftOut(fault)

    return Record(name=name, identity=identity, source=source, metrics=(), read=read, fault=fault)


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """A nested configuration by flat names; what is no text, number or truth value is left out.

    Example:
        >>> flatten({"model": {"n_params": 1e6, "layers": [1, 2]}, "seed": 1})
        {'model.n_params': 1000000.0, 'seed': 1}
    """
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Mapping[str, Any], int]] = [("", nested, 0)]
    while waiting:
        prefix, mapping, depth = waiting.pop()
        for key, value in mapping.items():
            if isinstance(value, Mapping) and depth < DEEPEST:
                waiting.append((f"{prefix}{key}.", cast("Mapping[str, Any]", value), depth + 1))
            elif isinstance(value, str | int | float):
                found[f"{prefix}{key}"] = value
    return dict(sorted(found.items()))


def as_number(value: Any) -> float | None:
    """A logged value as a number: NaN and infinity come as text from some; `None` where it is none.

    Example:
        >>> as_number("NaN"), as_number("Infinity"), as_number({"_type": "image"}), as_number(True)
        (nan, inf, None, 1.0)
    """
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def as_array(values: Sequence[float | None]) -> Array:
    """A column of n values, shape (n,); what a row does not hold is NaN.

    Example:
        >>> as_array([1.0, None]).tolist()
        [1.0, nan]
    """
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
