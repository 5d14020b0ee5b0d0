"""Claims about what the loggers of a live run are sent, and when."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import write_finished

from scaling_callback import ScalingRecorder
from scaling_callback.errors import MissingDependency
from scaling_callback.pipeline import refresh
from scaling_callback.records import Observation, Run, Target
from scaling_callback.reporting.alerts import Reference, find_alerts
from scaling_callback.reporting.scalars import make_scalars
from scaling_callback.sinks import Publisher
from scaling_callback.snapshot import Config, Decision, Snapshot
from scaling_callback.tables import read_table
from scaling_callback.testing import RecordingSink, planted_ladder

CONFIG = Config(target=Target(params=1e9, tokens=2e10), replicates=100)
GO_ON = Decision()


@cache
def usual() -> Snapshot:
    return refresh(planted_ladder(), (), CONFIG)


def alerts(snapshot: Snapshot, run: str = "a", reference: Reference | None = None) -> list[str]:
    return [alert.name for alert in find_alerts(snapshot, run, GO_ON, reference)[0]]


def test_figures_are_sent_at_every_doubling_of_refits_and_once_more_at_the_end() -> None:
    sink = RecordingSink()
    publisher = Publisher([sink], pytest.fail)
    for step in range(1, 101):
        publisher.publish(usual(), "a", Observation(1e6 * step, 3.0, step=step), 0.1, GO_ON)
    assert [step for step, _ in sink.drawn] == [1, 2, 4, 8, 16, 32, 64]
    publisher.conclude(refresh(planted_ladder(seed=1), (), CONFIG))
    assert sink.drawn[-1][0] == 100
    assert len(sink.scalars) == 100


def test_the_end_tells_the_last_answers_and_the_ladder_as_a_table_that_reads_back(tmp_path: Path) -> None:
    import pandas as pd

    sink = RecordingSink()
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=4)
    write_finished(tmp_path, others)
    recorder = ScalingRecorder(CONFIG, tmp_path, last.card, loggers=[sink], refit_budget=0.0)
    for seen in last.curve:
        recorder.observe(seen.loss, tokens=seen.tokens)
    recorder.finish()
    snapshot = recorder.snapshot
    assert snapshot is not None
    assert snapshot.forecast is not None
    assert sink.answers["forecast"]["median"] == snapshot.forecast.median
    assert sink.answers["fit"]["params"] == pytest.approx(snapshot.fit.params if snapshot.fit else None)
    assert set(sink.answers) == {"fit", "forecast", "allocation"}
    again = read_table(pd.DataFrame(sink.rows))
    assert {run.name: run.curve.loss.tolist() for run in again} == {
        run.name: run.curve.loss.tolist() for run in snapshot.runs
    }


def test_a_forecast_outside_the_narrowest_earlier_interval_is_told_once() -> None:
    made = usual().forecast
    assert made is not None
    first = find_alerts(usual(), "a", GO_ON, None)
    assert first == ((), Reference(1e9, 2e10, made.lower, made.upper))
    inside = Reference(1e9, 2e10, made.median - 1.0, made.median + 1.0)
    assert find_alerts(usual(), "a", GO_ON, inside) == ((), first[1])  # the narrower one is held from now on
    narrower = Reference(1e9, 2e10, made.median - 1e-6, made.median + 1e-6)
    assert find_alerts(usual(), "a", GO_ON, narrower) == ((), narrower)
    left = Reference(1e9, 2e10, made.median + 0.1, made.median + 0.2)
    assert alerts(usual(), reference=left) == ["forecast-left-interval"]
    assert alerts(usual(), reference=left._replace(params=2e9)) == []  # of another target


@pytest.mark.parametrize(("factor", "told"), [(1.0, []), (0.9, []), (1.05, ["off-law"])])
def test_a_run_that_ends_above_the_law_by_more_than_chance_is_told(factor: float, told: list[str]) -> None:
    *others, run = planted_ladder()
    spoiled = replace(run, curve=replace(run.curve, loss=run.curve.loss * factor))
    snapshot = refresh((*others, spoiled), (), replace(CONFIG, splits=False))
    assert alerts(snapshot, run.name) == told
    assert alerts(snapshot, others[0].name) == []


def test_a_run_that_is_forecast_to_end_above_the_law_is_told_before_it_ends() -> None:
    *others, run = planted_ladder(points=20)
    spoiled = replace(run, curve=replace(run.curve, loss=run.curve.loss * 1.1)).until(0.6 * run.params * 80)
    assert alerts(refresh((*others, spoiled), (), CONFIG), run.name) == ["off-law"]


def test_what_goes_on_is_told_once_and_again_when_it_returns() -> None:
    *others, run = planted_ladder()
    spoiled = replace(run, curve=replace(run.curve, loss=run.curve.loss * 1.05))
    bad, sink = refresh((*others, spoiled), (), replace(CONFIG, target=None)), RecordingSink()
    good = refresh((*others, run), (), replace(CONFIG, target=None))
    publisher = Publisher([sink], pytest.fail)
    for snapshot in (bad, bad, good, bad):
        publisher.publish(snapshot, run.name, None, 0.1, GO_ON)
    assert [alert.name for alert in sink.alerts] == ["off-law", "off-law"]


def test_a_rule_that_stops_a_run_is_told_with_its_reason(tmp_path: Path) -> None:
    sink, (run, *_) = RecordingSink(), planted_ladder()
    rules = [lambda _snapshot, _run: "enough"]
    recorder = ScalingRecorder(
        CONFIG, tmp_path, run.card, loggers=[sink], rules=rules, action="stop", refit_budget=None
    )
    assert recorder.observe(3.0, tokens=1e6).stop
    assert [(alert.name, alert.text) for alert in sink.alerts] == [("stopped", f"run {run.name} stops: enough")]


def test_a_sink_that_lacks_a_package_or_fails_keeps_nothing_from_the_others() -> None:
    class Bare(RecordingSink):
        def draw(self, *_: Any, **__: Any) -> None:
            raise MissingDependency("figures need matplotlib, which is not installed: pip install it")

        def conclude(self, *_: Any) -> None:
            raise OSError("the service is gone")

    said: list[str] = []
    good = RecordingSink()
    publisher = Publisher([Bare(), good], lambda message, _about: said.append(message))
    publisher.publish(usual(), "a", None, 0.1, GO_ON)
    publisher.conclude(usual())
    assert len(good.drawn) == 1
    assert good.answers
    assert len(said) == 2
    assert "pip install it" in said[0]
    assert "the service is gone" in said[1]


def timed(run: Run, hours: float, devices: str | None) -> Run:
    """The run with times that rise with its tokens, and a pause of a day in the middle."""
    seconds = 3600.0 * hours * run.curve.tokens / run.curve.tokens[-1]
    seconds[len(seconds) // 2 :] += 86400.0
    extra = {} if devices is None else {"devices": devices}
    return Run(replace(run.card, extra=extra), replace(run.curve, wall_time=1.7e9 + seconds), completed=True)


@pytest.mark.parametrize(("devices", "hours"), [("8", 16.0), ("1", 2.0), (None, math.nan), ("many", math.nan)])
def test_device_hours_are_those_of_training_on_all_devices_without_pauses(devices: str | None, hours: float) -> None:
    runs = [timed(run, 2.0, devices) for run in planted_ladder(points=8)]
    values = make_scalars(refresh(runs, (), replace(CONFIG, fits=False)), runs[0].name)
    np.testing.assert_allclose(values.get("scaling/device_hours", math.nan), hours, rtol=1e-6)
    assert values["scaling/run_flops"] == pytest.approx(6 * runs[0].params * runs[0].curve.tokens[-1])
