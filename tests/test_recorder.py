"""A live run without a framework: when it refits, what it says, and that it says the same as the command line."""

from __future__ import annotations

import errno
import json
import math
import os
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import only, write_finished

from scaling_callback import Ladder, ScalingRecorder, Target, refresh
from scaling_callback.errors import ScalingWarning
from scaling_callback.fitting import get_objective
from scaling_callback.laws import get_law
from scaling_callback.ranks import Ranks
from scaling_callback.records import Run
from scaling_callback.refitting import Refits
from scaling_callback.refitting.budget import SHORT, RefitBudget
from scaling_callback.reporting.scalars import METRICS, TOKENS
from scaling_callback.snapshot import Config, Decision, Snapshot
from scaling_callback.testing import RecordingSink, planted_ladder

CONFIG = Config(target=Target(params=1e9, tokens=2e10), replicates=20)


def record(ladder: Path, run: Run, *, refit_budget: float | None = 0.0, **options: Any) -> RecordingSink:
    sink = RecordingSink()
    recorder = ScalingRecorder(CONFIG, ladder, run.card, loggers=[sink], refit_budget=refit_budget, **options)
    for seen in run.curve:
        recorder.observe(seen.loss, tokens=seen.tokens, step=seen.step, lr=seen.lr)
    recorder.finish()
    return sink


def observe_twice(recorder: ScalingRecorder) -> list[Decision]:
    """Two more observations, and the end of the training."""
    decisions = [recorder.observe(3.0, tokens=tokens) for tokens in (2e6, 3e6)]
    recorder.finish()
    return decisions


def test_what_was_logged_is_what_a_later_refresh_says_to_the_last_digit(tmp_path: Path) -> None:
    *others, before_last, last = planted_ladder(ratios=(5.0, 20.0), points=6)
    write_finished(tmp_path, others)
    sink = [record(tmp_path, run) for run in (before_last, last)][-1]
    store = Ladder(tmp_path)
    again = refresh(store.runs(), store.issued(), CONFIG)
    assert again.forecast is not None
    last = sink.scalars[-1][1]
    assert last["scaling/target_loss"] == again.forecast.median
    assert last["scaling/target_loss_lower"] == again.forecast.lower
    assert last["scaling/target_loss_upper"] == again.forecast.upper


def test_every_metric_is_logged_or_its_absence_explained(tmp_path: Path) -> None:
    for run in planted_ladder(sizes=(1e7, 1e8), ratios=(5.0, 20.0), points=6):
        sink = record(tmp_path, run)
        assert all(TOKENS in row for _, row in sink.scalars)
        last = sink.scalars[-1][1]
        assert all(name in last or sink.reasons[name] for name in METRICS)


def test_a_spent_time_budget_puts_refits_off_but_not_the_last_one(tmp_path: Path) -> None:
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=6)
    write_finished(tmp_path, others)
    write_finished(tmp_path / "a", others[:1])
    always = record(tmp_path / "a", last, refit_budget=None)
    rarely = record(tmp_path, last)
    assert len(always.scalars) == 6
    # the first refit finds nothing spent yet; then nothing until the end
    refitted = [values for _, values in rarely.scalars if "scaling/runs" in values]
    assert len(refitted) == 2
    assert [values["scaling/loss"] for _, values in rarely.scalars[:6]] == last.curve.loss.tolist()
    assert rarely.scalars[-1][1][TOKENS] == last.horizon


def test_reasons_are_sent_when_they_change_and_not_at_every_refit(tmp_path: Path) -> None:
    sent: list[int] = []

    class Sink(RecordingSink):
        def explain(self, absent: object, doubts: object) -> None:
            sent.append(len(self.scalars))

    run = planted_ladder()[0]
    recorder = ScalingRecorder(CONFIG, tmp_path, run.card, loggers=[Sink()], refit_budget=None)
    for seen in run.curve:
        recorder.observe(seen.loss, tokens=seen.tokens, step=seen.step, lr=seen.lr)
    # at the start; when "too early" became "no template"; when the run ended and its final loss was known
    assert sent == [1, 3, 12]


