"""A fit finds the optimum, says how sure it is, and says when it cannot know."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import fit as fit_runs
from scaling_callback import read_table
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Points, fit, get_objective
from scaling_callback.snapshot import Config
from scaling_callback.testing import planted_loss


def grid(sizes: int = 4, ratios: int = 3, noise: float = 0.0, seed: int = 0) -> Points:
    params, ratio = np.meshgrid(np.geomspace(1e7, 3e8, sizes), np.geomspace(5, 80, ratios))
    params, tokens = params.ravel(), (params * ratio).ravel()
    losses = np.array([planted_loss(n, d) for n, d in zip(params, tokens, strict=True)])
    return Points.of(params, tokens, losses * np.exp(np.random.default_rng(seed).normal(0, noise, len(losses))))


def test_the_published_optimum_is_found_from_any_seed(chinchilla_table: Path) -> None:
    # Besiroglu et al. 2024 refit on 240 points; best known objective 0.00101827401780
    runs = read_table(chinchilla_table)
    for seed in (0, 1, 12345):
        found = fit_runs(runs, Config(evidence="finals", prior=False, replicates=0, seed=seed))
        assert found.objective <= 0.0010182741
        assert found.params["alpha"] == pytest.approx(0.3473, abs=5e-5)
        assert found.params["beta"] == pytest.approx(0.3672, abs=5e-5)
        assert found.certificate.agreeing >= 3
        assert not found.diagnostics


def test_bootstrap_gives_the_published_intervals(chinchilla_table: Path) -> None:
    # 95% intervals of 4000 replicates: alpha .317-.373, beta .331-.415, E 1.769-1.871
    runs = read_table(chinchilla_table)
    found = fit_runs(runs, Config(evidence="finals", prior=False, replicates=1000)).intervals(0.95)
    assert found["alpha"] == pytest.approx((0.317, 0.373), abs=0.006)
    assert found["beta"] == pytest.approx((0.331, 0.415), abs=0.006)
    assert found["E"] == pytest.approx((1.769, 1.871), abs=0.006)


def test_the_objective_is_the_sum_of_huber_losses_of_the_log_residuals() -> None:
    points = grid(noise=0.01)
    found = fit(points)
    residual = found.residuals()
    by_hand = sum(0.5 * r * r if abs(r) <= 1e-3 else 1e-3 * (abs(r) - 0.5e-3) for r in residual)
    assert found.objective == pytest.approx(by_hand, rel=1e-9)


def test_no_point_near_the_optimum_is_lower() -> None:
    points = grid(noise=0.01)
    found = fit(points)
    rng = np.random.default_rng(0)
    x = points.log_variables(found.law.variables) - found.centre[:, None]
    near = found.theta + rng.normal(0, 1e-3, (500, 5))
    value, y = found.law.log_loss(near, x)[0], np.log(points.loss)[None]
    cost = get_objective("log-huber").cost(value, y, np.ones((1, len(points))))
    assert (cost >= found.objective * (1 - 1e-9)).all()


@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-3, 3))
@settings(max_examples=20)
def test_units_of_params_tokens_and_loss_do_not_matter(n: float, d: float, scale: float) -> None:
    points = grid(noise=0.003)
    moved = Points.of(points.params * 10**n, points.tokens * 10**d, points.loss * 10**scale)
    one, other = fit(points), fit(moved)
    assert other.objective == pytest.approx(one.objective, rel=1e-6)
    assert other.params["alpha"] == pytest.approx(one.params["alpha"], rel=1e-4)
    assert other.predict(1e10 * 10**n, 2e11 * 10**d) == pytest.approx(one.predict(1e10, 2e11) * 10**scale, rel=1e-5)


def test_one_wild_point_hardly_moves_the_fit() -> None:
    points = grid(5, 4, noise=0.001)
    spoiled = points.loss.copy()
    spoiled[7] *= 1.5
    found = fit(Points.of(points.params, points.tokens, spoiled))
    assert found.predict(1e10, 2e11)[0] == pytest.approx(planted_loss(1e10, 2e11), rel=0.01)


def test_weights_count_as_repeated_points() -> None:
    points = grid(noise=0.01)
    weight = np.ones(len(points))
    weight[[0, 3]] = 2.0
    heavy = fit(Points.of(points.params, points.tokens, points.loss, weight=weight))
    index = [*range(len(points)), 0, 3]
    twice = fit(Points.of(points.params[index], points.tokens[index], points.loss[index]))
    assert heavy.objective == pytest.approx(twice.objective, rel=1e-7)


def test_the_same_seed_gives_the_same_draws_and_another_seed_does_not() -> None:
    points = grid(noise=0.01)
    one, same, other = (fit(points, replicates=20, seed=seed).draws for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_checkpoints_of_one_run_are_resampled_together() -> None:
    # ten noisy copies of each run are no ten runs: their shared noise must show in the interval
    points = grid(5, 4, noise=0.01)
    index = np.repeat(np.arange(len(points)), 10)
    columns = (points.params[index], points.tokens[index], points.loss[index])
    clustered = fit(Points.of(*columns, cluster=index), replicates=200).intervals()
    naive = fit(Points.of(*columns), replicates=200).intervals()
    width = {name: ends[1] - ends[0] for name, ends in clustered.items()}
    assert width["alpha"] > 2 * (naive["alpha"][1] - naive["alpha"][0])


def test_the_prior_steadies_the_centre_and_does_not_narrow_the_interval() -> None:
    points = grid(3, 2, noise=0.003)
    free, steady = (fit(points, prior=prior, replicates=200) for prior in (False, True))
    assert abs(np.log(steady.params["alpha"] / 0.34)) <= abs(np.log(free.params["alpha"] / 0.34)) + 1e-9
    # its own uncertainty (a factor of e^0.35 either way) stays in the interval where data do not replace it
    lower, upper = fit(grid(1, 3), prior=True, replicates=200).intervals()["alpha"]
    assert upper / lower >= np.exp(2 * 1.645 * 0.35 * 0.7)


@pytest.mark.parametrize("points", [grid(3, 2, noise=0.003), grid(2, 4), grid(9, 1)], ids=["few", "two sizes", "ratio"])
def test_the_prior_hides_no_doubt_about_the_data(points: Points) -> None:
    free, steady = (fit(points, prior=prior) for prior in (False, True))
    assert free.diagnostics
    assert steady.diagnostics == free.diagnostics


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (grid(1, 4), {"one_size", "too_few_runs"}),
        (Points.of([1e7, 3e7, 1e8, 3e8], [1e9] * 4, [4.0, 3.6, 3.4, 3.3]), {"one_horizon"}),
        (grid(9, 1), {"narrow_ratio"}),
        (grid(2, 2), {"too_few_runs", "floor_unidentified"}),
        (Points.of([1e7, 3e7, 1e8, 3e8], [1e9, 3e9, 9e8, 4e9], [3.0] * 4), {"no_variation"}),
    ],
    ids=["one size", "one horizon", "one ratio", "four runs", "equal losses"],
)
def test_what_the_data_cannot_say_is_named(points: Points, expected: set[str]) -> None:
    found = fit(points, replicates=50)
    assert expected <= found.diagnostics.keys()
    assert all(len(sentence) > 20 for sentence in found.diagnostics.values())


def test_a_good_ladder_raises_no_doubt() -> None:
    assert fit(grid(5, 4, noise=0.002)).diagnostics == {}


def test_runs_that_the_law_does_not_describe_are_named_with_how_far_they_lie_from_it() -> None:
    # a bent valley that no sum of two power laws follows; and the same runs on a law
    points = grid(5, 4, noise=0.002)
    bent = replace(
        points, loss=points.loss * np.exp(0.3 * np.sin(3 * np.log(points.params) + 2 * np.log(points.tokens)))
    )
    for prior in (False, True):
        sentence = fit(bent, prior=prior).diagnostics["poor_fit"]
        assert re.match(
            r"runs scatter by \d+\.\d% around the law, seeds of one recipe differ by at most 4%: ", sentence
        )
        assert "--law" in sentence
    assert "poor_fit" not in fit(points).diagnostics


def test_a_law_is_not_blamed_for_what_seeds_of_one_recipe_differ_by() -> None:
    # three seeds at each place; the bend beside them is far more than they differ by
    once = grid(4, 3)
    params, tokens, loss = (np.repeat(values, 3) for values in (once.params, once.tokens, once.loss))
    seeds = loss * np.exp(np.random.default_rng(0).normal(0, 0.07, len(loss)))
    bend = np.exp(0.5 * np.sin(3 * np.log(params) + 2 * np.log(tokens)))
    place = np.repeat(np.arange(len(once)), 3)

    assert "poor_fit" not in fit(Points.of(params, tokens, seeds, twins=place)).diagnostics
    sentence = fit(Points.of(params, tokens, seeds * bend, twins=place)).diagnostics["poor_fit"]
    assert re.match(r"runs scatter by \d+\.\d% around the law, its own seeds by 4\.7%: ", sentence)


def test_an_interval_is_wide_where_a_size_was_never_varied() -> None:
    # all sizes equal: any split between floor and size term explains the data
    found = fit(grid(1, 6, noise=0.002), prior=True, replicates=200)
    lower, upper = np.quantile(found.predict_draws(1e10, 2e11), [0.05, 0.95])
    assert upper / lower > 1.2


def test_fewer_than_three_runs_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="2 finished run"):
        fit(Points.of([1e7, 1e8], [1e9, 1e9], [4.0, 3.5]))


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_points_that_are_not_positive_numbers_are_refused_by_place(wrong: float) -> None:
    with pytest.raises(InputError, match=r"loss\[1\] is .*; it must be a positive, finite number"):
        Points.of([1e7, 1e8, 1e9], [1e9] * 3, [4.0, wrong, 3.5])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": {"loss": [1.0, 2.0, 3.0]}}, "columns holds loss, which every point has"),
        ({"spread": [0.0, -1.0, 0.0]}, "spread holds a value that is not 0 or a positive"),
        ({"spread": [0.0]}, r"spread has shape \(1,\), params has \(3,\)"),
        ({"cluster": ["a", "b"]}, r"cluster has shape \(2,\)"),
        ({"twins": [1]}, r"twins has shape \(1,\)"),
        ({"run": np.array(["a", None, 3], dtype=object)}, "run mixes kinds of labels"),
        ({"weight": ["heavy", "light", "none"]}, "weight holds something that is no number"),
    ],
)
def test_columns_that_are_no_columns_are_refused_in_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Points.of([1e7, 1e8, 1e9], [1e9] * 3, [4.0, 3.7, 3.5], **wrong)


def test_params_that_are_missing_are_not_one_run_of_size_one() -> None:
    with pytest.raises(InputError, match="params has shape"):
        Points.of(None, [1e9], [4.0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prior": "no"}, "prior is 'no'; it must be True or False"),
        ({"sensitivity": 1}, "sensitivity is 1"),
        ({"target": (7e9, 4e12)}, "target is .*; it must be Target"),
        ({"borrowed": "besiroglu"}, "borrowed is 'besiroglu'; it must be Borrowed"),
        ({"further": None}, "further is None; it must be a mapping"),
        ({"starts": None}, "starts is None"),
        ({"cluster": 3}, "cluster is 3"),
        ({"law": 3}, "law is 3; it must be a name or a Law object"),
    ],
)
def test_a_configuration_of_the_wrong_kind_is_refused_in_one_line(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Config(**wrong)


def test_numbers_of_numpy_are_numbers() -> None:
    assert Config(seed=np.int64(3), replicates=np.int64(50), level=np.float32(0.9)).seed == 3
