"""A report as Markdown: CommonMark with the tables of GitHub, in which no text from outside is ever markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from scaling_callback.reporting.pages import blocks
from scaling_callback.reporting.pages.blocks import Block, Cell, Column, Report, Section, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&$!])")
_BEGINS = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+=])(?=\s|[-=]*$)")
_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\u200e\u200f\u2068\u2069\ufb1d-\ufefc]")
_TURNS = re.compile(r"(\u2068[^\u202a-\u202e\u2066-\u2069]*\u2069)|[\u202a-\u202e\u2066-\u2069]")
"""A name that is isolated in a sentence, or a mark that turns what follows and belongs to no such name."""


def write_markdown(report: Report) -> str:
    r"""The report as one text. Figures are told in words: a picture has no place in a text of its own.

    Example:
        >>> from scaling_callback.reporting.pages.blocks import Section, Words
        >>> section = Section("runs", "Runs", (Words("There are none."),))
        >>> print(write_markdown(Report("A | B", "There is no forecast.", "", "", None, (section,))))
        # A \| B
        <BLANKLINE>
        **There is no forecast.**
        <BLANKLINE>
        ## Runs
        <BLANKLINE>
        There are none.
        <BLANKLINE>
    """
    parts = [f"# {escape(report.title)}", f"**{escape(report.verdict)}**"]
    parts += [escape(line) for line in (report.comparison, report.caution) if line]
    for section in (*((report.summary,) if report.summary else ()), *report.sections):
        parts += _write_section(section)
    text = "\n\n".join(part for part in parts if part) + "\n"
    # a name read from JSON may hold half of a surrogate pair, which no file can
    return text.encode("utf-8", "replace").decode("utf-8")


def escape(text: str) -> str:
    r"""Text on one line that Markdown shows as it is; what may turn the line around stays within itself.

    Marks that would turn what follows are shown as escapes, but for those around a name that a sentence isolates.

    Example:
        >>> print(escape("a|b `c`\n<script> 1_000"))
        a\|b \`c\` \<script\> 1\_000
        >>> print(escape("1. first"), escape("- first"))
        1\. first \- first
    """
    tame = _TURNS.sub(lambda found: found[1] or _show(found[0]), " ".join(text.split()))
    line = "".join(c if c.isprintable() or _RIGHT_TO_LEFT.match(c) else _show(c) for c in tame)
    marked = _BEGINS.sub(
        lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", _SPECIAL.sub(r"\\\1", line)
    )
    if _RIGHT_TO_LEFT.search(marked):
        return f"\N{FIRST STRONG ISOLATE}{marked}\N{POP DIRECTIONAL ISOLATE}"
    return marked


def _show(character: str) -> str:
    return character if "\ud800" <= character <= "\udfff" else character.encode("unicode_escape").decode()


def _write_section(section: Section) -> list[str]:
    return [f"## {escape(section.title)}", *(_WRITERS[type(block)](block) for block in section.blocks)]


def _write_table(table: Table) -> str:
    head = [escape(column.title) for column in table.shown]
    lines = [_row(head), _row(["---:" if column.number else "---" for column in table.shown])]
    lines += [_row([_write_cell(table, row, column) for column in table.shown]) for row in table.rows]
    return "\n".join(lines)


def _write_cell(table: Table, row: Mapping[str, Cell], column: Column) -> str:
    said = [row[key].text for key in (column.key, *(below.key for below in table.below(column.key)))]
    return "; ".join(escape(text) for text in said if text)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write_facts(facts: blocks.Facts) -> str:
    return "\n".join(
        f"- {escape(fact.label)}: **{escape(fact.cell.text)}**" + (f" ({escape(fact.below)})" if fact.below else "")
        for fact in facts.facts
    )


def _write_words(words: blocks.Words) -> str:
    return escape(words.text)


def _write_heading(heading: blocks.Heading) -> str:
    return f"### {escape(heading.text)}"


def _write_reasons(reasons: blocks.Reasons) -> str:
    return "\n".join(f"- {escape(sentence)} `{name}`" for name, sentence in reasons.reasons)


def _write_pictures(pictures: blocks.Pictures) -> str:
    return "\n\n".join(
        f"### {escape(figure.title)}\n\n*{escape(figure.alt)}.*\n\n{escape(figure.caption)}"
        for figure in pictures.figures
    )


def _write_entries(entries: blocks.Entries) -> str:
    lines: list[str] = []
    for entry in entries.entries:
        number = f"{entry.number}. " if entry.number else ""
        figure = f", {escape(entry.figure)}" if entry.figure else ""
        status = f" ({entry.sign} {entry.status}{figure})" if entry.status else ""
        below = f" *{escape(entry.below)}*" if entry.below else ""
        lines.append(f"- **{escape(number + entry.head)}**{status}: {escape(entry.text)}{below}")
    return "\n".join(lines)


_WRITERS: dict[type[Block], Callable[[Any], str]] = {
    blocks.Table: _write_table,
    blocks.Facts: _write_facts,
    blocks.Words: _write_words,
    blocks.Heading: _write_heading,
    blocks.Reasons: _write_reasons,
    blocks.Pictures: _write_pictures,
    blocks.Entries: _write_entries,
}
"""How each kind of block is written."""
