"""Conformance: every registered law keeps these promises. A new law is tested by being registered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from scaling_callback.errors import InputError
from scaling_callback.fitting import Points, fit
from scaling_callback.laws import LAWS, Law, get_law

EVERY_LAW = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
# working parameters around the centre of a ladder: terms of the size of the loss, published exponents
coefficients = st.floats(-2.0, 1.5)
exponents = st.floats(0.1, 1.2)


def draw_theta(law: Law, rng: np.random.Generator, rows: int) -> np.ndarray:
    columns = [rng.uniform(0.1, 1.2, rows) if p.exponent else rng.uniform(-2, 1.5, rows) for p in law.parameters]
    return np.stack(columns, 1)


def draw_x(law: Law, rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.uniform(-3, 3, (len(law.variables), n))


@EVERY_LAW
def test_gradient_agrees_with_finite_differences(law: Law) -> None:
    rng = np.random.default_rng(0)
    theta, x = draw_theta(law, rng, 5), draw_x(law, rng, 11)
    _, gradient = law.log_loss(theta, x)
    for p in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[:, p] = 1e-6
        difference = (law.log_loss(theta + step, x)[0] - law.log_loss(theta - step, x)[0]) / 2e-6
        np.testing.assert_allclose(gradient[..., p], difference, rtol=1e-5, atol=1e-8)


@EVERY_LAW
def test_a_batch_is_a_loop(law: Law) -> None:
    rng = np.random.default_rng(1)
    theta, x = draw_theta(law, rng, 4), draw_x(law, rng, 6)
    batch, _ = law.log_loss(theta, x)
    loop = np.array([[law.log_loss(row[None], x[:, [i]])[0][0, 0] for i in range(x.shape[1])] for row in theta])
    np.testing.assert_allclose(batch, loop, rtol=1e-13)


@EVERY_LAW
def test_basis_times_coefficients_is_the_loss(law: Law) -> None:
    rng = np.random.default_rng(2)
    theta, x = draw_theta(law, rng, 4), draw_x(law, rng, 6)
    linear = [i for i in range(theta.shape[1]) if i not in law.exponents]
    terms = law.basis(theta[:, list(law.exponents)], x)
    np.testing.assert_allclose((terms @ np.exp(theta[:, linear, None]))[..., 0], np.exp(law.log_loss(theta, x)[0]))


@EVERY_LAW
def test_natural_and_working_parameters_are_inverse(law: Law) -> None:
    rng = np.random.default_rng(3)
    theta = draw_theta(law, rng, 10)
    centre = rng.uniform(15, 25, len(law.variables))
    np.testing.assert_allclose(law.working(law.natural(theta, centre), centre), theta, atol=1e-9)


@EVERY_LAW
def test_loss_never_rises_with_any_variable(law: Law) -> None:
    rng = np.random.default_rng(4)
    theta, x = draw_theta(law, rng, 20), draw_x(law, rng, 7)
    for variable in range(len(law.variables)):
        more = x.copy()
        more[variable] += 0.5
        assert (law.log_loss(theta, more)[0] <= law.log_loss(theta, x)[0] + 1e-15).all()


@EVERY_LAW
def test_planted_parameters_are_recovered_without_noise(law: Law) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        theta = draw_theta(law, rng, 1)
        params, tokens = 10 ** rng.uniform(6.5, 9, 40), 10 ** rng.uniform(8, 11, 40)
        variables = np.log(np.stack([params, tokens]))
        x = variables - variables.mean(1, keepdims=True)
        losses = np.exp(law.log_loss(theta, x)[0][0])
        found = fit(Points.of(params, tokens, losses), law=law)
        # compared by the losses: where a term is tiny its exponent is anyone's guess
        np.testing.assert_allclose(found.predict(params, tokens), losses, rtol=1e-6)
        assert found.status.name == "CONVERGED"


@given(coefficients, coefficients, coefficients, exponents, exponents, st.floats(18, 25))
def test_the_closed_optimum_is_the_numerical_minimum(
    e: float, a: float, b: float, alpha: float, beta: float, exponent: float
) -> None:
    law, flops = get_law("chinchilla"), 10.0**exponent
    natural = law.natural(np.array([[e, a, b, alpha, beta]]), np.log([1e8, 1e10]))
    params, tokens = law.optimum(natural, flops)

    def cost(log_params: float) -> float:
        n = np.exp(log_params)
        return float(law.loss(natural, np.array([n]), np.array([flops / 6 / n]))[0, 0] - natural[0, 0])

    found = minimize_scalar(cost, bounds=(np.log(params[0]) - 3, np.log(params[0]) + 3), method="bounded")
    assert cost(float(np.log(params[0]))) <= found.fun * (1 + 1e-9)
    assert 6 * params[0] * tokens[0] == pytest.approx(flops, rel=1e-12)


def test_published_parameters_give_the_published_loss() -> None:
    # Besiroglu et al. 2024, table 1; the loss of Chinchilla itself follows from it
    besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
    assert get_law("chinchilla").loss(besiroglu, np.array([70e9]), np.array([1.4e12]))[0, 0] == pytest.approx(
        1.8172 + 482.01 / 70e9**0.3478 + 2085.43 / 1.4e12**0.3658, rel=1e-12
    )


def test_an_unknown_law_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InputError, match=r"no law named 'kepler'; choose one of: chinchilla"):
        get_law("kepler")
