"""Prior terms: what is known of a parameter beforehand, each as one standard score of the working parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scaling_callback.laws import Law
from scaling_callback.records import Array

PUBLISHED = 0.5
"""Standard deviation of ln exponent over recipes: published exponents run from .05 to 1, a factor of 20 in all,
which is six of it. The weak prior is narrower, for a steady centre; its own uncertainty is this."""


class PriorTerm(Protocol):
    """One standard score: a number that is standard normal under the prior."""

    @property
    def recipes(self) -> float:
        """By how many scores the centre differs between recipes: what the prior itself is uncertain by."""
        ...

    def value(self, theta: Array) -> Array:
        """The score (R,) of working parameters (R, P)."""
        ...

    def score(self, theta: Array) -> tuple[Array, Array]:
        """The same, and its gradient (R, P)."""
        ...


@dataclass(frozen=True)
class LogNormal:
    """Ln of the parameter at `index` is normal around ln `median` with deviation `sd`.

    With a `factor` it is the product of that parameter and of the shape there, whose working value is its ln.

    Example:
        >>> score, _ = LogNormal(0, median=0.34, sd=0.35).score(np.array([[0.34], [0.34 * np.exp(0.35)]]))
        >>> score.round(12)
        array([0., 1.])
    """

    index: int
    median: float
    sd: float
    factor: int | None = None

    @property
    def recipes(self) -> float:
        """The spread of published exponents, and no less than its own."""
        return max(self.sd, PUBLISHED) / self.sd

    def value(self, theta: Array) -> Array:
        """(ln theta_i - ln median) / sd."""
        log = np.log(theta[:, self.index])
        if self.factor is not None:
            log = log + theta[:, self.factor]
        return (log - np.log(self.median)) / self.sd

    def score(self, theta: Array) -> tuple[Array, Array]:
        """The same, and its gradient."""
        gradient = np.zeros(theta.shape)
        gradient[:, self.index] = 1.0 / (self.sd * theta[:, self.index])
        if self.factor is not None:
            gradient[:, self.factor] = 1.0 / self.sd
        return self.value(theta), gradient


@dataclass(frozen=True, eq=False)
class Linear:
    """`combination` @ theta is normal around `offset` with deviation `sd`."""

    combination: Array
    offset: float
    sd: float
    recipes: float = 1.0

    def value(self, theta: Array) -> Array:
        """(combination @ theta - offset) / sd."""
        return (theta @ self.combination - self.offset) / self.sd

    def score(self, theta: Array) -> tuple[Array, Array]:
        """The same, and its gradient."""
        return self.value(theta), np.broadcast_to(self.combination / self.sd, theta.shape)


def weak_terms(law: Law) -> tuple[PriorTerm, ...]:
    """The weak prior on those parameters of a law that have one (DESIGN 5.3)."""
    terms: list[PriorTerm] = []
    for index, parameter in enumerate(law.parameters):
        if parameter.prior is None:
            continue
        centre, sd = parameter.prior
        if parameter.exponent:
            factor = None if parameter.prior_factor is None else law.names.index(parameter.prior_factor)
            terms.append(LogNormal(index, centre, sd, factor))
        else:
            offset = centre if parameter.role == "signed" else float(np.log(centre))
            terms.append(Linear(np.eye(len(law.parameters))[index], offset, sd))
    return tuple(terms)


def ridge_terms(law: Law, centre: Array) -> tuple[PriorTerm, ...]:
    """The lines along which coefficients and exponents of published fits lie (Choshen et al. 2024, section 7).

    exponent = a + b ln A, and ln A = ln A' + exponent * centre for a coefficient A' at the centre (V,) of the data: in
    working parameters that is linear too.
    """
    terms: list[PriorTerm] = []
    for index, parameter in enumerate(law.parameters):
        if (ridge := parameter.ridge) is not None:
            combination = np.zeros(len(law.parameters))
            combination[index] = 1.0 - ridge.slope * centre[law.variables.index(ridge.variable)]
            combination[law.names.index(ridge.coefficient)] = -ridge.slope
            terms.append(Linear(combination, ridge.intercept, ridge.sd))
    return tuple(terms)
