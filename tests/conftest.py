"""Shared by all tests: where real measurements are, and how hypothesis runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import Writer

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"

# deterministic, and without a deadline: the machines that run this are shared and noisy
settings.register_profile(
    "project", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("project")


@pytest.fixture
def data() -> Path:
    """Small real data that is part of the project, with its source in `tests/data/README.md`."""
    return HERE / "data"


@pytest.fixture
def chinchilla_table(tmp_path: Path) -> Path:
    """The Chinchilla reconstruction without its five highest losses; its licence keeps it out of the project."""
    source = SHARED / "chinchilla_epoch.csv"
    if not source.exists():
        pytest.skip("needs ../shared/data/chinchilla_epoch.csv")
    with source.open(newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["loss"]))
    path = tmp_path / "chinchilla.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows[:240])
    return path


@pytest.fixture
def table(tmp_path: Path) -> Writer:
    """Writes a file below `tmp_path` and gives its path."""

    def write(content: str | bytes, name: str = "ladder.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
