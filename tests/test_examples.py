"""Every example trains a real ladder and leaves it where it was told to."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import environment

from scaling_callback import Ladder

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = {"hugging_face": "transformers", "ladder_on_ray": "ray"}


def run(name: str, place: Path, *options: str) -> str:
    """What an example prints that writes below `place`, at a tenth of its scale."""
    missing = NEEDS.get(name)
    if missing is not None and importlib.util.find_spec(missing) is None:
        pytest.skip(f"needs {missing}")
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), f"--output={place / 'out'}", "--scale=0.1", *options]
    paths = {"PYTHONPATH": str(EXAMPLES.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=place, env=environment() | paths, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


NAMES = ("plain_pytorch", "fabric_loop", "hugging_face", "lightning_cli", "ladder_on_ray")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_trains_its_ladder_and_prints_the_forecast(tmp_path: Path, name: str) -> None:
    printed = run(name, tmp_path)
    runs = Ladder(tmp_path / "out" / "ladder").runs()
    assert len(runs) == 4
    for trained in runs:
        assert (trained.completed, len(trained.curve), trained.curve.tokens[-1]) == (True, 8, trained.horizon)
        assert trained.card.schedule is not None
        assert "cosine" in trained.card.schedule.lower()
    assert "forecast of the target" in printed.splitlines()[-1]
    assert "[" in printed.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_plain_loop_goes_on_from_its_checkpoint_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("plain_pytorch")
    monkeypatch.setattr(example, "RUNGS", ((4, 160), (8, 160)))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    observe = example.ScalingRecorder.observe

    def interrupt(self: Any, loss: float, **given: Any) -> Any:
        if self.run == "width-8-16" and given["step"] == 10:
            raise KeyboardInterrupt
        return observe(self, loss, **given)

    def train(place: Path) -> None:
        monkeypatch.setattr(sys, "argv", ["plain_pytorch.py", f"--output={place}", "--scale=0.1"])
        example.main()

    train(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(example.ScalingRecorder, "observe", interrupt)
        train(cut)
    assert [len(trained.curve) for trained in Ladder(cut / "ladder").runs()] == [8, 4]
    train(cut)
    expected, resumed = (Ladder(place / "ladder").runs() for place in (whole, cut))
    assert [trained.card.name for trained in resumed] == [trained.card.name for trained in expected]
    for one, other in zip(expected, resumed, strict=True):
        assert other.completed
        assert one.curve.tokens.tolist() == other.curve.tokens.tolist()
        assert one.curve.loss.tolist() == other.curve.loss.tolist()
