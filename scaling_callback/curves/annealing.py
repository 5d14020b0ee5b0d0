"""The annealing law: L = E + A S1^-a - C S2 (Tissue et al. 2024, arXiv 2408.11029, equation 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from scaling_callback.curves.rates import Path, forecast_by_rates
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.records import Array, Run

MEMORY = 1000.0
"""Steps over which a fall of the rate is remembered: lambda = .999, the upper end of the published range."""

USUAL_SHARE = 0.05
"""The same as a share of the run where its steps are unknown."""


def forecast_by_annealing(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The final with the annealing area S2 as the gain of the decay."""
    return forecast_by_rates(run, finished, annealing_area, "annealing-law")


def annealing_area(path: Path) -> Array:
    """S2 along a schedule, in units of a whole decay that is long past: sum of m, m = lambda m + (lr_before - lr).

    In steps S2 grows to lr (1 + lambda + lambda^2 + ...) = lr / (1 - lambda) for a fall of lr once it is past.
    """
    share = MEMORY / path.steps if np.isfinite(path.steps) and path.steps > 0 else USUAL_SHARE
    after_warmup = np.arange(len(path.rate)) >= int(np.argmax(path.rate))
    falls = np.where(after_warmup, -np.diff(path.rate, prepend=path.rate[0]), 0.0)
    kept = np.exp(-np.diff(path.progress, prepend=0.0) / share)
    # of each fall 1 - exp(-since / share) has come: what is still to come fades from point to point
    coming = accumulate(
        zip(kept.tolist(), falls.tolist(), strict=True), lambda left, step: left * step[0] + step[1], initial=0.0
    )
    return np.cumsum(falls) - np.array([*coming][1:])
