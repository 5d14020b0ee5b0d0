"""What other runs say of the loss that a run has at this moment: whether it goes as it should, and not where it ends.

At one progress, losses of a ladder lie on a law of size and tokens as finals do. So do they, far more closely, once
each run's own loss of a while ago is known: what a law misses a run by at a third of its way it still misses it by at
two thirds. The first says that a run has been bad from its beginning, the second that something has happened to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scaling_callback.curves.law import average_laws
from scaling_callback.curves.observed import (
    MIN_OBSERVATIONS,
    SEED_TO_COME,
    lay_beside,
    observe,
    relate,
    schedule_distances,
)
from scaling_callback.curves.process import OUTLYING, regress
from scaling_callback.curves.robust import median
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.fitting.noise import DEFAULT_DEGREES
from scaling_callback.records import Array, BoolArray, Run

FEWEST = 4
"""Runs that must have been where a run is now: a law of three coefficients, and one to show that they are not exact."""

MOST_RUNS = 32
"""Runs that take part, the nearest ones, as for a final (`gap`)."""

EARLIER = (1 / 3, 2 / 3)
"""The part of what was seen that shows what a run was like before: its middle third. What began within the last
third of what was seen, or within the last two thirds of it in part, is not in it."""


PASSES = 10
"""Reweightings that find a plane: the residuals of runs on it are below the noise of a seed by then."""

LAW, PAST = 2.0, 1.0
"""Free coefficients: E, A and B, of which the weak prior spares one (`fitting.noise`); what all runs gained alike."""


class Expected(NamedTuple):
    """What a run's last loss should be.

    Attributes:
        log_loss: Mean of ln loss.
        deviation: Its standard deviation, an observation's and a seed's noise included.
        degrees: Degrees of freedom on which that rests.
        runs: How many others said so.
        since: Progress from which the run's own loss was known; 0 where it was not looked at.
    """

    log_loss: float
    deviation: float
    degrees: float
    runs: int
    since: float = 0.0

    def score(self, log_loss: float) -> float:
        """How far above lies what was observed, in deviations of a normal distribution of the same tail.

        Example:
            >>> [round(Expected(1.0, 0.01, degrees, 9).score(1.03), 1) for degrees in (1000.0, 4.0)]
            [3.0, 2.1]
        """
        from scipy.special import ndtri, stdtr  # importing the package must not wait for it

        tail = float(stdtr(self.degrees, -(log_loss - self.log_loss) / self.deviation))
        return -float(ndtri(max(tail, 1e-300)))


class Beside(NamedTuple):
    """The runs of the same schedule that have been where a run is now, the nearest first.

    Attributes:
        runs: The others, n of them.
        traits: Distances in ln of size and horizon, shape (n, 2).
        looseness: Factor on each one's noise variance for its schedule, shape (n,).
    """

    runs: tuple[Run, ...]
    traits: Array
    looseness: Array

    def take(self, mask: BoolArray) -> Beside:
        """Those where `mask` (n,) is true."""
        kept = tuple(run for run, keep in zip(self.runs, mask, strict=True) if keep)
        return Beside(kept, self.traits[mask], self.looseness[mask])


def find_beside(run: Run, others: Sequence[Run]) -> Beside:
    """Who can say something of the last loss of `run`: finished or not, others that have come as far."""
    seen = observe(run)
    if run.horizon is None or len(seen) < MIN_OBSERVATIONS:
        return Beside((), np.zeros((0, 2)), np.zeros(0))
    far = tuple(other for other in others if other.name != run.name and _covers(other, float(seen.log_progress[-1])))
    schedule, traits = schedule_distances(run, far), relate(run, far)[:, :2]
    apart = np.square(traits).sum(1) + schedule**2
    order: list[int] = np.argsort(apart, kind="stable")[:MOST_RUNS].tolist()
    near = [index for index in order if apart[index] >= 0]  # NaN is another schedule
    return Beside(tuple(far[index] for index in near), traits[near], 1.0 + schedule[near] ** 2)


def expect_by_law(run: Run, beside: Beside) -> Expected | None:
    """The last loss by a law of size and tokens through those of others at the same progress."""
    if len(beside.runs) < FEWEST:
        return None
    log_loss = lay_beside(run, beside.runs)[:, -1]
    weight = _trust(beside.traits, log_loss) / beside.looseness
    found = average_laws(beside.traits[:, 0], beside.traits[:, 1], np.exp(log_loss), (0.0, 0.0), weight)
    if found is None:
        return None
    return Expected(float(np.log(found[0])), max(found[1] / found[0], SEED_NOISE), *_rest(beside, LAW))


def expect_by_past(run: Run, beside: Beside) -> Expected | None:
    """The last loss by what others lost or gained since an earlier part of the run, on top of its own loss there."""
    seen = observe(run)
    share = seen.progress / seen.progress[-1]
    earlier = (share >= EARLIER[0]) & (share <= EARLIER[1])
    if not earlier.any() or not beside.runs:
        return None
    first = float(seen.log_progress[earlier][0])
    beside = beside.take(np.array([observe(other).log_progress[0] <= first for other in beside.runs]))
    if len(beside.runs) < FEWEST:
        return None
    losses = lay_beside(run, beside.runs)
    level = (losses - seen.log_loss)[:, earlier].mean(1)
    pairs = np.stack([level, np.zeros_like(level)], -1)
    mean, deviation = regress(beside.traits, pairs, losses[:, -1] - level, beside.looseness)
    deviation = max(deviation, SEED_TO_COME * SEED_NOISE)
    return Expected(mean, deviation, *_rest(beside, PAST), since=float(seen.progress[earlier].mean()))


def _covers(other: Run, log_progress: float) -> bool:
    """Whether a run began before that progress and has come as far, or ended."""
    if other.horizon is None or not 0 < other.params < np.inf or not 0 < other.horizon < np.inf:
        return False
    curve = observe(other)
    if len(curve) < MIN_OBSERVATIONS or curve.log_progress[0] > log_progress:
        return False
    return other.final is not None or bool(curve.log_progress[-1] >= log_progress - 1e-9)


def _trust(traits: Array, log_loss: Array) -> Array:
    """Weights (n,) that leave a few broken runs out: 1 but for those far off the plane that most lie on.

    The plane is that of least absolute residuals, by reweighted least squares; beyond three robust deviations
    from it a weight falls with the fourth power of the distance, as that of a spoiled run does in `process`.
    """
    design = np.column_stack([np.ones(len(log_loss)), traits])
    weight, off = np.ones(len(log_loss)), np.zeros(len(log_loss))
    for _ in range(PASSES):
        root = np.sqrt(weight)
        plane = np.linalg.lstsq(design * root[:, None], log_loss * root, rcond=None)[0]
        off = np.abs(log_loss - design @ plane)
        weight = 1.0 / np.maximum(off, SEED_NOISE)
    # a plane of three coefficients goes through as many runs, whose residuals say nothing
    spare = np.sort(off)[design.shape[1] :]
    usual = max(1.4826 * median(spare), SEED_NOISE) if len(spare) else np.inf
    return np.minimum(1.0, (OUTLYING * usual / np.maximum(off, 1e-12)) ** 4)


def _rest(beside: Beside, coefficients: float) -> tuple[float, int]:
    """Degrees of freedom (`fitting.noise`) beside so many coefficients, and how many runs they are of."""
    return DEFAULT_DEGREES + len(beside.runs) - coefficients, len(beside.runs)
