"""The protocol of Choshen, Zhang, Andreas 2025 (arXiv 2410.11840), written anew from its description.

L = E + A / N^alpha + B / D^beta with A, B, E as exponentials, squared error of L, one search by bounded least squares
from the values of Muennighoff et al. 2023, every checkpoint after the first part of its run as if it had ended there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from scaling_callback import Run
from scaling_callback.fitting import Points
from scaling_callback.forecasting import checkpoints_beyond

Array = NDArray[np.float64]

NAMES = ("a", "b", "e", "alpha", "beta")
"""ln A, ln B, ln E and the exponents."""

START = {"a": 6.255414, "b": 7.3049974, "e": 0.6254804, "alpha": 0.3526596, "beta": 0.3526596}
"""Muennighoff et al. 2023 (arXiv 2305.16264): where the search begins, and what a single model borrows."""

FIRST_PART = 0.1
"""Share of a run that is left out as its beginning. The study leaves out 10B tokens: most of these runs are shorter."""


@dataclass(frozen=True, eq=False)
class Law:
    """A fitted law: ln A, ln B, ln E, alpha and beta, by name."""

    values: Mapping[str, float]

    def predict(self, params: Array, tokens: Array) -> Array:
        """Losses, shape (m,), of m places."""
        return _evaluate(np.log(params), np.log(tokens), *(self.values[name] for name in NAMES))


def gather_checkpoints(runs: Sequence[Run], beyond: float = FIRST_PART) -> Points | None:
    """Every checkpoint beyond that share of its run, each as if it were a finished run; `None` where there is none."""
    return checkpoints_beyond(beyond)(runs, lambda run: run.cluster).points


def fit_published(points: Points, borrowed: Mapping[str, float] | None = None) -> Law | None:
    """The law that the one search finds; `None` where it gives up, or there are fewer points than parameters.

    `borrowed` parameters are held, all others start at Muennighoff's values.

    Example:
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9], [1e10, 4e10, 16e10])
        >>> L = 1.9 + 520 / N**0.35 + 1500 / D**0.36
        >>> law = fit_published(Points.of(N.ravel(), D.ravel(), L.ravel()))
        >>> round(law.values["alpha"], 2), round(law.values["beta"], 2)
        (0.35, 0.36)
    """
    held = dict(borrowed or {})
    free = [name for name in NAMES if name not in held]
    if len(points) < len(free):
        return None
    log_params, log_tokens = np.log(points.params), np.log(points.tokens)

    def losses(_: Array, *values: float) -> Array:
        given = held | dict(zip(free, values, strict=True))
        return _evaluate(log_params, log_tokens, *(given[name] for name in NAMES))

    lower = [0.0 if name in ("alpha", "beta") else -np.inf for name in free]
    found = search(losses, points, [START[name] for name in free], lower)
    if found is None:
        return None
    return Law(held | dict(zip(free, map(float, found), strict=True)))


def search(
    losses: Callable[..., Array], points: Points, start: Sequence[float], lower: Sequence[float]
) -> Array | None:
    """Where bounded least squares ends from one start, shape (P,); `None` where it gives up.

    `losses` gives those of the points from something that it need not look at, and P values.
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of a covariance that nobody asks for
            found, _ = curve_fit(losses, points.params, points.loss, start, bounds=(lower, np.inf), method="trf")
    except (RuntimeError, ValueError):  # more evaluations than the library allows; a loss that is not finite there
        return None
    return np.asarray(found, dtype=np.float64)


def _evaluate(log_params: Array, log_tokens: Array, a: float, b: float, e: float, alpha: float, beta: float) -> Array:
    return np.exp(e) + np.exp(a - alpha * log_params) + np.exp(b - beta * log_tokens)
