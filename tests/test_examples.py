"""Every example runs, and leaves a ladder that another reader can use."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from support import environment

from scaling_callback import Ladder

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("name", "starts"),
    [("plain_pytorch", 2), ("fabric_loop", 1), ("hugging_face", 2), ("lightning_cli", 1)],
    ids=str,
)
def test_a_loop_of_its_own_leaves_a_ladder_of_finished_runs(tmp_path: Path, name: str, starts: int) -> None:
    # those that keep checkpoints double nothing when they are started again
    for _ in range(starts):
        said = run(name, "--output", str(tmp_path), "--scale", "0.1")
        assert said.count("forecast of the target") == 5
    runs = Ladder(tmp_path / "ladder").runs()
    assert len(runs) == 5
    for each in runs:
        assert each.horizon is not None
        assert each.final is not None
        assert each.curve.tokens.tolist() == pytest.approx([each.horizon * n / 8 for n in range(1, 9)])


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_the_rungs_train_as_tasks_of_a_cluster_into_one_ladder(tmp_path: Path) -> None:
    said = run("ladder_on_ray", "--ladder", str(tmp_path / "ladder"), "--scale", "0.1")
    runs = Ladder(tmp_path / "ladder").runs()
    assert len(runs) == 6
    assert all(each.final is not None for each in runs)
    assert "forecast of the target" in said
