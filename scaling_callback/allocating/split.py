"""A law along a budget: its optimum, the loss there and the flat valley around it, for many parameter vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scaling_callback.costs import Cost
from scaling_callback.laws import Law
from scaling_callback.laws.optima import stack_variables
from scaling_callback.records import Array

BISECTIONS = 50
"""Halvings of a bracket in ln D: what is left of it is no longer seen in a double."""

STEP = 0.5
"""Half the step in ln C over which the exponents of the optimum are taken."""


@dataclass(frozen=True, eq=False)
class Budget:
    """A law's parameter vectors, and a budget that they are asked to split.

    Attributes:
        law: The law.
        natural: Its natural parameters, shape (R, P).
        flops: The budget.
        cost: What a model costs.
        known: Further variables of the law.
    """

    law: Law
    natural: Array
    flops: float
    cost: Cost
    known: Mapping[str, float]

    def optimum(self, factor: float = 1.0) -> tuple[Array, Array]:
        """Optimal params and tokens (R,) of `factor` times the budget; NaN where there is none."""
        return self.law.optimum(self.natural, factor * self.flops, self.known, self.cost)

    def losses(self, params: Array, tokens: Array) -> Array:
        """The loss under each vector at a place of its own, shape (R,)."""
        with np.errstate(all="ignore"):  # a place that is NaN has no loss
            return np.exp(self._log_losses(np.log(params)[:, None], np.log(tokens)[:, None])[:, 0])

    def exponents(self) -> tuple[Array, Array]:
        """Those with which optimal params and tokens grow with the budget, each (R,).

        Of A / N^alpha + B / D^beta they are beta / (alpha + beta) and alpha / (alpha + beta), at any budget.
        """
        (less, fewer), (more, further) = self.optimum(np.exp(-STEP)), self.optimum(np.exp(STEP))
        return np.log(more / less) / (2 * STEP), np.log(further / fewer) / (2 * STEP)

    def valley(self, tokens: Array, excess: float) -> tuple[Array, Array]:
        """Fewest and most tokens (R,) with which a loss stays within `excess` of that at the optimum (R,).

        Both along the budget: where there are fewer tokens there are more parameters. An end of the valley lies where
        the loss reaches its bound, at one token or one parameter if it never does.
        """
        with np.errstate(all="ignore"):  # without an optimum there is no valley: NaN
            middle = np.log(tokens)[:, None]
            bound = self._along(middle) + np.log1p(excess)
            ends: list[Array] = []
            for far in (0.0, np.log(self.cost.tokens(1.0, self.flops))):
                near, away = middle.copy(), np.full_like(middle, far)
                for _ in range(BISECTIONS):
                    half = 0.5 * (near + away)
                    within = self._along(half) <= bound
                    near, away = np.where(within, half, near), np.where(within, away, half)
                ends.append(np.where(np.isfinite(middle), np.exp(near), np.nan)[:, 0])
        return ends[0], ends[1]

    def params(self, tokens: Array) -> Array:
        """The sizes (R,) that the budget trains on so many tokens (R,)."""
        return np.exp(self.cost.log_params(np.log(tokens), self.flops)[0])

    def _along(self, log_tokens: Array) -> Array:
        """Ln L along the budget, shape (R, n), at ln D of that shape."""
        return self._log_losses(self.cost.log_params(log_tokens, self.flops)[0], log_tokens)

    def _log_losses(self, log_params: Array, log_tokens: Array) -> Array:
        x = stack_variables(self.law.variables, log_params, log_tokens, self.known)
        return self.law.log_loss(self._theta, x)[0]

    @cached_property
    def _theta(self) -> Array:
        return self.law.working(self.natural, np.zeros(len(self.law.variables)))