def test_a_running_run_logs_where_it_will_end(tmp_path: Path) -> None:
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=10, noise=0.001)
    write_finished(tmp_path, others)
    sink = record(tmp_path, last, refit_budget=None)
    assert last.final is not None
    halfway = sink.scalars[4][1]
    assert halfway["scaling/run_final_loss"] == pytest.approx(last.final.loss, rel=0.01)
    assert halfway["scaling/run_final_loss_lower"] < halfway["scaling/run_final_loss"]
    assert sink.scalars[-1][1]["scaling/run_final_loss"] == last.final.loss


def test_a_law_of_ones_own_is_described_as_plain_data(tmp_path: Path) -> None:
    sink = RecordingSink()
    config = replace(CONFIG, law=get_law("chinchilla"), objective=get_objective("log-squared"))
    recorder = ScalingRecorder(config, tmp_path, planted_ladder()[0].card, loggers=[sink])
    recorder.observe(3.0, tokens=1e6)
    said = json.loads(json.dumps(sink.record))
    assert (said["law"], said["objective"]) == ("chinchilla", "log-squared")


# a training of its own making ------------------------------------------------------------------------------------


def test_each_rank_learns_what_the_first_one_decided(tmp_path: Path) -> None:
    run = planted_ladder()[0]
    said: list[Decision] = []

    def tell(decision: Decision) -> Decision:
        said.append(decision)
        return decision

    rules = [lambda _, name: f"{name} has taught enough"]
    options: dict[str, Any] = {"rules": rules, "action": "stop"}
    first = ScalingRecorder(CONFIG, tmp_path, run.card, ranks=Ranks(first=True, broadcast=tell), **options)
    other = ScalingRecorder(
        CONFIG, tmp_path, run.card, ranks=Ranks(first=False, broadcast=lambda _: said[-1]), **options
    )
    decided = [rank.observe(3.0, tokens=1e6) for rank in (first, other)]
    assert decided == said * 2
    assert [(each.stop, each.reason) for each in decided] == [(True, f"{run.name} has taught enough")] * 2
    assert (first.run, other.run) == (run.name, None)
    assert len(only(tmp_path).curve) == 1


@pytest.mark.parametrize("fault", ["ladder", "logger", "rule", "card"])
def test_a_fault_costs_one_warning_and_no_training(tmp_path: Path, fault: str) -> None:
    class Broken(RecordingSink):
        def log(self, values: object, *, step: int) -> None:
            raise RuntimeError("the network is down")

    def fail(*_: Any) -> Any:
        raise RuntimeError("the rule is wrong" if fault == "rule" else "nobody knows who this is")

    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    recorder = ScalingRecorder(
        CONFIG,
        tmp_path / ("file" if fault == "ladder" else "ladder"),
        fail if fault == "card" else planted_ladder()[0].card,
        loggers=[Broken()] if fault == "logger" else [],
        rules=[fail] if fault == "rule" else [],
        refit_budget=None,
    )
    with pytest.warns(ScalingWarning, match=r"^ScalingRecorder: .* The training goes on\.$") as warned:
        decisions = observe_twice(recorder)
    assert len(warned) == 1
    assert decisions == [Decision()] * 2
    assert [len(run.curve) for run in Ladder(tmp_path / "ladder").runs()] == (
        [2] if fault in ("logger", "rule") else []
    )


def test_a_clock_that_is_set_back_does_not_turn_the_order_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card)
    recorder.observe(3.0, tokens=1e6)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    recorder.observe(2.9, tokens=2e6)
    first, second = only(tmp_path).curve.wall_time
    assert 0 <= second - first < 60


# refits ----------------------------------------------------------------------------------------------------------


