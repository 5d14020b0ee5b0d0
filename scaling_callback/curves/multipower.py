"""The multi-power law: L = L0 + A (S1 + SW)^-a - B sum_k (lr_(k-1) - lr_k) G(lr_k^-g S_k) (Luo et al. 2025).

G(x) = 1 - (C x + 1)^-b, with S_k the sum of rates since the fall k (arXiv 2503.12811, equation 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scaling_callback.curves.rates import Path, forecast_by_rates
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.records import Array, Run

C, B_EXPONENT, RATE_EXPONENT = 2.13, 0.598, 0.655
"""C, b and g as published for 100M parameters."""

USUAL_STEPS, USUAL_PEAK = 1e4, 3e-4
"""Where a run's steps are unknown, and the peak of the published fit, in whose units C and g hold."""


def forecast_by_multipower(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:
    """The final with the multi-power law's sum over falls as the gain of the decay."""
    return forecast_by_rates(run, finished, power_gain, "multi-power-law")


def power_gain(path: Path) -> Array:
    """Sum of the falls of the rate over its peak, each weighed by how far it has come."""
    steps = path.steps if np.isfinite(path.steps) and path.steps > 0 else USUAL_STEPS
    after_warmup = np.arange(len(path.rate)) >= int(np.argmax(path.rate))
    falls = np.where(after_warmup, -np.diff(path.rate, prepend=path.rate[0]), 0.0)
    scale = C * steps * USUAL_PEAK * np.maximum(path.rate * USUAL_PEAK, 1e-9) ** -RATE_EXPONENT
    later, fall = _later(len(falls))
    reach = path.total[later]
    reach -= path.total[fall]
    reach *= scale[fall]
    reach += 1.0
    # in place, and exp(log): a power costs more
    np.log(reach, out=reach)
    reach *= -B_EXPONENT
    np.exp(reach, out=reach)
    come = np.subtract(1.0, reach, out=reach)
    come *= falls[fall]
    return np.asarray(np.bincount(later, weights=come, minlength=len(falls)), dtype=np.float64)


@lru_cache(maxsize=8)
def _later(points: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of a point and an earlier one: later falls have gained nothing yet."""
    return np.tril_indices(points, -1)
