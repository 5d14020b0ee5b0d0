"""Cells of a table as they were found: CSV, JSON lines, Parquet or a data frame, with places for messages."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable

from scaling_callback.errors import InputError, MissingDependency

REQUIRED = ("run", "params", "tokens", "loss")
MOST_NAMES = 24
LONGEST = 40
TRUE = {"true", "1", "1.0", "yes"}
FALSE = {"false", "0", "0.0", "no", ""}
PIECE = 2**20
"""Bytes of a file that are read at once."""
UNKNOWN = {"<NA>", "NaT"}
"""What pandas shows for a value that is missing."""


@runtime_checkable
class DataFrame(Protocol):
    """What is asked of a data frame (pandas has it)."""

    def to_dict(self, orient: Any) -> Any:
        """Its columns as lists."""
        ...


@dataclass(frozen=True)
class Table:
    """Cells as they were found.

    Attributes:
        name: What messages call it.
        columns: Cells by column, all of one length.
        lines: The number of each row, as an editor shows it.
        ragged: What is wrong with each row that has more or fewer fields than there are columns.
    """

    name: str
    columns: Mapping[str, Sequence[object]]
    lines: Sequence[int]
    ragged: Mapping[int, str] = field(default_factory=dict[int, str])

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        """File and row, as an editor numbers it."""
        return f"{self.name} row {self.lines[row]}"

    def text(self, column: str, row: int) -> str:
        """The cell as text; empty where there is none."""
        cell = self.columns[column][row] if column in self.columns else None
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return ""
        return str(cell).strip()

    def number(self, column: str, row: int) -> float | None:
        """The cell as a number, or `None` where it is empty or NaN.

        Raises:
            InputError: It is something else.
        """
        text = self.text(column, row)
        try:
            value = float(text or "nan")
        except ValueError:
            raise InputError(f"{self.place(row)}: {column} is {shorten(text)!r}; it must be a number") from None
        return None if math.isnan(value) else value

    def positive(self, column: str, row: int) -> float | None:
        """The cell as a positive, finite number, or `None` where it is empty or NaN.

        Raises:
            InputError: It is something else.
        """
        value = self.number(column, row)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{self.place(row)}: {column} is {value:g}; it must be a positive, finite number")
        return value

    def count(self, column: str, row: int) -> float:
        """The cell as a positive, finite number.

        Raises:
            InputError: It is something else, or empty.
        """
        value = self.positive(column, row)
        if value is None:
            found = self.text(column, row) or "empty"
            raise InputError(f"{self.place(row)}: {column} is {found}; it must be a positive, finite number")
        return value


def list_names(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """Names for a message: on one line, and no more than a person reads."""
    shown = [shorten(name) or "''" for name in names]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def shorten(text: str) -> str:
    """A cell for a message: on one line, and no longer than a person reads."""
    line = " ".join(text.split())
    # without its middle: names of runs differ at their ends
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}...{line[-(LONGEST // 2) :]}"


def read_cells(source: str | Path | DataFrame, name: str = "") -> Table:
    """The cells of a file or a data frame.

    Args:
        source: The file or the data frame.
        name: What messages call the file; by default its own name.

    Raises:
        InputError: It is no table; the message says why and what to do.
        MissingDependency: Reading Parquet needs pyarrow.
    """
    return _frame(source) if isinstance(source, DataFrame) else _file(Path(source), name)


def _file(path: Path, name: str) -> Table:
    name = name or path.name
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; a table is a .csv, .jsonl or .parquet file")
        with path.open("rb") as file:
            if path.suffix.lower() == ".parquet":
                return _parquet(name, file)
            data = _read_text(file)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give a table (.csv, .jsonl, .parquet) or a ladder folder") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check its name and permissions") from None
    text = _decode(name, data)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return _json_lines(name, text)
    return _csv(name, text)


def _read_text(file: BinaryIO) -> bytes:
    """All of a file; of one that holds a NUL byte and so no text, as much as shows it: the rest may be terabytes."""
    pieces: list[bytes] = []
    while piece := file.read(PIECE):
        pieces.append(piece)
        if b"\0" in piece:
            break
    return b"".join(pieces)


def _empty(name: str) -> InputError:
    return InputError(f"{name} is empty; a table needs the columns {', '.join(REQUIRED)}")


def _decode(name: str, data: bytes) -> str:
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise InputError(f"{name} is UTF-16 text; save it as UTF-8")
    if b"\0" in data:
        row = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise InputError(f"{name} row {row} holds a NUL byte: no text, or UTF-16; save the file as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        raise InputError(f"{name} row {row} is not UTF-8 text (byte 0x{byte:02x}); save the file as UTF-8") from None


def _csv(name: str, text: str) -> Table:
    header = text.lstrip().partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for row in reader:
            if len(row) > 1 or "".join(row).strip():  # else it is blank
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1  # a quoted cell may run over several lines
    except csv.Error as error:
        raise InputError(f"{name} row {line} is not CSV ({error}); save it as comma-separated text") from None
    if not rows:
        raise _empty(name)
    names = [cell.strip() for cell in rows.pop(0)]
    del lines[0]
    _refuse_twice(name, names)
    ragged = {
        number: f"{name} row {lines[number]} has {len(row)} field(s), the header has {len(names)}; "
        "give each row one for each column"
        for number, row in enumerate(rows)
        if len(row) != len(names)
    }
    return Table(
        name, {n: [row[i] if i < len(row) else "" for row in rows] for i, n in enumerate(names)}, lines, ragged
    )


def _json_lines(name: str, text: str) -> Table:
    if not text.strip():
        raise _empty(name)
    records: list[dict[str, object]] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{name} row {number} is not JSON; write one object a line") from None
        if not isinstance(record, dict):
            raise InputError(f"{name} row {number} is a JSON {type(record).__name__}; write one object a line")
        records.append(cast("dict[str, object]", record))
        lines.append(number)
    columns = dict.fromkeys(key for record in records for key in record)
    return Table(name, {key: [record.get(key) for record in records] for key in columns}, lines)


def _parquet(name: str, file: BinaryIO) -> Table:
    try:
        arrow = cast("Any", importlib.import_module("pyarrow"))
        parquet = cast("Any", importlib.import_module("pyarrow.parquet"))
    except ImportError:
        raise MissingDependency(f"reading {name} needs pyarrow: pip install 'scaling-callback[parquet]'") from None
    try:
        # it begins at its end, so that no more of a file than its columns is read; a pipe has no end to begin at
        table = parquet.read_table(file if file.seekable() else io.BytesIO(file.read()))
        names: list[str] = table.column_names
        _refuse_twice(name, names)
        columns: dict[str, list[object]] = table.to_pydict()
    except InputError:
        raise
    except (cast("type[Exception]", arrow.ArrowException), OSError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not a Parquet table ({shorten(str(error))}); write it again") from None
    return _whole(name, columns, first=1)


def _frame(frame: DataFrame) -> Table:
    name = "data frame"
    _refuse_twice(name, [str(column) for column in cast("Iterable[object]", getattr(frame, "columns", ()))])
    found: dict[object, list[object]] = frame.to_dict("list")
    columns = {str(c): [None if str(v) in UNKNOWN else v for v in values] for c, values in found.items()}
    return _whole(name, columns, first=0)


def _whole(name: str, columns: Mapping[str, Sequence[object]], *, first: int) -> Table:
    length = len(next(iter(columns.values()), ()))
    return Table(name, columns, range(first, first + length))


def _refuse_twice(name: str, columns: Sequence[str]) -> None:
    if len(set(columns)) != len(columns):
        twice = next(c for c in columns if columns.count(c) > 1)
        raise InputError(f"{name}: column {shorten(twice)!r} stands twice in the header; rename or remove one")
