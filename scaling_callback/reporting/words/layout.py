"""Answers as blocks of words, laid out on so many columns.

The words are the same on a terminal, in a pipe, and with or without colours; what a colour could be put on is marked by
a style, and it is the terminal that knows what each style looks like.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Literal, NamedTuple, Protocol

from scaling_callback.reporting.words.lines import make_visible, measure, pad, wrap

Style = Literal["", "verdict", "doubt", "heading", "name", "strong"]
"""What words are: the verdict, something to be wary of, a heading, the name of a row, the row that was asked for."""

INDENT = "  "
GAP = 2
"""Columns between those of a table."""

NARROWEST = 12
"""A column of words is not made narrower than this: a table that has no room for it is stacked."""

STAND_INS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{HORIZONTAL ELLIPSIS}": "~"})
"""For what an encoding lacks; each is as wide as what it stands for."""


class Span(NamedTuple):
    """Words of one style."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


@dataclass(frozen=True)
class Paper:
    """What words are laid out on.

    Attributes:
        width: Its columns, or `None` where lines may be as long as they like.
        encoding: What its characters are encoded in.
    """

    width: int | None = None
    encoding: str = "utf-8"

    def spell(self, text: str) -> str:
        r"""Text on one line, in characters that the encoding has and that do nothing but show.

        Example:
            >>> print(Paper(encoding="ascii").spell("\N{MINUS SIGN}1 caf\u00e9 \x1b[31m"))
            -1 caf\xe9 \x1b[31m
        """
        seen = make_visible(text)
        try:
            seen.encode(self.encoding)
        except UnicodeEncodeError:
            return seen.translate(STAND_INS).encode(self.encoding, "backslashreplace").decode(self.encoding)
        return seen


class Block(Protocol):
    """A part of an answer."""

    def lay(self, paper: Paper) -> list[Line]:
        """Its lines, none wider than the paper; none at all if it has nothing to say."""
        ...


Answer = Sequence[Block]


@dataclass(frozen=True)
class Verdict:
    """What a person wants to know, in a sentence.

    Attributes:
        text: The sentence.
        sure: Whether it is an answer; else it says that there is none.
    """

    text: str
    sure: bool = True

    def lay(self, paper: Paper) -> list[Line]:
        """The sentence."""
        style = "verdict" if self.sure else "doubt"
        return [(Span(line, style),) for line in wrap(paper.spell(self.text), paper.width)]


@dataclass(frozen=True)
class Notes:
    """Sentences under a heading.

    Attributes:
        heading: What they are.
        items: A sentence each; nothing is shown where there are none.
        grave: Whether they speak against the answer.
    """

    heading: str
    items: Sequence[str]
    grave: bool = False

    def lay(self, paper: Paper) -> list[Line]:
        """The heading, and each item indented, its further lines more so."""
        lines = _head(self.heading if self.items else "", paper, "doubt" if self.grave else "heading")
        for item in self.items:
            for i, line in enumerate(wrap(paper.spell(item), _less(paper.width, 4), _less(paper.width, 2))):
                lines.append((Span((INDENT if i == 0 else 2 * INDENT) + line),))
        return lines


