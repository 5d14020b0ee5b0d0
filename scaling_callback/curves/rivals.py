"""Which of several runs of one size and horizon will end lower, from what is seen of all at the same progress.

Runs that share size and horizon share most of what is unknown of their finals: only their differences are asked for.
Of member i of group g, with u the level of its log loss at a progress x, the rest of its way is

    ln F_gi - u_gi = c_g + f(z_gi) + B (u_gi - mean_g u) + noise,

with c_g free for each group, f a Gaussian process over what its members differ in (learning rate, batch, schedule) and
over the size and horizon of the group, and B how little of a lead that is seen at x lasts to the end. It is learnt from
groups whose members have finished; height of f, B and noise are averaged over a grid by their posterior (Rasmussen and
Williams 2006, chapter 2). What that would have said of finished groups, at this progress and before, is scored: the
worst of those errors scales the spread, so that a claim that is looked at again and again holds as often as it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scaling_callback.curves.combine import PRIOR_RUNS, WORST
from scaling_callback.curves.gap import LATENESS
from scaling_callback.curves.observed import OTHER_SHAPE, log_final, observe, relate, schedule_words
from scaling_callback.curves.process import HEIGHTS, PERSISTENCES, USUAL
from scaling_callback.curves.progress import log_distance
from scaling_callback.curves.record import REACH
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array, BoolArray, Run

LENGTHS = np.array([3.0, 3.0, 1.5, 3.0, 3.0])
"""Lengths over which f bends, in ln of size, horizon, peak learning rate, batch and passes over the data: a factor of
20, as for the gap of single runs (`process.LENGTH`), and of 4.5, the range of a usual sweep, for learning rates."""

HEIGHT_GRID = (0.001, *HEIGHTS)
"""Heights of f in ln loss: members of a group may differ by less than different sizes do."""

NOISE_GRID = tuple(share * SEED_NOISE for share in (0.1, 0.3, 1.0, 3.0))
"""Standard deviations of one run, from a ladder without noise to a rough one."""

FREE = 0.5
"""Standard deviation of the constant of a group: free within a factor of e."""

MOST_RUNS = 60
"""Finished runs that are learnt from, of the nearest groups."""

FEWEST_RUNS = 4
"""Finished runs in groups below which nothing is learnt."""

MOST_SCORED = 8
"""Groups that are scored, the nearest ones."""

MARKS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
"""Progress at which they are, as far as the runs of interest have come."""

_GRID = np.array([(a, b, s) for a in HEIGHT_GRID for b in PERSISTENCES for s in NOISE_GRID])
_PRIOR = -0.5 * np.square((np.log(_GRID) - USUAL) / np.array([1.5, 1.5, 1.0])).sum(1)


@dataclass(frozen=True, eq=False)
class Standing:
    """What is said of the ln finals of m members of one group, up to what they share.

    Attributes:
        weights: Of the places of the grid, shape (G,).
        means: Ln finals, shape (G, m).
        covariances: Shape (G, m, m).
        scale: By how much the record widens the spreads.
        degrees: How many scored differences that rests on, and so Student's degrees of freedom.
    """

    weights: Array
    means: Array
    covariances: Array
    scale: float
    degrees: float

    def compare(self, one: int, other: int, margin: float) -> tuple[float, float, float]:
        """P(F_one > (1 + `margin`) F_other) of two members, and mean and spread of ln F_one - ln F_other."""
        from scipy.special import stdtr  # importing the package must not wait for it

        means: Array = self.means[:, one] - self.means[:, other]
        covariances = self.covariances
        variances = covariances[:, one, one] + covariances[:, other, other] - 2.0 * covariances[:, one, other]
        mean = float(self.weights @ means)
        spread = float(np.sqrt(self.weights @ (variances + (means - mean) ** 2)))
        scores = (means - float(np.log1p(margin))) / (self.scale * np.sqrt(np.maximum(variances, 1e-16)))
        return float(self.weights @ stdtr(self.degrees, scores)), mean, self.scale * spread


@lru_cache(maxsize=32)
def stand(members: tuple[Run, ...], groups: tuple[tuple[Run, ...], ...], progress: float) -> Standing | None:
    """What finished groups say of the finals of `members`, at a progress that all of them have come to.

    Args:
        members: Runs of one size and horizon, with observations up to `progress`; those that have finished are known.
        groups: Runs of one size and horizon each that have finished, by planned compute; `members` are none of them.
        progress: In (0, 1].

    Returns:
        `None` where too few have finished.
    """
    said = _infer(members, _nearest(members[0], groups), progress)
    if said is None:
        return None
    squares = degrees = PRIOR_RUNS
    near = sorted(range(len(groups)), key=lambda index: (log_distance(members[0], groups[index][0]), index))
    marks = [mark for mark in MARKS if mark <= progress] or [MARKS[0]]
    for index in near[:MOST_SCORED]:
        group, earlier = groups[index], groups[:index]
        scored = [_score(group, _nearest(group[0], earlier), mark) for mark in marks]
        known = [score for score in scored if score is not None]
        if known:
            weight = (len(group) - 1) / (1.0 + (log_distance(members[0], group[0]) / REACH) ** 2)
            squares += weight * max(known)
            degrees += weight
    weights, means, covariances = said
    return Standing(weights, means, covariances, float(np.sqrt(squares / degrees)), degrees)


def _nearest(run: Run, groups: Sequence[tuple[Run, ...]]) -> tuple[tuple[Run, ...], ...]:
    """The groups nearest to a run in ln of size and horizon, as many as hold `MOST_RUNS` runs."""
    near: list[tuple[Run, ...]] = []
    order = sorted(range(len(groups)), key=lambda index: (log_distance(run, groups[index][0]), index))
    for index in order:
        if near and sum(map(len, near)) + len(groups[index]) > MOST_RUNS:
            break
        near.append(groups[index])
    return tuple(near)


@lru_cache(maxsize=4096)
def _score(group: tuple[Run, ...], groups: tuple[tuple[Run, ...], ...], progress: float) -> float | None:
    """Mean square of what was said of the differences in a finished group, in units of what was claimed."""
    seen = tuple(run for run in group if seen_level(run, progress) is not None)
    said = _infer(seen, groups, progress, known=False) if len(seen) > 1 else None
    if said is None:
        return None
    weights, means, covariances = said
    mean = weights @ means
    apart = means - mean
    covariance = np.tensordot(weights, covariances + apart[:, :, None] * apart[:, None, :], 1)
    error = np.array([log_final(run) for run in seen]) - mean
    steps = np.hstack([np.eye(len(seen) - 1), -np.ones((len(seen) - 1, 1))])  # against the last of them
    square = float(steps @ error @ np.asarray(np.linalg.solve(steps @ covariance @ steps.T, steps @ error)))
    return min(square / (len(seen) - 1), WORST**2)


def _infer(
    members: tuple[Run, ...], groups: tuple[tuple[Run, ...], ...], progress: float, *, known: bool = True
) -> tuple[Array, Array, Array] | None:
    """Weights (G,), means (G, m) and covariances (G, m, m) of the ln finals of `members`.

    The constant of their group is in all of them alike. Finals of those that have finished count if they are `known`.
    """
    kept = [seen for group in groups if len(seen := [r for r in group if seen_level(r, progress) is not None]) > 1]
    ended = np.array([known and run.final is not None for run in members])
    runs = [run for group in kept for run in group]
    if len(runs) < FEWEST_RUNS:
        return None
    everyone = (*runs, *members)
    belongs = np.repeat(np.arange(len(kept) + 1), [*map(len, kept), len(members)])
    level = np.array([seen_level(run, progress) for run in everyone], dtype=float)
    lead = level - (np.bincount(belongs, level) / np.bincount(belongs))[belongs]
    answered = np.concatenate([np.ones(len(runs), dtype=bool), ended])
    finals = np.array([log_final(run) if has else 0.0 for run, has in zip(everyone, answered, strict=True)])
    left = (finals - level)[answered]
    middle = left.mean()
    smooth, together, lasting = _relate(members[0], everyone), belongs[:, None] == belongs, np.outer(lead, lead)
    evidence, means, covariances = _average(answered, left - middle, smooth, FREE**2 * together, lasting)
    share = np.exp(evidence - evidence.max())
    way = np.zeros((len(_GRID), len(members)))
    spread = np.zeros((len(_GRID), len(members), len(members)))
    open_ = np.flatnonzero(~ended)
    way[:, open_] = means
    spread[:, open_[:, None], open_] = covariances
    way[:, open_] += level[len(runs) :][open_] + middle
    way[:, ended] = finals[len(runs) :][ended]
    return share / share.sum(), way, spread


def _average(
    answered: BoolArray, answers: Array, smooth: Array, together: Array, lasting: Array
) -> tuple[Array, Array, Array]:
    """Log evidence (G,), means (G, m) and covariances (G, m, m) of what is not answered, at each place of the grid."""
    height, keep, noise = np.square(_GRID.T)[:, :, None, None]
    whole = together + height * smooth + keep * lasting + noise * np.eye(len(answered))
    data, asked = np.flatnonzero(answered), np.flatnonzero(~answered)
    root = np.asarray(np.linalg.cholesky(whole[:, data[:, None], data]), dtype=np.float64)
    across = whole[:, data[:, None], asked]
    sides = np.concatenate([np.broadcast_to(answers[:, None], (*across.shape[:2], 1)), across], axis=2)
    solved = np.asarray(np.linalg.solve(root, sides), dtype=np.float64)
    rest, near = solved[:, :, 0], solved[:, :, 1:]
    evidence = _PRIOR - 0.5 * np.square(rest).sum(1) - np.log(np.diagonal(root, axis1=1, axis2=2)).sum(1)
    means = np.einsum("gna,gn->ga", near, rest)
    return evidence, means, whole[:, asked[:, None], asked] - near.transpose(0, 2, 1) @ near


def _relate(run: Run, others: tuple[Run, ...]) -> Array:
    """How alike the ways of runs are by what they differ in, shape (n, n)."""
    traits = relate(run, others) / LENGTHS
    apart = np.square(traits[:, None] - traits).sum(-1)
    texts = [other.card.schedule for other in others]
    kinds = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    steps = np.array([[_step(one, other) for other in kinds] for one in kinds])
    place = np.array([kinds[text] for text in texts])
    return np.exp(-0.5 * (apart + np.square(steps)[place[:, None], place]))


def _step(one: str | None, other: str | None) -> float:
    """How far two schedules are apart by their words, in the steps of `observed.schedule_distances`."""
    if one == other:
        return 0.0
    return 1.0 if schedule_words(one) == schedule_words(other) else OTHER_SHAPE


@lru_cache(maxsize=65536)
def seen_level(run: Run, progress: float) -> float | None:
    """Level of the log loss at a progress: late observations count most; `None` where nothing is seen by then."""
    seen = observe(run)
    count = int(np.searchsorted(seen.progress, progress * (1.0 + 1e-9), side="right"))
    if count == 0:
        return None
    weights = seen.progress[:count] ** LATENESS
    return float(weights @ seen.log_loss[:count] / weights.sum())
