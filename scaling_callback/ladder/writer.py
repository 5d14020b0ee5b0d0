"""Writing one run of a ladder."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from scaling_callback.errors import RunTaken
from scaling_callback.ladder.calls import write_call
from scaling_callback.ladder.files import Filesystem, create, overwrite, read, remove
from scaling_callback.ladder.format import CARD, KINDS, Segment, decode, encode, plain
from scaling_callback.ladder.listing import filename, list_files
from scaling_callback.ladder.segments import join, read_forecasts, read_parts, write_part
from scaling_callback.records import IssuedForecast, Observation, StopCall

MERGE_AFTER = 32
"""Segment files of equal length that a writer merges into one, which merges with its equals in turn.

n segments lie in O(log n) files, and each is written O(log n) times.
"""

LARGEST_MERGED = 16 * 2**20
"""Bytes beyond which no file grows by merging: a tenth of a million observations or so."""

MOST_ROWS = 20_000
"""Observations in one segment; more that are written at once make several, each of which a reader takes."""


class RunWriter:
    """Writes one run of a ladder: observations, issued forecasts, its end. Made by `Ladder.start`.

    A run has one writer. When another process resumes it, that one takes over: this one raises `RunTaken` once,
    and from then on writes nothing.

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
        self._segments = _uncovered(existing)
        self._inherited = frozenset(self._segments)
        self._numbers = {kind: max((s.last for s in existing if s.kind == kind), default=0) for kind in KINDS}
        self._mark = secrets.token_hex(8)
        self._unsure = False  # whether an attempt at the next number failed, and may have arrived all the same
        self._taken = False

    def observe(
        self,
        observations: Sequence[Observation],
        *,
        resumed_after: float | None = None,
        horizon: float | None = None,
    ) -> None:
        """Write observations as one segment, or as several where they are very many.

        Args:
            observations: What was measured since the last call.
            resumed_after: The step that training resumed from; what was recorded beyond it is superseded.
            horizon: The planned tokens as they are known by now, where the card's were worked out too early.

        Raises:
            RunTaken: Another process writes the run now; raised once, and nothing is written from then on.
            OSError: It could not be written.
        """
        for start in range(0, max(len(observations), 1), MOST_ROWS):
            self._add_part(
                observations[start : start + MOST_ROWS],
                resumed_after=None if start else resumed_after,  # what is written here supersedes itself not
                horizon=horizon,
                completed=False,
            )

    def finish(self, *, horizon: float | None = None) -> None:
        """Record that training reached the end of its plan, and where that was if the card could not know.

        All that was written becomes one file a kind. Raises as `observe`.
        """
        self._add_part((), resumed_after=None, horizon=horizon, completed=True)
        if self._taken:
            return
        with contextlib.suppress(OSError):  # in many files it is as good
            # of another writer that resumes the run at this moment nothing is touched
            found = [s for s in list_segments(self._fs, self._folder) if s.last <= self._numbers[s.kind]]
            self._segments = _uncovered(found)
            for kind in KINDS:
                self._merge([segment for segment in self._segments if segment.kind == kind])

    def issue(self, forecasts: Sequence[IssuedForecast]) -> None:
        """Write forecasts, so that they can be scored when the truth is known. Raises as `observe`."""
        self._add("forecasts", {"rows": [{k: plain(v) for k, v in asdict(f).items()} for f in forecasts]})

    def call(self, calls: Sequence[StopCall]) -> None:
        """Write what stopping rules said of the run, also into its card, where people read it. Raises as `observe`."""
        written = [write_call(call) for call in calls]
        self._add_part((), resumed_after=None, horizon=None, completed=False, calls=written)
        if not self._taken:
            with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):  # it stands in the segment
                path = f"{self._folder}/{CARD}"
                card = decode(read(self._fs, path))
                overwrite(self._fs, path, encode(card | {"calls": [*card.get("calls", []), *written]}))

    def take_over(self) -> None:
        """Claim the run from whoever wrote it: the next number is taken at once, by a part without rows.

        It supersedes nothing, so that a resumption that dies before its first observation loses nothing.
        """
        self._add("observations", write_part((), resumed_after=None, horizon=None, completed=False, claims=True))

    def _add_part(self, observations: Sequence[Observation], **said: Any) -> None:
        self._add("observations", write_part(observations, **said))

    def _add(self, kind: str, part: dict[str, Any]) -> None:
        if self._taken:
            return
        claims, data = part.get("claims", False), encode({"parts": [part]}, writer=self._mark)
        while not self._place(self._next(kind), data):
            # a forecast of another writer's says nothing of who writes the run, and a claim comes after all others
            if kind == "observations" and not claims and not self._is_mine(self._next(kind)):
                self._give_up()
            self._note(self._next(kind))
        self._note(self._next(kind))
        if not claims and self._is_overtaken():
            self._give_up()
        while due := self._due(kind):
            self._segments = [segment for segment in self._segments if segment not in due]
            self._merge(due)

    def _next(self, kind: str) -> Segment:
        number = self._numbers[kind] + 1
        return Segment(kind, number, number)

    def _note(self, segment: Segment) -> None:
        self._numbers[segment.kind] = segment.last
        self._segments.append(segment)
        self._unsure = False

    def _place(self, segment: Segment, data: bytes) -> bool:
        """Write a segment where there is none; whether it now stands there."""
        try:
            if create(self._fs, self._path(segment), data):
                return True
        except OSError:
            self._unsure = True
            raise
        try:
            found = self._read(segment)
        except FileNotFoundError:  # its writer has merged it meanwhile
            return False
        if found == data:  # the answer to a first try was lost
            return True
        if self._is_own(found) and not _is_whole(segment, found):  # an earlier try that was cut
            overwrite(self._fs, self._path(segment), data)
            return True
        return False

    def _is_own(self, found: bytes) -> bool:
        """Whether this writer wrote that: it begins with its mark, or an earlier try was cut before."""
        begun = encode({}, writer=self._mark)[:-1]
        return found.startswith(begun) or (self._unsure and begun.startswith(found))

    def _is_mine(self, segment: Segment) -> bool:
        try:
            return self._is_own(self._read(segment))
        except FileNotFoundError:
            return False

    def _is_overtaken(self) -> bool:
        """Whether another writer has come as far as this one: it may have merged and deleted what stood in its way."""
        last = self._numbers["observations"]
        try:
            found = list_segments(self._fs, self._folder)
        except OSError:  # the next time then
            return False
        return any(s.kind == "observations" and s.last >= last and s not in self._segments for s in found)

    def _give_up(self) -> None:
        self._taken = True
        raise RunTaken(
            f"run {self.name!r} is now written by another process; only the last to resume a run writes it, "
            "so this training is not recorded from here on"
        )

    def _due(self, kind: str) -> list[Segment]:
        """The last segments of a kind, if they are as many and as equal as it takes to merge them.

        Inherited ones only when the run finishes: whoever wrote them may be merging them at this moment.
        """
        own = [segment for segment in self._segments if segment.kind == kind and segment not in self._inherited]
        last = own[-MERGE_AFTER:]
        equal = len(last) == MERGE_AFTER and len({segment.span for segment in last}) == 1
        return last if equal and all(a.last + 1 == b.first for a, b in pairwise(last)) else []

    def _merge(self, segments: Sequence[Segment]) -> None:
        """Write what stands in neighbouring segments as one file, then delete theirs; a crash between loses nothing.

        Of files that cannot be read now, or would be too large together, none is merged: readers take them one by one.
        """
        with contextlib.suppress(OSError, ValueError, RecursionError):
            held = {segment: self._read(segment) for segment in segments}
            for group in _neighbours(held):
                parts = [part for segment in group for part in _check(segment, held[segment])["parts"]]
                parts = join(parts) if group[0].kind == "observations" else parts
                merged = Segment(group[0].kind, group[0].first, group[-1].last)
                overwrite(self._fs, self._path(merged), encode({"parts": parts}, writer=self._mark))
                self._segments = sorted([*(s for s in self._segments if s not in group), merged])
                # in this order: a reader whose listing lacks some of them misses one that it has listed and lists again
                remove(self._fs, map(self._path, group))  # what stays is covered by the merged file

    def _read(self, segment: Segment) -> bytes:
        return read(self._fs, self._path(segment))

    def _path(self, segment: Segment) -> str:
        return f"{self._folder}/{segment.filename}"


