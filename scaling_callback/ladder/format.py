"""What stands in the files of a ladder: names, cards and segments, checked before anything is made of them."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple, cast

from scaling_callback.records import (
    SAME_COUNT,
    SCHEMA_VERSION,
    Curve,
    IssuedForecast,
    Observation,
    Run,
    RunCard,
    is_count,
)

CARD = "card.json"
KINDS = ("observations", "forecasts")
COLUMNS = tuple(f.name for f in fields(Observation))

_FORECAST_NAMES = {"by", "run", "forecaster", "loss_kind"}
_OPTIONAL_NAMES = {"run", "loss_kind"}
_SEGMENT = re.compile(r"(observations|forecasts)-(\d{6,12})(?:-(\d{6,12}))?\.json")


class Segment(NamedTuple):
    """The name of a segment file: its kind, and the first and last number of the segments in it.

    Example:
        >>> Segment.parse("observations-000001-000032.json")
        Segment(kind='observations', first=1, last=32)
        >>> Segment("forecasts", 7, 7).filename
        'forecasts-000007.json'
    """

    kind: str
    first: int
    last: int

    @classmethod
    def parse(cls, filename: str) -> Segment | None:
        """The segment of that file name, or `None` if it is none."""
        match = _SEGMENT.fullmatch(filename)
        segment = cls(match[1], int(match[2]), int(match[3] or match[2])) if match else None
        return segment if segment and 1 <= segment.first <= segment.last else None

    @property
    def filename(self) -> str:
        """The file name."""
        span = f"{self.first:06d}" if self.first == self.last else f"{self.first:06d}-{self.last:06d}"
        return f"{self.kind}-{span}.json"

    @property
    def span(self) -> int:
        """How many segments are in the file."""
        return self.last - self.first + 1

    def covers(self, other: Segment) -> bool:
        """Whether all segments of `other` are in this file."""
        return self.kind == other.kind and self.first <= other.first and other.last <= self.last


def safe_name(name: str) -> str:
    """A folder name for a run: letters, digits and `._=-` stay; a name that changes gets a hash of itself.

    Example:
        >>> safe_name("tiny-9k"), safe_name("../etc/passwd")
        ('tiny-9k', 'etc_passwd-7fef78f5')
    """
    safe = re.sub(r"[^A-Za-z0-9._=-]+", "_", name).strip("._")[:80]
    if safe and safe == name:
        return name
    return f"{safe}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")


def assemble(card: RunCard, parts: Sequence[Mapping[str, Any]]) -> Run:
    """The run of a card and the parts of its segments, in order: superseded and repeated rows are counted."""
    observations: list[Observation] = []
    superseded = 0
    completed = final = False
    horizon = card.horizon
    for part in parts:
        horizon = part.get("horizon") or horizon
        if part["resumed_after"] is not None:
            before = len(observations)
            observations = [o for o in observations if not o.step > part["resumed_after"]]
            superseded += before - len(observations)
            completed = final = False
        observations += _read_observations(part["columns"])
        completed = completed or bool(part["completed"])
        final = final or bool(part.get("final"))  # the first ladders flagged their finals so
    if final and observations:
        observations[-1] = replace(observations[-1], is_final=True)
    curve = Curve.of(observations)
    notes: list[str] = []
    if superseded:
        notes.append(f"{superseded} observation(s) superseded by a resume")
    if len(curve) < len(observations):
        notes.append(
            f"{len(observations) - len(curve)} repeated observation(s) at the same tokens; the last one counts"
        )
    broken = sum(not math.isfinite(o.loss) for o in curve)
    if broken:
        notes.append(f"{broken} loss(es) that are not a positive number are left out of every fit")
    if horizon is not None and (beyond := int((curve.tokens > horizon * (1 + SAME_COUNT)).sum())):
        notes.append(f"{beyond} observation(s) beyond the planned tokens; their progress is taken as 1")
    return Run(replace(card, horizon=horizon), curve, tuple(notes), completed=completed)


def _read_observations(columns: Mapping[str, Any]) -> list[Observation]:
    """The rows of a part; what an older version did not write is unknown.

    A loss of zero or less has no logarithm and counts as not a number.
    """
    unknown = {"is_final": False}
    present = {n: columns.get(n, [unknown.get(n, math.nan)] * len(columns["tokens"])) for n in COLUMNS}
    rows = zip(*present.values(), strict=True)
    found = [Observation(**{n: _read_value(n, v) for n, v in zip(COLUMNS, row, strict=True)}) for row in rows]
    return [o if not o.loss <= 0 else replace(o, loss=math.nan) for o in found]


def read_forecast(row: Mapping[str, Any]) -> IssuedForecast:
    """The forecast of a row of a segment, whose NaN is text.

    Raises:
        ValueError: It is none.
    """
    known = {f.name for f in fields(IssuedForecast)}
    values = {n: v if n in _FORECAST_NAMES else _read_value(n, v) for n, v in row.items() if n in known}
    names = {n: values.get(n) for n in _FORECAST_NAMES}
    if not all(isinstance(v, str) or (v is None and n in _OPTIONAL_NAMES) for n, v in names.items()):
        raise ValueError("a forecast holds a name that is not a text")
    if not all(is_count(values[n]) for n in ("params", "tokens", "median")):
        raise ValueError("a forecast holds a value that is not a positive number")
    return IssuedForecast(**values)


def read_card(content: Mapping[str, Any]) -> RunCard:
    """The card; fields that this version does not know are ignored, so that it reads newer ones too."""
    return RunCard(**{f.name: content[f.name] for f in fields(RunCard) if content.get(f.name) is not None})


def check(name: str, content: Any) -> None:
    """Refuse what is not a card or a segment.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    record = cast("dict[str, Any]", content)
    schema = record.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise ValueError(f"schema {schema!r} is not one up to {SCHEMA_VERSION}; update scaling-callback")
    try:
        if name.endswith(CARD):
            _check_card(record)
            return
        segment = Segment.parse(name.rpartition("/")[2])
        for part in record["parts"]:
            if segment is not None and segment.kind == "forecasts":
                for row in part["rows"]:
                    read_forecast(row)
            else:
                _check_observations(part)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it does not hold what it should: {type(error).__name__} {error}") from None


