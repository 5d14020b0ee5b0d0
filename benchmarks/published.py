"""Published fitting procedures, written anew from their description, to be timed beside this solver.

Parameters are theta = (ln A, ln B, ln E, alpha, beta); the objective is the sum of Huber losses of the log residuals
with delta 1e-3 (Hoffmann et al. 2022, arXiv 2203.15556, equation 3).
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import least_squares, minimize
from scipy.special import logsumexp

from scaling_callback.fitting import Points
from scaling_callback.records import Array

DELTA = 1e-3

GRID = np.array(
    list(product((0, 5, 10, 15, 20, 25), (0, 5, 10, 15, 20, 25), (-1, -0.5, 0, 0.5, 1), *[(0, 0.5, 1, 1.5, 2)] * 2)),
    dtype=float,
)
"""The 4500 starts of Hoffmann et al. 2022 and of Besiroglu et al. 2024 (arXiv 2404.10102)."""

CHINCHILLA = np.array([6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083])
"""The values that Hoffmann et al. 2022 report."""


def terms(theta: Array, points: Points) -> Array:
    """Ln of the three terms of the law, shape (3, n)."""
    a, b, e, alpha, beta = theta
    n, d = np.log(points.params), np.log(points.tokens)
    return np.array([a - alpha * n, b - beta * d, np.full_like(n, e)])


def cost(theta: Array, points: Points) -> float:
    """The objective."""
    size = np.abs(logsumexp(terms(theta, points), axis=0) - np.log(points.loss))
    return float(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)).sum())


def search(start: Array, points: Points) -> tuple[float, Array, bool]:
    """L-BFGS-B with finite differences and default tolerances: objective, theta, and whether it reports success."""
    found = minimize(cost, start, args=(points,), method="L-BFGS-B")
    return float(found.fun), found.x, bool(found.success)


def gradient(theta: Array, points: Points) -> Array:
    """The gradient of the objective."""
    logs = terms(theta, points)
    total = logsumexp(logs, axis=0)
    shares = np.exp(logs - total)
    score = np.clip(total - np.log(points.loss), -DELTA, DELTA)
    by = (shares[0], shares[1], shares[2], -shares[0] * np.log(points.params), -shares[1] * np.log(points.tokens))
    return np.array([score @ column for column in by])


def search_bfgs(start: Array, points: Points) -> tuple[float, Array, bool]:
    """BFGS with the gradient and default tolerances: what Besiroglu et al. 2024 ran for each bootstrap replicate."""
    found = minimize(cost, start, args=(points,), jac=gradient, method="BFGS")
    return float(found.fun), found.x, bool(found.success)


def search_least_squares(start: Array, points: Points) -> tuple[float, Array, bool]:
    """One robust least-squares search with the analytic Jacobian, tolerances as tight as they go."""

    def residuals(theta: Array) -> Array:
        return logsumexp(terms(theta, points), axis=0) - np.log(points.loss)

    def jacobian(theta: Array) -> Array:
        logs = terms(theta, points)
        shares = np.exp(logs - logsumexp(logs, axis=0))
        return np.stack([*shares, -shares[0] * np.log(points.params), -shares[1] * np.log(points.tokens)], axis=1)

    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15, "max_nfev": 2000}
    found = least_squares(residuals, start, jacobian, loss="huber", f_scale=DELTA, x_scale="jac", **tight)
    return cost(found.x, points), found.x, bool(found.success)


def resample(points: Points, seed: int) -> Points:
    """As many points, drawn with replacement."""
    index = np.random.default_rng(seed).integers(len(points), size=len(points))
    return Points.of(points.params[index], points.tokens[index], points.loss[index])
