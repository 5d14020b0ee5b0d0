"""What stands in segments: parts of a run's observations as columns, what rules said, and the forecasts it issued."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scaling_callback.ladder.calls import read_calls
from scaling_callback.ladder.format import plain
from scaling_callback.records import IssuedForecast, Observation, StopCall, is_count

COLUMNS = tuple(f.name for f in fields(Observation))

UNKNOWN = {name: False if name == "is_final" else "nan" for name in COLUMNS}
"""What an older version did not write."""

_SAID = {"columns", "resumed_after", "horizon", "completed", "final", "claims", "calls"}
_FORECAST_NAMES = {"by", "run", "forecaster", "loss_kind"}
_OPTIONAL_NAMES = {"run", "loss_kind"}


@dataclass(frozen=True, slots=True)
class Part:
    """Observations that were written together, and what was said beside them.

    Attributes:
        columns: One array of shape (n,) for each field of an observation, in the order recorded.
        resumed_after: The step that training resumed from before them; what was recorded beyond it is superseded.
        horizon: The planned tokens, where they became known.
        completed: Whether the training reached the end of its plan.
        final: Whether the last observation is the end of the schedule: the first ladders flagged it so.
        calls: What stopping rules said of the run meanwhile.
        unread: What is wrong with each call that cannot be read.
    """

    columns: Mapping[str, NDArray[Any]]
    resumed_after: float | None = None
    horizon: float | None = None
    completed: bool = False
    final: bool = False
    calls: tuple[StopCall, ...] = ()
    unread: tuple[str, ...] = ()


def write_part(observations: Sequence[Observation], **said: Any) -> dict[str, Any]:
    """A part as it is written."""
    return {"columns": {name: [plain(getattr(o, name)) for o in observations] for name in COLUMNS}, **said}


def read_parts(record: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts of a segment of observations, as few as say the same.

    Raises:
        ValueError: It does not hold what it should.
    """
    try:
        return tuple(_read_part(part) for part in join(_parts(record)))
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it does not hold what it should: {type(error).__name__} {error}") from None


def join(parts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same parts, each with those after it up to the next resume as one; of newer versions' parts none is changed.

    Example:
        >>> row = {"columns": {"tokens": [1.0], "loss": [3.0]}, "resumed_after": None, "completed": False}
        >>> [part["columns"]["tokens"] for part in join([row, row, row | {"resumed_after": 0}])]
        [[1.0, 1.0], [1.0]]
    """
    joined: list[dict[str, Any]] = []
    for part in parts:
        columns, rows = part["columns"], _count_rows(part["columns"])
        said = {"horizon": part.get("horizon"), "completed": part["completed"], "final": part.get("final", False)}
        _check_said(part["resumed_after"], said)
        calls: Any = part.get("calls", [])
        calls = (
            cast("list[Any]", calls) if isinstance(calls, list) else [calls]
        )  # a broken one, which costs none of the others
        last = joined[-1] if joined else None
        if last is None or part["resumed_after"] is not None or not (_is_known(part) and _is_known(last)):
            kept = {name: list(values) for name, values in columns.items()}
            joined.append({**part, "columns": kept, **said, **({"calls": list(calls)} if calls else {})})
            continue
        before = len(last["columns"]["tokens"])
        for name in {**last["columns"], **columns}:
            column = last["columns"].setdefault(name, [UNKNOWN[name]] * before)
            column += columns.get(name, [UNKNOWN[name]] * rows)
        last["horizon"] = said["horizon"] or last["horizon"]
        last["completed"] = said["completed"] or last["completed"]
        last["final"] = bool(said["final"]) or last["final"]
        if calls:  # a part of a run of which no rule ever spoke holds no such list
            last["calls"] = [*last.get("calls", []), *calls]
    return joined


def read_forecasts(record: Mapping[str, Any]) -> tuple[IssuedForecast, ...]:
    """The forecasts of a segment.

    Raises:
        ValueError: It does not hold what it should.
    """
    try:
        return tuple(_read_forecast(row) for part in _parts(record) for row in part["rows"])
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it does not hold what it should: {type(error).__name__} {error}") from None


def _parts(record: Mapping[str, Any]) -> list[Any]:
    """The parts of a segment: without any it would hide, by its name, segments that hold some."""
    if not record["parts"]:
        raise ValueError("it holds no parts")
    return record["parts"]


def _is_known(part: Mapping[str, Any]) -> bool:
    return part.keys() <= _SAID and part["columns"].keys() <= UNKNOWN.keys()


def _count_rows(columns: Mapping[str, Any]) -> int:
    if not all(isinstance(values, list) for values in columns.values()):
        raise ValueError("it holds a column that is no list")
    lengths = {len(columns[name]) for name in {"tokens", "loss", *columns}}
    if len(lengths) > 1:
        raise ValueError("its columns differ in length")
    return lengths.pop()


def _check_said(resumed_after: Any, said: Mapping[str, Any]) -> None:
    if said["horizon"] is not None and not is_count(said["horizon"]):
        raise ValueError("its horizon is not a positive count")
    if not isinstance(said["completed"], bool) or not isinstance(resumed_after, int | float | None):
        raise ValueError("it does not say whether the run completed, or was resumed")


def _read_part(part: Mapping[str, Any]) -> Part:
    rows = len(part["columns"]["tokens"])
    columns = {n: _read_column(n, part["columns"].get(n, [UNKNOWN[n]] * rows)) for n in COLUMNS}
    if (
        not set(map(type, part["columns"]["tokens"])) <= {int, float}
        or not ((columns["tokens"] > 0) & (columns["tokens"] < math.inf)).all()
    ):
        raise ValueError("it holds tokens that are not a positive count")
    # a loss of zero or less has no logarithm: it counts as not a number
    columns["loss"] = np.where(columns["loss"] <= 0, np.nan, columns["loss"])
    resumed = None if part["resumed_after"] is None else float(part["resumed_after"])
    calls, unread = read_calls(part.get("calls", []))
    return Part(columns, resumed, part["horizon"], part["completed"], bool(part["final"]), calls, unread)


def _read_column(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """A column of JSON values as an array (n,), by the types there are and not value by value."""
    if name == "is_final":
        return np.array([bool(value) for value in values], dtype=bool)
    types = set(map(type, values))
    if not types <= {int, float, str}:
        wrong = next(value for value in values if type(value) not in {int, float, str})
        raise ValueError(f"{name} holds {str(wrong)[:40]!r}, which is not a number")
    if str in types:  # NaN and infinity are written as text
        values = [float(value) for value in values]
    return np.array(values, dtype=float)


def _read_forecast(row: Mapping[str, Any]) -> IssuedForecast:
    known = {f.name for f in fields(IssuedForecast)}
    values = {n: v if n in _FORECAST_NAMES else _read_number(n, v) for n, v in row.items() if n in known}
    names = {n: values.get(n) for n in _FORECAST_NAMES}
    if not all(isinstance(v, str) or (v is None and n in _OPTIONAL_NAMES) for n, v in names.items()):
        raise ValueError("a forecast holds a name that is not a text")
    if not all(is_count(values[n]) for n in ("params", "tokens", "median")):
        raise ValueError("a forecast holds a value that is not a positive number")
    return IssuedForecast(**cast("dict[str, Any]", values))


def _read_number(column: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{column} holds {str(value)[:40]!r}, which is not a number")
    return float(value)
