"""Writing one run of a ladder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from scaling_callback.ladder.files import Filesystem, write
from scaling_callback.ladder.format import COLUMNS, Segment, plain
from scaling_callback.records import SCHEMA_VERSION, IssuedForecast, Observation

MERGE_AFTER = 32
"""Segment files of one kind after which a writer merges them: reading stays fast, writing stays linear."""


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
        self._segments = [s for s in existing if not any(o.covers(s) for o in existing if o != s)]

    def observe(self, observations: Sequence[Observation], *, resumed_after: float | None = None) -> None:
        """Write observations as one segment.

        Args:
            observations: What was measured since the last call.
            resumed_after: The step that training resumed from; what was recorded beyond it is superseded.
        """
        columns = {name: [plain(getattr(o, name)) for o in observations] for name in COLUMNS}
        self._add("observations", {"columns": columns, "resumed_after": resumed_after, "completed": False})

    def finish(self) -> None:
        """Record that training reached the end of its plan."""
        columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._add("observations", {"columns": columns, "resumed_after": None, "completed": True})

    def issue(self, forecasts: Sequence[IssuedForecast]) -> None:
        """Write forecasts, so that they can be scored when the truth is known."""
        self._add("forecasts", {"rows": [{k: plain(v) for k, v in asdict(f).items()} for f in forecasts]})

    def _add(self, kind: str, part: dict[str, Any]) -> None:
        own = [segment for segment in self._segments if segment.kind == kind]
        number = max((segment.last for segment in own), default=0) + 1
        added = Segment(kind, number, number)
        self._write(added, [part])
        self._segments.append(added)
        if len(own) >= MERGE_AFTER:
            # a file that cannot be read now stays as it is; readers take the segments one by one
            with contextlib.suppress(OSError, ValueError):
                self._merge([*own, added])

    def _merge(self, segments: Sequence[Segment]) -> None:
        """Write all parts as one file, then delete the files they came from; a crash in between loses nothing."""
        ordered = sorted(segments)
        parts: list[Any] = []
        for segment in ordered:
            parts += json.loads(self._fs.cat_file(f"{self._folder}/{segment.filename}"))["parts"]
        merged = Segment(ordered[0].kind, ordered[0].first, ordered[-1].last)
        self._write(merged, parts)
        self._segments = [segment for segment in self._segments if segment not in ordered] + [merged]
        for segment in ordered:
            with contextlib.suppress(OSError):  # what stays is covered by the merged file
                self._fs.rm_file(f"{self._folder}/{segment.filename}")

    def _write(self, segment: Segment, parts: Sequence[Any]) -> None:
        write(self._fs, f"{self._folder}/{segment.filename}", {"schema": SCHEMA_VERSION, "parts": parts})
