"""Cells of a table as they were found: CSV, JSON lines, Parquet or a data frame, with places for messages."""

from __future__ import annotations

import csv
import importlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from scaling_callback.errors import InputError, MissingDependency

REQUIRED = ("run", "params", "tokens", "loss")
TRUE = {"true", "1", "1.0", "yes"}
FALSE = {"false", "0", "0.0", "no", ""}


@runtime_checkable
class DataFrame(Protocol):
    """What is asked of a data frame (pandas has it)."""

    def to_dict(self, orient: Any) -> Any:
        """Its columns as lists."""
        ...


@dataclass(frozen=True)
class Table:
    """Cells as they were found, with the name of their file and the number of the first row."""

    name: str
    columns: Mapping[str, Sequence[object]]
    first_row: int

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """File and row, as an editor numbers it."""
        return f"{self.name} row {row + self.first_row}"

    def text(self, column: str, row: int) -> str:
        """The cell as text; empty where there is none."""
        cell = self.columns[column][row] if column in self.columns else None
        if cell is None or (isinstance(cell, float) and math.isnan(cell) and column != "loss"):
            return ""
        return str(cell).strip()

    def number(self, column: str, row: int) -> float | None:
        """The cell as a number, or `None` where it is empty.

        Raises:
            InputError: It is something else.
        """
        text = self.text(column, row)
        if not text:
            return None
        try:
            return float(text)
        except ValueError:
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            raise InputError(f"{self.place(row)}: {column} is {shown!r}; it must be a number") from None

    def positive(self, column: str, row: int) -> float | None:
        """The cell as a positive, finite number, or `None` where it is empty."""
        value = self.number(column, row)
        if value is not None and not (math.isfinite(value) and value > 0):
            shown = int(value) if math.isfinite(value) and value == int(value) else value
            raise InputError(f"{self.place(row)}: {column} is {shown}; it must be a positive, finite count")
        return value


def read_cells(source: str | Path | DataFrame) -> Table:
    """The cells of a file or a data frame.

    Raises:
        InputError: It is no table; the message says why and what to do.
        MissingDependency: Reading Parquet needs pyarrow.
    """
    return _frame(source) if isinstance(source, DataFrame) else _file(Path(source))


def _file(path: Path) -> Table:
    if path.is_dir():
        raise InputError(f"{path} is a folder; a table is a .csv, .jsonl or .parquet file")
    if not path.exists():
        raise InputError(f"{path} does not exist; give a table (.csv, .jsonl, .parquet) or a ladder folder")
    if path.suffix == ".parquet":
        return _parquet(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(
            f"{path.name} is not UTF-8 text (byte 0x{byte:02x} at position {error.start}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); check the file's permissions") from None
    if not text.strip():
        raise InputError(f"{path.name} is empty; it needs a header with the columns {', '.join(REQUIRED)}")
    if path.suffix in (".jsonl", ".ndjson", ".json"):
        return _json_lines(path.name, text)
    return _csv(path.name, text)


def _csv(name: str, text: str) -> Table:
    header = text.splitlines()[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    # the limit on a field guards against a binary file that happens to decode
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        names = [cell.strip() for cell in next(reader)]
        if len(set(names)) != len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise InputError(f"{name}: column {twice!r} stands twice in the header; rename one of them")
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{name} is not a CSV table ({error}); save it as comma-separated text") from None
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InputError(
                f"{name} row {number + 2} has {len(row)} fields, the header {len(names)}; give each row every column"
            )
    return Table(name, {n: [row[i] for row in rows] for i, n in enumerate(names)}, first_row=2)


def _json_lines(name: str, text: str) -> Table:
    records: list[dict[str, object]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"{name} row {number} is not JSON; write one object a line") from None
        if not isinstance(record, dict):
            raise InputError(f"{name} row {number} is a JSON {type(record).__name__}; write one object a line")
        records.append(cast("dict[str, object]", record))
    columns = dict.fromkeys(key for record in records for key in record)
    return Table(name, {key: [record.get(key) for record in records] for key in columns}, first_row=1)


def _parquet(path: Path) -> Table:
    try:
        arrow = cast("Any", importlib.import_module("pyarrow"))
        parquet = cast("Any", importlib.import_module("pyarrow.parquet"))
    except ImportError:
        raise MissingDependency(f"reading {path.name} needs pyarrow: pip install 'scaling-callback[parquet]'") from None
    try:
        columns: dict[str, list[object]] = parquet.read_table(path).to_pydict()
    except (cast("type[Exception]", arrow.ArrowException), OSError) as error:
        raise InputError(f"{path.name} is not a Parquet table ({str(error).splitlines()[0]}); write it again") from None
    return Table(path.name, columns, first_row=1)


def _frame(frame: DataFrame) -> Table:
    return Table("data frame", frame.to_dict("list"), first_row=0)
