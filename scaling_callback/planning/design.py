"""What runs would teach of a target: Bayesian experimental design for the prediction at one place.

A law is made linear at each draw of its fit (or of what is usual, where there are no runs yet). What is known of ln L
is then Gaussian, and what a run would teach has a closed form that needs no loss (c-optimality; Chaloner and Verdinelli
1995, section 2), averaged over the draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_callback.fitting import SEED_NOISE, Fit, log_variables
from scaling_callback.fitting.priors import weak_terms
from scaling_callback.forecasting import SHARE_OF_RUN
from scaling_callback.laws import Law
from scaling_callback.planning.places import Place
from scaling_callback.records import Array

MISFIT = 0.005
"""Standard deviation of ln L by which a law misses per e-fold of distance from the target, in ln N and ln D: 2 to 3%
over the reach of usual ladders, of the 4% that forecasts are typically off by at best (Choshen et al. 2024). Of .002,
.005 and .01, five ladders (docs/accuracy.md, without OLMo's) are forecast best with it, and stated intervals are about
as wide as expected ones with the lower two."""

RELATED = 1.0
"""Distance in ln N and ln D over which runs share that misfit: neighbours do not average it away."""

WIDE = 1.0
"""Standard deviation of ln of what no weak prior is on: coefficients, known to a factor of e or so around any fit."""

DRAWS = 16
"""Draws at which the law is made linear."""


@dataclass(frozen=True, eq=False)
class Design:
    """What is known of ln L at n places, the target last.

    Attributes:
        covariance: Of ln L under each draw of the law, shape (R, n, n).
        noise: Standard deviation of ln L of one run around the law.
    """

    covariance: Array
    noise: float

    @classmethod
    def of(cls, law: Law, fit: Fit | None, places: Sequence[Place], further: Mapping[str, float], seed: int) -> Design:
        """What is known without any run."""
        params, tokens = np.array(places).T
        logs = log_variables({"params": params, "tokens": tokens, **further}, law.variables)
        centre = logs[:, :-1].mean(1) if fit is None else fit.centre
        theta = _typical(law, centre, seed) if fit is None else _draws(fit)
        gradient = law.log_loss(theta, logs - centre[:, None])[1]
        # the weak prior is on some parameters, a wide one on the others
        precision = np.zeros((len(theta), len(law.parameters), len(law.parameters)))
        for term in weak_terms(law):
            slope = term.score(theta)[1] / term.recipes
            precision += slope[:, :, None] * slope[:, None, :]
        bare = [i for i, parameter in enumerate(law.parameters) if parameter.prior is None]
        precision[:, bare, bare] += 1.0 / WIDE**2
        by_law = gradient @ np.linalg.solve(precision, gradient.transpose(0, 2, 1))
        x = np.log(np.stack([params, tokens]))
        far = np.sqrt(((x - x[:, -1:]) ** 2).sum(0))
        between = ((x[:, :, None] - x[:, None, :]) ** 2).sum(0)
        misfit = MISFIT**2 * np.outer(far, far) * np.exp(-0.5 * between / RELATED**2)
        return cls(by_law + misfit, SEED_NOISE if fit is None else fit.noise)

    @property
    def spread(self) -> float:
        """Variance of ln L of the target."""
        return float(self.covariance[:, -1, -1].mean())

    @property
    def floor(self) -> float:
        """The part of the interval's variance that no run takes away: its share of the noise of one."""
        return SHARE_OF_RUN * self.noise**2

    @property
    def gains(self) -> Array:
        """By how much a run at each place but the target's would lower `spread`, shape (n - 1,)."""
        variance = np.diagonal(self.covariance, axis1=1, axis2=2)[:, :-1] + self.noise**2
        return np.asarray((self.covariance[:, :-1, -1] ** 2 / variance).mean(0), dtype=np.float64)

    def given(self, runs: Iterable[int], spreads: Sequence[float] | None = None) -> Design:
        """What is known once runs at these places have finished.

        Or, with `spreads`, once the final of each is known up to that standard deviation of ln L.
        """
        seen = list(runs)
        if not seen:
            return self
        across = self.covariance[:, seen]
        learned = across.transpose(0, 2, 1) @ np.linalg.solve(self._measured(seen, spreads), across)
        return Design(self.covariance - learned, self.noise)

    def keep(self, begin: int) -> Design:
        """The places from `begin` on."""
        return Design(self.covariance[:, begin:, begin:], self.noise)

    def without_each(self, runs: Sequence[int]) -> Array:
        """`spread` given all of these runs but one, for each of them in turn."""
        inverse = np.linalg.inv(self._measured(list(runs)))
        weight = (inverse @ self.covariance[:, list(runs), -1, None])[..., 0]
        # the precision of what a run adds to the others is the diagonal of the inverse
        lost = (weight**2 / np.diagonal(inverse, axis1=1, axis2=2)).mean(0)
        return np.asarray(self.given(runs).spread + lost, dtype=np.float64)

    def _measured(self, runs: list[int], spreads: Sequence[float] | None = None) -> Array:
        """Covariance of what these runs measure."""
        own = self.noise**2 + np.square(np.zeros(len(runs)) if spreads is None else spreads)
        return self.covariance[:, runs][:, :, runs] + np.diag(own)


def _draws(fit: Fit) -> Array:
    """Draws of a fit at which the law is made linear, evenly taken; its optimum where it has none."""
    if not len(fit.draws):
        return fit.theta[None]
    return fit.draws[np.linspace(0, len(fit.draws) - 1, min(DRAWS, len(fit.draws))).astype(int)]


def _typical(law: Law, centre: Array, seed: int) -> Array:
    """Working parameters (R, P) around those that are usual of a law."""
    natural = np.array(law.typical)[None]
    chance = np.random.default_rng(seed).standard_normal((DRAWS, len(law.parameters)))
    exponents = list(law.exponents)
    natural = np.tile(natural, (DRAWS, 1))
    natural[:, exponents] *= np.exp(0.25 * chance[:, exponents])
    return law.working(natural, centre)
