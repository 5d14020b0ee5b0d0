"""The outcome of a fit: parameters, draws, status, certificate and named diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from scaling_callback.fitting.points import Points
from scaling_callback.laws import Law
from scaling_callback.records import Array


class Status(Enum):
    """How the search for the optimum ended; the value is the sentence that the user reads."""

    CONVERGED = "the best optimum found is certified: an undamped step no longer lowers the objective"
    NOT_CONVERGED = "no search settled: the parameters are the best seen, not an optimum"
    NO_VARIATION = "all losses are equal: nothing about size or data can be learned from them"


@dataclass(frozen=True)
class Certificate:
    """Why the optimum may be believed.

    Attributes:
        starts: Searches that were begun.
        agreeing: Those that ended at the winner's objective (within a millionth of it).
        gradient: Largest gradient component at the winner, in units of the objective per unit of ln.
        iterations: Steps of the winner's last search.
        runner_up: Objective of the next distinct basin over the winner's, minus 1; `None` if all agree.
    """

    starts: int
    agreeing: int
    gradient: float
    iterations: int
    runner_up: float | None


@dataclass(frozen=True, eq=False)
class Fit:
    """A law fitted to points.

    Attributes:
        law: The law.
        points: What it was fitted to.
        theta: Working parameters, shape (P,).
        centre: Mean of each log variable, around which the working parameters hold, shape (V,).
        draws: Working parameters of the bootstrap replicates, shape (R, P); R is 0 without a bootstrap.
        objective: The objective at `theta`, without the prior's term.
        noise: Robust standard deviation of ln L around the law, per point.
        status: How the search ended.
        certificate: Why to believe it.
        diagnostics: What the data cannot say, by name, each with a sentence.
        seconds: Wall time of fit and bootstrap.
        prior: Whether the weak prior took part.
    """

    law: Law
    points: Points
    theta: Array
    centre: Array
    draws: Array
    objective: float
    noise: float
    status: Status
    certificate: Certificate
    diagnostics: Mapping[str, str]
    seconds: float
    prior: bool

    @property
    def params(self) -> dict[str, float]:
        """Natural parameters by name, as in the published equation."""
        values = self.law.natural(self.theta[None], self.centre)[0]
        return dict(zip(self.law.names, values.tolist(), strict=True))

    @property
    def natural_draws(self) -> Array:
        """Natural parameters of the replicates, shape (R, P)."""
        return self.law.natural(self.draws, self.centre)

    def intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile intervals of the natural parameters; empty without a bootstrap."""
        if not len(self.draws):
            return {}
        lower, upper = np.quantile(self.natural_draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return {n: (float(a), float(b)) for n, a, b in zip(self.law.names, lower, upper, strict=True)}

    def predict(self, params: ArrayLike, tokens: ArrayLike) -> Array:
        """The fitted loss at m points, shape (m,)."""
        return self._evaluate(self.theta[None], params, tokens)[0]

    def predict_draws(self, params: ArrayLike, tokens: ArrayLike) -> Array:
        """The loss at m points under each replicate, shape (R, m)."""
        return self._evaluate(self.draws, params, tokens)

    def residuals(self) -> Array:
        """Ln of measured over fitted loss at each point, shape (n,)."""
        return np.log(self.points.loss / self.predict(self.points.params, self.points.tokens))

    def _evaluate(self, theta: Array, params: ArrayLike, tokens: ArrayLike) -> Array:
        known = {"params": params, "tokens": tokens}
        values = np.broadcast_arrays(*(np.atleast_1d(known[name]) for name in self.law.variables))
        x = np.log(np.stack(values).astype(float)) - self.centre[:, None]
        value, _ = self.law.log_loss(theta, x)
        return np.exp(value)
