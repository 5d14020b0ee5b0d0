"""Words on a line: what is harmless to show, how many columns it takes, and how it is broken or cut to fit."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def make_visible(text: str) -> str:
    r"""Text on one line, with escapes for what a terminal would obey rather than show, and for separators of lines.

    A name in a table may hold anything: a sequence that clears the screen, a mark that reverses what follows.

    Example:
        >>> print(make_visible("caf\u00e9 \x1b[31m \u202e a\nb"))
        café \x1b[31m \u202e a\nb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def measure(text: str) -> int:
    """Columns that text takes on a terminal: two for a wide character, none for a mark on the one before.

    Example:
        >>> measure("loss"), measure("\u4e2d\u6587"), measure("e\u0301")
        (4, 4, 1)
    """
    return len(text) if text.isascii() else sum(map(_measure, text))


def _measure(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def pad(text: str, width: int, *, left: bool) -> str:
    """Text to the left or the right of so many columns."""
    spaces = " " * (width - measure(text))
    return text + spaces if left else spaces + text


def wrap(text: str, width: int | None, first: int | None = None) -> list[str]:
    """Text broken between words into lines of at most `width` columns, the `first` of which may have more.

    A word that is longer than a line is broken wherever the line ends.

    Example:
        >>> wrap("train larger runs", 12), wrap("abcdefgh", 3), wrap("", 3)
        (['train larger', 'runs'], ['abc', 'def', 'gh'], [''])
    """
    if width is None:
        return [text]
    lines: list[str] = []
    line, room = "", first or width
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if measure(joined) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
            room = width
        *full, line = _break(word, room, width)
        if full:
            lines += full
            room = width
    return [*lines, line]


def _break(word: str, first: int, width: int) -> list[str]:
    """A word in pieces of at most so many columns."""
    pieces, taken, room = [""], 0, first
    for character in word:
        columns = _measure(character)
        if taken + columns > room and pieces[-1]:
            pieces.append("")
            taken, room = 0, width
        pieces[-1] += character
        taken += columns
    return pieces


def shorten(text: str, most: int) -> str:
    """Text in at most so many columns, without its middle: names of runs differ at their ends.

    Example:
        >>> shorten("sweep_test|17m|lr0.002|rep1", 12), shorten("short", 12)
        ('sweep_\N{HORIZONTAL ELLIPSIS}|rep1', 'short')
    """
    if measure(text) <= most:
        return text
    half = most // 2
    return _take(text, most - half) + ELLIPSIS + _take(text[::-1], half - 1)[::-1]


def _take(text: str, most: int) -> str:
    """As much of the beginning as so many columns hold."""
    columns = accumulate(map(_measure, text))
    return "".join(character for character, taken in zip(text, columns, strict=True) if taken <= most)


def show_ends(ends: Sequence[float] | None, form: Callable[[float], str]) -> str:
    """An interval in the form of its value; empty where there is none."""
    return f"{form(ends[0])} to {form(ends[1])}" if ends else ""
