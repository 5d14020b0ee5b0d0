"""Writing one run of a ladder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from scaling_callback.ladder.files import Filesystem, write
from scaling_callback.ladder.format import COLUMNS, KINDS, Segment, check, plain
from scaling_callback.records import SCHEMA_VERSION, IssuedForecast, Observation

MERGE_AFTER = 32
"""Segment files of equal length that a writer merges into one, which merges with its equals in turn.

n segments lie in O(log n) files, and each is written O(log n) times.
"""


class RunWriter:
    """Writes one run of a ladder: observations, issued forecasts, its end. Made by `Ladder.start`.

    Args:
        filesystem: Where the run's folder is.
        folder: Its path there.
        name: Name of the run.
        existing: Segments that it already has, when it is resumed.
    """

    def __init__(self, filesystem: Filesystem, folder: str, name: str, existing: Sequence[Segment] = ()) -> None:
        self.name = name
        self._fs = filesystem
        self._folder = folder
        # files that a crash left behind after they were merged are covered by the merged one
        self._segments = sorted(s for s in existing if not any(o.covers(s) for o in existing if o != s))
        self._numbers = {kind: max((s.last for s in existing if s.kind == kind), default=0) for kind in KINDS}

    def observe(
        self,
        observations: Sequence[Observation],
        *,
        resumed_after: float | None = None,
        horizon: float | None = None,
    ) -> None:
        """Write observations as one segment.

        Args:
            observations: What was measured since the last call.
            resumed_after: The step that training resumed from; what was recorded beyond it is superseded.
            horizon: The planned tokens as they are known by now, where the card's were worked out too early.
        """
        self._add_part(observations, resumed_after=resumed_after, horizon=horizon, completed=False)

    def finish(self, *, horizon: float | None = None) -> None:
        """Record that training reached the end of its plan, and where that was if the card could not know."""
        self._add_part((), resumed_after=None, horizon=horizon, completed=True)

    def issue(self, forecasts: Sequence[IssuedForecast]) -> None:
        """Write forecasts, so that they can be scored when the truth is known."""
        self._add("forecasts", {"rows": [{k: plain(v) for k, v in asdict(f).items()} for f in forecasts]})

    def _add_part(self, observations: Sequence[Observation], **said: Any) -> None:
        columns = {name: [plain(getattr(o, name)) for o in observations] for name in COLUMNS}
        self._add("observations", {"columns": columns, **said})

    def _add(self, kind: str, part: dict[str, Any]) -> None:
        number = self._numbers[kind] + 1
        added = Segment(kind, number, number)
        self._write(added, [part])
        self._numbers[kind] = number
        self._segments.append(added)
        while due := self._due(kind):
            self._segments = [segment for segment in self._segments if segment not in due]
            # of files that cannot be read now none is merged; readers take them one by one
            with contextlib.suppress(OSError, ValueError, RecursionError):
                self._segments.append(self._merge(due))

    def _due(self, kind: str) -> list[Segment]:
        """The last segments of a kind, if they are as many and as equal as it takes to merge them."""
        last = [segment for segment in self._segments if segment.kind == kind][-MERGE_AFTER:]
        equal = len(last) == MERGE_AFTER and len({segment.span for segment in last}) == 1
        return last if equal and all(a.last + 1 == b.first for a, b in pairwise(last)) else []

    def _merge(self, segments: Sequence[Segment]) -> Segment:
        """Write all parts as one file, then delete the files they came from; a crash in between loses nothing."""
        parts: list[Any] = []
        for segment in segments:
            content = json.loads(self._fs.cat_file(f"{self._folder}/{segment.filename}"))
            check(segment.filename, content)
            parts += content["parts"]
        merged = Segment(segments[0].kind, segments[0].first, segments[-1].last)
        self._write(merged, parts)
        # in this order: a reader whose listing lacks some of them misses one that it has listed, and lists again
        for segment in segments:
            with contextlib.suppress(OSError):  # what stays is covered by the merged file
                self._fs.rm_file(f"{self._folder}/{segment.filename}")
        return merged

    def _write(self, segment: Segment, parts: Sequence[Any]) -> None:
        write(self._fs, f"{self._folder}/{segment.filename}", {"schema": SCHEMA_VERSION, "parts": parts})
