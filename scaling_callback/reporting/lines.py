"""Lines of a terminal: what every answer in words is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scaling_callback.tables import list_names

WIDTH = 18
"""Columns of a name before its value."""


def make_visible(text: str) -> str:
    r"""Text on one line, with escapes for what a terminal would obey rather than show, and for separators of lines.

    A name in a table may hold anything: a sequence that clears the screen, a mark that reverses what follows.

    Example:
        >>> print(make_visible("caf\u00e9 \x1b[31m \u202e a\nb"))
        café \x1b[31m \u202e a\nb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def join_lines(lines: Sequence[str]) -> str:
    """Lines as one text, whatever names they hold."""
    return "\n".join(make_visible(line) for line in lines)


def make_line(name: str, value: str) -> str:
    """A name and its value."""
    return f"  {name:<{WIDTH}}{value}"


def show_ends(ends: Sequence[float] | None, form: Callable[[float], str]) -> str:
    """An interval in the form of its value; empty where there is none."""
    return f"{form(ends[0])} to {form(ends[1])}" if ends else ""


def list_doubts(doubts: Iterable[str]) -> list[str]:
    """Doubts under a heading; nothing where there are none."""
    found = [f"  {doubt}" for doubt in doubts]
    return ["", "doubts:", *found] if found else []


def list_set_aside(result: Mapping[str, Any]) -> list[str]:
    """Runs that are no evidence, by reason, and what was odd about the records of the others."""
    reasons: dict[str, list[str]] = {}
    for run, reason in result["left_out"].items():
        reasons.setdefault(reason, []).append(run)
    left = [f"  {len(runs)} run(s) ({list_names(runs, most=3)}): {reason}" for reason, runs in reasons.items()]
    notes = [f"  {note}" for note in result["notes"]]
    return [*(["", "left out:", *left] if left else []), *(["", "noted:", *notes] if notes else [])]


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
