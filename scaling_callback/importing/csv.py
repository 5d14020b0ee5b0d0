"""Runs in a wide table of metrics, or in the folders that Lightning's CSVLogger writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.importing.hparams import read_hparams
from scaling_callback.importing.record import LeftOut, Log, Record, as_array, as_number, make_faulty
from scaling_callback.records import as_count
from scaling_callback.tables import Selection, list_names, matches
from scaling_callback.tables.cells import FALSE, TRUE, Table, read_cells, shorten

METRICS = "metrics.csv"
"""What Lightning's CSVLogger calls its file, one a run."""

CARD = ("parent", "note", "loss_kind")
"""Columns of an observation table that are texts of a run's card."""

COLUMNS = ("run", "wall_time", "is_final", "flops", "batch_tokens", "held_out", "excluded", *CARD)
"""Columns that are known by their names alone, or by `--map NAME=COLUMN`."""


def read_csv(source: str, *, columns: Mapping[str, str] | None = None, where: Selection = ()) -> Iterator[Record]:
    """The runs of a table (CSV, JSON lines, Parquet), or of every `metrics.csv` in a folder and below it.

    Args:
        source: The table or folder.
        columns: Names of `COLUMNS` and how the table calls them.
        where: Rows to keep, as pairs of column and value.

    Raises:
        InputError: It is no such table or folder, or it has no such column.
    """
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"{source} does not exist; give a table (.csv, .jsonl, .parquet), or a folder of Lightning's CSVLogger"
        )
    renamed = dict(columns or {})
    unknown = [name for name in renamed if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"--map knows no {shorten(unknown[0])!r}; it maps: {', '.join(COLUMNS)}, and what has an option"
        )
    if not path.is_dir():
        yield from _table(path, renamed, where)
        return
    files = sorted(path.rglob(METRICS))
    if not files:
        raise InputError(
            f"{source} is a folder without any {METRICS}; give a table, or a folder of Lightning's CSVLogger"
        )
    for file in files:
        yield _logged(path, file, renamed, where)


def _logged(folder: Path, file: Path, renamed: Mapping[str, str], where: Selection) -> Record:
    """The run of a logger's file, which lies somewhere in a folder; what is wrong with it costs no other run."""
    place = file.relative_to(folder).as_posix()
    name = file.parent.relative_to(folder).as_posix() if file.parent != folder else folder.resolve().name
    try:
        if not file.stat().st_size:
            raise InputError(f"{place} is empty, as of a run that has just begun; import again later")
        table = read_cells(file, place)
        if not len(table):
            raise InputError(f"{place} has a header but no rows, as of a run that has just begun; import again later")
        rows = _select(table, where)
    except (InputError, OSError) as error:
        return make_faulty(name, _identify(file), "csv", str(error))
    record = _record(table, rows, name, file, renamed, config=read_hparams(file.parent), alone=True)

    def read(keys: Sequence[str]) -> Log:
        try:
            return record.read(keys)
        except InputError as error:
            raise LeftOut(str(error)) from None

    return replace(record, read=read)


def _identify(path: Path) -> str:
    return f"csv:{path.resolve()}"


def _table(path: Path, renamed: Mapping[str, str], where: Selection) -> Iterator[Record]:
    table = read_cells(path)
    if not len(table):
        raise InputError(f"{table.name} has a header but no rows; give it one row for each observation")
    for name, column in renamed.items():
        if column not in table.columns:
            raise InputError(
                f"{table.name} has no column {shorten(column)!r} to map {name} to; it has: {list_names(table.columns)}"
            )
    if table.ragged:
        raise InputError(next(iter(table.ragged.values())))
    rows = _select(table, where)
    by = renamed.get("run", "run")
    kind = renamed.get("loss_kind", "loss_kind")
    kinds = sorted({table.text(kind, row) for row in rows})
    if len(kinds) > 1:
        raise InputError(
            f"{table.name} holds {len(kinds)} kinds of loss ({list_names(map(repr, kinds))}); choose one with "
            f"--where {kind}=NAME"
        )
    grouped: dict[str, list[int]] = {}
    for row in rows:
        name = table.text(by, row) if by in table.columns else path.stem
        if not name:
            raise InputError(f"{table.place(row)}: {by} is empty; give every row the name of its run")
        grouped.setdefault(name, []).append(row)
    for name, own in grouped.items():
        alone = path.name == METRICS and by not in table.columns
        yield _record(table, own, name, path, renamed, config={}, alone=alone)


