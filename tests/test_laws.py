"""Conformance: every registered law keeps these promises. A new law is tested by being registered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling_callback.costs import SIX_ND
from scaling_callback.errors import InputError
from scaling_callback.fitting import Points, fit
from scaling_callback.laws import LAWS, Law, get_law
from scaling_callback.laws.optima import search_optimum

EVERY_LAW = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
SPLITTABLE = [law for law in LAWS.values() if {"params", "tokens"} <= {*law.variables}]
CLOSED = [law for law in SPLITTABLE if "split" in vars(type(law))]

KNOWN = {"unique_tokens": 1e10, "granularity": 4.0}
"""Values of further variables at which a split is looked for."""


def draw_columns(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Ladders of every variable that a law may have."""
    tokens = 10 ** rng.uniform(8.5, 11.5, n)
    params = 10 ** rng.uniform(6.5, 9.5, n)
    return {
        "params": params,
        "tokens": tokens,
        "compute": 6 * params * tokens,
        "unique_tokens": tokens / 10 ** rng.uniform(-0.3, 1.5, n),
        "granularity": 2 ** rng.uniform(0, 5, n),
    }


def draw_x(law: Law, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred log variables, and their centre."""
    columns = draw_columns(rng, n)
    variables = np.log(np.stack([columns[name] for name in law.variables]))
    centre = law.centre(variables)
    return variables - centre[:, None], centre


def draw_theta(law: Law, rng: np.random.Generator, rows: int, centre: np.ndarray) -> np.ndarray:
    """Working parameters of natural ones near published values."""
    middle = np.repeat(law.working(np.array([law.typical]), centre), rows, axis=0)
    for i, parameter in enumerate(law.parameters):
        if parameter.role == "exponent":
            middle[:, i] *= np.exp(rng.uniform(-0.3, 0.3, rows))
        else:
            middle[:, i] += rng.uniform(-0.3, 0.3, rows)
    return middle


@EVERY_LAW
def test_gradient_agrees_with_finite_differences(law: Law) -> None:
    rng = np.random.default_rng(0)
    x, centre = draw_x(law, rng, 11)
    theta = draw_theta(law, rng, 5, centre)
    _, gradient = law.log_loss(theta, x)
    for p in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[:, p] = 1e-6
        difference = (law.log_loss(theta + step, x)[0] - law.log_loss(theta - step, x)[0]) / 2e-6
        np.testing.assert_allclose(gradient[..., p], difference, rtol=1e-5, atol=1e-8)


@EVERY_LAW
def test_a_batch_is_a_loop(law: Law) -> None:
    rng = np.random.default_rng(1)
    x, centre = draw_x(law, rng, 6)
    theta = draw_theta(law, rng, 4, centre)
    batch, _ = law.log_loss(theta, x)
    loop = np.array([[law.log_loss(row[None], x[:, [i]])[0][0, 0] for i in range(x.shape[1])] for row in theta])
    np.testing.assert_allclose(batch, loop, rtol=1e-13, atol=1e-14)


@EVERY_LAW
def test_natural_and_working_parameters_are_inverse(law: Law) -> None:
    rng = np.random.default_rng(3)
    _, centre = draw_x(law, rng, 6)
    theta = draw_theta(law, rng, 10, centre)
    np.testing.assert_allclose(law.working(law.natural(theta, centre), centre), theta, atol=1e-9)


@EVERY_LAW
def test_the_loss_does_not_depend_on_where_the_data_are_centred(law: Law) -> None:
    rng = np.random.default_rng(5)
    x, centre = draw_x(law, rng, 6)
    theta = draw_theta(law, rng, 4, centre)
    natural = law.natural(theta, centre)
    variables = np.exp(x + centre[:, None])
    np.testing.assert_allclose(law.loss(natural, *variables), np.exp(law.log_loss(theta, x)[0]), rtol=1e-10)


@EVERY_LAW
def test_typical_values_predict_losses_of_language_models(law: Law) -> None:
    columns = draw_columns(np.random.default_rng(6), 50)
    loss = law.loss(np.array([law.typical]), *(columns[name] for name in law.variables))
    assert loss.min() > 0.4
    assert loss.max() < 12


@EVERY_LAW
def test_loss_never_rises_with_any_variable(law: Law) -> None:
    rng = np.random.default_rng(4)
    x, centre = draw_x(law, rng, 7)
    theta = draw_theta(law, rng, 20, centre)
    for variable in range(len(law.variables)):
        more = x.copy()
        more[variable] += 0.5
        assert (law.log_loss(theta, more)[0] <= law.log_loss(theta, x)[0] + 1e-13).all()


@EVERY_LAW
@pytest.mark.parametrize("seed", range(10))
def test_planted_parameters_are_recovered_without_noise(law: Law, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = draw_columns(rng, 60)
    variables = np.log(np.stack([columns[name] for name in law.variables]))
    centre = law.centre(variables)
    theta = draw_theta(law, rng, 1, centre)
    losses = np.exp(law.log_loss(theta, variables - centre[:, None])[0][0])
    params, tokens, *_ = columns.values()
    found = fit(Points.of(params, tokens, losses, columns=columns_beyond(columns)), law=law)
    assert found.status.name == "CONVERGED"
    assert not found.diagnostics
    np.testing.assert_allclose(np.exp(found.residuals()), 1.0, atol=1e-9)
    np.testing.assert_allclose([*found.params.values()], law.natural(theta, centre)[0], rtol=1e-6)


def columns_beyond(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: column for name, column in columns.items() if name not in ("params", "tokens")}


@pytest.mark.parametrize("law", CLOSED, ids=[law.name for law in CLOSED])
def test_the_closed_optimum_is_the_numerical_minimum(law: Law) -> None:
    rng = np.random.default_rng(7)
    _, centre = draw_x(law, rng, 20)
    natural = law.natural(draw_theta(law, rng, 1000, centre), centre)
    flops = 10.0 ** rng.uniform(17, 25)
    params, tokens = law.optimum(natural, flops, KNOWN)
    np.testing.assert_allclose(6 * params * tokens, flops, rtol=1e-12)
    found = search_optimum(law, natural, flops, KNOWN, SIX_ND)
    assert np.isfinite(params).all()
    # an optimum of less than one parameter or token is none to the search
    inside = (params > 1) & (tokens > 1)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found[0][inside], params[inside], rtol=1e-9)
    np.testing.assert_allclose(found[1][inside], tokens[inside], rtol=1e-9)


@EVERY_LAW
def test_slopes_are_the_derivatives_by_the_variables(law: Law) -> None:
    rng = np.random.default_rng(9)
    x, centre = draw_x(law, rng, 6)
    theta = draw_theta(law, rng, 5, centre)
    np.testing.assert_allclose(law.slopes(theta, x), Law.slopes(law, theta, x), atol=2e-8)


@EVERY_LAW
def test_each_parameter_vector_may_have_points_of_its_own(law: Law) -> None:
    rng = np.random.default_rng(10)
    x, centre = draw_x(law, rng, 6)
    theta = draw_theta(law, rng, 4, centre)
    own = x[:, None, :] + 0.1 * rng.standard_normal((1, 4, 1))
    value, gradient = law.log_loss(theta, own)
    for row in range(4):
        alone = law.log_loss(theta[[row]], own[:, row])
        np.testing.assert_allclose(value[row], alone[0][0], rtol=1e-12)
        np.testing.assert_allclose(gradient[row], alone[1][0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("law", SPLITTABLE, ids=[law.name for law in SPLITTABLE])
def test_no_split_near_the_optimum_is_better(law: Law) -> None:
    rng = np.random.default_rng(8)
    _, centre = draw_x(law, rng, 20)
    natural = law.natural(draw_theta(law, rng, 10, centre), centre)
    params, _ = law.optimum(natural, 1e21, KNOWN)
    assert np.isfinite(params).all()
    for row in range(10):
        around = params[row] * np.exp(np.linspace(-3, 3, 61))
        known = [np.full(61, KNOWN[name]) for name in law.variables[2:]]
        loss = law.loss(natural[[row]], around, 1e21 / 6 / around, *known)[0]
        assert loss.min() >= loss[30] * (1 - 1e-12)


@EVERY_LAW
def test_the_table_of_laws_has_a_row_for_it(law: Law) -> None:
    table = (Path(__file__).parents[1] / "docs" / "laws.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith(f"| `{law.name}`"))
    assert law.equation.split(" = ", 1)[1].split(",")[0] in row


@EVERY_LAW
def test_a_law_without_both_n_and_d_has_no_split(law: Law) -> None:
    if law not in SPLITTABLE:
        assert np.isnan(law.optimum(np.array([law.typical]), 1e21)[0]).all()


def test_published_parameters_give_the_published_loss() -> None:
    # Besiroglu et al. 2024, table 1; the loss of Chinchilla itself follows from it
    besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
    assert get_law("chinchilla").loss(besiroglu, np.array([70e9]), np.array([1.4e12]))[0, 0] == pytest.approx(
        1.8172 + 482.01 / 70e9**0.3478 + 2085.43 / 1.4e12**0.3658, rel=1e-12
    )


def test_an_unknown_law_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"no law named 'kepler'; choose one of: chinchilla"):
        get_law("kepler")
