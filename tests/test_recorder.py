"""A live run without a framework: when it refits, what it says, and that it says the same as the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scaling_callback import Ladder, Target, refresh
from scaling_callback.fitting import get_objective
from scaling_callback.laws import get_law
from scaling_callback.recorder import Recorder
from scaling_callback.records import Run
from scaling_callback.reporting.scalars import METRICS, TOKENS
from scaling_callback.snapshot import Config
from scaling_callback.testing import RecordingSink, planted_ladder

CONFIG = Config(target=Target(params=1e9, tokens=2e10), replicates=20)


def record(ladder: Ladder, run: Run, *, refit_budget: float | None = 0.0) -> tuple[Recorder, RecordingSink]:
    sink = RecordingSink()
    recorder = Recorder(ladder, run.card, CONFIG, [sink], refit_budget=refit_budget)
    for seen in run.curve:
        recorder.observe(seen)
    recorder.finish(completed=True)
    return recorder, sink


def test_what_was_logged_is_what_a_later_refresh_says_to_the_last_digit(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path)
    runs = planted_ladder(ratios=(5.0, 20.0), points=6)
    _, sink = [record(ladder, run) for run in runs][-1]
    store = Ladder(tmp_path)
    again = refresh(store.runs(), store.issued(), CONFIG)
    assert again.forecast is not None
    last = sink.scalars[-1][1]
    assert last["scaling/target_loss"] == again.forecast.median
    assert last["scaling/target_loss_lower"] == again.forecast.lower
    assert last["scaling/target_loss_upper"] == again.forecast.upper


def test_every_metric_is_logged_or_its_absence_explained(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path)
    for run in planted_ladder(ratios=(5.0, 20.0), points=6):
        _, sink = record(ladder, run)
        assert all(TOKENS in row for _, row in sink.scalars)
        last = sink.scalars[-1][1]
        assert all(name in last or sink.reasons[name] for name in METRICS)


def test_a_spent_time_budget_puts_refits_off_but_not_the_last_one(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path)
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=6)
    for run in others:
        record(ladder, run)
    _, always = record(Ladder(tmp_path / "a"), last, refit_budget=None)
    _, rarely = record(ladder, last)
    assert len(always.scalars) == 6
    # the first refit finds nothing spent yet; then nothing until the end
    assert len(rarely.scalars) == 2
    assert rarely.scalars[-1][1][TOKENS] == last.horizon


def test_reasons_are_sent_when_they_change_and_not_at_every_refit(tmp_path: Path) -> None:
    sent: list[int] = []

    class Sink(RecordingSink):
        def explain(self, absent: object, doubts: object) -> None:
            sent.append(len(self.scalars))

    run = planted_ladder()[0]
    recorder = Recorder(Ladder(tmp_path), run.card, CONFIG, [Sink()], refit_budget=None)
    for seen in run.curve:
        recorder.observe(seen)
    # at the start; when "too early" became "no template"; when the run ended and its final loss was known
    assert sent == [1, 3, 12]


def test_a_running_run_logs_where_it_will_end(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path)
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=10, noise=0.001)
    for run in others:
        record(ladder, run)
    _, sink = record(ladder, last, refit_budget=None)
    assert last.final is not None
    halfway = sink.scalars[4][1]
    assert halfway["scaling/run_final_loss"] == pytest.approx(last.final.loss, rel=0.01)
    assert halfway["scaling/run_final_loss_lower"] < halfway["scaling/run_final_loss"]
    assert sink.scalars[-1][1]["scaling/run_final_loss"] == last.final.loss


def test_a_law_of_ones_own_is_described_as_plain_data(tmp_path: Path) -> None:
    sink = RecordingSink()
    config = replace(CONFIG, law=get_law("chinchilla"), objective=get_objective("log-squared"))
    Recorder(Ladder(tmp_path), planted_ladder()[0].card, config, [sink])
    said = json.loads(json.dumps(sink.record))
    assert (said["law"], said["objective"]) == ("chinchilla", "log-squared")
