"""The demo, at a fraction of its size: everything that it promises is written, whatever it may forecast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import assert_metrics_or_reasons, environment, read_wandb

from scaling_callback import Ladder
from scaling_callback.reporting.scalars import METRICS, TOKENS

EXAMPLE = Path(__file__).parent.parent / "examples" / "tiny_ladder.py"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    output = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(EXAMPLE), "--output", str(output), "--scale", "0.03"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, env=environment())
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