def test_a_process_beside_the_training_says_the_same(tmp_path: Path) -> None:
    *others, last = planted_ladder(ratios=(5.0, 20.0), points=6)
    for place in ("here", "beside"):
        write_finished(tmp_path / place, others)
    here = record(tmp_path / "here", last, refit_budget=None).scalars[-1][1]
    beside = record(tmp_path / "beside", last, refit_budget=None, refit_in="process").scalars[-1][1]
    timed = {"scaling/refit_seconds"}
    assert {name: here[name] for name in here if name not in timed} == {n: beside[n] for n in beside if n not in timed}


def test_every_observation_is_logged_though_the_refit_that_is_done_knew_it_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, late = Refits.take, [None]
    monkeypatch.setattr(Refits, "take", lambda self, wait=0.0: late.append(take(self, wait)) or late.pop(0))
    run, sink = planted_ladder(points=4)[0], RecordingSink()
    recorder = ScalingRecorder(Target(params=1e9, tokens=2e10), tmp_path, run.card, loggers=[sink], refit_budget=None)

    for seen in run.curve:
        recorder.observe(seen.loss, tokens=seen.tokens, step=seen.step)

    logged = [(values[TOKENS], values["scaling/loss"]) for _, values in sink.scalars]
    assert {*logged} == {*zip(run.curve.tokens, run.curve.loss, strict=True)}


def test_what_cannot_be_sent_to_a_process_is_refitted_in_the_training(tmp_path: Path) -> None:
    class Mine(type(get_law("chinchilla"))):
        """A law of a script: another process cannot import it."""

    recorder = ScalingRecorder(
        replace(CONFIG, law=Mine()), tmp_path, planted_ladder()[0].card, refit_budget=None, refit_in="process"
    )
    with pytest.warns(ScalingWarning, match=r"refits cannot be made beside the training .*pickle") as warned:
        observe_twice(recorder)
    assert len(warned) == 1
    assert recorder.snapshot is not None


def test_a_process_that_is_killed_costs_one_warning(tmp_path: Path) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card, refit_budget=None, refit_in="process")
    recorder.observe(3.0, tokens=1e6)
    process = recorder._refits._process
    assert process is not None
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    with pytest.warns(ScalingWarning, match=r"refits cannot be made beside the training \(its process is gone"):
        observe_twice(recorder)
    assert recorder.snapshot is not None
    assert len(recorder.snapshot.runs[0].curve) == 3


@given(
    st.lists(st.floats(0.01, 20.0), min_size=1, max_size=60),
    st.lists(st.floats(0.5, 100.0), min_size=60, max_size=60),
    st.floats(0.001, 0.1),
)
def test_refits_take_no_more_than_their_share_of_a_long_training(
    costs: list[float], pauses: list[float], share: float
) -> None:
    now, spent, last = 0.0, 0.0, 0.0
    budget = RefitBudget(share, clock=lambda: now)
    for cost, pause in zip(costs, pauses, strict=False):
        now += pause
        if budget.allows():
            budget.spend(cost)
            now, spent, last = now + cost, spent + cost, cost
    # a refit is begun when one like the last would fit: it can exceed that by what it costs more than expected
    over = max(0.0, *(later - earlier for earlier, later in pairwise([0.0, *costs])), costs[0])
    assert spent <= share * max(now, SHORT) + over
    assert budget.allows_last() == (now < SHORT or spent + last <= share * now)


# faults that pass, and runs that go on --------------------------------------------------------------------------


def test_what_a_full_disk_refused_is_written_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card)
    recorder.observe(3.0, tokens=1e6)
    monkeypatch.setattr("scaling_callback.ladder.writer.create", full)
    with pytest.warns(ScalingWarning, match="No space left on device") as warned:
        observe_thrice(recorder)
    monkeypatch.undo()
    assert len(warned) == 1
    recorder.observe(2.5, tokens=5e6)
    assert only(tmp_path).curve.tokens.tolist() == [1e6, 2e6, 3e6, 4e6, 5e6]


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def observe_thrice(recorder: ScalingRecorder) -> None:
    for tokens in (2e6, 3e6, 4e6):
        recorder.observe(2.9, tokens=tokens)


