"""Claims about the one door: what it needs it names in one line, and half an environment never counts as ready."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

PYTHON = """#!/bin/sh
# A Python as far as the installation sees one: STATUS is what the probe of it exits with.
case "$*" in
    *ensurepip*) exit {status} ;;
    *-venv*) echo python3.11-venv ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*) test -e online ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh checkout, as far as the installation looks at it."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(HERE / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON", "PIP_ARGS"):  # these tests may run below make
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def python(status: int = 0, name: str = "stub") -> str:
    path = Path(name)
    path.write_text(PYTHON.format(status=status), "utf-8")
    path.chmod(0o755)
    return f"./{name}"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], capture_output=True, text=True, check=False)


def test_a_python_that_is_missing_old_or_incomplete_is_named_in_one_line(checkout: Path) -> None:
    cases = {
        "missing": "PYTHON=missing cannot be run; install Python 3.11 or newer, or name one",
        python(3, "old"): "PYTHON=./old is older than 3.11; name a newer one",
        python(
            1, "bare"
        ): "PYTHON=./bare lacks venv or ensurepip; install them (Debian, Ubuntu: apt install python3.11-venv)",
    }
    for name, words in cases.items():
        done = make(f"PYTHON={name}", "test")

        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr
        assert "make PYTHON=python3.12" in done.stderr
        assert not (checkout / ".venv").exists()


def test_an_installation_that_failed_is_made_anew_and_one_that_worked_is_kept(checkout: Path) -> None:
    ready, half_made = checkout / ".venv" / ".ready", checkout / ".venv" / "half-made"
    arguments = [f"PYTHON={python()}", ".venv/.ready"]

    assert make(*arguments).returncode == 2
    assert (checkout / ".venv" / "bin" / "python").exists()
    assert not ready.exists()
    half_made.touch()

    (checkout / "online").touch()
    assert make(*arguments).returncode == 0
    assert ready.exists()
    assert not half_made.exists()

    (checkout / ".venv" / "kept").touch()
    assert "venv" not in make(*arguments).stdout.replace(".venv/.ready", "")
    (checkout / "pyproject.toml").touch()
    assert make(*arguments).returncode == 0
    assert (checkout / ".venv" / "kept").exists()


def test_clean_leaves_runs_that_are_not_of_the_demo(checkout: Path) -> None:
    for name in ("demo", "mine"):
        (checkout / "runs" / name).mkdir(parents=True)

    assert make("clean").returncode == 0
    assert [path.name for path in (checkout / "runs").iterdir()] == ["mine"]
