"""What a law is: an equation, its parameters, its gradient, and where a search for them may start.

A law is written in *working* parameters, chosen so that the loss is smooth and well scaled in them, and in
centred log variables x = ln(value) - centre, so that no count is too large or small. Two methods translate
between working and *natural* parameters, those of the published equation. Nothing outside this folder knows
which laws exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from scaling_callback.records import Array


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a law.

    Attributes:
        name: As in the published equation.
        meaning: What it stands for, with its unit.
        exponent: Whether it is an exponent (searched on a grid, bounded, and given the weak prior).
        lower: Lower bound of an exponent.
        upper: Upper bound of an exponent.
        prior: Median and log standard deviation of the weak prior on an exponent (DESIGN 5.3).
    """

    name: str
    meaning: str
    exponent: bool = False
    lower: float = 0.01
    upper: float = 3.0
    prior: tuple[float, float] | None = None


class Law(ABC):
    """A scaling law L(x; theta). Subclasses are final.

    Shapes: R parameter vectors of P parameters, n points of V variables; `x` is (V, n), `theta` is (R, P).
    The last `K` working parameters are the exponents, as they stand in the equation; the others are logs of
    the positive coefficients of the terms.
    """

    name: ClassVar[str]
    equation: ClassVar[str]
    source: ClassVar[str]
    variables: ClassVar[tuple[str, ...]]
    parameters: ClassVar[tuple[Parameter, ...]]

    @abstractmethod
    def log_loss(self, theta: Array, x: Array) -> tuple[Array, Array]:
        """Ln L, shape (R, n), and its gradient by the working parameters, shape (R, n, P)."""

    @abstractmethod
    def basis(self, exponents: Array, x: Array) -> Array:
        """The terms of L without their coefficients, shape (G, n, M), for exponents (G, K)."""

    @abstractmethod
    def natural(self, theta: Array, centre: Array) -> Array:
        """Natural parameters (R, P) of working parameters fitted around `centre` (V,)."""

    @abstractmethod
    def working(self, natural: Array, centre: Array) -> Array:
        """The inverse of `natural`."""

    @abstractmethod
    def optimum(self, natural: Array, flops: float) -> tuple[Array, Array]:
        """Compute-optimal params and tokens, each (R,), for C = 6 N D = `flops`; NaN where there is none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, in order."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def exponents(self) -> tuple[int, ...]:
        """Positions of the exponents among the parameters."""
        return tuple(i for i, parameter in enumerate(self.parameters) if parameter.exponent)

    def loss(self, natural: Array, params: Array, tokens: Array) -> Array:
        """The loss at each of n points for each of R natural parameter vectors, shape (R, n).

        Example:
            >>> from scaling_callback.laws import get_law
            >>> besiroglu = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
            >>> law = get_law("chinchilla")
            >>> law.loss(besiroglu, np.array([70e9]), np.array([1.4e12])).round(4)
            array([[1.9739]])
        """
        x = np.log(np.stack(np.broadcast_arrays(params, tokens)))
        value, _ = self.log_loss(self.working(natural, np.zeros(len(x))), x)
        return np.exp(value)
