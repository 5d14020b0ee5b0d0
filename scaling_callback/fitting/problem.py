"""What a search minimises, made from points, a law, an objective, priors and borrowed parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from scaling_callback.fitting.borrowing import Borrowed, hold
from scaling_callback.fitting.objective import Objective
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.priors import PriorTerm, ridge_terms, weak_terms
from scaling_callback.laws import Law
from scaling_callback.records import Array, BoolArray

IndexArray: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Problem:
    """What is minimised: `law` through the log losses `y` (R, n) or (1, n) at the centred log variables `x` (V, n).

    Attributes:
        law: The law.
        x: Centred log variables.
        y: Log losses.
        objective: The objective, in units of these losses.
        lower: Lower bounds of the working parameters, shape (P,).
        upper: Upper bounds, shape (P,); equal to the lower one where a parameter is borrowed.
        terms: T prior terms.
        prior_weight: Weight of each squared score / 2 in units of the objective, shape (T,); 0 leaves it out.
        prior_shift: Scores at which each problem's prior is centred, shape (R, T) or (1, T).
    """

    law: Law
    x: Array
    y: Array
    objective: Objective
    lower: Array
    upper: Array
    terms: tuple[PriorTerm, ...]
    prior_weight: Array
    prior_shift: Array

    @cached_property
    def shaping(self) -> BoolArray:
        """Which parameters shape a term and are not its size, shape (P,)."""
        return np.array([parameter.role != "coefficient" for parameter in self.law.parameters])

    @cached_property
    def within(self) -> BoolArray:
        """Which parameters describe points within a run, and not runs, shape (P,)."""
        return np.array([parameter.role == "signed" for parameter in self.law.parameters])

    @cached_property
    def _scored(self) -> tuple[tuple[float, PriorTerm, Array], ...]:
        """Weight, term and shift (R,) or (1,) of each part of the prior that has a weight."""
        return tuple(
            (float(self.prior_weight[index]), self.terms[index], self.prior_shift[:, index])
            for index in np.flatnonzero(self.prior_weight)
        )

    def penalty_cost(self, theta: Array) -> Array:
        """The prior's cost for the R problems of the batch, shape (R,), or (1,) of no prior."""
        cost = np.zeros(1)
        for weight, term, shift in self._scored:
            cost = cost + 0.5 * weight * (term.value(theta) - shift) ** 2
        return cost

    def penalty_derivatives(self, theta: Array) -> tuple[Array, Array]:
        """Gradient (R, P) and curvature (R, P, P) of the prior's cost, or (1, 1) and (1, 1, 1) of no prior."""
        gradient, curvature = np.zeros((1, 1)), np.zeros((1, 1, 1))
        for weight, term, shift in self._scored:
            score, slope = term.score(theta)
            gradient = gradient + weight * (score - shift)[:, None] * slope
            curvature = curvature + weight * slope[:, :, None] * slope[:, None, :]
        return gradient, curvature

    def take(self, kept: BoolArray) -> Problem:
        """The same of those problems of the batch alone."""
        y, shift = (part if len(part) == 1 else part[kept] for part in (self.y, self.prior_shift))
        return replace(self, y=y, prior_shift=shift)


def pose(
    points: Points, law: Law, objective: Objective, *, ridges: bool, borrowed: Borrowed | None
) -> tuple[Problem, Array]:
    """The problem without a prior's weight, and the centre (V,) around which its parameters hold.

    The terms of the weak prior come first, then those of the ridges if they are asked for.
    """
    variables, y = points.log_variables(law.variables), np.log(points.loss)
    centre = law.centre(variables)
    held = None if borrowed is None else hold(law, borrowed, centre)
    if held is not None:
        centre = held[0]
    x = variables - centre[:, None]
    lower, upper = law.bounds(x, y)
    if held is not None:
        lower[held[1]] = upper[held[1]] = held[2]
    terms = weak_terms(law) + (ridge_terms(law, centre) if ridges else ())
    none = np.zeros(len(terms))
    return Problem(law, x, y[None], objective.at(y), lower, upper, terms, none, none[None]), centre
