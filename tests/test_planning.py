"""Claims about plans: what is proposed fits the budget, is worth its FLOPs, and teaches what it is said to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from scaling_callback import pipeline
from scaling_callback.costs import Cost
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Fit, fit
from scaling_callback.fitting.points import Points
from scaling_callback.planning import Place, place_target, plan, propose
from scaling_callback.planning.design import Design
from scaling_callback.planning.places import FIVE_SIZES, list_sizes, name_sides
from scaling_callback.records import Target
from scaling_callback.snapshot import Config
from scaling_callback.testing import TRUTH, planted_ladder, planted_loss

GOAL = (1e10, 2e11)
TARGET = Target(params=1e10, tokens=2e11)
QUICK = Config(replicates=40)


def fit_places(places: Sequence[Place]) -> Fit:
    params, tokens = np.array(places).T
    losses = [planted_loss(*place) for place in places]
    return fit(Points.of(params, tokens, losses), law="skaling", prior=True, replicates=20)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit_places([(n, n * r) for n in (1e7, 3e7, 1e8) for r in (10.0, 40.0)])


@pytest.mark.parametrize("flops", [1e18, 1e19, 1e20, 3.3e21])
def test_a_first_ladder_fits_its_budget_has_five_sizes_and_brackets_the_target(flops: float) -> None:
    made = plan(GOAL, flops)
    places = [(run.params, run.tokens) for run in made.runs]
    assert sum(run.flops for run in made.runs) <= flops
    assert len(list_sizes(places)) >= FIVE_SIZES
    assert name_sides(places, GOAL) == {"below", "above"}
    assert len({*places}) == len(places)
    assert all(run.params < GOAL[0] and run.flops <= flops / 2 for run in made.runs)
    assert {float(f"{count:.1e}") for place in places for count in place} == {c for place in places for c in place}
    assert made.width_now is None
    assert "no_fit" in made.notes


def test_every_run_narrows_the_interval_and_says_to_what() -> None:
    made = pipeline.plan(planted_ladder(), TARGET, 1e20, QUICK)
    forecast = pipeline.forecast(planted_ladder(), TARGET, QUICK)
    assert made.width_now == forecast.upper - forecast.lower
    widths = [made.width_now, *(run.expected_interval_width for run in made.runs)]
    assert all(after < before for before, after in pairwise(widths))
    assert made.runs[0].expected_relative_width == pytest.approx(widths[1] / forecast.median)


def test_what_a_run_teaches_is_what_a_second_look_at_all_the_runs_says(fitted: Fit) -> None:
    places = [(1e7, 1e8), (1e8, 2e9), (3e8, 3e9), (1e9, 2e10), GOAL]
    design = Design.of(fitted.law, fitted, places, {}, 0)
    by_turns = design.given([0]).given([2]).given([1])
    at_once = design.given([0, 1, 2])
    assert by_turns.spread == pytest.approx(at_once.spread, rel=1e-6)
    assert design.given([0]).spread == pytest.approx(design.spread - design.gains[0], rel=1e-6)
    assert design.spread - design.gains[3] == pytest.approx(design.given([3]).spread, rel=1e-6)
    each = [design.given([i for i in (0, 1, 2) if i != out]).spread for out in (0, 1, 2)]
    assert design.without_each([0, 1, 2]) == pytest.approx(each, rel=1e-6)


def test_of_runs_that_cost_the_same_another_size_teaches_more_than_a_repeat(fitted: Fit) -> None:
    repeat, new = (1e8, 4e9), (4e8, 1e9)
    made = plan(GOAL, 6 * 4e17 * 1.01, fit=fitted, candidates=[repeat, new])
    assert [(run.params, run.tokens) for run in made.runs] == [new]


def test_a_run_that_teaches_nothing_is_not_proposed_even_if_there_is_money_for_it(fitted: Fit) -> None:
    place = (1e8, 4e9)
    enough = [place] * 3
    made = plan(GOAL, 1e22, fit=fitted, coming=[(n, n * r) for n in (3e8, 1e9) for r in (5, 40)], candidates=enough)
    assert len(made.runs) < len(enough)


def test_the_noisier_runs_are_the_wider_the_interval_stays() -> None:
    quiet, noisy = (planted_ladder(noise=noise, seed=3) for noise in (0.001, 0.02))
    one, other = (pipeline.plan(runs, TARGET, 1e20, QUICK) for runs in (quiet, noisy))
    assert one.runs[-1].expected_interval_width < other.runs[-1].expected_interval_width


def test_a_forecast_after_the_plan_is_about_as_wide_as_was_expected() -> None:
    ladder = planted_ladder(sizes=(1e7, 2e7, 4e7), ratios=(20.0, 80.0), noise=0.004, seed=1)
    made = pipeline.plan(ladder, TARGET, 1e21, QUICK)
    trained = [
        planted_ladder(sizes=(run.params,), ratios=(run.tokens / run.params,), noise=0.004, seed=10 + i)[0]
        for i, run in enumerate(made.runs)
    ]
    forecast = pipeline.forecast([*ladder, *trained], TARGET, QUICK)
    assert made.width_now is not None
    assert 0.25 < (forecast.upper - forecast.lower) / made.runs[-1].expected_interval_width < 4
    assert forecast.upper - forecast.lower < made.width_now


def test_runs_that_train_are_not_proposed_again() -> None:
    runs = planted_ladder()
    young = [run.until(0.3 * (run.horizon or 0.0)) for run in runs[-3:]]
    made = pipeline.plan([*runs[:-3], *young], TARGET, 1e20, QUICK)
    assert "still_training" in made.notes
    for run in made.runs:
        for other in runs:
            assert max(abs(math.log(run.params / other.params)), abs(math.log(run.tokens / (other.horizon or 1)))) > 0.2


def test_one_or_two_finished_runs_are_known_but_hold_no_fit() -> None:
    runs = planted_ladder()[:2]
    made = pipeline.plan(runs, TARGET, 1e20, QUICK)
    assert "no_fit" in made.notes
    assert len(list_sizes([*((r.params, r.params) for r in made.runs), (1e7, 1e8)])) >= FIVE_SIZES
    bare = plan(GOAL, 1e20, candidates=[(1e8, 2e9)])
    knowing = plan(GOAL, 1e20, candidates=[(1e8, 2e9)], known=[(1e7, 1e8), (3e7, 6e8)])
    assert knowing.runs[0].expected_interval_width < bare.runs[0].expected_interval_width


def test_a_budget_is_counted_in_what_runs_cost() -> None:
    made = plan(GOAL, 1e20, cost=Cost(overhead=9.0))
    assert made.flops <= 1e20
    assert all(run.flops == pytest.approx(60 * run.params * run.tokens) for run in made.runs)


def test_a_target_by_compute_is_split_by_the_law() -> None:
    made = plan(place_target(Target(flops=1.2e22)), 1e20)
    assert 6 * made.params * made.tokens == pytest.approx(1.2e22, rel=0.1)
    assert 5 < made.tokens / made.params < 80


@pytest.mark.parametrize(
    ("flops", "words"),
    [
        (0.0, "must be a positive"),
        (-1.0, "must be a positive"),
        (math.nan, "must be a positive"),
        (math.inf, "must be a positive"),
        (1e9, "pays for no run worth training: the least"),
    ],
)
def test_a_budget_that_buys_nothing_is_refused_in_one_line(flops: float, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        plan(GOAL, flops)
    assert "\n" not in str(caught.value)


def test_candidates_that_no_budget_pays_are_refused_with_the_least() -> None:
    with pytest.raises(InputError, match=r"costs 1\.2e\+18; raise"):
        plan(GOAL, 1e18, candidates=[(1e8, 2e9), (1e9, 2e10)])
    with pytest.raises(InputError, match="no run to choose"):
        plan(GOAL, 1e18, candidates=[])


def test_a_target_within_the_ladder_has_nothing_to_extrapolate() -> None:
    with pytest.raises(InputError, match="nothing to extrapolate"):
        propose((1e8, 2e9), 1e20, [(1e9, 2e10)])


def test_what_should_be_known_of_a_plan_stands_beside_it() -> None:
    assert "target_affordable" in plan(GOAL, 1e23).notes
    assert "far_extrapolation" in plan(GOAL, 1e18).notes
    assert "few_sizes" in plan(GOAL, 1e20, candidates=[(1e8, 2e9)]).notes
    assert "one_sided_ratios" in plan(GOAL, 1e20, candidates=[(1e8, 1e9)]).notes


@pytest.mark.parametrize("config", [Config(law="kaplan", replicates=20), Config(starts=[TRUTH], replicates=0)])
def test_a_plan_can_rest_on_a_law_of_ones_own_choice(config: Config) -> None:
    made = pipeline.plan(planted_ladder(), TARGET, 1e20, config)
    assert made.runs
    assert all(run.expected_interval_width > 0 for run in made.runs)


def test_runs_that_are_held_out_are_no_part_of_a_plan() -> None:
    runs = planted_ladder()
    held = [replace(run, card=replace(run.card, held_out=True)) for run in planted_ladder(sizes=(9e8,))]
    assert pipeline.plan([*runs, *held], TARGET, 1e20, QUICK) == pipeline.plan(runs, TARGET, 1e20, QUICK)


def test_runs_that_diverged_teach_nothing() -> None:
    runs = planted_ladder()
    dead = [
        replace(
            run, card=replace(run.card, name=f"dead {run.name}"), curve=replace(run.curve, loss=run.curve.loss * np.nan)
        )
        for run in planted_ladder(sizes=(5e8, 9e8))
    ]
    made, alone = pipeline.plan([*runs, *dead], TARGET, 1e20, QUICK), pipeline.plan(runs, TARGET, 1e20, QUICK)
    assert made.runs == alone.runs
    assert "still_training" not in made.notes


def test_a_law_that_lacks_a_variable_is_no_reason_to_take_another() -> None:
    with pytest.raises((NotEnoughData, InputError), match="unique_tokens"):
        pipeline.plan(planted_ladder(), TARGET, 1e20, replace(QUICK, law="muennighoff"))


def test_what_the_forecast_is_doubted_for_stands_beside_the_plan() -> None:
    flat = [replace(run, curve=replace(run.curve, loss=run.curve.loss * 0 + 3.0)) for run in planted_ladder()]
    made = pipeline.plan(flat, TARGET, 1e20, QUICK)
    assert "no_variation" in made.notes


def test_hundreds_of_runs_are_thinned(fitted: Fit) -> None:
    places = [(n, n * r) for n in np.geomspace(1e7, 1e9, 40) for r in np.geomspace(5, 80, 20)]
    made = plan(GOAL, 1e21, fit=fitted, known=places)
    assert made.flops <= 1e21
