"""Claims about runs that can no longer win: who may be stopped, and how often that is wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import Config, Run, read_table, refresh
from scaling_callback.curves.rivals import stand
from scaling_callback.records import Curve, Observation, RunCard, StopCall, group_runs
from scaling_callback.replaying import audit_stops
from scaling_callback.stopping import Dominated

SCHEDULES = Path(__file__).parent.parent.parent / "shared" / "data" / "multipowerlaw.csv"
RATES = (1e-3, 2e-3, 4e-3)
LOOK = Config(fits=False)


def train(name: str, params: float, rate: float, final: float, *, transient: float = 0.3, points: int = 20) -> Run:
    """A run that falls to `final` in nats, from above by `transient` times what is left of its rate."""
    tokens = 20 * params
    seen = [
        Observation(tokens=x * tokens, loss=final * (1 + 0.2 * (x**-0.3 - 1) + transient * (1 - x)))
        for x in np.linspace(1 / points, 1, points)
    ]
    card = RunCard(name=name, params=params, horizon=tokens, peak_lr=rate, schedule="linear", batch_tokens=1e5)
    return Run(card, Curve.of(seen), completed=True)


def sweep(seed: int, *, sizes: int = 6, noise: float = 0.003, crossing: float = 0.0) -> list[Run]:
    """Three learning rates for each of some sizes: a parabola over ln rate, an optimum that drifts, seeds that differ.

    `crossing` is how much a high rate lags in the middle of its run without ending behind.
    """
    random = np.random.default_rng(seed)
    bend, start, drift = random.uniform(0.002, 0.03), random.uniform(-1, 1), random.uniform(-0.3, 0.3)
    runs: list[Run] = []
    for place in range(sizes):
        params = 1e7 * 1.6**place
        for rate in RATES:
            steps = math.log2(rate / 2e-3)
            off = bend * (steps - start - drift * place) ** 2 + noise * random.standard_normal()
            final = (2 + 20 * params**-0.2) * (1 + off)
            lag = 0.3 + crossing * (steps + 1)
            runs.append(train(f"n{place}-lr{rate:g}", params, rate, final, transient=lag))
    return runs


def stop(runs: Sequence[Run], name: str, rule: Dominated | None = None) -> str | None:
    verdict = (rule or Dominated())(refresh(runs, (), LOOK), name)
    return verdict.reason if verdict else None


def cut(runs: Sequence[Run], size: float, progress: float) -> list[Run]:
    """The ladder while the runs of one size train."""
    return [run.until(progress * 20 * size) if run.params == size else run for run in runs if run.params <= size]


@given(st.integers(0, 10**6), st.lists(st.floats(0.05, 0.95), min_size=3, max_size=3), st.floats(0.0, 0.01))
@settings(max_examples=15, deadline=None)
def test_of_rivals_under_way_however_far_they_are_one_is_never_dominated(
    seed: int, progress: Sequence[float], noise: float
) -> None:
    *ended, one, two, three = sweep(seed, sizes=4, noise=noise)
    group = [run.until(x * 20 * run.params) for run, x in zip((one, two, three), progress, strict=True)]
    snapshot = refresh([*ended, *group], (), LOOK)
    rule = Dominated(probability=0.5)
    assert any(rule(snapshot, run.name) is None for run in group)


def test_stops_are_wrong_no_more_often_than_the_rule_says() -> None:
    audits = [audit_stops(sweep(seed), [Dominated(probability=0.9)]) for seed in range(12)]
    stopped, false = sum(made.stopped for made in audits), sum(made.false_stops for made in audits)
    assert stopped > 60  # of 144 that are not the best of their group
    # .1 is promised; twice the binomial deviation above it would be chance
    assert false / stopped <= 0.1 + 2 * math.sqrt(0.1 * 0.9 / stopped)
    assert np.mean([made.regret or 0.0 for made in audits]) < 0.002


def test_a_lead_that_never_lasted_stops_nobody() -> None:
    runs = sweep(3, sizes=5, noise=0.0005, crossing=0.08)
    runs = [
        replace(run, curve=replace(run.curve, loss=run.curve.loss * (0.97 if "0.004" in run.name else 1)))
        for run in runs
    ]
    size = max(run.params for run in runs)
    now = cut(runs, size, 0.5)
    by_loss = sorted((run for run in now if run.final is None), key=lambda run: run.curve.loss[-1])
    winner = min((run for run in runs if run.params == size), key=lambda run: run.final.loss if run.final else math.inf)
    assert by_loss[-1].name == winner.name  # it lags in the middle, as the like of it always did
    assert stop(now, winner.name) is None
    assert stop(now, by_loss[0].name) is not None


def test_a_run_that_was_stopped_is_nobodys_rival() -> None:
    good, bad = train("good", 1e7, 2e-3, 3.0), train("bad", 1e7, 1e-3, 3.6)
    others = [train(f"o{i}", 1e6 * 2**i, 2e-3, 3.0 + 0.3 * i) for i in range(4)]
    half = [run.until(1e8) for run in (good, bad)]
    assert stop([*others, *half], "bad")
    call = StopCall(rule="budget", reason="spent", tokens=1e8, acted=True)
    assert stop([*others, replace(half[0], calls=(call,)), half[1]], "bad") is None
    assert stop([*others, replace(half[0], calls=(replace(call, acted=False),)), half[1]], "bad")


def test_a_rival_that_fell_silent_or_is_of_the_same_trunk_stops_nobody() -> None:
    others = [train(f"o{i}", 1e6 * 2**i, 2e-3, 3.0 + 0.3 * i) for i in range(4)]
    good, bad = (at(train(name, 1e7, 2e-3, final).until(1e8), 0.0) for name, final in (("good", 3.0), ("bad", 3.6)))
    assert stop([*others, good, bad], "bad")
    assert stop([*others, good, at(bad, 3600.0)], "bad") is None  # it has trained for an hour since
    branch = replace(good, card=replace(good.card, parent="bad"))
    assert stop([*others, branch, bad], "bad") is None
    assert stop([*others, good, replace(bad, card=replace(bad.card, parent="good"))], "bad") is None


def at(run: Run, later: float) -> Run:
    """The run, observed once a minute, from so many seconds later on."""
    return replace(run, curve=replace(run.curve, wall_time=1.7e9 + later + 60.0 * np.arange(len(run.curve))))


def test_of_twins_the_first_by_name_goes_on() -> None:
    ended = [train(f"{arm}{i}", 1e6 * 2**i, 2e-3, 4.0 - 0.2 * i) for i in range(6) for arm in ("a", "b")]
    twins = [train(name, 1e8, 2e-3, 2.5).until(1e9) for name in ("t1", "t2")]
    assert stop([*ended, *twins], "t1") is None
    assert "will not beat t1, which is forecast to end at" in (stop([*ended, *twins], "t2") or "")
    assert stop([*ended, *twins], "t2", Dominated(margin=0.0)) is None  # a tie is no defeat


def test_a_given_loss_takes_the_place_of_rivals() -> None:
    others = [train(f"o{i}", 1e6 * 2**i, 2e-3, 3.0 + 0.3 * i) for i in range(5)]
    alone = train("alone", 1e8, 2e-3, 3.0).until(1.4e9)
    assert stop([*others, alone], "alone") is None
    assert "above the given 2.5" in (stop([*others, alone], "alone", Dominated(against=2.5, margin=0.0)) or "")
    assert stop([*others, alone], "alone", Dominated(against=3.5)) is None


def test_where_rivals_will_end_is_said_in_differences_that_agree_with_each_other() -> None:
    runs = sweep(1, sizes=5)
    size = max(run.params for run in runs)
    members = [run for run in cut(runs, size, 0.3) if run.final is None]
    said = stand(tuple(members), tuple(group_runs([run for run in runs if run.params < size])), 0.3)
    assert said is not None
    (_, ab, _), (_, bc, _), (_, ac, _) = said.compare(0, 1, 0.0), said.compare(1, 2, 0.0), said.compare(0, 2, 0.0)
    assert ab + bc == pytest.approx(ac, abs=1e-9)
    assert said.compare(0, 1, 0.0)[0] + said.compare(1, 0, 0.0)[0] == pytest.approx(1.0)
    assert said.compare(0, 1, 0.01)[0] < said.compare(0, 1, 0.0)[0] < said.compare(0, 1, -0.002)[0]
    assert stand(tuple(members), tuple(group_runs(runs[:3])), 0.3) is None  # one group of three shows nothing


@pytest.mark.skipif(not SCHEDULES.exists(), reason=f"needs ../shared/data/{SCHEDULES.name}")
def test_measured_schedules_are_stopped_without_a_false_stop() -> None:
    made = audit_stops(read_table(SCHEDULES), [Dominated()])
    assert made.regret is not None
    assert made.regret <= 0.002
    assert made.false_stops == 0
    assert made.compute_saved > 0.1  # what the best pruner within these limits saves
