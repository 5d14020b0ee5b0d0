"""Evidence, forecasts, baselines, the record, and `refresh`, which puts them together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scaling_callback import Target, allocate, fit, forecast, read_table, refresh
from scaling_callback.curves import Abstention, FinalForecast, forecast_final
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import SEED_NOISE, seed_noise
from scaling_callback.fitting.bootstrap import renew_noise, resample_clusters
from scaling_callback.fitting.noise import Noise
from scaling_callback.forecasting import POLICIES, best_runs, finals, forecast_target, trunks
from scaling_callback.records import Curve, IssuedForecast, Observation, Run, RunCard
from scaling_callback.snapshot import Config
from scaling_callback.testing import planted_ladder, planted_loss

TARGET = Target(params=1e10, tokens=2e11)


def by_name(run: Run) -> str:
    return run.cluster


def cut(run: Run, progress: float) -> Run:
    """The run as it stood at `progress`."""
    assert run.horizon is not None
    return run.until(progress * run.horizon)


def test_a_planted_ladder_forecasts_its_law() -> None:
    made = forecast(planted_ladder(noise=0.002), TARGET)
    assert made.median == pytest.approx(planted_loss(1e10, 2e11), rel=0.03)
    assert made.lower < planted_loss(1e10, 2e11) < made.upper


def test_a_real_ladder_forecasts_its_largest_size(data: Path) -> None:
    runs = read_table(data / "olmo_ladder.csv")
    small = [run for run in runs if run.params < 3e9]
    errors, inside = [], []
    for run in runs:
        if run.params > 3e9 and run.final is not None:
            made = forecast(small, Target(params=run.params, tokens=run.final.tokens))
            errors.append(abs(made.median / run.final.loss - 1))
            inside.append(made.lower <= run.final.loss <= made.upper)
    assert np.mean(errors) < 0.01
    assert np.mean(inside) > 0.5


def test_the_interval_is_never_narrower_than_seed_noise() -> None:
    made = forecast(planted_ladder(noise=0.0), TARGET)
    assert (made.upper - made.lower) / made.median > 2 * 1.645 * 0.002 * 0.8


def test_the_interval_widens_with_distance() -> None:
    runs = planted_ladder(noise=0.005)
    widths = [
        made.upper - made.lower
        for params in (1e9, 1e10, 1e11)
        for made in [forecast(runs, Target(params=params, tokens=20 * params))]
    ]
    assert widths == sorted(widths)


def test_a_higher_level_gives_a_wider_interval() -> None:
    runs = planted_ladder()
    wide, narrow = (forecast(runs, TARGET, Config(level=level)) for level in (0.95, 0.5))
    assert wide.lower < narrow.lower < narrow.upper < wide.upper


def test_a_target_by_compute_is_the_optimum_for_it() -> None:
    runs = planted_ladder(noise=0.0)
    made, split = forecast(runs, Target(flops=1e21)), allocate(runs, 1e21)
    assert made.params == pytest.approx(split.params, rel=1e-9)
    assert 6 * made.params * made.tokens == pytest.approx(1e21, rel=1e-9)


def test_baselines_stand_beside_the_forecast() -> None:
    runs = planted_ladder()
    losses = [run.final.loss for run in runs if run.final]
    most = max(runs, key=lambda run: run.planned_flops or 0).final
    assert most is not None
    assert forecast(runs, TARGET).baselines == {"best_loss": min(losses), "most_compute": most.loss}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_held_out_run_is_never_evidence(policy: str) -> None:
    runs = planted_ladder()
    wrong = RunCard(name="held", params=1e9, horizon=2e10, schedule="cosine", held_out=True)
    held = Run(wrong, Curve.of([Observation(2e10 * i / 20, 9.0) for i in range(1, 21)]), completed=True)
    config = Config(target=TARGET, evidence=policy)
    one, other = refresh(runs, (), config), refresh([*runs, held], (), config)
    assert one.forecast is not None
    assert other.forecast is not None
    assert one.forecast.median == other.forecast.median
    assert "held" in other.evidence.left_out


def test_every_run_is_used_or_left_out_with_a_reason() -> None:
    runs = [*planted_ladder(), cut(planted_ladder(sizes=(1e9,))[0], 0.02)]
    diverged = RunCard(name="diverged", params=1e8, horizon=1e9)
    runs.append(Run(diverged, Curve.of([Observation(5e8, 3.0), Observation(1e9, float("nan"))])))
    unknown = RunCard(name="unknown", params=1e8)
    runs.append(Run(unknown, Curve.of([Observation(5e8, 3.0)])))
    for policy in POLICIES.values():
        evidence = policy(runs, by_name)
        assert set(evidence.used) | set(evidence.left_out) == {run.name for run in runs}
    reasons = finals(runs, by_name).left_out
    assert "diverged" in reasons["diverged"]
    assert "planned tokens are unknown" in reasons["unknown"]


def test_phases_are_not_mixed() -> None:
    constant = RunCard(name="hot", params=1e8, horizon=2e9, schedule="constant")
    hot = Run(constant, Curve.of([Observation(2e9, 9.0, lr=1e-3)]), completed=True)
    evidence = finals([*planted_ladder(), hot], by_name)
    assert "constant" in evidence.left_out["hot"]
    assert len(evidence.used) == 12


def test_best_keeps_the_lowest_final_of_each_size_and_horizon() -> None:
    runs = planted_ladder()
    first = runs[0]
    worse = replace(
        first,
        card=replace(first.card, name="worse"),
        curve=replace(first.curve, loss=first.curve.loss * 1.1),
    )
    assert {run.name for run in best_runs([worse, *runs])} == {run.name for run in runs}


def test_a_running_run_is_forecast_from_the_shape_of_finished_ones() -> None:
    *finished, last = planted_ladder(points=40, noise=0.002)
    assert last.final is not None
    for progress, within in ((0.2, 0.02), (0.5, 0.01), (0.9, 0.003)):
        guess = forecast_final(cut(last, progress), finished)
        assert isinstance(guess, FinalForecast)
        assert guess.median == pytest.approx(last.final.loss, rel=within)
        lower, upper = guess.interval(0.99)
        assert lower < last.final.loss < upper


def test_templates_forecast_real_runs(data: Path) -> None:
    runs = [run for run in read_table(data / "olmo_ladder.csv") if run.final is not None]
    runs.sort(key=lambda run: run.planned_flops or 0)
    errors = []
    for index in range(3, len(runs)):
        guess, truth = forecast_final(cut(runs[index], 0.5), runs[:index]), runs[index].final
        assert truth is not None
        if isinstance(guess, FinalForecast):
            errors.append(abs(guess.median / truth.loss - 1))
    assert len(errors) > 20
    assert np.median(errors) < 0.004


def test_what_a_forecast_final_lacks_is_named() -> None:
    *finished, last = planted_ladder(points=40)
    half = cut(last, 0.5)
    guess = forecast_final(replace(half, card=replace(half.card, horizon=None)), finished)
    assert isinstance(guess, Abstention)
    assert guess.code == "horizon_unknown"


def test_an_unfinished_run_adds_its_forecast_final_to_the_evidence() -> None:
    *finished, last = planted_ladder(points=40)
    evidence = refresh([*finished, cut(last, 0.6)], (), Config(target=TARGET)).evidence
    assert set(evidence.guessed) == {last.name}
    assert evidence.points is not None
    assert evidence.points.weight[-1] < 1


def test_fewer_than_three_finished_runs_give_no_forecast_but_a_reason() -> None:
    runs = planted_ladder()[:2]
    snapshot = refresh(runs, (), Config(target=TARGET))
    assert snapshot.forecast is None
    assert "at least 3" in snapshot.absent["fit"]
    with pytest.raises(NotEnoughData, match="at least 3"):
        forecast(runs, TARGET)


def test_refresh_gives_the_same_numbers_twice_and_in_any_order() -> None:
    runs = planted_ladder()
    one, other = (refresh(r, (), Config(target=TARGET)) for r in (runs, runs))
    assert one.forecast is not None
    assert other.forecast is not None
    np.testing.assert_array_equal(one.forecast.draws, other.forecast.draws)


def test_the_order_of_the_runs_changes_nothing() -> None:
    *finished, one, other = planted_ladder(points=40)
    runs = [*finished, cut(one, 0.5), cut(other, 0.6)]
    here, there = (refresh(r, (), Config(target=TARGET)).forecast for r in (runs, runs[::-1]))
    assert here is not None
    assert there is not None
    assert (here.lower, here.upper) == pytest.approx((there.lower, there.upper), rel=1e-6)


@pytest.mark.parametrize(("target", "said"), [((7.0, 4000.0), True), ((1e8, 2e9), False), ((1e13, 1e15), True)])
def test_a_target_far_outside_the_ladder_is_named(target: tuple[float, float], said: bool) -> None:
    made = forecast(planted_ladder(), Target(params=target[0], tokens=target[1]))
    assert ("far_extrapolation" in made.warnings) is said


def test_measured_flops_and_counted_ones_are_not_mixed() -> None:
    # three times 6 N D for all runs is another unit of compute, and no other forecast
    counted = planted_ladder(ratios=(20.0,), noise=0.0)
    dear = [replace(run, card=replace(run.card, flops_per_token=18.0 * run.params)) for run in counted]
    config = Config(target=Target(params=1e9, tokens=2e10), law="power-compute", prior=False)
    one, other = (refresh(runs, (), config).forecast for runs in (counted, dear))
    assert one is not None
    assert other is not None
    assert other.median == pytest.approx(one.median, rel=1e-4)


def test_issued_forecasts_are_scored_by_the_runs_they_were_made_for() -> None:
    runs = planted_ladder()
    last = runs[-1]
    assert last.final is not None
    assert last.horizon is not None
    issued = IssuedForecast(
        by=runs[0].name,
        at_tokens=1e8,
        run=None,
        params=last.params,
        tokens=last.horizon,
        median=last.final.loss * 1.02,
        lower=last.final.loss,
        upper=last.final.loss * 1.04,
        level=0.9,
        forecaster="default",
        wall_time=0.0,
    )
    elsewhere = replace(issued, params=last.params * 2)
    record = refresh(runs, [issued, elsewhere], Config(target=TARGET)).live_record
    assert len(record.scores) == 1
    assert record.bias == pytest.approx(0.02)
    assert record.coverage == 1.0


def test_the_record_sees_only_what_came_before() -> None:
    runs = sorted(planted_ladder(), key=lambda run: run.planned_flops or 0)
    whole = {score.run: score for score in refresh(runs, (), Config(target=TARGET)).record.scores}
    last = runs[-1]
    moved = replace(last, curve=replace(last.curve, loss=last.curve.loss * 1.5))
    changed = {s.run: s for s in refresh([*runs[:-1], moved], (), Config(target=TARGET)).record.scores}
    assert whole.keys() == changed.keys()
    assert all(whole[name].median == changed[name].median for name in whole)


def seeded(seeds: int, noise: float, **change: Any) -> list[Run]:
    """A planted ladder trained with several seeds; `change` gives the card's fields by the number of the seed."""
    runs: list[Run] = []
    for seed in range(seeds):
        for run in planted_ladder(noise=noise, seed=seed):
            changes = {name: value(seed) for name, value in change.items()}
            card = replace(run.card, name=f"{run.name}-{seed}", **{"seed": str(seed), **changes})
            runs.append(replace(run, card=card))
    return runs


