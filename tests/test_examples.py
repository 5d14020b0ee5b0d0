"""Every example runs, and leaves a ladder that another reader can use."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from support import environment, rarely_refitted

from scaling_callback import Ladder
from scaling_callback.tables import read_table

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> str:
    command = [*rarely_refitted(EXAMPLES / f"{name}.py"), *arguments]
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


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="Optuna is not installed")
def test_a_study_of_optuna_in_shadow_mode_prunes_nothing_and_becomes_a_table(tmp_path: Path) -> None:
    table = tmp_path / "study.csv"
    said = run("optuna_sweep", "--scale", "0.5", "--trials", "8", "--action", "record", "--table", str(table))
    assert "0 of 8 trials pruned, 0% of the compute saved" in said
    assert len(read_table(table)) == 8


@pytest.mark.stress  # eight trainings with their refits take longer than every other example
def test_a_sweep_of_wandb_without_an_account_trains_the_grid_into_one_ladder(tmp_path: Path) -> None:
    said = run("wandb_sweep", "--output", str(tmp_path), "--scale", "0.1")
    runs = Ladder(tmp_path / "ladder").runs()
    assert len({(each.params, each.card.peak_lr) for each in runs}) == len(runs) == 8
    assert len({(each.params, each.horizon) for each in runs}) == 2
    assert "of 8 runs stopped" in said
    stopped = [each for each in runs if each.stopped]
    assert len(stopped) == int(re.findall(r"(\d+) of 8", said)[-1])
    assert all(each.final is None for each in stopped)


@pytest.mark.stress  # a cluster and its workers take long to start
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_sweep_of_ray_tune_stops_trials_on_its_workers(tmp_path: Path) -> None:
    said = run("ray_sweep", "--output", str(tmp_path))
    assert len(re.findall(r"^lr .* at step \d+ of 160", said, re.MULTILINE)) == 6
    assert re.search(r"[1-5] of 6 trials stopped", said)
