"""Places that two ladders share, and the ratio of their losses there."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scaling_callback.fitting import SEED_NOISE, Points, seed_noise
from scaling_callback.records import Array, BoolArray, same_count


@dataclass(frozen=True, eq=False)
class Pairs:
    """n places at which both recipes were measured.

    Attributes:
        params: N, shape (n,).
        tokens: D, shape (n,).
        ratio: ln L_A - ln L_B, of the mean logs where runs repeat a place, shape (n,).
        variance: Variance of the ratio if runs differ by seed noise alone, shape (n,): that of k pairs whose runs stem
            from one trunk is k times as large, for they share its noise.
        one: The same of one run of each.
        independent: How many pairs there are, those of one trunk counted as one.
    """

    params: Array
    tokens: Array
    ratio: Array
    variance: Array
    one: float
    independent: int

    def take(self, mask: BoolArray) -> Pairs:
        """The pairs where `mask` (n,) is true."""
        kept = int(mask.sum())
        independent = min(self.independent, kept)
        return Pairs(self.params[mask], self.tokens[mask], self.ratio[mask], self.variance[mask], self.one, independent)

    def __len__(self) -> int:
        return len(self.ratio)


def match(one: Points | None, other: Points | None) -> tuple[Pairs, int]:
    """The places at which both have measured finals, and how many independent runs the ladder with fewer of them has.

    Example:
        >>> a = Points.of([1e6, 1e7, 1e7], [1e8, 1e8, 1e9], [4.0, 3.5, 3.0])
        >>> b = Points.of([1e7, 1e7], [1e9, 1.01e9], [3.1, 3.1])
        >>> pairs, places = match(a, b)
        >>> pairs.ratio.round(3).tolist(), places
        ([-0.033], 1)
    """
    groups = [[] if points is None else _group(points) for points in (one, other)]
    noises = [SEED_NOISE if points is None else seed_noise(points) for points in (one, other)]
    rows: list[tuple[float, float, float, float]] = []
    stems: list[tuple[int, int]] = []
    for place in groups[0]:
        twins = [twin for twin in groups[1] if _is_same(place, twin)]
        if twins:
            beside = min(twins, key=lambda twin, at=place: _differ(at, twin))
            variance = noises[0] ** 2 / len(place.logs) + noises[1] ** 2 / len(beside.logs)
            rows.append((place.params, place.tokens, float(np.mean(place.logs) - np.mean(beside.logs)), variance))
            stems.append((place.cluster, beside.cluster))
    columns = np.array(rows, dtype=float).reshape(-1, 4).T
    counts = [Counter(stem[side] for stem in stems) for side in (0, 1)]
    sharing = np.array([max(counts[0][a], counts[1][b]) for a, b in stems], dtype=float)
    single = noises[0] ** 2 + noises[1] ** 2
    independent = round(float((1.0 / sharing).sum()))
    pairs = Pairs(columns[0], columns[1], columns[2], columns[3] * sharing, single, independent)
    return pairs, min(len({place.cluster for place in group}) for group in groups)


class _Place(NamedTuple):
    """One size and horizon, with the log losses there and the trunk of the first run."""

    params: float
    tokens: float
    logs: list[float]
    cluster: int


def _differ(one: _Place, other: _Place) -> float:
    return abs(other.params / one.params - 1) + abs(other.tokens / one.tokens - 1)


def _is_same(one: _Place, other: _Place) -> bool:
    return same_count(one.params, other.params) and same_count(one.tokens, other.tokens)


def _group(points: Points) -> list[_Place]:
    """Places (N, D) with the log losses there."""
    groups: list[_Place] = []
    columns = (points.params.tolist(), points.tokens.tolist(), points.loss.tolist(), points.cluster.tolist())
    for params, tokens, loss, cluster in zip(*columns, strict=True):
        mine = _Place(params, tokens, [math.log(loss)], cluster)
        here = next((place for place in groups if _is_same(place, mine)), None)
        if here is None:
            groups.append(mine)
        else:
            here.logs.append(math.log(loss))
    return groups