def _select(table: Table, where: Selection) -> list[int]:
    wanted: dict[str, list[str]] = {}
    for column, value in where:
        if column not in table.columns:
            raise InputError(f"{table.name} has no column {shorten(column)!r}; there are: {list_names(table.columns)}")
        wanted.setdefault(column, []).append(value)
    rows = [
        row
        for row in range(len(table))
        if row not in table.ragged  # the last row of a training that was killed may be cut
        and all(any(matches(table.text(c, row), v) for v in values) for c, values in wanted.items())
    ]
    if not rows and len(table):
        raise InputError(f"{table.name} has no row with {' and '.join(f'{c}={v}' for c, v in where)}")
    return rows


def _record(
    table: Table,
    rows: Sequence[int],
    name: str,
    path: Path,
    renamed: Mapping[str, str],
    *,
    config: Mapping[str, Any],
    alone: bool,
) -> Record:
    """The rows of one run; of what is the same in all of them the last cell is its configuration.

    It is `alone` in a file that a logger wrote: its rows stand in the order of time, and the file says which run it is.
    """
    names = {column: known for known, column in renamed.items()}
    last = {
        names.get(column, column): text
        for column in table.columns
        if (text := next((t for row in reversed(rows) if (t := table.text(column, row))), None)) is not None
    }
    place = str(path.resolve())
    return Record(
        name=name,
        identity=_identify(path) if alone else f"{_identify(path)}#{name}",
        source="csv",
        metrics=tuple(column for column in last if column != "run"),
        config={**config, **last},
        read=lambda keys: _read(table, rows, keys, renamed),
        state="unknown",
        ordered=alone,
        card=_card(table, rows, last, renamed),
        facts={"project": place, "run_id": name},
    )


def _card(table: Table, rows: Sequence[int], last: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, Any]:
    """What columns of an observation table say of a run."""
    told: dict[str, Any] = {name: last[name] for name in CARD if name in last}
    if (size := as_count(last.get("batch_tokens", ""))) is not None:
        told["batch_tokens"] = size
    if last.get("held_out", "").lower() in TRUE:
        told["held_out"] = True
    if (why := last.get("excluded", "")).lower() not in FALSE:
        told["excluded"] = "by its column" if why.lower() in TRUE else why
    flops, tokens = renamed.get("flops", "flops"), "tokens"
    for row in reversed(rows):
        spent, seen = (as_count(table.text(column, row)) for column in (flops, tokens))
        if spent is not None and seen is not None:
            told["flops_per_token"] = spent / seen
            break
    return told


def _read(table: Table, rows: Sequence[int], keys: Sequence[str], renamed: Mapping[str, str]) -> Log:
    """Numbers of the rows: an empty cell is none, `nan` a measurement.

    Raises:
        InputError: A cell holds something else.
    """
    values = {key: [_number(table, renamed.get(key, key), row) for row in rows] for key in keys}
    time = renamed.get("wall_time", "wall_time")
    times = [_number(table, time, row) for row in rows]
    return Log(
        columns={key: as_array(column) for key, column in values.items()},
        held={key: np.array([value is not None for value in column], dtype=bool) for key, column in values.items()},
        order=np.arange(len(rows), dtype=float),
        step=None,
        wall_time=as_array(times),
    )


def _number(table: Table, column: str, row: int) -> float | None:
    text = table.text(column, row)
    if not text:
        return None
    if text.lower() in {"true", "false"}:
        return float(text.lower() == "true")
    value = as_number(text)
    if value is None:
        raise InputError(f"{table.place(row)}: {column} is {shorten(text)!r}; it must be a number")
    return value
