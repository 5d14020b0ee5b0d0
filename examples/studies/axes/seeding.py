"""As many runs, spent on more sizes or on more seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cases import DEFAULT, PROTOCOL, Case, ask
from page import Finding, Section, table

from axes.base import Axis
from axes.numbers import DRAWS, draw
from axes.summaries import keep, mean, pick_longest
from axes.tally import MOST, SOURCES, Tally
from scaling_callback import Run
from scaling_callback.forecasting import find_twins
from scaling_callback.reporting.units import format_percent, number

BUDGETS = ((4, 2), (6, 2), (6, 3))
"""Runs, and seeds of each size where sizes are fewer."""

WAYS = (PROTOCOL, DEFAULT)

Measured = Mapping[str, Mapping[tuple[int, int], "tuple[float | None, float | None]"]]
"""By way and budget the mean error from one seed of more sizes, and from several seeds of fewer."""


def measure(case: Case) -> Measured | None:
    """The errors from as many runs of more sizes and of fewer; `None` where too few sizes have seeds."""
    groups = {size: find_seeds(case, size) for size in case.sizes[:-1]}
    found = {way: split_budgets(case, groups, way) for way in WAYS}
    return found if found[PROTOCOL] else None


def find_seeds(case: Case, size: float) -> list[Run]:
    """The runs of a size that differ from its first in their seed alone."""
    twins, own = find_twins(case.ladder), keep(case.ladder, [size])
    return [run for run in own if twins[run.name] == twins[own[0].name]]


def split_budgets(
    case: Case, groups: Mapping[float, Sequence[Run]], way: str
) -> dict[tuple[int, int], tuple[float | None, float | None]]:
    """Mean errors over subsets of the sizes, for each budget that the family can pay."""
    goals = pick_longest(case)
    found: dict[tuple[int, int], tuple[float | None, float | None]] = {}
    for runs, seeds in BUDGETS:
        rich = [size for size, own in groups.items() if len(own) >= seeds]
        if len(rich) >= runs:
            one, several = (
                mean(
                    ask(way, [run for size in sizes for run in groups[size][:each]], goals)
                    for sizes in draw(rich, runs // each)[: DRAWS[way]]
                )
                for each in (1, seeds)
            )
            found[runs, seeds] = one, several
    return found


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors of both, of each family, budget and way."""
    method = (
        "The same number of runs, spent on more sizes with one seed or on fewer sizes with several: mean errors for "
        "the longest run of the largest size, over subsets of the sizes that have as many seeds, drawn as above."
    )
    parts = (method, show_families(found)) if found else ("No family at hand has as many seeds of as many sizes.",)
    return Section("Sizes or seeds", parts, list_findings(found))


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family, budget and way."""
    rows = [
        (name, way, str(runs), f"{runs} x 1", f"{runs // seeds} x {seeds}", *map(format_percent, pair))
        for name, made in found.items()
        for way in WAYS
        for (runs, seeds), pair in made[way].items()
    ]
    heads = ("more sizes", "more seeds", "error, more sizes", "error, more seeds")
    return table(("family", "way", "runs", *heads), rows, text=2)


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether sizes are better than seeds."""
    wins = {way: {name: win for name, made in found.items() if (win := compare(made[way]))} for way in WAYS}
    tally = {way: Tally({name: 2 * sum(win) > len(win) for name, win in of.items()}) for way, of in wins.items()}
    every = {way: [each for win in of.values() for each in win] for way, of in wins.items()}
    sources = number(len({SOURCES[name] for name in found}), "source")
    told = f"; these are {number(len(found), 'family', 'families')} of {sources}: {' and '.join(found)}"
    return (
        Finding(
            "More sizes are better than more seeds",
            tally[PROTOCOL].verdict,
            f"of as many runs, more sizes are nearer in {sum(every[PROTOCOL])} of {len(every[PROTOCOL])} comparisons "
            f"with the protocol, {sum(every[DEFAULT])} of {len(every[DEFAULT])} with the default{told * bool(found)}",
            f"in more than half of the comparisons of a family, {MOST}, with the protocol",
            "sizes_over_seeds",
            looked=True,
        ),
    )


def compare(pairs: Mapping[tuple[int, int], tuple[float | None, float | None]]) -> list[bool]:
    """Of each budget that both answer, whether more sizes are nearer."""
    return [one < several for one, several in pairs.values() if one is not None and several is not None]


SEEDING_AXIS = Axis("sizes or seeds", measure, tell)
