"""What a law is: an equation, its parameters, its gradient, and where a search for them may start.

A law is written in *working* parameters, chosen so that the loss is smooth and well scaled in them, and in
centred log variables x = ln(value) - centre, so that no count is too large or small. Two methods translate
between working and *natural* parameters, those of the published equation. Nothing outside this folder knows
which laws exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.costs import SIX_ND, Cost
from scaling_callback.laws.optima import search_optimum
from scaling_callback.records import Array

DIFFERENCE = 1e-4
"""Step in ln of a variable of central differences: what they leave out and what rounding adds are about 1e-9 each."""

Role: TypeAlias = Literal["coefficient", "exponent", "shape", "signed"]

EXPONENT_GRID = np.geomspace(0.04, 1.6, 12)
"""Exponents at which a search may start, for each exponent of a law; published ones lie between .05 and 1."""

STEEPEST = 3.0
"""Largest exponent that is searched."""

VANISHED = 14.0
"""A term e^14 times smaller than the smallest loss is zero for every purpose; its coefficient stops there."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A line along which a coefficient and its exponent lie in published fits.

    exponent = intercept + slope ln(coefficient), with standard deviation `sd` of the exponent around it.

    Attributes:
        coefficient: Name of the coefficient, in natural units.
        variable: Name of the variable that the exponent belongs to.
        intercept: Exponent of a coefficient of 1.
        slope: Rise of the exponent with ln(coefficient).
        sd: Standard deviation of the exponent around the line.
    """

    coefficient: str
    variable: str
    intercept: float
    slope: float
    sd: float


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a law.

    Attributes:
        name: As in the published equation.
        meaning: What it stands for, with its unit.
        role: A `coefficient` is the size of a term of L (working: ln of the term at the centre of the data), an
            `exponent` is searched as it stands, a `shape` is any other positive number (working: its ln), a `signed`
            one any number at all (working: as it stands).
        lower: Lower bound of what is no coefficient, in working units.
        upper: Upper bound of it.
        prior: The weak prior (DESIGN 5.3): median and log standard deviation of an exponent or shape, mean and standard
            deviation of a signed parameter.
        prior_factor: Name of a shape; where it is given, the prior is of the product of the exponent and that shape.
        ridge: Where published fits put an exponent, given its coefficient.
    """

    name: str
    meaning: str
    role: Role = "coefficient"
    lower: float = 0.01
    upper: float = STEEPEST
    prior: tuple[float, float] | None = None
    prior_factor: str | None = None
    ridge: Ridge | None = None

    @property
    def exponent(self) -> bool:
        """Whether it is an exponent."""
        return self.role == "exponent"


