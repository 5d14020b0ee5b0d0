"""What the files of a ladder are called, and what every one of them begins with."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from scaling_callback.records import SCHEMA_VERSION

CARD = "card.json"
FORM = "card.yaml"
"""What people fill in of the whole ladder, beside its runs."""
KINDS = ("observations", "forecasts")

_SEGMENT = re.compile(r"(observations|forecasts)-(\d{6,})(?:-(\d{6,}))?\.json", re.ASCII)
_UNFINISHED = re.compile(r"(?:card|(?:observations|forecasts)-[\d-]+)\.json\.[0-9a-f]+\.tmp", re.ASCII)


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


def is_unfinished(filename: str) -> bool:
    """Whether a file of that name is a card or a segment that its writer has not finished.

    Example:
        >>> is_unfinished("card.json.4711.tmp"), is_unfinished("notes.tmp")
        (True, False)
    """
    return _UNFINISHED.fullmatch(filename) is not None


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


def encode(content: Mapping[str, Any], **first: Any) -> bytes:
    """A file of a ladder: the schema, what comes `first`, and the content, as strict JSON."""
    return json.dumps({"schema": SCHEMA_VERSION, **first, **content}, allow_nan=False).encode("utf-8")


MOST_MEMORY = 150 * 2**20
"""Bytes that reading a file may take; one that would need more is taken for damage. What a writer leaves needs less,
and so does a run of 32 thousand observations as the first version merged it."""


def decode(data: bytes) -> dict[str, Any]:
    """What stands in a file of a ladder of this version or an older one.

    Raises:
        ValueError: It is none, or a newer one.
    """
    if (needed := _estimate_memory(data)) > MOST_MEMORY:
        raise ValueError(f"reading it would take {needed / 2**20:.0f} MB, more than any file of a ladder does")
    content = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    record = cast("dict[str, Any]", content)
    schema = record.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA_VERSION:
        raise ValueError(f"schema {schema!r} is not one up to {SCHEMA_VERSION}; update scaling-callback")
    return record


def _estimate_memory(data: bytes) -> int:
    """Bytes that JSON takes at most while it is read, from its length and from what separates its values.

    Beside its characters a value takes up to 64 bytes, a list or an object as much again, and a key 250 with its place
    in its object and in the parser's memory of keys. One character beyond ASCII widens all of a text.
    """
    text = 3 if data.isascii() else 6
    containers = data.count(b"{") + data.count(b"[")
    return text * len(data) + 64 * data.count(b",") + 72 * containers + 250 * data.count(b":")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def plain(value: Any) -> Any:
    """Strict JSON has no NaN or infinity: they are written as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
