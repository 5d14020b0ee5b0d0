"""The outcome of a fit: parameters, draws, status, certificate and named diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from scaling_callback.costs import SIX_ND, Cost
from scaling_callback.errors import InputError
from scaling_callback.fitting.borrowing import Borrowed
from scaling_callback.fitting.objective import Objective
from scaling_callback.fitting.points import Points, log_variables
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
        starts: Independent searches that were begun: from projections of the data, and from values that were given.
        agreeing: Those that ended at the winner's objective (within a millionth of it).
        given: How many of the searches began at values given by the user.
        gradient: Largest gradient component at the winner, in units of the objective per unit of ln.
        iterations: Steps of the winner's last search.
        runner_up: Objective of the next distinct basin over the winner's, minus 1; `None` if all agree.
        margin: A runner-up within this fraction of the winner is a rival.
        at_bound: Parameters that ended at a bound of the search.
    """

    starts: int
    agreeing: int
    given: int
    gradient: float
    iterations: int
    runner_up: float | None
    margin: float
    at_bound: tuple[str, ...]

    @property
    def rival(self) -> bool:
        """Whether another basin lies within the margin."""
        return self.runner_up is not None and self.runner_up <= self.margin


@dataclass(frozen=True, eq=False)
class Fit:
    """A law fitted to points.

    Attributes:
        law: The law.
        points: What it was fitted to.
        theta: Working parameters, shape (P,).
        centre: Mean of each log variable, around which the working parameters hold, shape (V,).
        draws: Working parameters of the bootstrap replicates, shape (R, P); R is 0 without a bootstrap.
        criterion: What was minimised.
        objective: Its value at `theta`, without the prior's term.
        noise: Standard deviation of ln L of one run around the law: of its residuals, steadied by what is usual.
        noise_degrees: Degrees of freedom that this rests on.
        status: How the search ended.
        certificate: Why to believe it.
        diagnostics: What the data cannot say, by name, each with a sentence.
        seconds: Wall time of fit and bootstrap.
        prior: Whether the weak prior took part.
        ridges: Whether the lines of published fits took part as a prior.
        prior_terms: How many prior terms took part, over both.
        borrowed: Parameters that were held fixed, and where they come from.
    """

    law: Law
    points: Points
    theta: Array
    centre: Array
    draws: Array
    criterion: Objective
    objective: float
    noise: float
    noise_degrees: float
    status: Status
    certificate: Certificate
    diagnostics: Mapping[str, str]
    seconds: float
    prior: bool
    ridges: bool
    prior_terms: int
    borrowed: Borrowed | None

    @property
    def params(self) -> dict[str, float]:
        """Natural parameters by name, as in the published equation."""
        values = self.law.natural(self.theta[None], self.centre)[0]
        return dict(zip(self.law.names, values.tolist(), strict=True))

    @property
    def free(self) -> int:
        """How many parameters were fitted: those that are not borrowed."""
        return len(self.theta) - (len(self.borrowed.values) if self.borrowed else 0)

    @property
    def natural_draws(self) -> Array:
        """Natural parameters of the replicates, shape (R, P)."""
        return self.law.natural(self.draws, self.centre)

    def lend(self, *names: str) -> Borrowed:
        """The named parameters, for the fit of another ladder to borrow.

        Raises:
            InputError: The law has no such parameter.
        """
        for name in names:
            if name not in self.law.names:
                raise InputError(
                    f"the law {self.law.name!r} has no {name!r} to lend; it has: {', '.join(self.law.names)}"
                )
        return Borrowed(
            tuple((name, self.params[name]) for name in names),
            f"a fit of the law {self.law.name} to {self.points.n_runs} runs",
        )

    def intervals(self, level: float = 0.9) -> dict[str, tuple[float, float]]:
        """Percentile intervals of the natural parameters; empty without a bootstrap."""
        if not len(self.draws):
            return {}
        lower, upper = np.quantile(self.natural_draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return {n: (float(a), float(b)) for n, a, b in zip(self.law.names, lower, upper, strict=True)}

    def predict(self, params: ArrayLike | None = None, tokens: ArrayLike | None = None, **others: ArrayLike) -> Array:
        """The fitted loss at m points, shape (m,).

        Params and tokens are enough for a law of N, D or C (which is 6 N D unless `compute` is given); a law of further
        variables needs them by name.

        Raises:
            NotEnoughData: A variable of the law is missing.
        """
        return self._evaluate(self.theta[None], params, tokens, others)[0]

    def predict_draws(
        self, params: ArrayLike | None = None, tokens: ArrayLike | None = None, **others: ArrayLike
    ) -> Array:
        """The loss at m points under each replicate, shape (R, m); variables as in `predict`.

        Raises:
            NotEnoughData: A variable of the law is missing.
        """
        return self._evaluate(self.draws, params, tokens, others)

    def optimum(
        self, flops: float, further: Mapping[str, float] | None = None, cost: Cost = SIX_ND
    ) -> tuple[float, float]:
        """Compute-optimal params and tokens of the fitted law for a budget; NaN where there are none."""
        params, tokens = self.law.optimum(self.law.natural(self.theta[None], self.centre), flops, further, cost)
        return float(params[0]), float(tokens[0])

    def residuals(self) -> Array:
        """Ln of measured over fitted loss at each point, shape (n,)."""
        x = self.points.log_variables(self.law.variables) - self.centre[:, None]
        return np.log(self.points.loss) - self.law.log_loss(self.theta[None], x)[0][0]

    def _evaluate(
        self, theta: Array, params: ArrayLike | None, tokens: ArrayLike | None, others: Mapping[str, ArrayLike]
    ) -> Array:
        given = {"params": params, "tokens": tokens, **others}
        known = {name: value for name, value in given.items() if value is not None}
        x = log_variables(known, self.law.variables) - self.centre[:, None]
        return np.exp(self.law.log_loss(theta, x)[0])
