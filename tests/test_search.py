"""Every objective is minimised from wherever a search begins, and a certificate says why that may be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling_callback import fit as fit_runs
from scaling_callback import read_table
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import OBJECTIVES, Objective, Points, fit
from scaling_callback.fitting.bootstrap import MAX_ITERATIONS
from scaling_callback.fitting.solver import Minima, minimise
from scaling_callback.laws import LAWS, Law, get_law
from scaling_callback.snapshot import Config
from scaling_callback.testing import planted_ladder, planted_loss

EVERY_OBJECTIVE = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())

NAMES = ("E", "A", "B", "alpha", "beta")
ABSURD = {
    "hoffmann": (1.6934, 406.4, 410.7, 0.3392, 0.2849),
    "besiroglu": (1.8172, 482.01, 2085.43, 0.3478, 0.3658),
    "ones": (1, 1, 1, 1, 1),
    "zeros": (0, 0, 0, 0, 0),
    "huge": (1e300, 1e300, 1e300, 1e300, 1e300),
    "tiny": (1e-300, 1e-300, 1e-300, 1e-300, 1e-300),
    "negative": (-5, -1e9, -1, -3, -0.1),
}


def table(seed: int = 0, noise: float = 0.004) -> Points:
    params, ratio = np.meshgrid(np.geomspace(1e7, 1e9, 6), np.geomspace(5, 80, 4))
    params, tokens = params.ravel(), (params * ratio).ravel()
    losses = np.array([planted_loss(n, d) for n, d in zip(params, tokens, strict=True)])
    rng = np.random.default_rng(seed)
    return Points.of(
        params, tokens, losses * np.exp(rng.normal(0, noise, len(losses))), weight=rng.uniform(0.2, 2, len(losses))
    )


def test_the_published_optimum_is_found_from_any_start(chinchilla_table: Path) -> None:
    runs = read_table(chinchilla_table)
    rng = np.random.default_rng(0)
    rows = [
        *ABSURD.values(),
        *np.column_stack([rng.uniform(0, 5, 20), *10 ** rng.uniform(-2, 6, (2, 20)), *rng.uniform(0, 3, (2, 20))]),
    ]
    for row in rows:
        start = dict(zip(NAMES, map(float, row), strict=True))
        found = fit_runs(runs, Config(evidence="finals", prior=False, replicates=0, starts=[start]))
        assert found.objective <= 0.0010182741
        assert found.certificate.given == 1
        assert found.certificate.starts == 9


@pytest.mark.parametrize("law", ["chinchilla", "chinchilla-tied", "kaplan", "skaling", "power-compute"])
def test_every_start_reaches_the_optimum_of_a_good_ladder(law: str) -> None:
    # a step along which a singular curvature promises a rise once counted as the end of a search
    made = fit(table(), law=law).certificate
    assert made.agreeing == made.starts
    assert made.gradient < 1e-6


def test_a_start_in_another_basin_does_not_keep_the_search_there() -> None:
    points = table()
    far = {"E": 0.1, "A": 3.0, "B": 3.0, "alpha": 0.02, "beta": 0.02}
    assert fit(points, starts=[far]).objective == pytest.approx(fit(points).objective, rel=1e-9)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"E": 1.0}, r"starts\[0\] has E; the law 'chinchilla' needs E, A, B, alpha, beta"),
        ({**dict.fromkeys(NAMES, 1.0), "alpha": float("nan")}, r"starts\[0\] has alpha = nan"),
        ({**dict.fromkeys(NAMES, 1.0), "gamma": 1.0}, "gamma; the law"),
    ],
)
def test_a_start_that_is_not_one_is_refused(start: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        fit(table(), starts=[start])


@EVERY_OBJECTIVE
@pytest.mark.parametrize("law", ["chinchilla", "chinchilla-tied", "kaplan", "skaling"])
def test_no_parameters_near_the_optimum_have_a_lower_objective(objective: Objective, law: str) -> None:
    points = table()
    found = fit(points, law=law, objective=objective)
    assert found.status.name == "CONVERGED"
    x = points.log_variables(found.law.variables) - found.centre[:, None]
    rng = np.random.default_rng(0)
    near = found.theta + rng.normal(0, 1, (500, len(found.theta))) * 10 ** rng.uniform(-7, -2, (500, 1))
    value, y, weight = found.law.log_loss(near, x)[0], np.log(points.loss)[None], points.weight[None]
    slack = 1e-5 if objective.delta == 0 else 1e-9  # the limit of an absolute loss is approached, not reached
    assert (objective.report(value, y, weight) >= found.objective * (1 - slack)).all()


@EVERY_OBJECTIVE
def test_the_objective_is_what_its_name_says(objective: Objective) -> None:
    points = table()
    found = fit(points, objective=objective)
    predicted = found.predict(points.params, points.tokens)
    r = np.log(predicted / points.loss) if objective.name.startswith("log") else predicted - points.loss
    by_name = {
        "huber": np.where(abs(r) <= 1e-3, 0.5 * r * r, 1e-3 * (abs(r) - 0.5e-3)),
        "squared": 0.5 * r * r,
        "absolute": abs(r),
    }
    by_hand = points.weight @ by_name[objective.name.removeprefix("log-")]
    assert found.objective == pytest.approx(by_hand, rel=1e-9)


@EVERY_OBJECTIVE
def test_the_unit_of_the_loss_does_not_matter(objective: Objective) -> None:
    points = table()
    moved = Points.of(points.params, points.tokens, points.loss * 1e9, weight=points.weight)
    scaled = Objective("scaled", objective.scale, objective.delta * (1e9 if objective.scale == "linear" else 1.0))
    one, other = fit(points, objective=objective), fit(moved, objective=scaled)
    assert other.params["alpha"] == pytest.approx(one.params["alpha"], rel=1e-5)


@EVERY_OBJECTIVE
def test_replicates_of_every_objective_spread_around_the_centre(objective: Objective) -> None:
    lower, upper = fit(table(), objective=objective, replicates=50).intervals()["alpha"]
    assert 0.2 < lower < 0.35 < upper < 0.5


@pytest.mark.parametrize(
    ("sizes", "ratios", "noise"),
    [(20, 5, 0.002), (20, 5, 0.02), (4, 3, 0.02), (3, 2, 0.003), (1, 6, 0.002), (9, 1, 0.003)],
)
def test_no_replicate_ends_at_the_cap_of_iterations(
    sizes: int, ratios: int, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[Minima] = []
    monkeypatch.setattr(
        "scaling_callback.fitting.bootstrap.minimise",
        lambda *args, **options: searches.append(minimise(*args, **options)) or searches[-1],
    )
    params, ratio = np.meshgrid(np.geomspace(1e7, 3e8, sizes), np.geomspace(5, 80, ratios))
    params, tokens = params.ravel(), (params * ratio).ravel()
    losses = np.array([planted_loss(n, d) for n, d in zip(params, tokens, strict=True)])
    losses *= np.exp(np.random.default_rng(1).normal(0, noise, len(losses)))
    for prior in (False, True):
        fit(Points.of(params, tokens, losses), prior=prior, replicates=200)
    assert len(searches) == 2
    assert all(search.converged.all() and search.iterations.max() < MAX_ITERATIONS for search in searches)


def test_the_certificate_names_rivals_and_parameters_at_a_bound() -> None:
    flat = Points.of([1e7, 3e7, 1e8, 3e8, 1e9], [1e9, 3e9, 9e8, 4e9, 1e10], [3.0, 3.001, 2.999, 3.0, 3.0005])
    made = fit(flat).certificate
    assert made.at_bound
    assert made.rival == (made.runner_up is not None and made.runner_up <= made.margin)
    good = fit(table()).certificate
    assert good.at_bound == ()
    assert good.agreeing >= 3


@pytest.mark.parametrize("name", LAWS)
def test_diagnostics_are_those_that_make_sense_for_the_law(name: str) -> None:
    n = np.full(12, 1e8)
    d = np.geomspace(1e9, 1e11, 12)
    further = {"unique_tokens": d / 2, "granularity": np.full(12, 4.0)}
    law = get_law(name)
    found = fit(Points.of(n, d, 2 + 2000 / d**0.36, columns=further), law=law)
    assert ("one_size" in found.diagnostics) == ("params" in law.variables)
    assert ("one_granularity" in found.diagnostics) == ("granularity" in law.variables)
    assert "one_horizon" not in found.diagnostics


def test_a_law_whose_variable_is_missing_says_which() -> None:
    with pytest.raises(NotEnoughData, match="the law needs unique_tokens"):
        fit(table(), law="muennighoff")


class MyLaw(Law):
    """A user's own law: here a power law in D alone, without a floor."""

    name, equation, source = "mine", "L(D) = B / D^beta", "a notebook"
    variables = ("tokens",)
    parameters = (get_law("chinchilla").parameters[2], get_law("chinchilla").parameters[4])
    typical = (20.0, 0.1)
    floor = None

    def log_loss(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = theta[:, :1] - theta[:, 1:] * x[0]
        return value, np.stack(np.broadcast_arrays(np.ones_like(value), -x[0]), -1)

    def project(self, nonlinear: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(-nonlinear * x[0] - y)[..., None], np.ones((1, len(y)))

    def natural(self, theta: np.ndarray, centre: np.ndarray) -> np.ndarray:
        return np.column_stack([np.exp(theta[:, 0] + theta[:, 1] * centre[0]), theta[:, 1]])

    def working(self, natural: np.ndarray, centre: np.ndarray) -> np.ndarray:
        return np.column_stack([np.log(natural[:, 0]) - natural[:, 1] * centre[0], natural[:, 1]])


def test_a_law_of_the_users_own_is_passed_as_an_object() -> None:
    law = MyLaw()
    found = fit_runs(planted_ladder(noise=0.0), Config(law=law, prior=False))
    assert found.law is law
    assert Config(law=law).forecaster == "default mine with the weak prior"
