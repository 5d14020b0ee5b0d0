"""An allocation is an answer with an interval, or named reasons why there is none."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from scaling_callback import allocate, fit, read_table, refresh
from scaling_callback.allocating import Allocation, Constraints
from scaling_callback.allocating import allocate as split_fit
from scaling_callback.costs import attention_cost
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.laws import get_law
from scaling_callback.laws.muennighoff import heed_repetition
from scaling_callback.records import Run, Target
from scaling_callback.reporting.scalars import explain_absences, make_scalars
from scaling_callback.snapshot import Config
from scaling_callback.testing import TRUTH, planted_ladder

GOOD = {"sizes": (1e7, 3e7, 1e8, 3e8, 1e9), "ratios": (2.0, 10.0, 50.0, 250.0)}


def test_the_published_optimum_of_the_chinchilla_table(chinchilla_table: Path) -> None:
    # Besiroglu et al. 2024: 17.9 tokens per parameter at 5.88e23 FLOPs, 80% interval 10.6 to 30.1
    config = Config(evidence="finals", prior=False, replicates=1000, level=0.8)
    split = allocate(read_table(chinchilla_table), 5.88e23, config)
    assert split.identified
    assert split.tokens_per_param == pytest.approx(17.9, abs=0.3)
    lower, upper = split.intervals["tokens_per_param"]
    assert lower == pytest.approx(10.6, rel=0.15)
    assert upper == pytest.approx(30.1, rel=0.15)


def test_a_wide_ladder_finds_the_planted_optimum() -> None:
    split = allocate(planted_ladder(**GOOD), 1e21)
    exponent = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    g = (TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])) ** (1 / (TRUTH["alpha"] + TRUTH["beta"]))
    lower, upper = split.intervals["params"]
    assert lower < g * (1e21 / 6) ** exponent < upper
    assert split.params is not None
    assert split.tokens is not None
    assert 6 * split.params * split.tokens == pytest.approx(1e21)


@pytest.mark.parametrize(
    ("ladder", "flops", "reason"),
    [
        ({"sizes": (1e8,), "ratios": (2.0, 10.0, 50.0, 250.0)}, 1e20, "one_size"),
        ({"sizes": (1e7, 3e7, 1e8, 3e8, 1e9), "ratios": (20.0,)}, 1e20, "narrow_ratio"),
        (GOOD, 1e26, "far_budget"),
        ({"sizes": GOOD["sizes"], "ratios": (200.0, 800.0, 3200.0)}, 1e21, "outside_ratios"),
        ({"sizes": (1e7, 2e7), "ratios": (5.0, 20.0), "noise": 0.02}, 1e18, "wide_interval"),
    ],
)
def test_a_split_that_the_data_do_not_hold_is_refused_by_name(
    ladder: dict[str, tuple[float, ...]], flops: float, reason: str
) -> None:
    split = allocate(planted_ladder(**ladder), flops)
    assert not split.identified
    assert reason in split.reasons
    assert split.params is None
    assert split.intervals == {}


def test_the_exponents_are_those_of_the_law() -> None:
    split = allocate(planted_ladder(**GOOD, noise=0.0), 1e21, Config(prior=False))
    a = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    assert split.growth["params"].exponent == pytest.approx(a, abs=1e-6)
    assert split.growth["tokens"].exponent == pytest.approx(1 - a, abs=1e-6)


def test_the_published_exponent_of_the_chinchilla_table(chinchilla_table: Path) -> None:
    # Besiroglu et al. 2024: a = beta / (alpha + beta) = .513
    split = allocate(read_table(chinchilla_table), 5.88e23, Config(evidence="finals", prior=False))
    assert split.growth["params"].exponent == pytest.approx(0.513, abs=0.01)
    assert split.growth["params"].lower < 0.513 < split.growth["params"].upper


@pytest.mark.parametrize(
    ("constraints", "further"),
    [
        (Constraints(), {}),
        (Constraints(inference_tokens=2e12), {}),
        (Constraints(shape=(24, 2048, 16384)), {}),
        (Constraints(shape=(24, 2048, 16384), inference_tokens=1e12), {}),
        (Constraints(), {"unique_tokens": 5e10}),
    ],
)
def test_no_model_of_the_same_cost_has_a_lower_loss(constraints: Constraints, further: dict[str, float]) -> None:
    runs, flops = planted_ladder(**GOOD, noise=0.0), 3e23
    config = Config(prior=False, replicates=20, constraints=constraints, further=further)
    # the last budget of the table is a far one, and refuses: only the optimum itself is asked here
    split = made(runs, flops, config)
    assert split.params is not None
    assert split.tokens is not None
    cost = split.cost
    assert cost.flops(split.params, split.tokens) == pytest.approx(flops, rel=1e-9)
    tokens = split.tokens * np.exp(np.linspace(-1.5, 1.5, 3001))
    params = np.exp(cost.log_params(np.log(tokens), flops)[0])
    law, natural = get_law("chinchilla"), np.array([list(TRUTH.values())])
    variables = [params, tokens]
    if further:
        law, natural = heed_repetition(law, natural, further)
        variables.append(np.full(len(params), further["unique_tokens"]))
    losses = law.loss(natural, *variables)[0]
    best = minimize_scalar(
        lambda t: law.loss(natural, *(np.interp(t, np.log(tokens), v)[None] for v in variables))[0, 0],
        bounds=(np.log(tokens[0]), np.log(tokens[-1])),
        method="bounded",
    )
    assert split.loss == pytest.approx(losses.min(), rel=1e-6)
    assert split.loss <= losses.min() * (1 + 1e-9)
    assert np.log(split.tokens) == pytest.approx(best.x, abs=2e-3)


def made(runs: tuple[Run, ...], flops: float, config: Config) -> Allocation:
    """The split, whatever range of D/N the ladder has."""
    found = fit(runs, replace(config, evidence="finals"))
    return split_fit(found, flops, further=config.further, cost=config.constraints.cost(runs))


def test_tokens_to_serve_make_the_optimum_smaller_and_longer_trained() -> None:
    runs, flops = planted_ladder(**GOOD, noise=0.0), 1e22
    config = Config(prior=False, replicates=20)
    alone = made(runs, flops, config)
    sizes = [alone.params]
    for served in (1e10, 1e11, 1e12):
        split = made(runs, flops, replace(config, constraints=Constraints(inference_tokens=served)))
        assert split.params is not None
        assert alone.tokens is not None
        assert split.tokens is not None
        assert split.tokens > alone.tokens
        assert 6 * split.params * split.tokens + 2 * split.params * served == pytest.approx(flops, rel=1e-9)
        sizes.append(split.params)
    assert sizes == sorted(sizes, reverse=True)


def test_attention_and_measurement_count_alike() -> None:
    # runs that measured 6 N D and attention ask for the same split as the shape itself
    shape = (24.0, 2048.0, 16384.0)
    cost = attention_cost(*shape)
    runs = tuple(
        replace(run, card=replace(run.card, flops_per_token=cost.training_flops(run.params, 1.0)))
        for run in planted_ladder(**GOOD, noise=0.0)
    )
    measured, counted = Constraints().cost(runs), Constraints(shape=shape).cost(runs)
    assert measured.training_flops(7e10, 1e12) == pytest.approx(counted.training_flops(7e10, 1e12), rel=1e-9)
    assert Constraints(counting="6nd").cost(runs).training_flops(7e10, 1e12) == 6 * 7e10 * 1e12


def test_more_unique_tokens_than_needed_change_nothing() -> None:
    runs, flops = planted_ladder(**GOOD, noise=0.0), 1e21
    config = Config(prior=False, replicates=20)
    free, plenty, few = (
        made(runs, flops, replace(config, further=further))
        for further in ({}, {"unique_tokens": 1e13}, {"unique_tokens": 1e9})
    )
    assert plenty.params == pytest.approx(free.params, rel=1e-3)
    assert few.loss is not None
    assert free.loss is not None
    assert few.loss > free.loss
    assert "borrowed_decay" in plenty.doubts


def test_the_valley_ends_where_the_loss_reaches_its_bound() -> None:
    split = allocate(planted_ladder(**GOOD, noise=0.0), 1e21, Config(prior=False))
    assert split.params is not None
    assert split.loss is not None
    law, natural = get_law("chinchilla"), np.array([list(TRUTH.values())])
    for valley in split.valleys:
        ends = np.array(valley.params)
        losses = law.loss(natural, ends, 1e21 / 6 / ends)[0]
        np.testing.assert_allclose(losses, split.loss * (1 + valley.excess), rtol=1e-7)
        assert valley.params[0] < split.params < valley.params[1]
        assert valley.sure is not None
    narrow, wide = split.valleys
    assert wide.params[0] < narrow.params[0]


def test_what_is_fixed_stays_and_says_what_it_costs() -> None:
    runs, flops = planted_ladder(**GOOD, noise=0.0), 1e21
    free = allocate(runs, flops)
    assert free.params is not None
    small = allocate(runs, flops, Config(constraints=Constraints(fixed_params=free.params / 8)))
    same = allocate(runs, flops, Config(constraints=Constraints(fixed_tokens=free.tokens)))
    assert small.params == free.params / 8
    assert small.excess is not None
    assert small.excess > 0.005
    assert same.params == pytest.approx(free.params, rel=1e-6)
    assert same.excess == pytest.approx(0.0, abs=1e-6)
    assert {*small.intervals} == {"loss"}


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"fixed_params": 1e9, "fixed_tokens": 1e9}, "nothing is left to choose"),
        ({"inference_tokens": -1.0}, "inference_tokens is -1.0; it must be a positive"),
        ({"counting": "some"}, "it must be 'measured' or '6nd'"),
        ({"shape": (1.0, 0.0, 2.0)}, "width is 0.0; a shape is of positive counts"),
        ({"fixed_tokens": 1e30}, "leave no training for a model"),
        ({"fixed_params": 1e9, "inference_tokens": 1e15}, "1e\\+15 tokens to serve"),
        ({"inference_tokens": 1e30}, "too few to train one parameter on one token and serve"),
    ],
)
def test_contradictions_are_one_clear_line(constraints: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        allocate(planted_ladder(), 1e20, Config(constraints=Constraints(**constraints)))
    assert "\n" not in str(refused.value)


def test_a_refresh_names_a_budget_that_does_not_reach_and_forecasts_all_the_same() -> None:
    target = Target(params=1e9, tokens=2e10)
    config = Config(target=target, constraints=Constraints(inference_tokens=1e30))
    snapshot = refresh(planted_ladder(), (), config)
    assert snapshot.allocation is None
    assert "serve 1e+30 tokens" in snapshot.absent["allocation"]
    assert snapshot.forecast is not None


def test_a_target_by_compute_alone_is_the_split_that_heeds_the_constraints() -> None:
    config = Config(target=Target(flops=1e21), constraints=Constraints(inference_tokens=1e10))
    snapshot = refresh(planted_ladder(**GOOD), (), config)
    assert snapshot.allocation is not None
    assert snapshot.forecast is not None
    assert snapshot.forecast.params == snapshot.allocation.params
    assert snapshot.forecast.tokens == snapshot.allocation.tokens


def test_a_budget_with_repeated_tokens_is_forecast_as_it_is_split() -> None:
    config = Config(target=Target(flops=1e22), further={"unique_tokens": 1e9})
    snapshot = refresh(planted_ladder(**GOOD), (), config)
    assert snapshot.allocation is not None
    assert snapshot.allocation.loss is not None
    assert snapshot.forecast is not None
    assert snapshot.forecast.median == pytest.approx(snapshot.allocation.loss)
    assert "borrowed_decay" in snapshot.forecast.warnings
    given = refresh(planted_ladder(**GOOD), (), replace(config, target=Target(params=1e9, tokens=1e12))).forecast
    plenty = refresh(
        planted_ladder(**GOOD), (), Config(target=Target(params=1e9, tokens=1e12), evidence="finals")
    ).forecast
    assert given is not None
    assert plenty is not None
    assert given.median > plenty.median * 1.01


def test_one_broken_count_of_flops_moves_no_split() -> None:
    runs = [replace(run, card=replace(run.card, flops_per_token=7.8 * run.params)) for run in planted_ladder(**GOOD)]
    sound = Constraints().cost(runs)
    runs[7] = replace(runs[7], card=replace(runs[7].card, flops_per_token=7.8e8 * runs[7].params))
    assert Constraints().cost(runs).training_flops(1e10, 1.0) == pytest.approx(sound.training_flops(1e10, 1.0))


def test_flops_in_another_unit_are_refused_in_one_line() -> None:
    runs = [replace(run, card=replace(run.card, flops_per_token=6e-9 * run.params)) for run in planted_ladder()]
    with pytest.raises(InputError, match=r"1e-09 times 6 N D; give plain FLOPs"):
        allocate(runs, 1e20)
    # a forecast needs no FLOPs
    snapshot = refresh(runs, (), Config(target=Target(params=1e9, tokens=2e10), sensitivity=True))
    assert snapshot.forecast is not None
    assert snapshot.allocation is None
    assert "give plain FLOPs" in snapshot.absent["allocation"]


@pytest.mark.parametrize("factor", [100.0, 0.02])
def test_measured_flops_that_are_none_are_a_doubt(factor: float) -> None:
    runs = [
        replace(run, card=replace(run.card, flops_per_token=6 * factor * run.params)) for run in planted_ladder(**GOOD)
    ]
    assert "odd_flops" in allocate(runs, 1e21 * factor).doubts
    assert "odd_flops" not in allocate(runs, 1e21, Config(constraints=Constraints(counting="6nd"))).doubts


def test_a_lower_level_buys_no_recommendation() -> None:
    runs = planted_ladder(sizes=(1e7, 2e7), ratios=(5.0, 20.0), noise=0.02)
    for level in (0.5, 0.9):
        assert "wide_interval" in allocate(runs, 1e18, Config(level=level)).reasons


def test_a_model_far_outside_the_ladders_ratios_has_no_loss() -> None:
    split = allocate(planted_ladder(**GOOD), 1e21, Config(constraints=Constraints(fixed_params=1e3)))
    assert "outside_ratios" in split.reasons
    assert split.loss is None


def test_a_budget_is_far_by_what_is_left_for_training() -> None:
    runs = planted_ladder(**GOOD)
    largest = max(6 * run.params * (run.horizon or 0) for run in runs)
    config = Config(constraints=Constraints(inference_tokens=1e14))
    assert "far_budget" in allocate(runs, 2000 * largest).reasons
    assert "far_budget" not in allocate(runs, 2000 * largest, config).reasons


def test_too_few_replicates_are_no_interval() -> None:
    assert "no_interval" in allocate(planted_ladder(**GOOD), 1e21, Config(replicates=5)).reasons


def test_what_is_given_is_not_logged_as_optimal() -> None:
    config = Config(flops=1e21, constraints=Constraints(fixed_params=5e8))
    snapshot = refresh(planted_ladder(**GOOD), (), config)
    scalars = make_scalars(snapshot, "")
    assert "scaling/optimal_params" not in scalars
    assert explain_absences(snapshot, "", scalars)["scaling/optimal_params"] == "params are given, not chosen"


def test_counts_too_small_for_a_double_are_refused_or_named() -> None:
    tiny = [
        replace(
            run,
            card=replace(run.card, params=run.params * 1e-200),
            curve=replace(run.curve, tokens=run.curve.tokens * 1e-200),
        )
        for run in planted_ladder()
    ]
    with contextlib.suppress(InputError, NotEnoughData):
        assert not allocate(tiny, 1e20).identified


def test_a_law_without_a_form_for_repetition_says_so() -> None:
    with pytest.raises(InputError, match="the law skaling has no form for repeated tokens"):
        allocate(planted_ladder(), 1e20, Config(law="skaling", further={"unique_tokens": 1e9}))


def test_a_budget_a_million_times_too_large_is_named_a_far_extrapolation() -> None:
    split = allocate(planted_ladder(**GOOD), 1e30)
    assert "a far extrapolation" in split.reasons["far_budget"]


def test_other_budgets_stand_beside_and_agree_with_their_own_answers() -> None:
    split = allocate(planted_ladder(**GOOD), 1e21)
    tenth = next(other for other in split.budgets if other.flops == pytest.approx(1e20))
    assert tenth.params == pytest.approx(allocate(planted_ladder(**GOOD), 1e20).params)
    assert split.budgets[2].params == split.params
    # N* grows with the budget
    sizes = [other.params for other in split.budgets if other.identified]
    assert sizes == sorted(sizes)


def test_callback_report_and_command_line_split_alike() -> None:
    runs = planted_ladder(**GOOD)
    config = Config(flops=1e21)
    asked = allocate(runs, 1e21)
    assert refresh(runs, (), config).allocation == replace(asked, approaches=())
    assert refresh(runs, (), replace(config, sensitivity=True)).allocation == asked


def test_without_a_bootstrap_there_is_no_recommendation() -> None:
    assert "no_interval" in allocate(planted_ladder(**GOOD), 1e21, Config(replicates=0)).reasons


@pytest.mark.parametrize("flops", [0.0, -1e20, np.inf, np.nan])
def test_a_budget_is_a_positive_number(flops: float) -> None:
    with pytest.raises(InputError, match=r"flops is .*; a budget must be"):
        allocate(planted_ladder(), flops)
