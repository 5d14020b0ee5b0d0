"""A power law in tokens through a run's own points: right where the rate stays constant, and blind to a decay.

L(D) = E + B (D / D_0)^-beta, averaged over beta on a grid by the posterior of a linear regression (variable projection,
Golub and Pereyra 1973), with ln beta normal around what fits of whole ladders found.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scaling_callback.curves.observed import SEED_TO_COME, conclude, find_obstacle, observe
from scaling_callback.curves.regression import average
from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Run

EXPONENTS = np.geomspace(0.05, 2.0, 24)
"""Values of beta: from below to above all that were published for single curves."""

PRIOR = (np.log(0.37), 0.7)
"""Mean and deviation of ln beta: the centre of the weak prior (DESIGN 5.3); single curves scatter twice as widely as
the fits of whole ladders."""

DECAY = 0.03
"""What a decay of the learning rate may still take off, relative to the loss: constant-rate losses were found 2 to 3%
above annealed ones of equal length. Only a run of a constant rate has nothing of it ahead."""

BURNT_IN = 0.25
"""Share of what was seen that is left out at its beginning, where it leaves enough: warmup is no power law."""


def forecast_by_own_law(run: Run, finished: Sequence[Run]) -> FinalForecast | Abstention:  # noqa: ARG001 (one signature for all methods)
    """The final by the run's own points alone."""
    obstacle = find_obstacle(run)
    if obstacle is not None:
        return obstacle
    seen = observe(run)
    late = seen.progress >= BURNT_IN * seen.progress[-1]
    if late.sum() < 3:
        late = np.arange(len(seen)) >= len(seen) - 3
    x, loss = seen.log_progress[late], np.exp(seen.log_loss[late])
    unit = float(loss[-1])
    decay = np.exp(-EXPONENTS[:, None] * (x - x[-1]))
    design = np.stack([np.ones_like(decay), decay], -1)
    goal = np.exp(EXPONENTS * x[-1])  # the term at progress 1, where ln x is 0
    target = np.stack([np.ones_like(goal), goal], -1)
    prior = -0.5 * np.square((np.log(EXPONENTS) - PRIOR[0]) / PRIOR[1])
    found = average(design, loss / unit, target, prior)
    if found is None:
        return Abstention("no_power_law", "its losses do not fall towards a floor with more tokens")
    mean, spread = found
    ahead = 0.0 if run.phase == "constant" else DECAY * (1.0 - float(seen.progress[-1])) * mean
    deviation = float(np.sqrt(spread**2 + ahead**2 + (SEED_TO_COME * SEED_NOISE * mean) ** 2)) / mean
    return conclude(float(np.log(mean * unit)), deviation, "own-power-law", 0)
