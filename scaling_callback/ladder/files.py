"""The filesystem under a ladder: any that fsspec knows, written to so that no reader sees half a file."""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
import stat
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, Protocol, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]

from scaling_callback.errors import InputError

LARGEST_FILE = 64 * 2**20
"""Bytes beyond which a file is taken for damage: a writer merges none beyond a quarter of it."""


class Filesystem(Protocol):
    """What the store asks of an fsspec filesystem; fsspec documents each method."""

    protocol: str | tuple[str, ...]

    def find(self, path: str, *, detail: bool) -> dict[str, dict[str, Any]]:
        """Every file below `path`, with its size and what else is known of it."""
        ...

    def ls(self, path: str, *, detail: bool) -> list[str]:
        """What lies directly below `path`."""
        ...

    def cat_file(self, path: str) -> bytes:
        """The content of a file."""
        ...

    def pipe_file(self, path: str, value: bytes, **mode: str) -> None:
        """Write a whole file; with `mode="create"` only where there is none."""
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


@contextlib.contextmanager
def plain_errors() -> Generator[None]:
    """Whatever a filesystem raises, as an `OSError`: the clients of object stores have exceptions of their own."""
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def exists(fs: Filesystem, folder: str) -> bool:
    """Whether there is a folder."""
    with plain_errors():
        return fs.isdir(folder)


def read(fs: Filesystem, path: str) -> bytes:
    """The content of a file. A pipe is none: nobody may ever write to it. Nor is what no memory would hold."""
    if is_local(fs):
        # asked once: its writer may merge and delete it between two questions
        try:
            found = Path(path).stat()
        except FileNotFoundError:
            if Path(path).is_symlink():
                raise OSError(f"{path} is a link that leads nowhere") from None
            raise
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no regular file")
        if found.st_size > LARGEST_FILE:
            raise OSError(f"{found.st_size} bytes is more than any file of a ladder holds")
    with plain_errors():
        return fs.cat_file(path)


def claim(fs: Filesystem, folder: str, card: str, content: bytes) -> bool:
    """Whether this process is the first to take `folder`, and has written its card there."""
    if not is_local(fs):
        with plain_errors():
            fs.invalidate_cache()
            taken = fs.exists(folder)
        return not taken and create(fs, card, content)
    path = Path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path.parent} is a file, or lies below one; a ladder needs a folder") from None
    try:
        path.mkdir()
    except FileExistsError:
        return False
    try:
        overwrite(fs, card, content)
    except OSError:  # the name is free again for the next attempt
        path.rmdir()
        raise
    return True


def leads_out(fs: Filesystem, folder: str) -> bool:
    """Whether a run's folder is a link to a place outside its ladder."""
    if not is_local(fs):
        return False
    path = Path(folder)
    # one that leads nowhere, or back to itself, cannot be resolved
    return path.is_symlink() and (not path.exists() or path.resolve().parent != path.parent.resolve())


def create(fs: Filesystem, path: str, data: bytes) -> bool:
    """Write a whole file unless there is one of that name; whether it was written.

    Exclusive wherever the filesystem allows it. Elsewhere the last of two that write within a moment stays.
    """
    if is_local(fs):
        with _beside(path, data) as written:
            return _link(written, path)
    with plain_errors():
        fs.invalidate_cache()
        if fs.exists(path):
            return False
        if "mode" in inspect.signature(fs.pipe_file).parameters:
            try:
                fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            except Exception as error:
                # an object store without conditional writes says so, each client in its own way
                if "notimplemented" not in f"{type(error).__name__} {error}".replace(" ", "").lower():
                    raise
            else:
                return True
        fs.pipe_file(path, data)
    return True


def overwrite(fs: Filesystem, path: str, data: bytes) -> None:
    """Write a whole file or none, in place of what was there."""
    if is_local(fs):
        with _beside(path, data) as written:
            Path(written).replace(path)
        return
    with plain_errors():
        fs.pipe_file(path, data)


def is_older(path: str, seconds: float) -> bool:
    """Whether a file of this machine was last written so long ago."""
    with contextlib.suppress(OSError):
        return time.time() - Path(path).stat().st_mtime > seconds
    return False


def remove(fs: Filesystem, paths: Iterable[str]) -> None:
    """Delete files, in this order; one that cannot be deleted stays."""
    for path in paths:
        with contextlib.suppress(OSError), plain_errors():
            fs.rm_file(path)


@contextlib.contextmanager
def _beside(path: str, data: bytes) -> Generator[str]:
    """A whole file on the disk, under a name that no reader looks for and no other writer has."""
    beside = Path(f"{path}.{secrets.token_hex(6)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield str(beside)
    finally:
        beside.unlink(missing_ok=True)


def _link(written: str, path: str) -> bool:
    """Give a file its name unless the name is taken."""
    try:
        os.link(written, path)
    except FileExistsError:
        # over a network the answer to the first try may have been lost
        return Path(written).samefile(path)
    except OSError:
        # no hard links here
        if os.path.lexists(path):
            return False
        Path(written).rename(path)
    return True