def floor(runs: list[Run]) -> float:
    points = finals(runs, by_name).points
    assert points is not None
    return seed_noise(points)


@pytest.mark.parametrize("noise", [0.001, 0.006])
def test_repeated_seeds_say_how_much_seeds_differ(noise: float) -> None:
    # 12 places, 3 seeds each: 24 degrees of freedom against the few of the default
    assert floor(seeded(3, noise)) == pytest.approx(noise, rel=0.35)


def test_few_repeated_seeds_move_the_default_only_a_little() -> None:
    runs = [*planted_ladder(noise=0.0), *seeded(1, 0.0)[:1], *seeded(2, 0.0)[-1:]]
    assert 0.5 * SEED_NOISE < floor(runs) <= SEED_NOISE


@pytest.mark.parametrize(
    "change",
    [
        {"seed": lambda _: None},
        {"seed": lambda _: "7"},
        {"peak_lr": lambda seed: 1e-3 * 2**seed},
        {"schedule": lambda seed: f"cosine {seed}"},
        {"batch_tokens": lambda seed: 1e6 * 2**seed},
        {"params": lambda seed: 1e7 * 1.1**seed},
        {"recipe": lambda seed: {"optimizer": str(seed)}},
    ],
    ids=["no seed", "one seed", "learning rates", "schedules", "batches", "sizes", "recipes"],
)
def test_runs_that_differ_in_more_than_a_known_seed_are_no_seeds(change: dict[str, Any]) -> None:
    assert floor(seeded(3, 0.02, **change)) == SEED_NOISE


