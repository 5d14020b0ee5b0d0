"""From what is typed to runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from scaling_callback.errors import EmptyTable, InputError, ScalingError
from scaling_callback.ladder import Ladder
from scaling_callback.records import IssuedForecast, Run
from scaling_callback.tables import is_table, read_table
from scaling_callback.terminal import one_line

LONGEST_REASON = 200
"""Of a library's own message a person reads no more."""


def read_runs(
    options: argparse.Namespace, *, some: bool = True, new: bool = False
) -> tuple[tuple[Run, ...], tuple[IssuedForecast, ...]]:
    """Runs (at least one, if there must be `some`) and issued forecasts of a table or a ladder.

    With `new` a table may be empty, and the folder of a ladder need not exist yet.
    """
    if is_table(options.source):
        try:
            return read_table(options.source, where=options.where, params=options.params), ()
        except EmptyTable:
            if new:
                return (), ()
            raise
    # the plugin behind a URL raises what it likes
    failures = Exception if ":" in options.source else OSError
    try:
        ladder = Ladder(options.source)
        if not ladder.exists():
            if new and not Path(options.source).exists():
                return (), ()
            raise InputError(
                f"{options.source} does not exist; give a table (.csv, .jsonl, .parquet) or a ladder folder"
            )
        runs, issued = ladder.runs(where=options.where, params=options.params), ladder.issued()
    except ScalingError:
        raise
    except failures as error:
        reason = (one_line(error) or type(error).__name__)[:LONGEST_REASON]
        raise InputError(
            f"{options.source} cannot be read as a ladder ({reason}); check its name, and that you may open it"
        ) from None
    if some and not runs:
        raise no_runs(options.source)
    return runs, issued


def no_runs(source: str) -> InputError:
    """That there is none."""
    return InputError(f"{source} holds no run that can be read; give the folder that the callback was given")
