"""The schedule gap: a law of finished runs from finals and checkpoints together."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Borrowed, Points, fit, seed_noise
from scaling_callback.fitting import steps as stepping
from scaling_callback.fitting.priors import weak_terms
from scaling_callback.forecasting import finals, get_policy
from scaling_callback.forecasting.joint import (
    CHECKPOINTS,
    EARLIEST,
    SHARE,
    finals_and_checkpoints,
    fit_joint,
)
from scaling_callback.laws import LAWS, Law, get_law
from scaling_callback.laws.gap import PROGRESS, with_gap
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.tables import read_table
from scaling_callback.testing import planted_ladder, planted_loss

EVERY_BASE = pytest.mark.parametrize("base", LAWS.values(), ids=LAWS.keys())
TARGET = (1e10, 2e11)
GAP = (0.04, 0.01, -0.02, 0.03)


def by_name(run: Run) -> str:
    return run.name


def gather(runs: tuple[Run, ...] | list[Run]) -> Points:
    points = finals_and_checkpoints(runs, by_name).points
    assert points is not None
    return points


def gap(params: float, tokens: float, progress: float) -> float:
    """The planted gap in ln L."""
    c_0, c_n, c_d, c_x = GAP
    left = 1.0 - progress
    return left * (c_0 + c_n * math.log(params / 1e8) + c_d * math.log(tokens / 1e9) + c_x * left)


def gapped_ladder(noise: float = 0.0, *, rates: bool = False) -> list[Run]:
    """Runs along one ratio D/N each size, whose checkpoints lie off the planted law by the planted gap."""
    rng = np.random.default_rng(0)
    runs: list[Run] = []
    for params in (1e7, 3e7, 1e8, 3e8):
        for ratio in (10.0, 40.0):
            horizon, own = params * ratio, float(np.exp(rng.normal(0.0, noise)))
            seen = [
                Observation(
                    horizon * x,
                    planted_loss(params, horizon * x) * own * math.exp(gap(params, horizon * x, x)),
                    lr=1e-3 * (1.1 - x) if rates else math.nan,
                )
                for x in np.arange(1, 21) / 20
            ]
            runs.append(Run(RunCard(name=f"{params:g}-{ratio:g}", params=params, horizon=horizon), Curve.of(seen)))
    return runs


def evaluate_gap(law: Law, count: int) -> np.ndarray:
    """ln L with some gap minus ln L of the base law, at progress .3 and 1, for typical parameters."""
    theta = np.array([law.typical])
    natural = theta.copy()
    natural[0, -count:] = np.linspace(0.02, 0.05, count)
    columns = [np.array([2e9, 2e9])] * (len(law.variables) - 1)
    progress = np.array([0.3, 1.0])
    return np.log(law.loss(natural, *columns, progress)[0] / law.loss(theta, *columns, progress)[0])


@EVERY_BASE
def test_the_gap_of_every_law_is_exactly_zero_at_finals(base: Law) -> None:
    law = with_gap(base)
    x = np.zeros((len(law.variables), 3))
    x[:-1] = np.random.default_rng(0).normal(size=(len(base.variables), 3))
    middle = base.working(np.array([base.typical]), np.full(len(base.variables), 20.0))
    theta = np.concatenate([middle, [[0.3] * (len(base.variables) + 2)]], axis=1)
    assert np.array_equal(law.log_loss(theta, x)[0], base.log_loss(middle, x[:-1])[0])
    assert evaluate_gap(law, len(base.variables) + 2)[0] != 0.0


@EVERY_BASE
def test_the_gradient_of_a_gapped_law_agrees_with_finite_differences(base: Law) -> None:
    law = with_gap(base)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(len(law.variables), 7))
    x[-1] = np.log(rng.uniform(0.1, 1.0, 7))
    middle = base.working(np.array([base.typical]), np.full(len(base.variables), 20.0))
    theta = np.concatenate([middle, rng.normal(0.0, 0.1, (1, len(base.variables) + 2))], axis=1)
    _, gradient = law.log_loss(theta, x)
    for p in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[:, p] = 1e-6
        difference = (law.log_loss(theta + step, x)[0] - law.log_loss(theta - step, x)[0]) / 2e-6
        np.testing.assert_allclose(gradient[..., p], difference, rtol=1e-5, atol=1e-8)


@EVERY_BASE
def test_natural_and_working_parameters_of_a_gapped_law_are_inverse(base: Law) -> None:
    law = with_gap(base)
    centre = np.append(np.full(len(base.variables), 20.0), 0.0)
    natural = np.array([law.typical])
    natural[0, len(base.parameters) :] = np.linspace(-0.05, 0.05, len(base.variables) + 2)
    np.testing.assert_allclose(law.natural(law.working(natural, centre), centre), natural, rtol=1e-9)


def test_a_law_has_one_gapped_law() -> None:
    assert with_gap(get_law("chinchilla")) is with_gap(get_law("chinchilla"))


def test_a_planted_gap_is_recovered() -> None:
    found = fit(gather(gapped_ladder()), law=with_gap(get_law("chinchilla")))
    expected = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37, "c_params": GAP[1], "c_tokens": GAP[2]}
    for name, value in {**expected, "c_x": GAP[3]}.items():
        assert found.params[name] == pytest.approx(value, rel=1e-3)
    at_centre = found.params["c_0"] + GAP[1] * math.log(1e8) + GAP[2] * math.log(1e9)
    assert at_centre == pytest.approx(GAP[0], rel=1e-3)


@pytest.mark.parametrize("law", ["skaling", "chinchilla"])
def test_checkpoints_of_a_decaying_schedule_do_not_bias_the_law(law: str) -> None:
    runs = planted_ladder(noise=0.0)  # checkpoints lie .08 (1 - x) nats above the law
    truth = planted_loss(*TARGET)
    joint = fit_joint(gather(runs), law=law)
    as_finals = get_policy("intermediate")(runs, by_name).points
    assert as_finals is not None
    biased = abs(float(fit(as_finals).predict(*TARGET)[0]) / truth - 1)
    assert abs(float(joint.predict(*TARGET)[0]) / truth - 1) < min(0.01, biased / 2)


def test_checkpoints_tell_size_and_data_apart_where_finals_cannot() -> None:
    runs = [run for run in gapped_ladder() if run.name.endswith("-40")]  # one D/N: finals alone leave a line of splits
    target = (1e9, 4e9)
    joint = fit_joint(gather(runs), law="chinchilla")
    alone = finals(runs, by_name).points
    assert alone is not None
    truth = planted_loss(*target)
    from_finals = abs(float(fit(alone, prior=True).predict(*target)[0]) / truth - 1)
    assert abs(float(joint.predict(*target)[0]) / truth - 1) < 0.5 * from_finals


def test_learning_rates_change_nothing() -> None:
    with_rates, without = (fit_joint(gather(gapped_ladder(rates=rates))) for rates in (True, False))
    assert with_rates.params == without.params


def test_the_fit_is_of_finished_runs() -> None:
    runs = gapped_ladder(0.002)
    found = fit_joint(gather(runs), replicates=30)
    assert found.law is get_law("skaling")
    assert len(found.points) == len(runs)
    assert found.draws.shape == (30, 6)
    assert np.abs(found.residuals()).max() < 0.02


def test_evidence_is_thinned_weighted_and_flagged() -> None:
    points = gather(gapped_ladder())
    for run in range(points.n_runs):
        own = points.run == run
        progress, weight = points.columns[PROGRESS][own], points.weight[own]
        assert (progress == 1.0).sum() == 1
        assert own.sum() == CHECKPOINTS + 1
        assert progress.min() >= EARLIEST
        assert weight[progress == 1.0].sum() == 1.0
        assert weight[progress < 1.0].sum() == pytest.approx(SHARE)


def test_an_unfinished_run_brings_its_checkpoints() -> None:
    runs = gapped_ladder()
    assert runs[-1].horizon is not None
    runs[-1] = runs[-1].until(0.6 * runs[-1].horizon)
    evidence = finals_and_checkpoints(runs, by_name)
    assert runs[-1].name in evidence.used
    assert runs[-1].name not in evidence.left_out
    assert evidence.points is not None
    assert (evidence.points.columns[PROGRESS] == 1.0).sum() == len(runs) - 1


def test_a_run_without_a_horizon_is_left_out_by_name() -> None:
    runs = gapped_ladder()
    first = runs[0]
    runs[0] = Run(replace(first.card, horizon=None), first.curve)
    evidence = finals_and_checkpoints(runs, by_name)
    assert "planned tokens are unknown" in evidence.left_out[first.name]
    assert first.name not in evidence.used


def test_repeated_seeds_tell_the_noise() -> None:
    runs = [
        Run(
            replace(run.card, name=f"{run.name}-{seed}", seed=str(seed)),
            replace(run.curve, loss=run.curve.loss * (1 + 0.01 * seed)),
        )
        for run in gapped_ladder()
        for seed in (0, 1)
    ]
    assert seed_noise(gather(runs)) == pytest.approx(0.01 / math.sqrt(2), rel=0.1)
    assert seed_noise(fit_joint(gather(runs)).points) == seed_noise(gather(runs))


def test_a_held_out_run_is_no_evidence() -> None:
    runs = gapped_ladder()
    runs[0] = Run(replace(runs[0].card, held_out=True), runs[0].curve)
    evidence = finals_and_checkpoints(runs, by_name)
    assert "held out" in evidence.left_out[runs[0].name]
    assert evidence.points is not None
    assert evidence.points.n_runs == len(runs) - 1


def test_a_run_too_early_to_say_anything_is_left_out_by_name() -> None:
    runs = gapped_ladder()
    assert runs[-1].horizon is not None
    runs[-1] = runs[-1].until(0.1 * runs[-1].horizon)
    assert "no finite loss beyond 15%" in finals_and_checkpoints(runs, by_name).left_out[runs[-1].name]


def test_a_run_of_another_phase_is_left_out() -> None:
    runs = [Run(replace(run.card, schedule="cosine"), run.curve) for run in gapped_ladder()]
    last = Run(replace(runs[-1].card, schedule="constant"), runs[-1].curve)
    assert last.horizon is not None
    runs[-1] = last.until(0.6 * last.horizon)
    assert "phases are not mixed" in finals_and_checkpoints(runs, by_name).left_out[last.name]


def test_finals_alone_are_fitted_without_a_gap() -> None:
    points = gather(gapped_ladder())
    alone = points.take(points.columns[PROGRESS] == 1.0)
    found = fit_joint(alone, law="chinchilla")
    assert found.params == pytest.approx(fit(alone, prior=True, searches=4).params)


def test_too_few_finished_runs_are_refused() -> None:
    runs = gapped_ladder()
    cut = [run.until(0.5 * (run.horizon or 0.0)) for run in runs[2:]]
    with pytest.raises(NotEnoughData, match="2 independent run"):
        fit_joint(gather([*runs[:2], *cut]))


def test_points_without_progress_are_refused() -> None:
    with pytest.raises(InputError, match="no column 'progress'"):
        fit_joint(Points.of([1e7, 1e8, 1e9], [1e9, 1e10, 1e11], [4.0, 3.0, 2.0]))


def test_no_searches_are_refused() -> None:
    with pytest.raises(InputError, match="searches is 0"):
        fit(Points.of([1e7, 1e8, 1e9], [1e9, 1e10, 1e11], [4.0, 3.0, 2.0]), searches=0)


def test_few_searches_end_where_many_do() -> None:
    points = gather(gapped_ladder(0.002))
    few, many = (fit(points, law=with_gap(get_law("skaling")), prior=True, searches=n) for n in (4, None))
    assert few.certificate.starts == 4
    assert few.objective == pytest.approx(many.objective, rel=1e-3)
    assert few.predict(*TARGET, progress=1.0) == pytest.approx(many.predict(*TARGET, progress=1.0), rel=1e-4)


def test_the_prior_of_the_skaling_law_is_of_the_exponents_outside_its_power() -> None:
    law = get_law("skaling")
    scores = [
        [float(term.score(law.working(np.array([natural]), np.zeros(2)))[0][0]) for term in weak_terms(law)]
        for natural in ((1.8, 1e6, 1e8, 0.68, 0.74, 0.5), (1.8, 1e6, 1e8, 0.34, 0.37, 1.0))
    ]
    np.testing.assert_allclose(scores, [[0.0, 0.0, math.log(0.5) / 0.35], [0.0, 0.0, 0.0]], atol=1e-12)


def test_the_score_of_every_prior_agrees_with_finite_differences() -> None:
    for law in LAWS.values():
        theta = law.working(np.array([law.typical]), np.zeros(len(law.variables)))
        for term in weak_terms(law):
            _, slope = term.score(theta)
            for p in range(theta.shape[1]):
                step = np.zeros_like(theta)
                step[:, p] = 1e-6
                difference = (term.score(theta + step)[0] - term.score(theta - step)[0]) / 2e-6
                np.testing.assert_allclose(slope[:, p], difference, rtol=1e-5, atol=1e-8)


def test_parameters_of_the_base_law_can_be_borrowed() -> None:
    borrowed = Borrowed((("alpha", 0.35), ("E", 1.8)), "the planted law")
    found = fit_joint(gather(gapped_ladder()), law="chinchilla", borrowed=borrowed)
    assert found.params["alpha"] == pytest.approx(0.35)
    assert found.params["E"] == pytest.approx(1.8)


def test_a_few_steps_are_as_good_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    points = gather(gapped_ladder(0.002))
    widths: list[float] = []
    for steps in (stepping.STEPS, 100):
        monkeypatch.setattr(stepping, "STEPS", steps)
        draws = np.log(fit_joint(points, replicates=400).predict_draws(*TARGET)[:, 0])
        widths.append(float(np.ptp(np.quantile(draws, [0.05, 0.95]))))
    assert widths[0] == pytest.approx(widths[1], rel=0.1)


def test_replicates_depend_on_the_seed_alone() -> None:
    points = gather(gapped_ladder(0.002))
    one, same, other = (fit_joint(points, replicates=20, seed=seed).draws for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_real_ladder_forecasts_its_largest_size(data: Path) -> None:
    runs = read_table(data / "olmo_ladder.csv")
    found = fit_joint(gather([run for run in runs if run.params < 3e9]))
    ends = [(run.params, run.final) for run in runs if run.params > 3e9 and run.final is not None]
    errors = [abs(float(found.predict(params, final.tokens)[0]) / final.loss - 1) for params, final in ends]
    assert np.mean(errors) < 0.004


losses = st.floats(0.1, 20.0) | st.sampled_from([math.nan, math.inf, 1e-300, 1e300])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(losses, min_size=0, max_size=6), min_size=3, max_size=6), st.booleans())
def test_no_curve_breaks_the_evidence_or_the_fit(curves: list[list[float]], flagged: bool) -> None:
    runs = [
        Run(
            RunCard(name=f"r{i}", params=1e7 * 2**i, horizon=6e8),
            Curve.of([Observation(1e8 * (j + 1), loss, is_final=flagged and j == 3) for j, loss in enumerate(curve)]),
        )
        for i, curve in enumerate(curves)
    ]
    evidence = finals_and_checkpoints(runs, by_name)
    assert {*evidence.used} | {*evidence.left_out} == {run.name for run in runs}
    assert not {*evidence.used} & {*evidence.left_out}
    if evidence.points is None:
        return
    try:
        found = fit_joint(evidence.points, replicates=5)
    except NotEnoughData:
        return
    assert np.isfinite(found.theta).all()
    assert np.isfinite(found.draws).all()