@dataclass(frozen=True)
class Table:
    """Rows of cells, aligned.

    Attributes:
        rows: Cells, each row as long as the others.
        header: Names of the columns, if they have any.
        words: The columns that hold words, to the left; all others hold numbers, to the right, and are never broken.
        heading: What the table is.
        strong: The rows that stand out.
        spare: Columns that are left out where there is no room for all, one group after the other, by what they hold.
    """

    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    words: Sequence[int] = (0,)
    heading: str = ""
    strong: Sequence[int] = field(default=())
    spare: Mapping[str, Sequence[int]] = field(default_factory=dict[str, Sequence[int]])

    def lay(self, paper: Paper) -> list[Line]:
        """Side by side where there is room: columns of words are broken first; else each row on lines of its own."""
        if not self.rows:
            return []
        for groups in range(1, len(self.spare) + 1) if not self.fits(paper) else ():
            names = list(self.spare)[:groups]
            narrow = self._leave_out({column for name in names for column in self.spare[name]})
            if narrow.fits(paper):
                left = wrap(f"left out for want of room: {', '.join(names)}", paper.width)
                return [*narrow.lay(paper), *((Span(line),) for line in left)]
        rows = [[paper.spell(cell) for cell in row] for row in self.rows]
        header = [paper.spell(cell) for cell in self.header]
        widths = self._share(header, rows, paper.width)
        lines = _head(self.heading, paper)
        if widths is None:
            return [*lines, *(line for row in rows for line in _stack(header, row, paper))]
        if header:
            lines += self._lay_row(header, widths, ("heading", "heading"))
        for i, row in enumerate(rows):
            lines += self._lay_row(row, widths, ("strong", "strong") if i in self.strong else ("name", ""))
        return lines

    def _leave_out(self, columns: Collection[int]) -> Table:
        """The same without some columns."""
        left = [column for column in range(len(self.rows[0])) if column not in columns]
        return replace(
            self,
            rows=[[row[column] for column in left] for row in self.rows],
            header=[self.header[column] for column in left],
            words=[place for place, column in enumerate(left) if column in self.words],
            spare={},
        )

    def fits(self, paper: Paper) -> bool:
        """Whether there is room for every column."""
        spelt = [[paper.spell(cell) for cell in row] for row in (self.header, *self.rows)]
        return self._share(spelt[0], spelt[1:], paper.width) is not None

    def _share(self, header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> list[int] | None:
        """Columns for each cell, or `None` where there are too few for any table."""
        columns = list(zip(*([header] if header else []), *rows, strict=True))
        natural = [max(map(measure, column)) for column in columns]
        if width is None:
            return natural
        least = [min(NARROWEST, most) for most in natural]
        for i, column in enumerate(columns):
            if i not in self.words:
                head, body = (column[:1], column[1:]) if header else ((), column)
                longest = [measure(word) for cell in head for word in cell.split()]
                least[i] = max([*longest, *map(measure, body)])
        room = width - len(INDENT) - GAP * (len(least) - 1) - sum(least)
        if room < 0:
            return None
        # words first: only heads of numbers want more than the least
        for i in sorted(range(len(least)), key=lambda i: (i not in self.words, natural[i] - least[i])):
            more = min(room, natural[i] - least[i])
            least[i] += more
            room -= more
        return least

    def _lay_row(self, row: Sequence[str], widths: Sequence[int], styles: tuple[Style, Style]) -> list[Line]:
        cells = [wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        lines: list[Line] = []
        for pieces in zip_longest(*cells, fillvalue=""):
            spans = [Span(INDENT)]
            for i, (piece, width) in enumerate(zip(pieces, widths, strict=True)):
                text = pad(piece, width, left=i in self.words)
                spans.append(Span((" " * GAP if i else "") + text, styles[bool(i)]))
            while spans and not spans[-1].text.strip():
                spans.pop()
            lines.append((*spans[:-1], Span(spans[-1].text.rstrip(), spans[-1].style)) if spans else ())
        return lines


def _head(heading: str, paper: Paper, style: Style = "heading") -> list[Line]:
    """The lines of a heading, if there is one."""
    return [(Span(line, style),) for line in wrap(paper.spell(heading), paper.width)] if heading else []


def _stack(header: Sequence[str], row: Sequence[str], paper: Paper) -> list[Line]:
    """A row of a table that the paper has no columns for: its first cell, and below it one line each."""
    names = [f"{name}: " if name else "" for name in header or [""] * len(row)]
    first = wrap(names[0] + row[0], _less(paper.width, 2))
    lines: list[Line] = [(Span(INDENT), Span(line, "name")) for line in first]
    for name, cell in zip(names[1:], row[1:], strict=True):
        if cell:
            said = wrap(name + cell, _less(paper.width, 6), _less(paper.width, 4))
            lines += [(Span((2 if i == 0 else 3) * INDENT + line),) for i, line in enumerate(said)]
    return lines


def _less(width: int | None, by: int) -> int | None:
    """A narrower paper, which still takes a character a line."""
    return None if width is None else max(2, width - by)


def lay_out(answer: Answer, paper: Paper) -> list[Line]:
    """The lines of an answer, an empty one between its blocks."""
    lines: list[Line] = []
    for block in answer:
        if laid := block.lay(paper):
            lines += [*([()] if lines else []), *laid]
    return lines


def write_plain(lines: Sequence[Line]) -> str:
    """Lines as text without styles.

    Example:
        >>> answer = [Verdict("loss 2.5"), Table([("best loss so far", "2.7")]), Notes("doubts", ["too few runs"])]
        >>> print(write_plain(lay_out(answer, Paper(width=40))))
        loss 2.5
        <BLANKLINE>
          best loss so far  2.7
        <BLANKLINE>
        doubts
          too few runs
    """
    return "\n".join("".join(span.text for span in line).rstrip() for line in lines)