def list_segments(fs: Filesystem, folder: str) -> list[Segment]:
    """The segments in a run's folder."""
    found = (Segment.parse(filename(path)) for path in list_files(fs, folder))
    return [segment for segment in found if segment is not None]


def _neighbours(held: Mapping[Segment, bytes]) -> list[list[Segment]]:
    """Two or more segments each that follow one another and are not too large together."""
    groups: list[list[Segment]] = []
    size = 0
    for segment in sorted(held):
        size += len(held[segment])
        if groups and groups[-1][-1].last + 1 == segment.first and size <= LARGEST_MERGED:
            groups[-1].append(segment)
        else:
            groups.append([segment])
            size = len(held[segment])
    return [group for group in groups if len(group) > 1]


def _uncovered(segments: Sequence[Segment]) -> list[Segment]:
    """In order, without the files that a crash left behind after they were merged."""
    return sorted(s for s in segments if not any(o.covers(s) for o in segments if o != s))


def _is_whole(segment: Segment, data: bytes) -> bool:
    try:
        _check(segment, data)
    except (ValueError, RecursionError):
        return False
    return True


def _check(segment: Segment, data: bytes) -> dict[str, Any]:
    """A segment that a reader would accept.

    Raises:
        ValueError: It is none.
    """
    record = decode(data)
    _ = read_parts(record) if segment.kind == "observations" else read_forecasts(record)
    return record