class Law(ABC):
    """A scaling law L(x; theta). Subclasses are final.

    Shapes: R parameter vectors of P parameters, n points of V variables; `theta` is (R, P), `x` is (V, n), or
    (V, R, n) where each parameter vector has points of its own. Where a search starts is laid out on a grid of G places
    over the K *nonlinear* parameters: given those, some transform of L is linear in M coefficients (variable
    projection, Golub and Pereyra 1973).

    Attributes:
        name: By which it is chosen.
        equation: As published, in natural parameters.
        source: Where it was published.
        variables: Names of its variables: `params`, `tokens`, `compute`, or further columns of the points.
        parameters: Its parameters, in order.
        typical: Natural parameters near published values, in that order.
        floor: Position of the irreducible loss among the parameters; `None` in a law without one.
    """

    name: str
    equation: str
    source: str
    variables: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    typical: tuple[float, ...]
    floor: int | None = 0

    def __init_subclass__(cls) -> None:
        """A law is itself: one written as a dataclass of one's own is a key of caches as well."""
        cls.__hash__ = object.__hash__
        cls.__eq__ = object.__eq__

    @abstractmethod
    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L, shape (R, n), and its gradient by the working parameters, shape (R, n, P)."""

    @abstractmethod
    def project(self, nonlinear: Array, x: Array, y: Array) -> tuple[Array, Array]:
        """What is linear in the coefficients, given nonlinear parameters (G, K): a design and its goal.

        The rows are scaled so that, for coefficients c, design @ c - goal is to first order the residual of ln L.

        Returns:
            The design, shape (G, n, M), and the goal, shape (G, n) or (1, n), for log losses `y` (n,).
        """

    @abstractmethod
    def natural(self, theta: Array, centre: Array) -> Array:
        """Natural parameters (R, P) of working parameters fitted around `centre` (V,)."""

    @abstractmethod
    def working(self, natural: Array, centre: Array) -> Array:
        """The inverse of `natural`."""

    def axes(self, x: Array, y: Array) -> tuple[Array, ...]:  # noqa: ARG002 (laws whose floor or break is on the grid read the data)
        """The K axes of the grid of starts, in working units; by default one for each exponent.

        `x` (V, n) are centred log variables, `y` (n,) the log losses to fit.
        """
        return (EXPONENT_GRID,) * len(self.exponents)

    def start(self, coefficients: Array, nonlinear: Array) -> Array:
        """Working parameters (G, P) of positive coefficients (G, M) and nonlinear parameters (G, K).

        By default the coefficients come first in the equation, and are terms of L.
        """
        return np.concatenate([np.log(coefficients), nonlinear], axis=1)

    def centre(self, variables: Array) -> Array:
        """The point (V,) around which log variables (V, n) are centred."""
        return variables.mean(1)

    def bounds(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Lower and upper bounds (P,) of the working parameters, for log losses `y` (n,) at `x` (V, n)."""
        middle = x.mean(1)  # 0, unless a borrowed coefficient fixes the centre elsewhere
        low = y.min() - VANISHED - STEEPEST * np.maximum(-middle, 0.0).sum()
        high = y.max() + VANISHED + STEEPEST * np.maximum(middle, 0.0).sum()
        return (
            np.array([low if p.role == "coefficient" else p.lower for p in self.parameters]),
            np.array([high if p.role == "coefficient" else p.upper for p in self.parameters]),
        )

    def split(self, natural: Array, flops: float) -> tuple[Array, Array] | None:  # noqa: ARG002 (most laws have none)
        """The optimum for C = 6 N D in closed form, params and tokens (R,), NaN where there is none.

        `None` in a law without such a form.
        """
        return None

    def slopes(self, theta: Array, x: Array) -> Array:
        """The derivative of ln L by each log variable, shape (V, R, n); `x` as in `log_loss`.

        By default central differences; a law whose gradient holds it overrides this.
        """
        found: list[Array] = []
        for variable in range(len(x)):
            ahead, behind = x.copy(), x.copy()
            ahead[variable] += DIFFERENCE
            behind[variable] -= DIFFERENCE
            found.append((self.log_loss(theta, ahead)[0] - self.log_loss(theta, behind)[0]) / (2 * DIFFERENCE))
        return np.stack(found)

    def optimum(
        self, natural: Array, flops: float, known: Mapping[str, float] | None = None, cost: Cost = SIX_ND
    ) -> tuple[Array, Array]:
        """Compute-optimal params and tokens, each (R,), for a budget of `flops`; NaN where there is none.

        `known` holds the values of further variables of the law, such as `unique_tokens`. Where the cost is in
        proportion to N D and the law has a closed form, that is the answer; else it is searched for.
        """
        closed = None if cost.factor is None else self.split(natural, flops / cost.factor)
        return closed or search_optimum(self, natural, flops, known or {}, cost)

    def __str__(self) -> str:
        return self.name

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def exponents(self) -> tuple[int, ...]:
        """Positions of the exponents among the parameters."""
        return tuple(i for i, parameter in enumerate(self.parameters) if parameter.exponent)

    def loss(self, natural: Array, *variables: Array) -> Array:
        """The loss at each of n points for each of R natural parameter vectors, shape (R, n).

        `variables` are the law's, in its order, each (n,).

        Example:
            >>> from scaling_callback.laws import get_law
            >>> besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
            >>> law = get_law("chinchilla")
            >>> law.loss(besiroglu, np.array([70e9]), np.array([1.4e12])).round(4)
            array([[1.9739]])
        """
        x = np.log(np.stack(np.broadcast_arrays(*variables)))
        value, _ = self.log_loss(self.working(natural, np.zeros(len(x))), x)
        return np.exp(value)
