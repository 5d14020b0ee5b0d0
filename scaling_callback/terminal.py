"""What a person at a terminal sees: answers, warnings, refusals, and how far long work has come."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TextIO

from scaling_callback.errors import InputError
from scaling_callback.reporting.units import format_duration
from scaling_callback.reporting.words.layout import Answer, Line, Paper, Span, Style, lay_out, write_plain
from scaling_callback.reporting.words.lines import make_visible, shorten

STYLES: Mapping[Style, str] = {
    "verdict": "bold",
    "doubt": "bold yellow",
    "heading": "bold",
    "name": "cyan",
    "strong": "bold",
}
"""What each style looks like: of the eight colours that every theme makes legible."""


def tell(line: str, *, grave: bool = False) -> None:
    """A line on standard error, if there is one: `print` would turn to standard output."""
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]  (it is None where it was closed)
        print(_paint([(Span(line, "doubt" if grave else ""),)], sys.stderr), file=sys.stderr)


def show(words: str | Answer) -> None:
    """Print an answer, or text as it is, with escapes for what the terminal's encoding lacks.

    An answer is laid out on the columns of the terminal; in a pipe or a file its lines are as long as they like.

    Raises:
        InputError: Standard output is closed, or takes nothing more.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]  (it is None where it was closed)
        raise InputError("standard output is closed; send it to a file or a terminal")
    encoding = sys.stdout.encoding or "utf-8"
    if isinstance(words, str):
        text = words.encode(encoding, "backslashreplace").decode(encoding)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        text = _paint(lay_out(words, Paper(width, encoding)), sys.stdout)
    try:
        print(text, flush=True)
    except OSError as error:  # the interpreter must not flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whoever reads a pipe has seen enough
            raise InputError(f"standard output cannot be written ({error.strerror}); send it elsewhere") from None


def takes_colours(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours belong on a stream: on a terminal, unless its user says otherwise.

    `NO_COLOR` says never, `FORCE_COLOR` always, and a terminal that calls itself `dumb` has none.
    """
    if environment.get("NO_COLOR"):
        return False
    return bool(environment.get("FORCE_COLOR")) or (stream.isatty() and environment.get("TERM") != "dumb")


def _paint(lines: Sequence[Line], stream: TextIO) -> str:
    """Lines as text for a stream, in colours where it takes them and rich is installed."""
    if not takes_colours(stream):
        return write_plain(lines)
    try:
        from rich.console import Console, detect_legacy_windows
        from rich.text import Text
    except ImportError:
        return write_plain(lines)
    if detect_legacy_windows():  # it would print the codes
        return write_plain(lines)
    # into a text: what cannot be written is `show`'s to say. No markup: names come from outside
    painted = io.StringIO()
    console = Console(file=painted, force_terminal=True, color_system="standard", legacy_windows=False)
    for line in lines:
        console.print(Text.assemble(*((span.text, STYLES.get(span.style, "")) for span in line)), soft_wrap=True)
    return painted.getvalue().rstrip("\n")


class Progress(AbstractContextManager["Progress"]):
    """Work done so far and the time that is left, on a terminal, once a command has taken longer than two seconds.

    It stands on one line of standard error, which is empty again afterwards. Work of several parts counts each anew.
    """

    PATIENCE = 2.0
    PAUSE = 0.1
    """Seconds between two lines: more often nobody reads it."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = self._part_began = self._called = self._told = time.monotonic()
        self._done = self._total = 0
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Tell how much is done, and of how much."""
        now = time.monotonic()
        if total != self._total or done < self._done:
            self._part_began = self._called
        self._done, self._total, self._called = done, total, now
        if now - self._began < self.PATIENCE or now - self._told < self.PAUSE or not _moves(sys.stderr):
            return
        self._told = now
        line = f"{self._what}: {done} of {total}"
        if 0 < done < total:
            seconds = (now - self._part_began) / done * (total - done)
            line += f", about {f'{seconds:.0f} s' if seconds < 59.5 else format_duration(seconds)} left"
        self._show(shorten(line, shutil.get_terminal_size().columns - 1))

    def _show(self, line: str) -> None:
        blank = " " * (self._width - len(line))
        self._width = len(line)
        print(f"\r{line}{blank}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._width:
            self._show("")
            print("\r", end="", file=sys.stderr, flush=True)


def _moves(stream: TextIO | None) -> bool:
    """Whether a line of it can be written over."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def one_line(error: object) -> str:
    """A message as one line."""
    return make_visible(" ".join(str(error).split()))