def test_measured_seeds_set_the_least_width_of_an_interval() -> None:
    def width(noise: float) -> float:
        made = forecast_target(fit(seeded(4, noise), Config()), TARGET, level=0.9, seed=0)
        return (made.upper - made.lower) / made.median

    assert width(0.02) > 2 * 1.645 * 0.02 * 0.6
    assert width(0.0002) < 2 * 1.645 * SEED_NOISE


def branch(run: Run, name: str, parent: str | None) -> Run:
    return replace(run, card=replace(run.card, name=name, parent=parent))


def test_a_branch_of_a_branch_belongs_to_the_first_trunk() -> None:
    first, second, third, *others = planted_ladder()
    runs = [branch(third, "c", "b"), branch(first, "a", None), branch(second, "b", "a"), *others]
    points = refresh(runs, (), Config(target=TARGET)).evidence.points
    assert points is not None
    assert len(set(points.cluster[:3].tolist())) == 1
    assert points.n_independent == len(others) + 1


def test_a_trunk_that_is_not_in_the_ladder_still_joins_its_branches() -> None:
    first, second, *others = planted_ladder()
    stems = trunks([branch(first, "a", "gone"), branch(second, "b", "gone"), *others])
    assert stems["a"] == stems["b"] == "gone"


def test_runs_that_are_each_others_parent_are_one_cluster() -> None:
    first, second, third, *_ = planted_ladder()
    stems = trunks([branch(first, "a", "b"), branch(second, "b", "a"), branch(third, "c", "b")])
    assert len(set(stems.values())) == 1


