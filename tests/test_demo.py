"""The demo, at a fraction of its size: everything that it promises is written, whatever it may forecast."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from support import assert_metrics_or_reasons, environment, rarely_refitted, read_wandb

from scaling_callback import Ladder
from scaling_callback.reporting.scalars import METRICS, TOKENS

EXAMPLE = Path(__file__).parent.parent / "examples" / "tiny_ladder.py"


def load(path: Path) -> Any:
    """A script as a module."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


example = load(EXAMPLE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for the user who runs the demo."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, home: Path) -> tuple[Path, str]:
    """The folder of a whole demo that follows an interrupted one, and what it printed."""
    output = tmp_path_factory.mktemp("demo")
    example.clear(output)
    (output / "ladder").mkdir()
    (output / "ladder" / "torn.json").write_text("{", "utf-8")
    command = [*rarely_refitted(EXAMPLE), "--output", str(output), "--scale", "0.015"]
    own = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=300, env=environment() | own, cwd=home
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return output, done.stdout


@pytest.mark.timeout(300)
def test_the_result_holds_what_was_forecast_and_what_was_measured(demo: tuple[Path, str]) -> None:
    output, printed = demo
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    promised = {"forecast", "lower", "upper", "measured", "relative_error", "baselines", "rungs", "seconds", "seed"}
    assert promised <= set(result)
    assert result["lower"] <= result["forecast"] <= result["upper"]
    assert result["relative_error"] == pytest.approx(result["forecast"] / result["measured"] - 1)
    assert set(result["baselines"]) == {"best_loss", "most_compute"}
    assert len(result["rungs"]) == 12
    assert f"{result['measured']:.4f}" in printed


@pytest.mark.timeout(300)
def test_the_held_out_rung_is_twice_the_largest_and_no_evidence(demo: tuple[Path, str]) -> None:
    runs = Ladder(demo[0] / "ladder").runs()
    (held,) = (run for run in runs if run.card.held_out)
    assert held.params >= 2 * max(run.params for run in runs if run is not held)
    assert held.final is not None
    assert all(run.final is not None for run in runs)


@pytest.mark.timeout(300)
def test_the_report_is_one_file_that_asks_for_nothing(demo: tuple[Path, str]) -> None:
    page = (demo[0] / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3
    assert not any(mark in page for mark in ("http://", "https://", "<script", "src=", "@import"))


@pytest.mark.timeout(300)
def test_the_offline_wandb_files_hold_every_metric_or_the_reason_for_its_absence(demo: tuple[Path, str]) -> None:
    files = sorted(demo[0].glob("wandb/offline-run-*/*.wandb"))
    assert len(files) == 13
    records = read_wandb(files[-1])
    steps = {r["metric"].get("name"): r["metric"].get("step_metric") for r in records if r["type"] == "metric"}
    assert {name: steps.get(name) for name in METRICS} == dict.fromkeys(METRICS, TOKENS)
    rows = assert_metrics_or_reasons(records)
    assert any('"scaling/target_loss"' in row for row in rows)


@pytest.mark.timeout(300)
def test_nothing_of_wandb_is_left_outside_the_output(demo: tuple[Path, str], home: Path) -> None:
    # what importing matplotlib leaves is kept inside by `make demo`
    left = [path for path in home.rglob("*") if "matplotlib" not in path.parts]

    assert [path for path in left if path.is_file()] == []
    assert list((demo[0] / "wandb" / "cache").rglob("*.log"))


@pytest.mark.timeout(300)
def test_a_demo_replaces_what_an_interrupted_one_left(demo: tuple[Path, str]) -> None:
    assert not (demo[0] / "ladder" / "torn.json").exists()


def test_a_demo_replaces_what_an_earlier_one_wrote_and_nothing_else(tmp_path: Path) -> None:
    example.clear(tmp_path)
    mine = tmp_path / "notes"
    mine.mkdir()
    (mine / "kept.txt").write_text("mine", "utf-8")
    (tmp_path / "ladder").symlink_to(mine)
    (tmp_path / "wandb" / "run").mkdir(parents=True)
    (tmp_path / "result.json").write_text("{}", "utf-8")

    example.clear(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [".tiny_ladder", "notes"]
    assert (mine / "kept.txt").exists()


@pytest.mark.parametrize("name", ["ladder", "wandb", "report.html", "result.json"])
def test_what_somebody_else_made_is_refused_in_one_line_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    place = tmp_path / name
    if "." in name:
        place.write_text("mine", "utf-8")
    else:
        place.mkdir()
        (place / "mine").write_text("mine", "utf-8")

    assert f"{place} is not of an earlier demo" in refusal(capsys, "--output", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (place if place.is_file() else place / "mine").read_text("utf-8") == "mine"


OPTIONS = "--scale: 0 nan -1 inf 1e300 x,--seed: -1 1.5 99999999999999 x,--output: file file/below,--bogus: 1"


@pytest.mark.parametrize("option", OPTIONS.split(","))
def test_a_bad_option_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine", "utf-8")
    name, _, values = option.partition(":")

    for value in values.split():
        assert name in refusal(capsys, f"{name}={value}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which the demo refuses to begin."""
    with pytest.raises(SystemExit) as stopped:
        example.parse(arguments)
    printed = capsys.readouterr()
    assert (stopped.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    return printed.err
