"""Runs as an observation table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from scaling_callback.records import Run
from scaling_callback.tables.runs import COLUMNS


def list_rows(runs: Iterable[Run]) -> list[dict[str, object]]:
    """One row an observation, with every column that `read_table` knows, other countings of N and other columns.

    What is unknown is `None`; a loss that is no number is a measurement, and is the text `nan`.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> row = list_rows(planted_ladder(points=2, noise=0.0)[:1])[-1]
        >>> row["run"], row["params"], row["tokens"], round(row["loss"], 2)
        ('n1e+07-r5', 10000000.0, 50000000.0, 6.48)
    """
    runs = tuple(runs)
    others = dict.fromkeys(name for run in runs for name in (*run.card.sizes, *run.card.extra))
    columns = [*COLUMNS, *(name for name in others if name not in COLUMNS)]
    rows: list[dict[str, object]] = []
    for run in runs:
        card = run.card
        shared: dict[str, object] = {
            **card.extra,
            **card.sizes,
            "run": card.name,
            "params": card.params,
            "total_tokens": run.horizon,
            "peak_lr": card.peak_lr,
            "schedule": card.schedule,
            "seed": card.seed,
            "loss_kind": card.loss_kind,
            "parent": card.parent,
            "batch_tokens": card.batch_tokens,
            "held_out": card.held_out or None,
            "excluded": card.excluded,
            "note": card.note,
        }
        for seen in run.curve:
            own = {name: getattr(seen, name) for name in ("tokens", "loss", "step", "lr", "wall_time")}
            flops = card.flops_per_token * seen.tokens if card.flops_per_token else None
            row = shared | own | {"flops": flops, "is_final": seen.is_final}
            rows.append({name: _plain(name, row.get(name)) for name in columns})
    return rows


def write_table(runs: Iterable[Run], path: str | Path) -> None:
    """Write runs as a CSV table that `read_table` reads back, other countings of N and other columns included."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        write_rows(list_rows(runs), file)


def write_rows(rows: Sequence[Mapping[str, object]], file: TextIO) -> None:
    r"""Write rows of an observation table as CSV; what a row lacks, or does not know, is empty.

    Example:
        >>> import io
        >>> file = io.StringIO()
        >>> write_rows([{"run": "a", "lr": 0.1}, {"run": "b, c", "lr": None}], file)
        >>> file.getvalue()
        'run,lr\r\na,0.1\r\n"b, c",\r\n'
    """
    columns = dict.fromkeys(name for row in rows for name in row) or COLUMNS
    writer = csv.DictWriter(file, list(columns))
    writer.writeheader()
    writer.writerows(rows)


def _plain(column: str, value: object) -> object:
    """A cell: a loss that is not a number is a measurement, other columns are simply unknown then."""
    unknown = isinstance(value, float) and not math.isfinite(value)
    if column == "loss" and unknown:
        return "nan"
    return None if unknown else value