def test_a_named_cluster_is_drawn_as_one() -> None:
    runs = seeded(3, 0.004)
    points = fit(runs, Config(evidence="finals", cluster="params")).points
    assert points.n_independent == 4
    rng = np.random.default_rng(0)
    shocks = renew_noise(np.zeros(len(points)), points, Noise(0.002, 40.0), rng, 20_000).log_loss
    alike = points.cluster[:, None] == points.cluster
    # half of the variance is common to a cluster, and nothing is to two of them
    expected = np.where(alike, 0.5, 0.0) + 0.5 * np.eye(len(points))
    np.testing.assert_allclose(np.corrcoef(shocks.T), expected, atol=0.05)
    counts = resample_clusters(np.zeros(len(points)), points, rng, 5).weight
    for code in range(4):
        member = points.cluster == code
        assert (counts[:, member] == counts[:, member][:, :1]).all()


def test_an_interval_by_trunk_is_wider_than_one_by_run() -> None:
    # each trunk has one disturbance that its branches share: they are 6 runs, not 18
    rng = np.random.default_rng(0)
    runs: list[Run] = []
    for trunk in planted_ladder(ratios=(20.0, 80.0), sizes=(1e7, 1e8, 1e9), noise=0.0):
        shared = float(np.exp(rng.normal(0, 0.01)))
        curve = replace(trunk.curve, loss=trunk.curve.loss * shared)
        runs += [
            replace(trunk, curve=curve, card=replace(trunk.card, name=f"{trunk.name}-{i}", parent=trunk.name))
            for i in range(3)
        ]
    by_trunk, by_run = (forecast(runs, TARGET, Config(cluster=column)) for column in (None, "run"))
    assert by_trunk.upper - by_trunk.lower > 1.3 * (by_run.upper - by_run.lower)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"params": 1e9}, {"params": 1e9, "tokens": 0.0}, {"flops": -1.0}, {"params": 1, "tokens": 1, "flops": 1}],
)
def test_a_target_is_a_size_and_tokens_or_a_budget(arguments: dict[str, float]) -> None:
    with pytest.raises(InputError):
        Target(**arguments)
