"""Observation tables in and out: CSV, JSON lines, Parquet, or a data frame; one row an observation.

`run, params, tokens, loss` are required; DESIGN 4.1 lists what is used when present. Bad input is refused
with one line that names file, row, column, what was found and what to do. Rows are numbered as in an editor:
the header of a CSV file is row 1. What is repaired or left out becomes a note of its run.
"""

from __future__ import annotations

from scaling_callback.tables.cells import DataFrame, list_names
from scaling_callback.tables.runs import (
    NO_PLAN,
    Selection,
    check_table,
    is_table,
    matches,
    read_table,
    read_targets,
)
from scaling_callback.tables.writing import list_rows, write_table

__all__ = [
    "NO_PLAN",
    "DataFrame",
    "Selection",
    "check_table",
    "is_table",
    "list_names",
    "list_rows",
    "matches",
    "read_table",
    "read_targets",
    "write_table",
]
