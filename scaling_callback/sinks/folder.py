"""A folder of files beside what a logger writes itself: for what it has no other place for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.rendering.canvas import render_svg
from scaling_callback.reporting.results import to_json_values
from scaling_callback.tables import write_rows

LONGEST = 80
"""Characters of a folder's name."""


@final
class Folder:
    """What a run says, as files: each holds what was said last, and alerts every one.

    `config.json`, `reasons.json`, `alerts.jsonl`, a `.svg` a figure, `answers.json` and `ladder.csv`.

    Args:
        path: The folder, which is made when something is first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self, record: Mapping[str, Any]) -> None:
        """The configuration."""
        self._write("config.json", write_json(record))

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Reasons and doubts."""
        self._write("reasons.json", write_json({"absent": absent, "doubts": doubts}))

    def draw(self, figures: Sequence[Figure]) -> None:
        """A drawing each, which any browser opens."""
        for figure in figures:
            self._write(f"{figure.name}.svg", render_svg(figure, words=True, alone=True))

    def alert(self, alert: Alert, step: int) -> None:
        """One more line."""
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / "alerts.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **asdict(alert)}) + "\n")

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """What the command line would say, and the ladder as a table that it reads."""
        self._write("answers.json", write_json(answers))
        with (self._path / "ladder.csv").open("w", encoding="utf-8", newline="") as file:
            write_rows(rows, file)

    def _write(self, name: str, text: str) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        (self._path / name).write_text(text, encoding="utf-8")


def write_json(values: Mapping[str, Any]) -> str:
    """Plain data as text that a person reads too; what is no plain data as its words.

    Example:
        >>> print(write_json({"loss": float("nan"), "runs": 3}))
        {
          "loss": null,
          "runs": 3
        }
    """
    return json.dumps(to_json_values(values), allow_nan=False, indent=2, default=str)


def find_folder(log_dir: object, prefix: str) -> Folder | None:
    """The folder of that prefix in a logger's own, if that is one of this machine.

    Example:
        >>> find_folder("s3://bucket/logs", "scaling"), find_folder(None, "scaling")
        (None, None)
    """
    if not isinstance(log_dir, str | Path) or not str(log_dir) or "://" in str(log_dir):
        return None
    name = re.sub(r"[^\w-]+", "-", prefix)[:LONGEST].strip("-")
    return Folder(Path(log_dir) / (name or "scaling"))
