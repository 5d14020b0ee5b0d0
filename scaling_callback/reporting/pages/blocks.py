"""What a report is made of: plain data, each value beside the text that says it.

HTML, Markdown and JSON are renderings of these: the first two of the texts, the last of the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.units import UNKNOWN

Value: TypeAlias = (
    "float | int | str | bool | Sequence[float] | Sequence[str] | Mapping[str, float | str | None] | None"
)


@dataclass(frozen=True)
class Cell:
    """A value and the text that says it.

    Attributes:
        value: Plain, and `None` where it is not known.
        text: Empty where nothing is to be said.
        mark: A class of the style sheet for what stands out, such as the role of a run.
    """

    value: Value
    text: str
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: Its name in JSON.
        title: Its head.
        number: Whether it holds numbers, which are aligned to the right.
        name: Whether it holds names from outside, which may be of any length and direction.
        under: Key of the column in whose cell it is shown, on a line of its own; it has no head then.
    """

    key: str
    title: str = ""
    number: bool = False
    name: bool = False
    under: str | None = None


@dataclass(frozen=True)
class Table:
    """A table: one cell for each column in each row, by key."""

    key: str
    label: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Cell], ...]
    tall: bool = False

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that have a head."""
        return tuple(column for column in self.columns if column.under is None)

    def below(self, key: str) -> tuple[Column, ...]:
        """The columns that are shown in the cell of another one."""
        return tuple(column for column in self.columns if column.under == key)


@dataclass(frozen=True)
class Fact:
    """One figure with its label, and a line below it."""

    key: str
    label: str
    cell: Cell
    below: str = ""


@dataclass(frozen=True)
class Facts:
    """What stands out at the top; `values` are further ones that their texts hold, for JSON."""

    key: str
    facts: tuple[Fact, ...]
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True)
class Words:
    """A paragraph; a small one is a remark, an equation is the plain text of one. `values` are those that it says."""

    text: str
    kind: str = "plain"
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True)
class Heading:
    """The head of a part of a section."""

    text: str


@dataclass(frozen=True)
class Reasons:
    """Sentences, each with the name by which a program knows it."""

    key: str
    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Pictures:
    """Figures."""

    key: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Entry:
    """One entry of a list of items: a number, what it is about, how it stands, and what is said.

    Attributes:
        values: What JSON says of it.
        number: Its number as text; empty where it has none.
        head: What it is about.
        status: How it stands.
        sign: The same as one character, for whoever sees no colour.
        text: What is said.
        below: Where that comes from.
        figure: The figure by which it stands so; empty where there is none.
    """

    values: Mapping[str, Value]
    number: str
    head: str
    status: str
    sign: str
    text: str
    below: str = ""
    figure: str = ""


@dataclass(frozen=True)
class Entries:
    """A list of items, in JSON under its key together with all others of that key."""

    key: str
    entries: tuple[Entry, ...]


Block: TypeAlias = "Table | Facts | Words | Heading | Reasons | Pictures | Entries"


@dataclass(frozen=True)
class Section:
    """A section: its key in JSON and in links, its title, and what is in it."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """Everything that a report says, in its order.

    Attributes:
        title: Its heading: text from outside.
        verdict: The answer in one sentence.
        comparison: What a held-out run says to it; empty where there is none.
        caution: How many reasons for doubt stand below; empty where there are none.
        summary: The forecast in figures; `None` where there is none.
        sections: The sections behind it.
    """

    title: str
    verdict: str
    comparison: str
    caution: str
    summary: Section | None
    sections: tuple[Section, ...]


def give(value: float | None, form: Callable[[float | None], str], mark: str = "") -> Cell:
    """The cell of a number, which is not known where it is not finite.

    Example:
        >>> from scaling_callback.reporting.units import format_loss
        >>> give(2.5, format_loss), give(math.nan, format_loss).value is None
        (Cell(value=2.5, text='2.5000', mark=''), True)
    """
    known = value if value is not None and math.isfinite(value) else None
    return Cell(known, form(known), mark)


def span(ends: Sequence[float | None] | None, form: Callable[[float | None], str], *, none: str = UNKNOWN) -> Cell:
    """The cell of an interval; `none` is its text where there is none."""
    known = [end for end in ends or () if end is not None and math.isfinite(end)]
    if len(known) < 2:
        return Cell(None, none)
    return Cell(known, f"{form(known[0])} to {form(known[1])}")


def word(text: str, mark: str = "") -> Cell:
    """The cell of a text."""
    return Cell(text, text, mark)


def start(text: str) -> str:
    """The same with a capital: the begin of a sentence.

    Example:
        >>> start("used by all")
        'Used by all'
    """
    return text[:1].upper() + text[1:]
