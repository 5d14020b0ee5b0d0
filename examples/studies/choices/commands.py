"""The commands that give the same rows, and how many numbers of the page they repeat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from choices.checking import CARDS
from choices.ladders import require_table
from choices.measuring import REPLICATES, Measured
from choices.published import BUDGET
from choices.rows import find_row
from scaling_callback.reporting import Item
from scaling_callback.reporting.units import number
from scaling_callback.sensitivity import Row

FLOPS = f"{BUDGET:g}".replace("+", "")

FIT = ("--flops", FLOPS, "--counting", "6nd", "--sensitivity", "--bootstrap", f"{REPLICATES}")

COMMANDS: dict[str, tuple[str, ...]] = {
    "misfitting": ("--params", "params_total", "--runs", "best", *FIT),
    "chinchilla_epoch": (),
    "olmo_ladder": FIT,
}
"""The options of `fit` by table.

Which runs are outliers is no option: of the Chinchilla table all 245 are fitted, and that is one row of the page.
"""

REPORTS = {"misfitting": ("--params", "params_total", "--runs", "best", "--target", f"flops={FLOPS}")}
"""The options of `report`, of the ladders that have a card."""

KEPT = {"chinchilla_epoch": "the 5 outliers kept"}
"""The row that a command gives which shows no panel."""

SAME = 1e-9
"""Numbers that differ by no more are the same: they went through text."""


@dataclass(frozen=True)
class Repeated:
    """What a command repeats of the page.

    Attributes:
        command: As it is typed.
        same: Values and ends of intervals that are the same on the page.
        values: How many it gives of choices that the page shows.
        rows: Of how many choices.
        only: Which one, where it shows no panel.
    """

    command: str
    same: int
    values: int
    rows: int
    only: str = ""


def run_command(table: str, folders: Sequence[Path]) -> Mapping[str, Any]:
    """What the command says, as it writes it for programs."""
    path = require_table(table, folders)
    words = [sys.executable, "-m", "scaling_callback", "fit", str(path), "--json", *COMMANDS[table]]
    done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 (our own command)
    return dict(json.loads(done.stdout))


def run_report(table: str, folders: Sequence[Path]) -> Mapping[str, Sequence[int]]:
    """The numbers of the items of the checklist by status, as the report of a ladder with a card fills it in."""
    path = require_table(table, folders)
    with TemporaryDirectory() as folder:
        output = ("--output", str(Path(folder, "report.md")), "--card", str(CARDS[table]))
        words = [sys.executable, "-m", "scaling_callback", "report", str(path), "--json", *REPORTS[table], *output]
        done = subprocess.run(words, check=True, capture_output=True, text=True)  # noqa: S603 (our own command)
    return dict(json.loads(done.stdout)["checklist"])


def show_report(table: str, items: Sequence[Item], said: Mapping[str, Sequence[int]]) -> str:
    """The command that fills in the checklist, and whether it does so as on the page."""
    words = ("scaling-callback", "report", f"{table}.csv", *REPORTS[table], "--card", CARDS[table].name)
    same = sum(item.number in said[item.status] for item in items)
    return (
        f"```text\n{' '.join(words)} --output report.md\n```\n\n"
        f"The report holds the checklist; {same} of {len(items)} items have the same status."
    )


def compare_command(measured: Measured, said: Mapping[str, Any]) -> Repeated:
    """How many of the numbers that a command gives are those of the page."""
    table = measured.ladder.table
    words = " ".join(("scaling-callback", "fit", f"{table}.csv", *COMMANDS[table]))
    panel: Mapping[str, Any] = said.get("sensitivity", {})
    rows: list[Mapping[str, Any]] = panel["rows"] if panel else [{"choice": KEPT[table], **said}]
    same: list[bool] = []
    known = 0
    for row in rows:
        own = find_row(measured, row["choice"])
        if own is None:
            continue
        known += 1
        for ours, theirs in _pair(own, row):
            same.append(ours is not None and abs(ours - theirs) <= SAME * abs(ours))
    only = "" if panel else f": it fits all runs of the table, which is the row *{KEPT[table]}*"
    return Repeated(words, sum(same), len(same), known, only)


def _pair(own: Row, said: Mapping[str, Any]) -> list[tuple[float | None, float]]:
    """Every number that a command says of a choice, behind that of the page."""
    here = {**own.params, "tokens_per_param": own.tokens_per_param, "loss": own.loss}
    pairs: list[tuple[float | None, float]] = []
    for name, value in here.items():
        theirs: float | None = said["params"].get(name, said.get(name))
        if theirs is not None:
            pairs.append((value, theirs))
    intervals: Mapping[str, tuple[float, float]] = said.get("intervals", {})
    for name, (low, high) in intervals.items():
        ends = own.intervals.get(name, (None, None))
        pairs += [(ends[0], low), (ends[1], high)]
    return pairs


def show_commands(repeated: Sequence[Repeated]) -> str:
    """The commands, and what they repeat."""
    lines = "\n".join(each.command for each in repeated)
    told = "\n".join(
        f"- `{each.command.split()[2]}`: {each.same} of {each.values} numbers of {number(each.rows, 'row')} are the "
        f"same{each.only}."
        for each in repeated
    )
    return f"```text\n{lines}\n```\n\n{told}"
