"""Replay: nothing of the future leaks, a recorded ladder replays as it was logged, and forecasts are scored right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import Config, Ladder, Run, Target, read_table, refresh
from scaling_callback.cli import main
from scaling_callback.curves import METHODS
from scaling_callback.errors import InputError
from scaling_callback.forecasting import FORECASTERS
from scaling_callback.recorder import ScalingRecorder
from scaling_callback.records import Curve, Observation, RunCard
from scaling_callback.replaying import Goal, hold_out, make_goals, replay, replay_own, see, sort_runs
from scaling_callback.tables import write_table
from scaling_callback.testing import RecordingSink, planted_ladder, planted_loss

GOAL = Goal(1e9, 2e10, planted_loss(1e9, 2e10))
QUICK = Config(replicates=20)


def compute(runs: tuple[Run, ...]) -> float:
    return sum(run.flops_per_token * float(run.curve.tokens[-1]) for run in runs)


def spoil(run: Run, after: float) -> Run:
    """The run with another future: other losses, and then nothing, beyond that many tokens."""
    curve = run.curve
    losses = np.where(curve.tokens > after, curve.loss * 3, curve.loss)
    return replace(run, curve=replace(curve, loss=losses))


@given(st.floats(0.01, 1.0))
@settings(max_examples=40)
def test_what_is_visible_was_paid_for_and_all_that_was_paid_for_is_visible(fraction: float) -> None:
    runs = planted_ladder()
    seen, whole = see(runs, fraction), compute(runs)
    assert compute(seen) <= fraction * whole * (1 + 1e-6)
    # the next observation was not paid for
    ordered = sort_runs(runs)
    last = ordered[len(seen) - 1]
    following = [float(t) for t in last.curve.tokens if t > seen[-1].curve.tokens[-1]] if seen else []
    first = ordered[len(seen)] if len(seen) < len(ordered) else None
    spent = compute(seen[:-1]) if seen else 0.0
    if following:
        assert spent + last.flops_per_token * following[0] > fraction * whole * (1 - 1e-6)
    elif first is not None:
        assert compute(seen) + first.flops_per_token * first.curve.tokens[0] > fraction * whole * (1 - 1e-6)


def test_no_forecast_moves_when_the_future_does() -> None:
    runs = planted_ladder()
    known = see(runs, 0.5)
    seen = {run.name: float(run.curve.tokens[-1]) for run in known}
    other = [spoil(run, seen.get(run.name, 0.0)) for run in runs]
    # a run that would begin later does not exist yet, whatever it is
    other.append(Run(RunCard(name="z", params=1e12, horizon=1e14), Curve.of([Observation(1e14, 0.1)])))
    share = 0.5 * compute(runs) / compute(tuple(other))
    assert share < 0.5
    one, two = (replay(r, [GOAL], [q], QUICK, forecasters=tuple(FORECASTERS)) for r, q in ((runs, 0.5), (other, share)))
    assert [replace(row, fraction=0) for row in one.rows] == [replace(row, fraction=0) for row in two.rows]


def test_no_own_forecast_moves_when_the_future_does() -> None:
    runs = sort_runs(planted_ladder(sizes=(1e7, 1e8), points=20))
    half = 0.5 * (runs[4].horizon or 0)
    final = runs[4].curve.loss[-1]
    moved = spoil(runs[4], half)
    # its own truth stays, or the error would move
    moved = replace(moved, curve=replace(moved.curve, loss=np.append(moved.curve.loss[:-1], final)))
    other = [*runs[:4], moved, *(spoil(run, 0.0) for run in runs[5:])]
    names = (*METHODS, *FORECASTERS)
    one, two = (
        [row for row in replay_own(r, [0.5], QUICK, forecasters=names).rows if row.goal.run == runs[4].name]
        for r in (runs, other)
    )
    assert one == two
    assert any(row.median is not None for row in one)


def test_of_runs_that_trained_side_by_side_only_what_was_recorded_by_then_is_seen() -> None:
    # all begin together and end together
    runs = [
        replace(run, curve=replace(run.curve, wall_time=run.progress * 100.0))
        for run in planted_ladder(sizes=(1e7, 1e8), points=20)
    ]
    moved = [runs[0], *(spoil(run, 0.5 * (run.horizon or 0)) for run in runs[1:])]
    one, two = (
        [row for row in replay_own(r, [0.3], QUICK, order="as-recorded").rows if row.goal.run == runs[0].name]
        for r in (runs, moved)
    )
    assert one == two
    assert next(row for row in one if row.forecaster == "best-loss").median is None


def test_a_row_is_the_same_whatever_else_is_asked_and_whoever_works() -> None:
    runs = planted_ladder()
    alone = replay(runs, [GOAL], [0.5], QUICK)
    among = replay(runs, [GOAL], [1.0, 0.5], QUICK, workers=2)
    assert alone.rows == tuple(row for row in among.rows if row.fraction == 0.5)


def test_a_recorded_ladder_replays_as_it_was_logged(tmp_path: Path) -> None:
    goal = Target(params=1e9, tokens=2e10)
    config = replace(QUICK, target=goal, splits=False)
    sink, spent = RecordingSink(), []
    for run in planted_ladder(sizes=(1e7, 3e7, 1e8), ratios=(20.0, 80.0), points=5):
        recorder = ScalingRecorder(config, tmp_path, run.card, loggers=[sink], refit_budget=None)
        for seen in run.curve:
            recorder.observe(seen.loss, tokens=seen.tokens)
            spent.append(run.flops_per_token * seen.tokens)
        recorder.finish(completed=True)
    recorded = Ladder(tmp_path).runs()
    steps = np.concatenate([np.diff(run.curve.tokens, prepend=0) * run.flops_per_token for run in recorded])
    times = np.concatenate([run.curve.wall_time for run in recorded])
    shares = np.cumsum(steps[np.argsort(times)]) / steps.sum()
    logged = [values.get("scaling/target_loss") for _, values in sink.scalars][: len(shares)]
    bounds = [values.get("scaling/target_loss_lower") for _, values in sink.scalars][: len(shares)]
    asked = [float(share) for share in shares[13:]]
    target = Goal(1e9, 2e10, 2.0)
    made = [
        row
        for row in replay(recorded, [target], asked, config, order="as-recorded").rows
        if row.forecaster == "default"
    ]
    assert [row.median for row in made] == logged[13:]
    assert [row.lower for row in made] == bounds[13:]
    assert sum(value is not None for value in logged[13:]) > 10


def test_errors_are_relative_to_what_was_measured() -> None:
    runs = planted_ladder(noise=0.0)
    best = min(run.final.loss for run in runs if run.final)
    made = replay(runs, [Goal(1e9, 2e10, best / 1.1), Goal(1e9, 2e10, best / 0.9)], [1.0], QUICK)
    scored = made.summary()["best-loss"][1.0]
    assert scored.are == pytest.approx(0.1)
    assert scored.bias == pytest.approx(0.0, abs=1e-12)
    assert (scored.answered, scored.asked) == (2, 2)


def test_too_early_is_a_row_with_a_reason() -> None:
    rows = {row.forecaster: row for row in replay(planted_ladder(), [GOAL], [1e-6], QUICK).rows}
    for name in ("default", "final-only", "best-loss"):
        assert rows[name].median is None
        assert rows[name].reason


def test_the_doubts_of_a_forecast_stand_in_its_row() -> None:
    runs = planted_ladder(ratios=(20.0,))
    (row,) = [row for row in replay(runs, [GOAL], [1.0], QUICK).rows if row.forecaster == "default"]
    made = refresh(runs, (), replace(QUICK, target=Target(params=1e9, tokens=2e10))).forecast
    assert made is not None
    assert row.warnings == tuple(made.warnings)
    assert "narrow_ratio" in row.warnings


@pytest.mark.parametrize("asked", [[0.0], [1.5], [float("nan")], [], [0.5, 0.5]])
def test_a_fraction_lies_between_0_and_1(asked: list[float]) -> None:
    with pytest.raises(InputError, match="fraction"):
        replay(planted_ladder(), [GOAL], asked)


def test_the_largest_sizes_or_the_ends_of_the_compute_are_held_out() -> None:
    runs = planted_ladder(sizes=(1e7, 3e7, 1e8), ratios=(20,))
    ladder, goals = hold_out(runs, largest=1)
    assert [run.params for run in ladder] == [1e7, 3e7]
    assert [goal.params for goal in goals] == [1e8]
    ladder, goals = hold_out(planted_ladder(), split=(0.5, 0.75))
    assert (len(ladder), len(goals)) == (6, 3)
    for wrong in ({"largest": 3}, {"largest": 0}, {"split": (0.9, 0.5)}):
        with pytest.raises(InputError):
            hold_out(runs, **wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("wrong", [(0.0, 1e9, 3.0), (1e9, float("inf"), 3.0), (1e9, 1e9, 0.0), (1e200, 1e200, 3.0)])
def test_a_goal_is_three_positive_numbers(wrong: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="target"):
        Goal(*wrong)


def test_an_order_by_time_needs_times() -> None:
    with pytest.raises(InputError, match="wall_time"):
        replay(planted_ladder(), [GOAL], [0.5], order="as-recorded")


def test_a_real_ladder_is_forecast_early_and_within_the_interval(data: Path) -> None:
    ladder, goals = hold_out(read_table(data / "olmo_ladder.csv"), largest=1)
    scored = replay(ladder, goals, [0.25, 1.0]).summary()
    for fraction in (0.25, 1.0):
        default, usual = scored["default"][fraction], scored["intermediate"][fraction]
        assert default.are is not None
        assert usual.are is not None
        assert default.are < 0.6 * usual.are
        assert default.coverage is not None
        assert default.coverage >= 0.8


def test_a_run_in_hand_is_forecast_less_the_cooldown_that_others_show() -> None:
    # constant-rate trunks on a planted law, branches 3% below them
    hot: list[Run] = []
    for run in planted_ladder(ratios=(80.0,), points=40, noise=0.0):
        card = replace(run.card, schedule="constant")
        losses = np.array([planted_loss(run.params, float(t)) for t in run.curve.tokens])
        hot.append(Run(card, replace(run.curve, loss=losses, lr=np.full(len(losses), 1e-3)), completed=True))
    branches = []
    for run in hot[:-1]:
        for share in (0.3, 0.6):
            tokens = share * float(run.curve.tokens[-1])
            card = RunCard(
                name=f"{run.name}|{share}",
                params=run.params,
                horizon=tokens,
                schedule="constant, then cooldown",
                peak_lr=1e-3,
                parent=run.name,
            )
            loss = 0.97 * planted_loss(run.params, tokens)
            branches.append(Run(card, Curve.of([Observation(tokens, loss, lr=0.0, is_final=True)]), completed=True))
    last = hot[-1]
    tokens = 0.5 * float(last.curve.tokens[-1])
    config = replace(QUICK, target=Target(params=last.params, tokens=tokens))
    made = refresh([*hot, *branches], (), config).forecast
    assert made is not None
    truth = 0.97 * planted_loss(last.params, tokens)
    assert made.median == pytest.approx(truth, rel=0.003)
    assert made.lower < truth < made.upper
    assert "cooldown_gap_unknown" not in made.warnings
    alone = refresh(hot, (), config).forecast
    assert alone is not None
    assert "cooldown_gap_unknown" in alone.warnings


ODD = st.sampled_from([float("nan"), float("inf"), 0.0, -1.0, 1e-3, 3.0, 12.0, 1e6])


@given(
    st.lists(st.tuples(st.floats(0.0, 1.5), ODD), max_size=8),
    st.sampled_from([None, 1e9, 2e9, 1.0]),
    st.sampled_from([None, 1e-3, 0.0]),
)
@settings(max_examples=8)
def test_odd_runs_are_forecast_or_refused_with_a_reason(
    seen: list[tuple[float, float]], horizon: float | None, rate: float | None
) -> None:
    points = [Observation(1.0 + x * 2e9, loss, lr=np.nan if rate is None else rate) for x, loss in seen]
    odd = Run(RunCard(name="odd", params=2e7, horizon=horizon, schedule="cosine"), Curve.of(points))
    runs = (*planted_ladder(sizes=(1e7, 1e8), points=6), odd)
    snapshot = refresh(runs, (), replace(QUICK, target=Target(params=1e9, tokens=2e10)))
    assert snapshot.forecast is not None or snapshot.absent["forecast"]
    if snapshot.forecast is not None:
        assert np.isfinite([snapshot.forecast.median, snapshot.forecast.lower, snapshot.forecast.upper]).all()
    for row in replay_own(runs, [0.3], QUICK).rows:
        assert (row.median is None) == bool(row.reason)


def test_losses_of_many_orders_of_magnitude_end_no_refresh() -> None:
    *finished, running = planted_ladder(sizes=(1e7, 1e8), ratios=(20.0, 80.0), points=20)
    first = finished[0]
    spoiled = replace(first, curve=replace(first.curve, loss=np.append(first.curve.loss[:-1], 1e-6)))
    runs = [spoiled, *finished[1:], running.until(0.5 * (running.horizon or 0))]
    snapshot = refresh(runs, (), replace(QUICK, target=Target(params=1e9, tokens=2e10)))
    assert snapshot.forecast is not None or snapshot.absent["forecast"]
    assert running.name in snapshot.finals


def test_the_command_line_prints_rows_and_their_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, held = tmp_path / "ladder.csv", tmp_path / "held.csv"
    runs = planted_ladder(sizes=(1e7, 3e7, 1e8), ratios=(5.0, 20.0), points=6)
    write_table(runs, path)
    write_table(runs[-3:], held)
    for asked in (["--largest", "1"], ["--split", "0.7,0.8"], ["--targets", str(held)], ["--own"]):
        arguments = ["replay", str(path), "--json", "--at", ".5,1", "--workers", "1", *asked]
        assert main(arguments) == 0
        said = json.loads(capsys.readouterr().out)
        assert {"default", "intermediate", "final-only", "best-loss", "most-compute"} <= set(said["summary"])
        assert list(said["summary"]["default"]) == [".5", "1"]
        assert {"fraction", "target", "forecaster", "median", "lower", "upper", "reason"} <= set(said["rows"][0])
    # every observation of the table of targets is one
    assert main(["replay", str(path), "--json", "--at", "1", "--workers", "1", "--targets", str(held)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["summary"]["default"]["1"]["asked"] == sum(len(run.curve) for run in runs[-3:])
    assert make_goals(runs[-1:])[0].run == runs[-1].name


@pytest.mark.parametrize(
    "asked",
    [
        [],
        ["--largest", "9"],
        ["--largest", "1", "--own"],
        ["--split", "0.9,0.1"],
        ["--at", "2", "--own"],
        ["--at", "1,1.0", "--own"],
    ],
)
def test_what_cannot_be_replayed_is_refused_in_a_line(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ladder.csv"
    write_table(planted_ladder(), path)
    try:
        status = main(["replay", str(path), *asked])
    except SystemExit as stop:
        status = int(stop.code or 0)
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
