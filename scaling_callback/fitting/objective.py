"""The objectives that a fit can minimise: residuals of ln L or of L, under a Huber loss of any width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import Array

SHARPEST = 1e-6
"""Width that stands in for 0 while an absolute loss is searched: a thousandth of the smallest seed noise."""

LARGEST_RATIO = 300.0
"""Ln of the largest ratio of a predicted to a usual loss that is squared: what lies beyond would overflow."""


@dataclass(frozen=True)
class Objective:
    """Sum over points of w * Huber_delta(r), with r the residual of ln L, or of L itself.

    Huber_delta(r) is r^2 / 2 up to |r| = delta and delta (|r| - delta / 2) beyond (Hoffmann et al. 2022,
    equation 3). With delta infinite it is half the square; with delta 0 it stands for |r|, the limit of
    Huber_delta(r) / delta. It is the *sum*: with the mean, the tolerances of common optimisers stop far from the
    optimum.

    Attributes:
        name: By which it is chosen.
        scale: Whether residuals are of ln L (`log`) or of L (`linear`).
        delta: Width of the quadratic part: dimensionless on the log scale, in units of the loss on the linear one.
        log_unit: Ln of the loss that linear residuals are measured in while searching (`at`).

    Example:
        >>> wide = Objective("wide", delta=1.0)
        >>> wide.cost(np.array([[0.5, 3.0]]), np.zeros((1, 2)), np.ones((1, 2)))
        array([2.625])
    """

    name: str
    scale: Literal["log", "linear"] = "log"
    delta: float = 1e-3
    log_unit: float = 0.0

    def at(self, y: Array) -> Objective:
        """The same objective in units of the mean of the log losses `y`, so that the search has no scale."""
        if self.scale == "log":
            return self
        unit = float(y.mean())
        return replace(self, log_unit=unit, delta=self.delta * float(np.exp(-unit)))

    def report(self, value: Array, y: Array, weight: Array) -> Array:
        """The objective (R,) in the units of the data, and exact where the search used a limit."""
        if self.delta == 0:
            residual, _ = self.residual(value, y)
            return np.einsum("rn,rn->r", weight, np.abs(residual)) * np.exp(self.log_unit)
        return self.cost(value, y, weight) * np.exp(2 * self.log_unit)

    def residual(self, value: Array, y: Array) -> tuple[Array, Array | float]:
        """The residual of predicted log losses `value` (R, n), and its derivative by them."""
        if self.scale == "log":
            return value - y, 1.0
        predicted = np.exp(np.minimum(value - self.log_unit, LARGEST_RATIO))
        return predicted - np.exp(np.minimum(y - self.log_unit, LARGEST_RATIO)), predicted

    def cost(self, value: Array, y: Array, weight: Array) -> Array:
        """The sum, shape (R,), for predicted and measured log losses and weights, each (R, n) or (1, n)."""
        size = np.abs(self.residual(value, y)[0])
        clipped = np.minimum(size, self.width)
        return np.einsum("rn,rn->r", weight, clipped * (size - 0.5 * clipped))

    def derivatives(self, value: Array, y: Array) -> tuple[Array, Array, Array]:
        """First derivative, curvature and majorant by each predicted log loss, each (R, n).

        The majorant is the curvature of the parabola that touches the Huber loss from above; it damps steps. The
        curvature is its second derivative, with a hundredth of the majorant where that vanishes: with delta far below
        the noise nearly all points lie on the linear branch, where the majorant alone would converge slowly and the
        second derivative alone would be singular. That of the residual itself is left out, as in Gauss-Newton.
        """
        residual, slope = self.residual(value, y)
        size = np.abs(residual)
        ratio = np.ones_like(size) if np.isinf(self.width) else self.width / np.maximum(size, self.width)
        score = np.clip(residual, -self.width, self.width)
        curvature = np.where(size <= self.width, 1.0, 0.01 * ratio)
        if self.scale == "log":
            return score, curvature, ratio
        return score * slope, curvature * slope * slope, ratio * slope * slope

    def __str__(self) -> str:
        return self.name

    @property
    def width(self) -> float:
        """Delta, or what stands in for 0."""
        return self.delta or SHARPEST

    @property
    def words(self) -> str:
        """What it is, for a sentence."""
        of = "ln L" if self.scale == "log" else "L"
        if self.delta == 0:
            return f"absolute residual of {of}"
        if np.isinf(self.delta):
            return f"half the squared residual of {of}"
        return f"Huber loss of {of} with delta {self.delta:g}"


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("log-huber"),
        Objective("huber", scale="linear"),
        Objective("log-squared", delta=float("inf")),
        Objective("squared", scale="linear", delta=float("inf")),
        Objective("log-absolute", delta=0.0),
    )
}


def get_objective(objective: str | Objective) -> Objective:
    """The objective of that name, or the objective itself.

    Raises:
        InputError: There is none of that name.

    Example:
        >>> get_objective("log-squared").words
        'half the squared residual of ln L'
    """
    if isinstance(objective, Objective):
        return objective
    if objective not in OBJECTIVES:
        raise InputError(f"there is no objective named {objective!r}; choose one of: {', '.join(OBJECTIVES)}")
    return OBJECTIVES[objective]
