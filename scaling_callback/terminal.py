"""What a person at a terminal sees: words, warnings, refusals, and how far long work has come."""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager

from scaling_callback.errors import InputError
from scaling_callback.reporting.lines import make_visible


def tell(line: str) -> None:
    """A line on standard error, if there is one: `print` would turn to standard output."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  (it is None where it was closed)
        print(line, file=sys.stderr)


def show(words: str) -> None:
    """Print, with escapes for what the terminal's encoding lacks: names in a table may hold anything.

    Raises:
        InputError: Standard output is closed, or takes nothing more.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (it is None where it was closed)
        raise InputError("standard output is closed; send it to a file or a terminal")
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(words.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:  # the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever reads a pipe has seen enough
            raise InputError(f"standard output cannot be written ({error.strerror}); send it elsewhere") from None


class Progress(AbstractContextManager["Progress"]):
    """Work done so far, on a terminal, once a command has taken longer than two seconds."""

    PATIENCE = 2.0

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Tell how much is done, and of how much."""
        if sys.stderr.isatty() and time.monotonic() - self._began > self.PATIENCE:
            self._shown = True
            print(f"\r{self._what}: {done} of {total}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def one_line(error: object) -> str:
    """A message as one line."""
    return make_visible(" ".join(str(error).split()))
