"""Runs that are broken are called, soon, and those that are not are left alone."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling_callback import Ladder, read_table, refresh
from scaling_callback.errors import InputError
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.stopping import Diverged, OffLaw, Rule, make_rule
from scaling_callback.testing import planted_ladder

ROOT = Path(__file__).parents[1]
NOTHING = refresh((), (), Config(fits=False))


@pytest.fixture(scope="module")
def faults() -> Iterator[Any]:
    """The benchmark, which defines when a fault shows and how runs are walked."""
    patch: Any = pytest.MonkeyPatch()
    patch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("stopping_faults")
    patch.undo()


def look(runs: Sequence[Run]) -> Snapshot:
    return replace(NOTHING, runs=tuple(runs))


def half(run: Run) -> Run:
    assert run.horizon is not None
    return run.until(0.5 * run.horizon)


def scale(run: Run, factor: float, begin: float = 0.0) -> Run:
    """The run with that many times its loss from a progress on."""
    raised = np.where(run.progress >= begin, run.curve.loss * factor, run.curve.loss)
    return replace(run, curve=replace(run.curve, loss=raised))


def observe_noisily(ladder: Sequence[Run], noise: float, seed: int) -> list[Run]:
    rng = np.random.default_rng(seed)
    return [
        replace(run, curve=replace(run.curve, loss=run.curve.loss * np.exp(rng.normal(0, noise, len(run.curve)))))
        for run in ladder
    ]


def make_run(losses: Sequence[float], horizon: float | None = None) -> Run:
    curve = Curve.of([Observation(1e6 * index, loss) for index, loss in enumerate(losses, 1)])
    return Run(RunCard(name="a", params=1e6, horizon=horizon), curve)


def test_small_trainings_with_real_faults_are_called_in_time_nine_times_of_ten_and_healthy_ones_never(
    faults: Any,
) -> None:
    tiny = faults.read_tiny(ROOT / "tests" / "data" / "tiny_faults.csv")
    scores = {fault: faults.assess(cases) for _, fault, cases in faults.tiny_cases(tiny)}
    shown = {fault: score.in_time + score.late + score.missed for fault, score in scores.items()}
    assert all(count >= 6 for count in shown.values())
    assert sum(score.in_time for score in scores.values()) >= 0.9 * sum(shown.values())
    healthy = [run for run in tiny if not faults.fault_of(run)]
    assert [run.name for run, *others in faults.walk(healthy) if faults.judge(run, *others)[0]] == []


def test_no_run_of_a_real_ladder_is_called_and_a_step_in_any_of_its_last_ones_is(faults: Any) -> None:
    runs = read_table(ROOT / "tests" / "data" / "olmo_ladder.csv")
    walked = list(faults.walk(runs))
    assert len(walked) == 30
    assert [run.name for run, *others in walked if faults.judge(run, *others)[0]] == []
    for run, *others in walked[-10:]:
        call, _ = faults.judge(importlib.import_module("faulty_runs").add_step(run), *others)
        assert call is not None
        # the first observation from 40% on, and the next: there are thirteen of a run
        assert call.at == run.progress[run.progress >= 0.4][1]


@pytest.mark.parametrize("rise", [0.05, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_beyond_the_deviations_asked_is_called_within_a_tenth(faults: Any, rise: float, seed: int) -> None:
    *ladder, run = observe_noisily(planted_ladder(points=40, seed=seed), 0.001, seed)
    call, _ = faults.judge(scale(run, 1 + rise, begin=0.4), ladder, [])
    assert call is not None
    assert 0.4 <= call.at <= 0.5


def test_healthy_runs_are_hardly_ever_called(faults: Any) -> None:
    made = faults.judge_planted(0.005, seeds=4)
    assert made.looks > 500
    assert made.called == 0
    assert faults.judge_planted(0.005, seeds=4, rule=OffLaw(deviations=1.0, patience=1)).called > 0  # it could be


def test_a_run_that_is_better_than_its_ladder_says_is_not_broken() -> None:
    *ladder, run = planted_ladder()
    assert OffLaw()(look([*ladder, half(scale(run, 0.9))]), run.name) is None


def test_broken_runs_in_the_ladder_neither_hide_another_nor_break_a_healthy_one() -> None:
    *ladder, run = planted_ladder()
    spoiled = [scale(other, 1.3) if index in (3, 8) else other for index, other in enumerate(ladder)]
    assert OffLaw()(look([*spoiled, half(run)]), run.name) is None
    assert OffLaw()(look([*spoiled, half(scale(run, 1.3))]), run.name) is not None


def test_nothing_is_said_before_four_others_have_come_as_far_or_where_their_schedule_is_another() -> None:
    before, run = planted_ladder()[3:7], planted_ladder()[7]
    broken = half(scale(run, 2.0))
    behind = before[3].until(0.2 * (before[3].horizon or 0.0))
    assert OffLaw()(look([*before[:3], broken]), run.name) is None
    assert OffLaw()(look([*before[:3], behind, broken]), run.name) is None
    assert OffLaw()(look([*before, broken]), run.name) is not None
    others = [replace(other, card=replace(other.card, schedule="wsd")) for other in before]
    assert OffLaw()(look([*others, broken]), run.name) is None
    unplanned = replace(broken, card=replace(broken.card, horizon=None))
    assert OffLaw()(look([*before, unplanned]), run.name) is None


def test_what_is_said_of_a_broken_run_has_its_figures() -> None:
    *ladder, run = planted_ladder()
    said = OffLaw()(look([*ladder, half(scale(run, 1.1, begin=0.4))]), run.name)
    assert said is not None
    assert f"its loss is {said.evidence['loss']:.3f}" in said.reason
    shown = re.search(r"at ([\d.]+) \+- ([\d.]+), ([\d.]+) deviations above that$", said.reason)
    assert shown is not None
    usual, deviation, deviations = map(float, shown.groups())
    # a reader can work out what is said
    assert (said.evidence["loss"] - usual) / deviation == pytest.approx(deviations, rel=0.02)
    evidence = said.evidence
    assert evidence["loss"] == pytest.approx(evidence["expected_loss"] + evidence["deviations"] * evidence["deviation"])
    assert evidence["deviations"] > 4
    assert "\n" not in said.reason


@pytest.mark.parametrize(
    ("losses", "calls"),
    [
        ([9.0, 5.0, 4.0, 3.9, 3.8, float("nan")], True),
        ([9.0, 5.0, 4.0, 3.9, 3.8, float("inf")], True),
        ([9.0, 5.0, 4.0, 3.9, 3.8, 8.5], True),
        ([9.0, 5.0, 4.0, 3.9, 3.8, 4.4], False),
        ([9.0, 8.0, 7.0, 7.5, 7.6], False),  # a rate that warms up
        ([2.00, 1.98, 1.97, 1.96, 2.00], False),  # a branch that learns little
        ([9.0, 5.0, 4.0, float("nan"), 3.8], False),
        ([float("nan")], True),
        ([9.0, 10.0, 11.0, 12.0, 13.0], True),
    ],
)
def test_a_loss_that_is_no_number_or_has_left_its_best_is_a_divergence(losses: list[float], calls: bool) -> None:
    run = make_run(losses)
    assert (Diverged()(look([run]), run.name) is not None) is calls


@pytest.mark.parametrize("loss", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_said_of_a_loss_that_is_none_holds_for_one_of_zero_or_below_before_and_after_a_ladder(
    tmp_path: Path, loss: float
) -> None:
    run = make_run([9.0, 5.0, -3.0, 4.0, loss])
    writer = Ladder(tmp_path).start(run.card)
    writer.observe(list(run.curve))
    for known in (run, Ladder(tmp_path).runs()[0]):
        said = Diverged()(look([known]), run.name)
        assert said is not None
        assert said.reason.startswith("its loss is no positive, finite number: ")
    assert Diverged()(look([make_run([9.0, 5.0, -3.0, 4.5])]), run.name) is None  # what is none is no best


def test_a_spike_is_outlasted_and_a_divergence_is_not(faults: Any) -> None:
    falling = [9.0, *(3.0 + 3.0 / step for step in range(1, 30))]
    assert faults.judge(make_run([*falling, 8.0, 7.0, *falling[-5:]], 1e9), [], [], Diverged())[0] is None
    call, _ = faults.judge(make_run([*falling, 8.0, 7.0, 9.0], 1e9), [], [], Diverged())
    assert call is not None
    assert call.at == pytest.approx(0.033)


def test_no_run_of_a_real_ladder_has_diverged(faults: Any) -> None:
    runs = read_table(ROOT / "tests" / "data" / "olmo_ladder.csv")
    assert [run.name for run in runs if faults.judge(run, [], [], Diverged())[0]] == []


@pytest.mark.parametrize("rule", ["off-law", "diverged"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_threshold_in_the_wrong_direction_is_refused_in_one_line(rule: str, value: str) -> None:
    setting = {"off-law": "deviations", "diverged": "unlearnt"}[rule]
    with pytest.raises(InputError, match=f"^{rule}: {setting} is .*; it must .*$"):
        make_rule(rule, {setting: value})


def test_both_rules_are_asked_without_a_law() -> None:
    rules: list[Rule] = [OffLaw(), Diverged()]
    assert all(rule.needs != "forecast" for rule in rules)
    *ladder, run = planted_ladder()
    with_law = refresh([*ladder, half(scale(run, 1.2))], (), Config(replicates=0))
    said = [OffLaw()(known, run.name) for known in (with_law, look(with_law.runs))]
    assert said[0] is not None
    assert said[0] == said[1]
