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
from axes.tally import MOST, Tally, compare, middle
from scaling_callback import Run
from scaling_callback.forecasting import find_twins
from scaling_callback.reporting.units import format_level, format_percent, number

PUBLISHED_LEAST, PUBLISHED_MOST = 0.035, 0.04
"""What seeds differ by in the study: up to 3.5 to 4%."""


@dataclass(frozen=True)
class Spread:
    """How far the runs of each group differ.

    Attributes:
        runs: How many runs the groups hold together.
        deviations: Standard deviation over mean of the finals of each group.
        ranges: Largest over smallest final of each group, minus 1.
        along: The same of losses after equal tokens, the largest beyond the first tenth of training.
        scatter: Deviation of a loss from those before and after it in the same run, over the loss, median of runs.
    """

    runs: int
    deviations: tuple[float, ...]
    ranges: tuple[float, ...]
    along: tuple[float, ...]
    scatter: float | None


@dataclass(frozen=True)
class Measured:
    """Twins of one family.

    Attributes:
        seeds: Runs that differ in their seed alone.
        settings: Runs of one size and horizon of which only the best is used elsewhere.
        protocol: Error of the published protocol for the largest size.
        default: Error of this library's default.
    """

    seeds: Spread | None
    settings: Spread | None
    protocol: float | None
    default: float | None


KINDS: Mapping[str, Callable[[Measured], Spread | None]] = {
    "seed": lambda made: made.seeds,
    "settings": lambda made: made.settings,
}
"""What twins differ in."""


def measure(case: Case) -> Measured | None:
    """How far twins differ; `None` where there are none."""
    twins = find_twins(case.runs)
    seeds = describe(group(case.runs, lambda run: twins[run.name]))
    settings = describe(group(case.swept, lambda run: (run.params, run.horizon)))
    if seeds is None and settings is None:
        return None
    return Measured(seeds, settings, *(ask(way, case.ladder, case.goals) for way in (PROTOCOL, DEFAULT)))


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
        middle(find_scatter(run) for runs in groups for run in runs),
    )


def find_scatter(run: Run) -> float | None:
    """Robust deviation of ln loss around the mean of both neighbours, in the second half; `None` of a short curve."""
    late = np.log(run.curve.loss[(run.progress > 0.5) & (run.curve.loss > 0)])
    off = late[1:-1] - (late[2:] + late[:-2]) / 2
    # independent errors of one deviation s are off by s sqrt(3/2); 0.6745 s is the median of a normal's sizes
    return float(np.median(np.abs(off)) / 0.6745 / np.sqrt(1.5)) if len(off) >= 5 else None


def range_along(runs: Sequence[Run]) -> float | None:
    """The largest range, after equal tokens beyond the first tenth of training; `None` without common tokens."""
    losses: defaultdict[float, list[float]] = defaultdict(list)
    for run in runs:
        late = run.progress > FIRST_PART
        for tokens, loss in zip(run.curve.tokens[late].tolist(), run.curve.loss[late].tolist(), strict=True):
            losses[tokens].append(loss)
    ranges = [max(values) / min(values) - 1 for values in losses.values() if len(values) == len(runs)]
    return max(ranges, default=None)


def tell(found: Mapping[str, Measured]) -> Section:
    """What seeds and settings do, over families, and one row a family and kind of twins."""
    twins = {
        kind: {name: spread for name, made in found.items() if (spread := read(made))} for kind, read in KINDS.items()
    }
    rows = [
        (
            kind,
            str(len(of)),
            str(sum(len(spread.ranges) for spread in of.values())),
            str(sum(spread.runs for spread in of.values())),
            format_percent(middle(deviation for spread in of.values() for deviation in spread.deviations)),
            format_percent(max((max(spread.ranges) for spread in of.values()), default=None)),
            format_percent(max((worst for spread in of.values() for worst in spread.along), default=None)),
            format_percent(middle(spread.scatter for spread in of.values())),
        )
        for kind, of in twins.items()
    ]
    each = [
        (
            name,
            words,
            str(len(spread.ranges)),
            str(spread.runs),
            format_percent(middle(spread.deviations)),
            format_percent(max(spread.ranges)),
            format_percent(max(spread.along, default=None)),
            format_percent(spread.scatter),
            format_percent(made.protocol),
            format_percent(made.default),
        )
        for name, made in found.items()
        for words, read in KINDS.items()
        if (spread := read(made)) is not None
    ]
    method = (
        "Groups of runs of one size and horizon that differ in their seed alone, or in settings that were swept (the "
        "learning rate, the batch). *Deviation*: standard deviation of the finals of a group over their mean, the "
        "median of groups. *Range*: the largest final of a group over its smallest, less 1, the largest of groups. "
        "*Before the end*: the same after equal tokens anywhere beyond the first tenth of training. *Scatter*: how "
        "far a loss lies from those before and after it in one run: what one reading is unsure by. "
        "Of several families: the median deviation of all groups, the largest range, the median scatter."
    )
    cells = ("groups", "runs", "deviation", "range", "range before the end", "scatter")
    summary = table(("they differ in", "families", *cells), rows)
    families = table(("family", "they differ in", *cells, "error, protocol", "error, default"), each, text=2)
    return Section("Seeds", (method, summary), list_findings(found), (families,))


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """How far seeds differ, whether errors are of that size, and what a setting does beside."""
    seeds = {name: made.seeds for name, made in found.items() if made.seeds is not None}
    settings = {name: made.settings for name, made in found.items() if made.settings is not None}
    limited = Tally(
        {
            name: error <= 2 * float(np.median(spread.deviations))
            for name, spread in seeds.items()
            if (error := found[name].default) is not None
        }
    )
    within = Tally({name: max(spread.ranges) <= PUBLISHED_MOST for name, spread in seeds.items()})
    more = compare({name: (max(seeds[name].ranges), max(of.ranges)) for name, of in settings.items() if name in seeds})
    swept = middle(max(spread.ranges) for spread in settings.values())
    ends = max((max(spread.ranges) for spread in seeds.values()), default=None)
    before, where = max(((worst, name) for name, of in seeds.items() for worst in of.along), default=(None, ""))
    earlier = f"; before the end by up to {format_percent(before)}, after equal tokens ({where})" if where else ""
    return (
        Finding(
            f"Runs that differ in their seed alone differ by up to {100 * PUBLISHED_LEAST:g} to "
            f"{format_level(PUBLISHED_MOST)}",
            within.verdict,
            f"finals differ by up to {format_percent(ends)}, and stay within {format_level(PUBLISHED_MOST)} on "
            f"{within}; their median deviation is "
            f"{format_percent(middle(d for of in seeds.values() for d in of.deviations))}"
            f"{earlier}",
            f"the finals of no group differ by more than {format_level(PUBLISHED_MOST)} {MOST}",
            looked=True,
        ),
        Finding(
            "Forecasts are limited by what seeds differ by",
            limited.verdict,
            f"the default's error is no more than two deviations of a seed on {limited}",
            f"it is so {MOST}",
            of="beside",
            looked=True,
        ),
        Finding(
            "A setting that is swept moves the loss by more than a seed does",
            more.verdict,
            f"where both are at hand on {more}. Beside that settings move it by {format_percent(swept)} in the median "
            f"of the largest ranges of {number(len(settings), 'family', 'families')}, seeds of others by up to "
            f"{format_percent(ends)}",
            f"the largest range over settings is above that over seeds {MOST} that have both",
            of="beside",
            looked=True,
        ),
    )


SEEDS_AXIS = Axis("seeds", measure, tell)
