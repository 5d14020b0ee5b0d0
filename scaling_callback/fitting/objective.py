"""The robust objective that a fit minimises."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling_callback.records import Array


@dataclass(frozen=True)
class LogHuber:
    """Sum over points of w * Huber_delta(ln L_predicted - ln L_measured).

    Huber_delta(r) is r^2 / 2 up to |r| = delta and delta (|r| - delta / 2) beyond (Hoffmann et al. 2022,
    equation 3). It is the *sum*: with the mean, the tolerances of common optimisers stop far from the optimum.

    Example:
        >>> LogHuber(delta=1.0).cost(np.array([[0.5, 3.0]]), np.ones((1, 2)))
        array([2.625])
    """

    delta: float = 1e-3

    def cost(self, residual: Array, weight: Array) -> Array:
        """The objective, shape (R,), of residuals and weights (R, n)."""
        size = np.abs(residual)
        clipped = np.minimum(size, self.delta)
        return np.einsum("rn,rn->r", weight, clipped * (size - 0.5 * clipped))

    def score(self, residual: Array) -> Array:
        """Its derivative by each residual."""
        return np.clip(residual, -self.delta, self.delta)

    def majorant(self, residual: Array) -> Array:
        """Curvature of the parabola that touches the objective from above, used to damp steps."""
        return self.delta / np.maximum(np.abs(residual), self.delta)

    def curvature(self, residual: Array) -> Array:
        """Second derivative, with a hundredth of the majorant where it vanishes.

        With delta far below the noise nearly all points lie on the linear branch, where the second derivative
        is 0: the majorant alone would converge slowly there, and the second derivative alone would be singular.
        """
        return np.where(np.abs(residual) <= self.delta, 1.0, 0.01 * self.majorant(residual))
