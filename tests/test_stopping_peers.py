"""What other ways to stop runs save and lose is counted as it is, on sweeps small enough to be counted by hand.

`benchmarks/stopping_peers.py` does the same with measured sweeps, for `docs/accuracy.md`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import Rule, Verdict

pytest.importorskip("optuna")
pytest.importorskip("lightning")

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")
POINTS = 10


@pytest.fixture(scope="module")
def walking() -> Iterator[tuple[Any, Any]]:
    """The modules that score and that walk."""
    sys.path.insert(0, BENCHMARKS)  # they import each other by name, as scripts do
    yield importlib.import_module("sweeps"), importlib.import_module("peers")
    sys.path.remove(BENCHMARKS)


def make_run(name: str, losses: Sequence[float], params: float = 1e6) -> Run:
    horizon = 1e8
    tokens = horizon * np.arange(1, len(losses) + 1) / len(losses)
    curve = Curve.of([Observation(float(t), loss) for t, loss in zip(tokens, losses, strict=True)])
    return Run(RunCard(name=name, params=params, horizon=horizon), curve)


def falling(offset: float) -> list[float]:
    return [4.0 + offset - 0.1 * point for point in range(POINTS)]


@pytest.fixture
def sweep() -> list[Run]:
    """Three parallel runs, the best in the middle, and a run that is alone and costs as much as they do."""
    offsets = {"a": 0.2, "b": 0.0, "c": 0.4}
    return [*(make_run(name, falling(offset)) for name, offset in offsets.items()), make_run("d", falling(0), 3e6)]


def test_one_who_knows_the_finals_saves_all_but_the_best_runs_and_a_first_observation(
    walking: tuple[Any, Any], sweep: list[Run]
) -> None:
    sweeps, _ = walking
    groups = sweeps.find_groups(sweep)
    made = sweeps.score(groups, [sweeps.keep_best(groups)])
    assert made.saved == pytest.approx(2 * 0.9 / 6)
    assert made.by_group == pytest.approx(2 * 0.9 / 3 / 2)
    assert (made.regret, made.stopped, made.false_stops, made.runs, made.within) == (0, 2, 0, 4, True)


def test_losing_the_best_run_is_counted_as_regret_and_as_a_false_stop(
    walking: tuple[Any, Any], sweep: list[Run]
) -> None:
    sweeps, _ = walking
    groups = sweeps.find_groups(sweep)
    made = sweeps.score(groups, [{"b": 4}, {}])
    assert made.saved == pytest.approx(0.5 / 6 / 2)
    assert made.regret == pytest.approx((3.3 / 3.1 - 1) / 2 / 2)
    assert (made.stopped, made.false_stops, made.false_share, made.within) == (0.5, 0.5, 1.0, False)


def test_a_group_without_a_kept_run_is_left_with_what_its_runs_had_reached(
    walking: tuple[Any, Any], sweep: list[Run]
) -> None:
    sweeps, _ = walking
    groups = sweeps.find_groups(sweep)
    made = sweeps.score(groups, [{"a": 9 - 1, "b": 0, "c": 0}])
    assert made.regret == pytest.approx((3.4 / 3.1 - 1) / 2)
    assert made.false_stops == 2  # c, which ends at 3.5, would not have been better


def test_a_median_pruner_saves_what_comes_after_the_best_run_and_nothing_side_by_side(
    walking: tuple[Any, Any], sweep: list[Run]
) -> None:
    sweeps, peers = walking
    groups = sweeps.find_groups(sweep)
    tracks = peers.lay_tracks(groups)
    settings = (("n_startup_trials", 1), ("n_warmup_steps", 0.5))
    walks = peers.walk_sweep(tracks, peers.Peer("median", "in turn", settings), orders=3)
    # each comes first once: a b c, b c a, c a b; after half of the horizon, at the fifth observation
    assert walks == [{"c": 4}, {"c": 4, "a": 4}, {}]
    assert peers.walk_sweep(tracks, peers.Peer("median", "side by side", settings), orders=1) == [{}]


def test_successive_halving_stops_the_same_side_by_side_as_in_turn(walking: tuple[Any, Any]) -> None:
    sweeps, peers = walking
    rng = np.random.default_rng(0)
    runs = [make_run(f"r{place}", (3 + rng.random(POINTS)).tolist()) for place in range(8)]
    tracks = peers.lay_tracks(sweeps.find_groups(runs))
    settings = (("min_resource", 1), ("reduction_factor", 2), ("min_early_stopping_rate", 0))
    ways = [
        peers.walk_sweep(tracks, peers.Peer("successive halving", walk, settings))
        for walk in ("in turn", "side by side")
    ]
    assert ways[0] == ways[1]
    assert all(ways[0])


def test_early_stopping_ends_a_run_after_its_patience_without_improvement(walking: tuple[Any, Any]) -> None:
    sweeps, peers = walking
    flat = make_run("flat", [3.0, 2.9, 2.9, 2.9, 2.9, 2.9, 2.0])
    tracks = peers.lay_tracks(sweeps.find_groups([flat, make_run("falling", falling(0))]))
    assert peers.walk_sweep(tracks, peers.Peer("EarlyStopping", "alone", (("patience", 3),))) == [{"flat": 4}]


def test_the_rule_in_turn_takes_the_runs_in_the_orders_of_the_others(
    walking: tuple[Any, Any], sweep: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps, _ = walking
    stopping_peers = importlib.import_module("stopping_peers")

    def make_rule(_: str) -> Rule:
        return AboveFinished()

    monkeypatch.setattr(stopping_peers, "make_rule", make_rule)
    # as the median pruner's, but for half of the horizon: a b c, b c a, c a b
    made = stopping_peers.measure_in_turn(sweeps.find_groups(sweep), orders=3)
    assert made.stopped == pytest.approx((1 + 2 + 0) / 3)
    assert made.saved == pytest.approx(3 * 0.9 / 6 / 3)
    assert (made.false_stops, made.regret) == (0, 0)


@dataclass(frozen=True, kw_only=True)
class AboveFinished(Rule):
    """Ends a run that began above one of its group that has finished."""

    name: ClassVar[str] = "above"
    needs: ClassVar[Any] = "curve"

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        ended = [known for known in snapshot.runs if known.params == run.params and known.final is not None]
        return Verdict("above") if any(run.curve.loss[0] > known.curve.loss[0] for known in ended) else None