@pytest.mark.parametrize("tokens", [-1.0, 0.0, math.nan, "many"])
def test_tokens_that_are_no_count_are_refused_and_what_follows_is_recorded(tmp_path: Path, tokens: Any) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card)
    with pytest.warns(ScalingWarning, match="tokens is|could not convert string"):
        recorder.observe(3.0, tokens=tokens)
    recorder.observe(3.0, tokens=1e6)
    assert only(tmp_path).curve.tokens.tolist() == [1e6]


@pytest.mark.parametrize(
    ("named", "runs"),
    [("trunk", ["trunk"]), ("cooldown", ["cooldown", "trunk"])],
    ids=["its own name goes on", "another name is a branch"],
)
def test_a_training_that_continues_a_run_goes_on_or_branches(tmp_path: Path, named: str, runs: list[str]) -> None:
    card = replace(planted_ladder()[0].card, name="trunk")
    trunk = ScalingRecorder(CONFIG, tmp_path, card)
    for step in (1, 2, 3):
        trunk.observe(3.0, tokens=1e6 * step, step=step)
    later = ScalingRecorder(CONFIG, tmp_path, replace(card, name=named), continues=trunk.run, resumed_after=2)
    later.observe(2.8, tokens=4e6, step=4)
    found = Ladder(tmp_path).runs()
    assert [run.name for run in found] == runs
    assert found[-1].curve.step.tolist() == ([1, 2, 4] if named == "trunk" else [1, 2, 3])
    assert found[0].card.parent == (None if named == "trunk" else "trunk")


def test_refit_seconds_are_the_time_that_the_refit_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*arguments: Any) -> Snapshot:
        time.sleep(0.2)
        return refresh(*arguments)

    monkeypatch.setattr("scaling_callback.refitting.refit.refresh", slow)
    sink = RecordingSink()
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card, loggers=[sink], refit_budget=None)
    began = time.monotonic()
    recorder.observe(3.0, tokens=1e6)
    waited = time.monotonic() - began
    assert 0.2 <= sink.scalars[0][1]["scaling/refit_seconds"] <= waited


@pytest.mark.parametrize("horizon", [0, -3.0, math.nan, "1e9"])
def test_a_horizon_that_is_no_count_costs_no_loss(tmp_path: Path, horizon: Any) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card)
    with pytest.warns(ScalingWarning, match="horizon is"):
        recorder.observe(3.0, tokens=1e6, horizon=horizon, step=math.inf, lr=None)  # type: ignore[arg-type]
    recorder.finish(horizon=horizon)
    assert only(tmp_path).curve.loss.tolist() == [3.0]
    assert only(tmp_path).completed


def test_a_ladder_that_comes_back_at_the_end_gets_all(tmp_path: Path) -> None:
    place = tmp_path / "ladder"
    place.write_text("in the way", encoding="utf-8")
    recorder = ScalingRecorder(CONFIG, place, planted_ladder()[0].card)
    with pytest.warns(ScalingWarning):
        observe_thrice(recorder)
    place.unlink()
    recorder.finish()
    assert only(place).curve.tokens.tolist() == [2e6, 3e6, 4e6]


def test_what_a_rule_returns_that_is_no_reason_stops_nothing(tmp_path: Path) -> None:
    rules: list[Any] = [lambda *_: False, lambda *_: ""]
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card, rules=rules, refit_budget=None)
    assert recorder.observe(3.0, tokens=1e6) == Decision()


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path: Path) -> None:
    recorder = ScalingRecorder(CONFIG, tmp_path, planted_ladder()[0].card)
    recorder.observe(torch.tensor(3.0), tokens=np.int64(1000), step=torch.tensor(4), lr=np.float32(0.5))  # type: ignore[arg-type]
    (seen,) = only(tmp_path).curve
    assert (seen.loss, seen.tokens, seen.step, seen.lr) == (3.0, 1000.0, 4.0, 0.5)
