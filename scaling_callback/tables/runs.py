"""From cells to runs, and back to a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from scaling_callback.errors import EmptyTable, InputError
from scaling_callback.records import Curve, Observation, Run, RunCard, as_count
from scaling_callback.tables.cells import FALSE, REQUIRED, TRUE, DataFrame, Table, list_names, read_cells, shorten

OPTIONAL_NUMBERS = ("total_tokens", "peak_lr", "batch_tokens", "flops")
OPTIONAL = (
    "step",
    "lr",
    "schedule",
    "seed",
    "loss_kind",
    "is_final",
    "parent",
    "wall_time",
    "held_out",
    "excluded",
    "note",
)
COLUMNS = (
    *("run", "params", "tokens", "loss", "step", "total_tokens", "lr", "peak_lr", "schedule", "flops"),
    *("seed", "loss_kind", "is_final", "parent", "batch_tokens", "wall_time", "held_out", "excluded", "note"),
)
KNOWN = {*REQUIRED, *OPTIONAL_NUMBERS, *OPTIONAL} - {"params"}
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")

NO_PLAN = "no total_tokens: its last row is taken as its end"
"""Note of a run that may have been cut before its end: nothing in the table could tell."""

Selection = Sequence[tuple[str, str]]
"""Pairs of column and value: AND over columns, OR over values of one column."""


def read_table(source: str | Path | DataFrame, *, where: Selection = (), params: str = "params") -> tuple[Run, ...]:
    r"""The runs in an observation table.

    Args:
        source: A CSV, JSON-lines or Parquet file, or a data frame.
        where: Rows to keep, as pairs of column and value: compared as numbers when both parse, else as text.
        params: The column that counts N.

    Raises:
        InputError: The table cannot be used; the message names place and cure.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "ladder.csv"
        >>> _ = path.write_text("run,params,tokens,loss\na,1e6,1e8,4.0\na,1e6,2e8,3.5\n")
        >>> [(run.name, run.params, run.final.loss) for run in read_table(path)]
        [('a', 1000000.0, 3.5)]
    """
    table, rows = _open(source, where, params)
    return _runs(table, rows, params)


def read_targets(source: str | Path | DataFrame, *, where: Selection = (), params: str = "params") -> tuple[Run, ...]:
    """Measurements to compare forecasts with: `read_table`, but `where` counts only for the columns there are.

    Raises:
        InputError: As `read_table`.
    """
    table = read_cells(source)
    known = [(column, value) for column, value in where if column in table.columns]
    return read_table(source, where=known, params=params)


def check_table(
    source: str | Path | DataFrame, *, where: Selection = (), params: str = "params"
) -> tuple[tuple[Run, ...], list[str]]:
    """The runs that can be read, and one sentence for each row that cannot: what `validate` shows.

    Raises:
        InputError: It is no observation table at all.
    """
    table, rows = _open(source, where, params)
    problems: list[str] = []
    sound: list[int] = []
    for row in rows:
        try:
            _name(table, row)
            _observation(table, row)
            table.count(params, row)
            for column in OPTIONAL_NUMBERS:
                table.positive(column, row)
            sound.append(row)
        except InputError as problem:
            problems.append(str(problem))
    return _runs(table, sound, params), problems


def is_table(source: str | Path) -> bool:
    """Whether a source is a table rather than a ladder: a file or pipe, or a name that ends like one."""
    path = Path(source)
    return not path.is_dir() and (path.exists() or path.suffix.lower() in SUFFIXES)


def matches(cell: str, value: str) -> bool:
    """Whether a cell holds a value: as numbers when both parse, else as text.

    Example:
        >>> matches("1000000", "1e6"), matches("1B", "1b"), matches("nan", "nan")
        (True, False, True)
    """
    try:
        return cell == value or float(cell) == float(value)
    except ValueError:
        return False


def _require(table: Table, params: str) -> None:
    present = list_names(table.columns)
    if params not in table.columns and params != "params":
        raise InputError(f"{table.name} has no column {params!r} to count N by; its columns are: {present}")
    if params in KNOWN:
        raise InputError(f"{table.name}: {params!r} is no count of N; choose another of its columns: {present}")
    needed = [params if name == "params" else name for name in REQUIRED]
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(
            f"{table.name} has no column {' and no column '.join(repr(name) for name in missing)}; "
            f"a table needs {', '.join(needed)}, this one has: {present}"
        )
    if not len(table):
        raise EmptyTable(f"{table.name} has a header but no rows; give it one row for each observation")


def _select(table: Table, where: Selection) -> list[int]:
    wanted: dict[str, list[str]] = {}
    for column, value in where:
        if column not in table.columns:
            raise InputError(
                f"{table.name} has no column {column!r} to select by; its columns are: {list_names(table.columns)}"
            )
        wanted.setdefault(column, []).append(value)
    rows = [
        row
        for row in range(len(table))
        # of a row without all its cells nobody knows whether it was meant
        if row in table.ragged
        or all(any(matches(table.text(c, row), v) for v in values) for c, values in wanted.items())
    ]
    if not rows:
        asked = " and ".join(f"{c} = {' or '.join(repr(v) for v in values)}" for c, values in wanted.items())
        held = "; ".join(f"{c} holds {_distinct(table, c)}" for c in wanted)
        raise InputError(f"{table.name} has no row with {asked}; {held}")
    return rows


def _distinct(table: Table, column: str) -> str:
    found = sorted({repr(shorten(table.text(column, row))) for row in range(len(table))})
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")


def _one_loss_kind(table: Table, rows: Sequence[int]) -> None:
    whole = [row for row in rows if row not in table.ragged]
    kinds = sorted({table.text("loss_kind", row) for row in whole})
    if len(kinds) > 1:
        shown = list_names(repr(kind) for kind in kinds)
        raise InputError(
            f"{table.name} holds {len(kinds)} kinds of loss ({shown}); choose one with --where loss_kind=NAME"
        )


def _open(source: str | Path | DataFrame, where: Selection, params: str) -> tuple[Table, list[int]]:
    """The table and the rows that were asked for."""
    table = read_cells(source)
    _require(table, params)
    rows = _select(table, where)
    _one_loss_kind(table, rows)
    return table, rows


def _runs(table: Table, rows: Sequence[int], params: str) -> tuple[Run, ...]:
    grouped: dict[str, list[int]] = {}
    for row in rows:
        grouped.setdefault(_name(table, row), []).append(row)
    return tuple(_run(table, name, rows, params) for name, rows in grouped.items())


def _run(table: Table, name: str, rows: Sequence[int], params: str) -> Run:
    seen = [_observation(table, row) for row in rows]
    curve = Curve.of(seen)
    counts = [table.count(params, row) for row in rows]
    horizons = [h for row in rows if (h := table.positive("total_tokens", row)) is not None]
    horizon = horizons[-1] if horizons else float(curve.tokens[-1])
    notes = {
        NO_PLAN: not horizons and len(curve) > 1 and not curve.is_final.any(),
        f"{params} has {len(set(counts))} values in one run; the last one counts": len(set(counts)) > 1,
        f"total_tokens has {len(set(horizons))} values in one run; the last one counts": len(set(horizons)) > 1,
        f"{len(seen) - len(curve)} repeated observation(s) at the same tokens; the last one counts": len(curve)
        < len(seen),
        f"{(broken := sum(not math.isfinite(o.loss) for o in curve))} loss(es) that are not a number are left out of "
        "every fit": broken > 0,
        f"{(beyond := int((curve.tokens > horizon).sum()))} observation(s) beyond total_tokens; their progress is "
        "taken as 1": beyond > 0,
    }
    sizes, extra = _other_columns(table, rows[-1])
    card = RunCard(
        name=name,
        params=counts[-1],
        sizes=sizes,
        horizon=horizon,
        schedule=table.text("schedule", rows[-1]) or None,
        peak_lr=_last(table, "peak_lr", rows),
        seed=table.text("seed", rows[-1]) or None,
        parent=table.text("parent", rows[-1]) or None,
        held_out=_flag(table, "held_out", rows[-1]),
        excluded=_reason(table.text("excluded", rows[-1])),
        note=table.text("note", rows[-1]) or None,
        batch_tokens=_last(table, "batch_tokens", rows),
        flops_per_token=_flops_per_token(table, rows),
        loss_kind=table.text("loss_kind", rows[-1]) or None,
        extra=extra,
    )
    return Run(card, curve, tuple(note for note, applies in notes.items() if applies))


def _name(table: Table, row: int) -> str:
    if row in table.ragged:
        raise InputError(table.ragged[row])
    name = table.text("run", row)
    if not name:
        raise InputError(f"{table.place(row)}: run is empty; give every observation the name of its run")
    return name


def _other_columns(table: Table, row: int) -> tuple[dict[str, float], dict[str, str]]:
    """Other countings of N (columns that begin with `params`), and whatever else the table holds, as text."""
    sizes: dict[str, float] = {}
    extra: dict[str, str] = {}
    for column in table.columns:
        text = table.text(column, row)
        if column in KNOWN or not text:
            continue
        size = as_count(text) if column.startswith("params") else None
        if size is None:
            extra[column] = text
        else:
            sizes[column] = size
    return sizes, extra


def _flops_per_token(table: Table, rows: Sequence[int]) -> float | None:
    """From the last row that says what the run has cost so far."""
    for row in reversed(rows):
        flops, tokens = table.positive("flops", row), table.positive("tokens", row)
        if flops is not None and tokens is not None:
            return flops / tokens
    return None


def _observation(table: Table, row: int) -> Observation:
    loss = table.number("loss", row)
    loss = math.nan if loss is None else loss
    if math.isinf(loss) or loss <= 0:
        raise InputError(f"{table.place(row)}: loss is {loss:g}; it must be a positive, finite number, or nan")
    tokens = table.count("tokens", row)
    step, lr, wall_time = (table.number(column, row) for column in ("step", "lr", "wall_time"))
    return Observation(
        tokens=tokens,
        loss=loss,
        step=math.nan if step is None else step,
        lr=math.nan if lr is None else lr,
        wall_time=math.nan if wall_time is None else wall_time,
        is_final=_flag(table, "is_final", row),
    )


def _flag(table: Table, column: str, row: int) -> bool:
    flag = table.text(column, row).lower()
    if flag not in TRUE | FALSE:
        raise InputError(f"{table.place(row)}: {column} is {shorten(flag)!r}; it must be true or false")
    return flag in TRUE


def _reason(cell: str) -> str | None:
    """Why a run is excluded: the words, or that its column says so."""
    if cell.lower() in FALSE:
        return None
    return "by its column" if cell.lower() in TRUE else cell


def _last(table: Table, column: str, rows: Sequence[int]) -> float | None:
    """The last value of a column that is present within a run."""
    return next((value for row in reversed(rows) if (value := table.positive(column, row)) is not None), None)
