"""With few data: parameters borrowed from elsewhere, and priors that tie them."""

from __future__ import annotations

import numpy as np
import pytest

from scaling_callback import Config, Target, refresh
from scaling_callback import fit as fit_runs
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Borrowed, Points, fit
from scaling_callback.laws import get_law
from scaling_callback.laws.published import PUBLISHED
from scaling_callback.reporting.results import describe_fit
from scaling_callback.testing import TRUTH, planted_ladder, planted_loss

SIZE_TERM = Borrowed((("A", TRUTH["A"]), ("alpha", TRUTH["alpha"])), "the planted law")


def one_model(noise: float = 0.0) -> Points:
    """Checkpoints of one run."""
    tokens = np.geomspace(5e8, 5e10, 12)
    losses = np.array([planted_loss(1e8, d) for d in tokens])
    losses *= np.exp(np.random.default_rng(0).normal(0, noise, 12))
    return Points.of(np.full(12, 1e8), tokens, losses, cluster=np.zeros(12))


def test_one_model_with_a_borrowed_size_term_forecasts_another() -> None:
    found = fit(one_model(), borrowed=SIZE_TERM)
    assert found.params == pytest.approx(TRUTH, rel=1e-6)
    assert found.free == 3
    assert found.predict(1e10, 2e11)[0] == pytest.approx(planted_loss(1e10, 2e11), rel=1e-8)
    with pytest.raises(NotEnoughData, match="1 independent run"):
        fit(one_model())


@pytest.mark.parametrize("names", [("A",), ("alpha",), ("E",), ("A", "alpha"), ("B", "alpha"), ("E", "A", "B")])
def test_any_subset_is_held_to_the_last_digit(names: tuple[str, ...]) -> None:
    points = Points.of(*np.array([[n, n * r, planted_loss(n, n * r)] for n in (1e7, 1e8, 1e9) for r in (5, 20, 80)]).T)
    # what is borrowed is true here, so that the others must be recovered too
    found = fit(
        points, borrowed=Borrowed(tuple((name, TRUTH[name]) for name in names), "the planted law"), replicates=5
    )
    for name in names:
        assert found.params[name] == pytest.approx(TRUTH[name], rel=1e-12)
        np.testing.assert_allclose(found.natural_draws[:, found.law.names.index(name)], TRUTH[name], rtol=1e-12)
    assert found.params == pytest.approx(TRUTH, rel=1e-5)
    assert not {"exponent_at_bound", "floor_unidentified"} & found.diagnostics.keys()
    assert found.certificate.at_bound == ()


def test_wrong_borrowed_values_stay_wrong() -> None:
    wrong = Borrowed((("alpha", 0.5),), "nowhere")
    assert fit_runs(planted_ladder(), Config(borrowed=wrong)).params["alpha"] == 0.5


def test_the_output_says_what_was_borrowed_and_from_where() -> None:
    found = fit(one_model(), borrowed=Borrowed.published("besiroglu", "A", "alpha"))
    described = describe_fit(found, 0.9)["borrowed"]
    assert described["A"] == {"value": 482.01, "source": "Besiroglu et al. 2024, arXiv 2404.10102"}
    assert described.keys() == {"A", "alpha"}


def test_another_ladder_lends() -> None:
    other = fit_runs(planted_ladder(noise=0.0))
    lent = other.lend("A", "alpha")
    assert lent.source == "a fit of the law chinchilla to 12 runs"
    assert fit(one_model(), borrowed=lent).params == pytest.approx(TRUTH, rel=1e-5)


def test_refresh_borrows_for_the_forecast_and_for_the_record() -> None:
    runs = planted_ladder(sizes=(1e8,), ratios=(5.0, 20.0), noise=0.0)
    config = Config(borrowed=SIZE_TERM, target=Target(params=1e9, tokens=2e10))
    assert "fit" in refresh(runs, (), config).absent  # two runs for three free parameters
    made = refresh(planted_ladder(sizes=(1e8,), noise=0.0), (), config)
    assert made.forecast is not None
    assert made.forecast.median == pytest.approx(planted_loss(1e9, 2e10), rel=0.01)
    assert made.forecast.forecaster.endswith("with borrowed A, alpha")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Borrowed.published("nobody"), "no published fit named 'nobody'; choose one of: hoffmann"),
        (lambda: Borrowed.published("hoffmann", "gamma"), "hoffmann published no 'gamma'"),
        (lambda: Borrowed((("A", -1.0),), "me"), "borrowed A is -1.0; it must be a positive"),
        (lambda: fit(one_model(), borrowed=Borrowed((("gamma", 1.0),), "me")), "has no parameter 'gamma' to borrow"),
        (lambda: fit(one_model(), law="skaling", borrowed=Borrowed((("A", 5.0),), "me")), "A cannot be borrowed alone"),
        (lambda: fit(Points.of([1e8], [1e9], [3.0]), borrowed=SIZE_TERM), r"1 point\(s\) for 3 free parameters"),
    ],
)
def test_what_cannot_be_borrowed_is_refused(make: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("family", PUBLISHED)
def test_every_published_family_belongs_to_a_law(family: str) -> None:
    names = PUBLISHED[family].values.keys()
    assert any(names <= set(get_law(law).names) for law in ("chinchilla", "muennighoff", "kaplan"))


def test_the_ridges_decide_where_the_data_leave_a_coefficient_open() -> None:
    # one size: the size term is any line through one loss, and the published fits lie on one of them
    points = one_model(noise=0.002)
    spread = Points.of(points.params, points.tokens, points.loss)
    found = fit(spread, ridges=True)
    expected = 0.01163 + 0.05005 * np.log(found.params["A"])
    assert found.params["alpha"] == pytest.approx(expected, abs=0.05)
    assert found.prior_terms == 2


def test_the_ridges_hardly_move_what_the_data_hold() -> None:
    runs = planted_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 1e9), noise=0.001)
    free, tied = (fit_runs(runs, Config(prior=False, ridges=ridges)) for ridges in (False, True))
    assert tied.predict(1e10, 2e11)[0] == pytest.approx(free.predict(1e10, 2e11)[0], rel=0.01)
