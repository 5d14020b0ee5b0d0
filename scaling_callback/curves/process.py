"""A Gaussian process over what runs differ in, with the run of interest at the origin.

Rasmussen and Williams 2006, chapter 2. The answers y (n,) of n finished runs are

    y(z) = c + A (w z / 2 + f(z)) + B (q1 p1 + q2 p2) + noise,   k_f(z, z') = exp(-|z - z'|^2 / (2 l^2)),

with z the traits of a run (ln size, ln horizon, ...) and p what is seen of it. A, B and the noise are averaged over a
grid by their posterior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scaling_callback.curves.robust import median
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array

LENGTH = 3.0
"""Length l over which the gap bends, in ln of a size, horizon or rate: a factor of 20. Of 0.75, 1.5, 3 and 6
it has the smallest errors on nine unlike ladders in geometric mean (by 22%, 7% and 5%), and so whichever one is left
out; against 1.5 five are better and four worse, and without the one that gains most 2% remain."""

HEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Values of A that are averaged over: ln loss that runs may differ by in what they still have to fall, a factor
of 4.5 apart. The whole range from one that is lost in seed noise to one as large as the fall itself."""

PERSISTENCES = (0.03, 0.3, 1.0)
"""Values of B that are averaged over: from what is seen persisting to it saying nothing."""

NOISES = (0.25 * SEED_NOISE, SEED_NOISE, 3 * SEED_NOISE, 10 * SEED_NOISE)
"""Standard deviations of one run that are averaged over."""

USUAL = np.log([0.03, 0.3, SEED_NOISE])
DOUBT = np.array([1.5, 1.5, 1.0])
"""Centre and deviation of ln A, ln B and ln noise before anything is seen: about the grid's own range."""

LEVEL = 0.5
"""Prior standard deviation of the constant c: no final lies a factor of 3 from what its template says. Half of it
changes nothing on nine ladders."""

OUTLYING = 3.0
"""Robust deviations beyond which a run is taken for spoiled, and its noise is raised. Of 2, 3 and 5 the middle one is
best on nine ladders, by 1%."""


CORNER = 1e60
"""More than any y' K^-1 y can be."""

_GRID = np.array([(a, b, s) for a in HEIGHTS for b in PERSISTENCES for s in NOISES])
_PRIOR = -0.5 * np.square((np.log(_GRID) - USUAL) / DOUBT).sum(1)


class _Posterior(NamedTuple):
    mean: float
    variance: float
    score: Array  # left-one-out residuals in standard units, shape (n,)


def regress(traits: Array, pairs: Array, answers: Array, looseness: Array) -> tuple[float, float]:
    """Mean and deviation of the process at the origin.

    From `traits` (n, T), `pairs` (n, 2), `answers` (n,) and the factor `looseness` (n,) on each run's noise variance. A
    second pass gives runs that the first could not foresee from the others more noise.

    Example:
        >>> size = np.log([[1e7], [2e7], [4e7], [8e7]]) - np.log(16e7)
        >>> mean, deviation = regress(size, np.zeros((4, 2)), 1.2 - 0.05 * size[:, 0], np.ones(4))
        >>> round(mean, 1), deviation < 0.02
        (1.2, True)
    """
    first = _infer(traits, pairs, answers, looseness)
    score = first.score / max(1.0, 1.4826 * median(first.score))
    spoiled = np.where(score > OUTLYING, (score / OUTLYING) ** 4, 1.0)
    final = _infer(traits, pairs, answers, looseness * spoiled) if (spoiled > 1).any() else first
    return final.mean, float(np.sqrt(final.variance))


def _infer(traits: Array, pairs: Array, answers: Array, looseness: Array) -> _Posterior:
    centre = median(answers)
    apart = np.square(traits[:, None] - traits[None]).sum(-1)
    bend = np.exp(-0.5 * apart / LENGTH**2) + 0.25 * traits @ traits.T
    reach = np.exp(-0.5 * np.square(traits).sum(1) / LENGTH**2)
    seen = pairs @ pairs.T
    height, keep, noise = np.square(_GRID.T)
    sides = np.stack([np.ones(len(answers)), answers - centre, reach])
    root, (ones, rest, near) = _decompose(bend, seen, looseness, sides)
    near = height[:, None] * near
    # the constant c is kept out of the covariance, which it would dwarf, and is solved for (Rasmussen and Williams,
    # equations 2.41 to 2.43)
    precision = LEVEL**-2 + np.square(ones).sum(1)
    level = (ones * rest).sum(1) / precision
    left = rest - level[:, None] * ones
    log_determinant = 2.0 * np.log(root).sum(1) + np.log(precision)
    evidence = _PRIOR - 0.5 * ((rest * left).sum(1) + log_determinant)
    share = np.exp(evidence - evidence.max())
    share = share / share.sum()
    means = centre + level + (near * left).sum(1)
    unsure = np.square(1.0 - (ones * near).sum(1)) / precision
    variances = np.maximum(height - np.square(near).sum(1), 0.0) + unsure + noise
    mean = float(share @ means)
    best = int(np.argmax(evidence))
    covariance = height[best] * bend + keep[best] * seen + noise[best] * np.diag(looseness)
    inverse = np.asarray(np.linalg.inv(covariance), dtype=np.float64)
    pull = inverse.sum(1)
    weights = inverse @ (answers - centre) - level[best] * pull
    # Rasmussen and Williams, equations 5.10 to 5.12
    score = np.abs(weights) / np.sqrt(np.diagonal(inverse) - pull**2 / precision[best])
    return _Posterior(mean, float(share @ (variances + (means - mean) ** 2)), score)


def _decompose(bend: Array, seen: Array, looseness: Array, sides: Array) -> tuple[Array, Array]:
    """What each of the grid's G places needs of the covariance K (n, n) of the answers without their constant.

    The diagonal of its Cholesky root R, shape (G, n), and R^-1 s for three `sides` s (3, n), shape (3, G, n). The sides
    are rows below K: decomposed along with it they come out solved, whatever stands in their own corner as long as it
    is large.
    """
    n = len(bend)
    rough = np.zeros((len(PERSISTENCES), len(NOISES), n + 3, n + 3))
    rough[..., :n, :n] = np.square(PERSISTENCES)[:, None, None, None] * seen
    rough[..., n:, :n] = sides
    rough[..., np.arange(n), np.arange(n)] += np.square(NOISES)[:, None] * looseness
    rough[..., np.arange(n, n + 3), np.arange(n, n + 3)] = CORNER
    smooth = np.zeros((n + 3, n + 3))
    smooth[:n, :n] = bend
    # height by height: all of the grid at once is more memory than is kept from call to call
    roots = [np.asarray(np.linalg.cholesky(rough + height**2 * smooth), dtype=np.float64) for height in HEIGHTS]
    diagonal = np.concatenate([np.diagonal(root, axis1=2, axis2=3).reshape(-1, n + 3)[:, :n] for root in roots])
    solved = np.concatenate([root.reshape(-1, n + 3, n + 3)[:, n:, :n] for root in roots])
    return diagonal, solved.transpose(1, 0, 2)
