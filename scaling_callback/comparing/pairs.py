"""Places that two ladders share, and the ratio of their losses there."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        variance: Variance of the ratio if runs differ by seed noise alone, shape (n,).
        one: The same of one run of each.
    """

    params: Array
    tokens: Array
    ratio: Array
    variance: Array
    one: float

    def take(self, mask: BoolArray) -> Pairs:
        """The pairs where `mask` (n,) is true."""
        return Pairs(self.params[mask], self.tokens[mask], self.ratio[mask], self.variance[mask], self.one)

    def __len__(self) -> int:
        return len(self.ratio)


def match(one: Points | None, other: Points | None) -> tuple[Pairs, int]:
    """The places at which both have measured finals, and how many places the ladder with fewer of them has.

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
    for params, tokens, logs in groups[0]:
        twins = [place for place in groups[1] if same_count(place[0], params) and same_count(place[1], tokens)]
        if twins:
            beside = min(twins, key=lambda place: abs(place[0] / params - 1) + abs(place[1] / tokens - 1))[2]
            variance = noises[0] ** 2 / len(logs) + noises[1] ** 2 / len(beside)
            rows.append((params, tokens, float(np.mean(logs) - np.mean(beside)), variance))
    columns = np.array(rows, dtype=float).reshape(-1, 4).T
    single = noises[0] ** 2 + noises[1] ** 2
    return Pairs(columns[0], columns[1], columns[2], columns[3], single), min(len(group) for group in groups)


def _group(points: Points) -> list[tuple[float, float, list[float]]]:
    """Places (N, D) with the log losses there."""
    groups: list[tuple[float, float, list[float]]] = []
    for params, tokens, loss in zip(points.params.tolist(), points.tokens.tolist(), points.loss.tolist(), strict=True):
        here = (logs for n, d, logs in groups if same_count(n, params) and same_count(d, tokens))
        logs = next(here, None)
        if logs is None:
            groups.append((params, tokens, logs := []))
        logs.append(math.log(loss))
    return groups
