"""What each method would have said of the finished runs at the same progress, and by how much it would have missed.

For a finished run r with at least three finished before it, every method forecasts r from its prefix and those runs
alone. Nothing is fitted to what is scored; the record is a pure function of what is visible, kept from call to call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scaling_callback.curves.methods import METHODS
from scaling_callback.curves.observed import ends_alike, log_final
from scaling_callback.curves.progress import cut, log_distance
from scaling_callback.curves.result import FinalForecast
from scaling_callback.records import Array, Run

FEWEST_BEFORE = 3
"""Runs that must have finished before one for it to count: with fewer, methods do not differ."""

MOST_SCORED = 32
"""Finished runs whose forecasts are scored, the nearest ones: those far away hardly weigh."""

REACH = 2.0
"""Distance in (ln N, ln horizon) at which a past error counts half: a factor of 7. Past error at small scale is a weak
guide to error at the target (DESIGN 5.6)."""


@dataclass(frozen=True, eq=False)
class Record:
    """Errors of M methods on R finished runs, at the progress of the running one.

    Attributes:
        names: The methods.
        error: Forecast minus measured ln loss, shape (M, R); NaN where the method abstained.
        spread: Standard deviation of ln loss that it claimed, shape (M, R).
        nearness: Weight of each run, shape (R,).
    """

    names: tuple[str, ...]
    error: Array
    spread: Array
    nearness: Array


def make_record(
    run: Run, ordered: tuple[Run, ...], trunks: tuple[Run, ...], progress: float, names: Sequence[str]
) -> Record:
    """The record of the named methods on the runs of `ordered` that are nearest to `run` and ended as it will.

    `trunks` have no final yet.
    """
    apart = [log_distance(run, other) for other in ordered]
    alike = [index for index, other in enumerate(ordered) if ends_alike(run, other)]
    near = sorted(alike[FEWEST_BEFORE:], key=lambda index: (apart[index], index))[:MOST_SCORED]
    visible = [add_trunks(ordered[:index], ordered[index], (*ordered, *trunks)) for index in near]
    scores = [
        [_score(name, earlier, ordered[index], progress) for index, earlier in zip(near, visible, strict=True)]
        for name in names
    ]
    table = np.array(scores, dtype=float).reshape(len(names), len(near), 2)
    return Record(
        names=tuple(names),
        error=table[..., 0],
        spread=table[..., 1],
        nearness=np.array([1.0 / (1.0 + (apart[index] / REACH) ** 2) for index in near]),
    )


def add_trunks(earlier: tuple[Run, ...], run: Run, others: Sequence[Run]) -> tuple[Run, ...]:
    """What is visible to `run`: runs finished before it, and of trunks that finish later the part that was branched."""
    reach: dict[str, float] = {}
    for other in (*earlier, run):
        if other.card.parent is not None:
            reach[other.card.parent] = max(reach.get(other.card.parent, 0.0), other.horizon or 0.0)
    if not reach:
        return earlier
    known = {other.name for other in earlier}
    later = [other for other in others if other.name in reach and other.name not in known and other is not run]
    return (*earlier, *(_stand(trunk, reach[trunk.name]) for trunk in later))


@lru_cache(maxsize=4096)
def _stand(trunk: Run, tokens: float) -> Run:
    return trunk.until(tokens * (1.0 + 1e-9))


@lru_cache(maxsize=65536)
def _score(name: str, earlier: tuple[Run, ...], run: Run, progress: float) -> tuple[float, float]:
    """Error and claimed spread in ln loss; NaN where the method abstains."""
    made = METHODS[name](cut(run, progress), earlier)
    if not isinstance(made, FinalForecast):
        return np.nan, np.nan
    return float(np.log(made.median)) - log_final(run), made.spread / made.median
