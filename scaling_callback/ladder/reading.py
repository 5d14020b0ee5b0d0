"""Reading the files of a ladder: each once, and what is damaged costs a warning and nothing else."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from scaling_callback.errors import LadderWarning
from scaling_callback.ladder.files import LARGEST_FILE, Filesystem, read
from scaling_callback.ladder.format import Segment, decode
from scaling_callback.ladder.listing import Listing, filename, list_files, look

_T = TypeVar("_T")

ATTEMPTS = 4
"""Listings of a run's folder in which a missing segment must stay missing before it is taken for lost."""


class Files:
    """The files of one ladder, and what was said of the damaged ones."""

    def __init__(self, fs: Filesystem, root: str, location: str) -> None:
        self.fs = fs
        self.location = location
        self._root = root
        self._warned: set[str] = set()

    def name(self, path: str) -> str:
        """What a file is called within the ladder."""
        return path[len(self._root) :].lstrip("/")

    def read(self, path: str, size: int, make: Callable[[Mapping[str, Any]], _T], stamp: str = "") -> _T | None:
        """What a whole, checked file holds, or `None` with a warning, given once for each `stamp`.

        Raises:
            FileNotFoundError: It has been deleted since it was listed.
        """
        try:
            if size < 0:
                raise ValueError("it is missing")
            if size > LARGEST_FILE:
                raise ValueError(f"{size} bytes is more than any file of a ladder holds")
            return make(decode(read(self.fs, path)))
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            name = self.name(path)
            self.warn(path + stamp, f"{self.location}: {name} is damaged and was skipped ({one_line(error)})")
            return None

    def warn(self, key: str, message: str) -> None:
        """Warn once of each `key`."""
        if key not in self._warned:
            self._warned.add(key)
            # names of folders and runs may hold a line break
            warnings.warn(" ".join(message.split()), LadderWarning, stacklevel=2)


class Segments(Generic[_T]):
    """What stands in the segments of one kind, of every run; segments are written once, so that good ones are kept.

    Args:
        files: Where they are.
        kind: Which ones.
        make: What is made of the content of one; raises a `ValueError` where it is none.
    """

    def __init__(self, files: Files, kind: str, make: Callable[[Mapping[str, Any]], tuple[_T, ...]]) -> None:
        self._files = files
        self._kind = kind
        self._make = make
        self._known: dict[str, dict[Segment, tuple[_T, ...]]] = {}
        self._last: dict[str, int] = {}

    def read(self, folder: str, files: Listing) -> tuple[list[_T], bool]:
        """What stands in a run's segments, in order, and whether all of them could be read.

        A listing is not taken in one moment: while the writer merges, it may lack both the merged file and some
        that went into it. Numbers have no gaps and never fall, so that shows, and the folder is listed again.
        """
        taken: dict[Segment, tuple[_T, ...]] = {}
        damaged: set[Segment] = set()
        missing: int | None = None
        for _ in range(ATTEMPTS):
            found = {s: path for path in files if (s := Segment.parse(filename(path))) and s.kind == self._kind}
            taken, damaged = self._take(found, files, self._known.get(folder, {}))
            self._known[folder] = taken
            last = max((segment.last for segment in found), default=0)
            missing = _first_gap((*taken, *damaged), max(last, self._last.get(folder, 0)))
            if missing is None:
                self._last[folder] = last
                break
            with contextlib.suppress(OSError):
                files = list_files(self._files.fs, folder)
        else:
            name = f"{self._files.name(folder)}/{self._kind}-{missing:06d}.json"
            self._files.warn(name, f"{self._files.location}: {name} is missing; what it held is lost")
        return [made for segment in sorted(taken) for made in taken[segment]], not (damaged or missing)

    def forget(self, folder: str) -> None:
        """Read a run's segments anew: those that were known are another run's of the same name."""
        self._known.pop(folder, None)
        self._last.pop(folder, None)

    def _take(
        self, found: Mapping[Segment, str], files: Listing, known: Mapping[Segment, tuple[_T, ...]]
    ) -> tuple[dict[Segment, tuple[_T, ...]], set[Segment]]:
        """Segments that were read, and those that are damaged; of a merged file and its sources the merged one."""
        taken: dict[Segment, tuple[_T, ...]] = {}
        damaged: set[Segment] = set()
        for segment in sorted(found, key=lambda s: (-s.span, s.first)):
            if any(other.covers(segment) for other in taken):
                continue
            path = found[segment]
            # one that its writer has merged and deleted since the folder was listed is neither
            with contextlib.suppress(FileNotFoundError):
                made = known.get(segment)
                if made is None:
                    made = self._files.read(path, look(path, files[path])[0], self._make)
                if made is None:
                    damaged.add(segment)
                else:
                    taken[segment] = made
        return taken, damaged


def _first_gap(segments: Iterable[Segment], last: int) -> int | None:
    """The first number up to `last` that is in no segment."""
    reached = 0
    for segment in sorted(segments):
        if segment.first > reached + 1:
            break
        reached = max(reached, segment.last)
    return reached + 1 if reached < last else None


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