def _check_observations(part: Mapping[str, Any]) -> None:
    columns = part["columns"]
    if len({len(columns[name]) for name in {"tokens", "loss", *columns}}) > 1:
        raise ValueError("its columns differ in length")
    if not all(is_count(tokens) for tokens in columns["tokens"]):
        raise ValueError("it holds tokens that are not a positive count")
    _read_observations(columns)
    if part.get("horizon") is not None and not is_count(part["horizon"]):
        raise ValueError("its horizon is not a positive count")
    if not isinstance(part["completed"], bool) or not isinstance(part["resumed_after"], int | float | None):
        raise ValueError("it does not say whether the run completed, or was resumed")


def _check_card(record: Mapping[str, Any]) -> None:
    if not isinstance(record.get("name"), str) or not is_count(record.get("params")):
        raise ValueError("a card needs a name and a positive count `params`")
    for key, (sound, wanted) in _CARD_FIELDS.items():
        if record.get(key) is not None and not sound(record[key]):
            raise ValueError(f"{key} is {str(record[key])[:40]!r}; it must be {wanted}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping_of(sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(sound, cast("dict[str, Any]", value).values()))


_CARD_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("horizon", "peak_lr", "batch_tokens", "flops_per_token"), (is_count, "a positive number")),
    **dict.fromkeys(("schedule", "seed", "parent", "loss_kind"), (_is_text, "a text")),
    **dict.fromkeys(("recipe", "extra"), (_is_mapping_of(_is_text), "a mapping of texts")),
    "sizes": (_is_mapping_of(is_count), "a mapping of positive numbers"),
    "held_out": (lambda value: isinstance(value, bool), "true or false"),
}


def _read_value(column: str, value: Any) -> Any:
    if column == "is_final":
        return bool(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{column} holds {value!r}, which is not a number")
    return float(value)


def plain(value: Any) -> Any:
    """Strict JSON has no NaN or infinity: they are written as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def refuse_constant(name: str) -> Any:
    """For `json.loads`: NaN and Infinity are not JSON.

    Raises:
        ValueError: Always.
    """
    raise ValueError(f"{name} is not JSON")
