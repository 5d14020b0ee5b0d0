"""What lies in the folders of a ladder."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from scaling_callback.ladder.files import Filesystem, is_local, plain_errors

Listing: TypeAlias = Mapping[str, Mapping[str, Any] | None]
"""Files by path, with what their filesystem said of them; of this machine's own files that is looked up when needed."""


SETTLED = 2.0
"""Seconds: no filesystem's times are coarser."""


def filename(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def look(path: str, listed: Mapping[str, Any] | None) -> tuple[int, str]:
    """The size of a listed file, and a text that changes when somebody writes it anew."""
    if listed is not None:
        return int(listed.get("size") or 0), repr(listed)
    try:
        found = os.stat(path)  # noqa: PTH116 - once a run at every reading, and a Path costs as much as the call
    except FileNotFoundError:
        found = os.lstat(path)  # a link that leads nowhere is still there
    return found.st_size, f"{found.st_mtime_ns} {found.st_size} {found.st_ino}"


def list_files(fs: Filesystem, folder: str) -> Listing:
    """The files in a folder; none if it is not there."""
    if not is_local(fs):
        return _find(fs, folder, 1)
    return _entries(folder)


class Folders:
    """The folders directly below `root`, listed as often as wanted; on this machine none again that has not changed.

    A folder's time of change says so once two listings, `SETTLED` seconds apart by this machine's clock, have seen the
    same one: the clock of a shared folder may differ, and a second change within its resolution would not show.
    """

    def __init__(self, fs: Filesystem, root: str) -> None:
        self._fs, self._root = fs, root
        self._known: dict[str, _Listed] = {}

    def list(self) -> tuple[dict[str, Listing], dict[str, OSError]]:
        """The files of each folder; and of the folders that cannot be listed the reason."""
        found: dict[str, Listing] = {}
        failed: dict[str, OSError] = {}
        if not is_local(self._fs):
            below: dict[str, dict[str, Any]] = {}
            for path, info in _find(self._fs, self._root, 2).items():
                below.setdefault(path.rpartition("/")[0], {})[path] = info
            below.pop(self._root, None)
            return {**below}, failed
        for folder in _scan(self._root)[0]:
            try:
                self._known[folder] = listed = _list_again(folder, self._known.get(folder))
                found[folder] = listed.files
            except FileNotFoundError:  # deleted at this moment
                continue
            except OSError as error:
                failed[folder] = error
        return found, failed


class _Listed(NamedTuple):
    changed: int
    since: float
    settled: bool
    files: Listing


def _list_again(folder: str, known: _Listed | None) -> _Listed:
    now, changed = time.monotonic(), os.stat(folder).st_mtime_ns  # noqa: PTH116 - as above
    if known is not None and known.changed == changed:
        if known.settled:
            return known
        files = _entries(folder)
        return known._replace(
            settled=now - known.since >= SETTLED, files=known.files if files == known.files else files
        )
    return _Listed(changed, now, False, _entries(folder))


def _find(fs: Filesystem, folder: str, depth: int) -> Listing:
    """The files at most `depth` levels below a folder; none if it is not there.

    Asked for all levels, an object store answers at once; asked for some, it is asked folder by folder, and those that
    it refuses to list are silently left out.
    """
    with plain_errors():
        fs.invalidate_cache()
        try:
            found = fs.find(folder, detail=True)
            if not found:  # some say so of what they cannot reach
                fs.ls(folder, detail=False)
        except FileNotFoundError:
            return {}
    below = f"{folder}/"
    return {
        path: info for path, info in found.items() if path.startswith(below) and path.count("/", len(below)) < depth
    }


def _entries(folder: str) -> Listing:
    """All that is in a run's folder: a folder with the name of a file is found out when it is read."""
    below, files = _scan(folder)
    return dict.fromkeys([*files, *below])


def _scan(folder: str) -> tuple[list[str], list[str]]:
    """Folders of a folder, and what else is in it: whatever is no file says so when it is read."""
    below: list[str] = []
    files: list[str] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                below.append(f"{folder}/{entry.name}")
            else:
                files.append(f"{folder}/{entry.name}")
    return below, files
