"""The filesystem under a ladder: any that fsspec knows, written to so that no reader sees half a file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]

from scaling_callback.errors import InputError


class Filesystem(Protocol):
    """What the store asks of an fsspec filesystem; fsspec documents each method."""

    protocol: str | tuple[str, ...]

    def find(self, path: str, maxdepth: int, *, detail: bool) -> dict[str, dict[str, Any]]:
        """Every file at most `maxdepth` levels below `path`, with its size."""
        ...

    def cat_file(self, path: str) -> bytes:
        """The content of a file."""
        ...

    def pipe_file(self, path: str, value: bytes) -> None:
        """Write a whole file."""
        ...

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a folder and those above it."""
        ...

    def rm_file(self, path: str) -> None:
        """Delete a file."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        ...

    def isdir(self, path: str) -> bool:
        """Whether there is a folder."""
        ...

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what was listed."""
        ...


def tidy_location(location: str | os.PathLike[str]) -> str:
    """One spelling of a folder or URL, so that `ladder` and `ladder/` are the same place.

    Raises:
        InputError: It is empty.

    Example:
        >>> tidy_location("runs/../ladder/"), tidy_location("s3://bucket/ladder/")
        ('ladder', 's3://bucket/ladder')
    """
    text = os.fspath(location) if isinstance(cast("Any", location), str | os.PathLike) else ""
    if not text:
        raise InputError(f"ladder is {location!r}, which is no place; give a folder or a URL")
    if "://" in text:
        return text.rstrip("/") if text.partition("://")[2].strip("/") else text
    return os.path.normpath(text)


def open_filesystem(location: str) -> tuple[Filesystem, str]:
    """The filesystem of a folder or URL, and the path on it.

    Raises:
        InputError: No filesystem is known for it.
    """
    try:
        found = cast("Any", fsspec).core.url_to_fs(location)
    except (ValueError, ImportError) as error:
        raise InputError(
            f"ladder {location!r} cannot be opened ({error}); give a folder, or a URL that fsspec can open"
        ) from None
    filesystem, root = cast("tuple[Filesystem, str]", found)
    return filesystem, root.rstrip("/")


def is_local(fs: Filesystem) -> bool:
    """Whether it is this machine's own filesystem, where a name can be claimed and a file renamed."""
    return "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))


def claim(fs: Filesystem, folder: str, card: str) -> bool:
    """Whether this process is the first to take `folder`: exclusive where the filesystem allows it."""
    if not is_local(fs):
        fs.invalidate_cache()
        return not fs.exists(card)
    path = Path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path.parent} is a file, or lies below one; a ladder needs a folder") from None
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def list_sizes(fs: Filesystem, folder: str) -> dict[str, int]:
    """Sizes, by path, of the files in a folder and in the folders directly below it; none if it is not there."""
    if not is_local(fs):
        fs.invalidate_cache()
        return {path: int(info.get("size") or 0) for path, info in fs.find(folder, 2, detail=True).items()}
    below, sizes = _scan(folder)
    for path in below:
        sizes |= _scan(path)[1]
    return sizes


def _scan(folder: str) -> tuple[list[str], dict[str, int]]:
    """Folders and files of a folder. A file that its writer renames or deletes meanwhile is not there."""
    below: list[str] = []
    sizes: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                path = f"{folder}/{entry.name}"
                if entry.is_dir():
                    below.append(path)
                else:
                    sizes[path] = entry.stat().st_size
    return below, sizes


def write(fs: Filesystem, path: str, content: Mapping[str, Any]) -> None:
    """Write a whole file or none: where a reader could see half of it, write beside it and rename."""
    data = json.dumps(content, allow_nan=False).encode("utf-8")
    if not is_local(fs):
        fs.pipe_file(path, data)
        return
    beside = Path(f"{path}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
