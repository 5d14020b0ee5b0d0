"""What several test files use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scaling_callback.errors import InputError
from scaling_callback.ladder import Ladder
from scaling_callback.records import IssuedForecast, Observation, Run, RunCard
from scaling_callback.reporting.scalars import METRICS, TOKENS
from scaling_callback.tables import read_table
from scaling_callback.testing import planted_ladder

HEADER = "run,params,tokens,loss"
ROWS = ["a,1e6,1e8,4.0", "a,1e6,2e8,3.5", "b,2e6,2e8,3.4"]
GOOD = "\n".join([HEADER, *ROWS]) + "\n"
Writer = Callable[..., Path]

CARD = RunCard(name="a", params=1e6, horizon=1e9)
MADE = IssuedForecast(
    by="a", at_tokens=1.0, run=None, params=1e9, tokens=2e10, median=2.5, lower=2.4, upper=2.6, level=0.9,
    forecaster="default", wall_time=0.0,
)  # fmt: skip


def refusal(source: Any, **options: Any) -> str:
    """The one line with which a table is refused."""
    with pytest.raises(InputError) as caught:
        read_table(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def points(*steps: int, loss: float = 3.0) -> list[Observation]:
    """Observations at these steps of 1000 tokens."""
    return [Observation(tokens=1e3 * step, loss=loss, step=step) for step in steps]


def steps(run: Run) -> list[int]:
    """The steps at which a run was observed."""
    return [int(step) for step in run.curve.step]


def only(ladder: Ladder | Path) -> Run:
    """The one run of a ladder."""
    (run,) = (Ladder(ladder) if isinstance(ladder, Path) else ladder).runs()
    return run


def plant(ladder: Path, loss_kind: str = "val_loss") -> None:
    """Finished runs of that loss, from which a target's loss can be forecast."""
    runs = planted_ladder(ratios=(5.0, 20.0), points=6)
    write_finished(ladder, [replace(run, card=replace(run.card, loss_kind=loss_kind)) for run in runs])


def write_finished(ladder: Path, runs: Iterable[Run]) -> None:
    """These runs as a ladder in which each has finished, without the refits that a recorder would make meanwhile."""
    for run in runs:
        writer = Ladder(ladder).start(run.card)
        writer.observe(list(run.curve))
        writer.finish()


def environment() -> dict[str, str]:
    """The environment in which this interpreter's own programs are found first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def rarely_refitted(script: Path) -> list[str]:
    """The command line of a script whose trainings refit at their start and end, and not at each validation.

    Those of the demo and of the examples last seconds, and a refit takes longer than what is trained between two.
    """
    code = (
        "import runpy, sys; from scaling_callback.refitting.budget import RefitBudget; "
        "RefitBudget.allows = lambda budget: not budget._spent; "
        "sys.argv = sys.argv[1:]; sys.path[0] = sys.argv[0].rpartition('/')[0]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    return [sys.executable, "-c", code, str(script)]


def read_wandb(file: Path) -> list[dict[str, Any]]:
    """The records of an offline W&B file, by the official reader."""
    command = ["wandb", "leet", "inspect", "--json", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    return [json.loads(line) for line in text.splitlines()]


def assert_metrics_or_reasons(records: list[dict[str, Any]]) -> list[str]:
    """Each metric stands beside its step metric in a row of W&B, or in words in the summary; gives the rows."""
    rows = [json.dumps(record) for record in records if record["type"] == "history"]
    words = json.dumps([record for record in records if record["type"] == "summary"])
    for name in METRICS:
        logged = [row for row in rows if f'"{name}"' in row]
        assert all(f'"{TOKENS}"' in row for row in logged)
        assert logged or name in words
    return rows
