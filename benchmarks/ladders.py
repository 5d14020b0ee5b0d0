"""Measured ladders, and what is held out of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from scaling_callback import read_table
from scaling_callback.forecasting import best_runs
from scaling_callback.records import Run
from scaling_callback.replaying import Goal, hold_out

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Where the tables lie."""

Where: TypeAlias = tuple[tuple[str, str], ...]

TRAIN: Where = (("loss_kind", "train"),)


@dataclass(frozen=True)
class Ladder:
    """A table, and what is held out of it.

    Attributes:
        name: As it is shown.
        file: Its table.
        where: Rows that are kept.
        best: Whether only the best run of each size and horizon is.
        largest: Hold out every run of so many largest sizes.
        split: Instead: shares of the runs, by N * D, below which they are the ladder and above which the goals.
        diverged: Final loss from which a run is left out as diverged.
    """

    name: str
    file: str
    where: Where = ()
    best: bool = False
    largest: int = 0
    split: tuple[float, float] | None = None
    diverged: float = math.inf


LADDERS = (
    Ladder("olmo", "olmo_ladder", largest=1),
    Ladder("misfitting", "misfitting", best=True, largest=1),
    *(
        Ladder(f"ctx{length}", f"xlstm_isoflop_llama_ctx{length}", TRAIN, split=(0.7, 0.85), diverged=8.0)
        for length in (8192, 16384, 2048)
    ),
)


def read_ladder(data: Path, ladder: Ladder) -> tuple[tuple[Run, ...], tuple[Goal, ...]]:
    """Its runs, and the goals beyond them."""
    runs = read_table(data / f"{ladder.file}.csv", where=ladder.where)
    runs = [run for run in runs if run.final is None or run.final.loss < ladder.diverged]
    return hold_out(best_runs(runs) if ladder.best else runs, largest=ladder.largest, split=ladder.split)
