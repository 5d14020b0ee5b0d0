"""How far runs differ that differ in nothing but their seed, and in a setting that was swept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask
from page import Finding, Section, table
from protocol import FIRST_PART

from axes.base import Axis
from scaling_callback import Run
from scaling_callback.forecasting import find_twins
from scaling_callback.reporting.units import format_percent

PUBLISHED_MOST = 0.04
"""Up to 3.5 to 4% between seeds in the study."""


@dataclass(frozen=True)
class Spread:
    """How far the runs of each group differ.

    Attributes:
        runs: How many runs the groups hold together.
        deviations: Standard deviation over mean of the finals of each group.
        ranges: Largest over smallest final of each group, minus 1.
        along: The same of losses after equal tokens, the largest beyond the first tenth of training.
    """

    runs: int
    deviations: tuple[float, ...]
    ranges: tuple[float, ...]
    along: tuple[float, ...]


def measure(case: Case) -> dict[str, Spread | float | None] | None:
    """Spreads over groups of one setting, and of one size and horizon with other settings; errors beside."""
    twins = find_twins(case.runs)
    seeds = group([run for run in case.runs], lambda run: twins[run.name])
    settings = group(case.swept, lambda run: (run.params, run.horizon))
    if not seeds and not settings:
        return None
    return {
        "seeds": describe(seeds),
        "settings": describe(settings),
        PROTOCOL: ask(PROTOCOL, case.ladder, case.goals),
        DEFAULT: ask(DEFAULT, case.ladder, case.goals),
    }


def group(runs: Sequence[Run], alike: Callable[[Run], Hashable]) -> list[list[Run]]:
    """The groups of two runs and more that `alike` says the same of."""
    found: defaultdict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        found[alike(run)].append(run)
    return [runs for runs in found.values() if len(runs) > 1]


def describe(groups: Sequence[Sequence[Run]]) -> Spread | None:
    """How far the runs of each group differ; `None` without groups."""
    if not groups:
        return None
    finals = [np.array([run.final.loss for run in runs if run.final is not None]) for runs in groups]
    return Spread(
        sum(map(len, groups)),
        tuple(float(losses.std(ddof=1) / losses.mean()) for losses in finals),
        tuple(float(losses.max() / losses.min() - 1) for losses in finals),
        tuple(worst for runs in groups if (worst := range_along(runs)) is not None),
    )


def range_along(runs: Sequence[Run]) -> float | None:
    """The largest range, after equal tokens beyond the first tenth of training; `None` without common tokens."""
    losses: defaultdict[float, list[float]] = defaultdict(list)
    for run in runs:
        late = run.progress > FIRST_PART
        for tokens, loss in zip(run.curve.tokens[late].tolist(), run.curve.loss[late].tolist(), strict=True):
            losses[tokens].append(loss)
    ranges = [max(values) / min(values) - 1 for values in losses.values() if len(values) == len(runs)]
    return max(ranges, default=None)
