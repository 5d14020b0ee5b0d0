"""How many models a law is fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask
from page import Finding, Section, judge, table

from axes.base import Axis
from axes.summaries import divide, draw_families, mean, pick_longest, show_ratio, trace
from axes.tally import MOST, Tally, compare, middle, middle_of_sources
from scaling_callback import Run
from scaling_callback.forecasting import find_twins
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_level, format_percent

COUNTS = (1, 2, 3, 4, 5, 6, 8)
"""How many of the smaller sizes are taken."""

SAFE = 5
"""So many models are a safe bet, says the study."""

FEW = 3
"""The fewest sizes that both ways answer from."""

NEAR = 1.25
"""An error is no worse than another if it is within this factor of it: set before looking."""

ASKED = {PROTOCOL: COUNTS, DEFAULT: (2, 3, 5, 8)}
"""The counts that each way is asked of; the default refits for every run of its record, and takes longer."""

DRAWS = {PROTOCOL: 8, DEFAULT: 3}
"""Most subsets of one count; those of the default are the first of all."""

BUDGETS = ((4, 2), (6, 2), (6, 3))
"""Runs, and seeds of each size where sizes are fewer."""

WAYS = (PROTOCOL, DEFAULT)


@dataclass(frozen=True)
class Drawn:
    """Errors from several subsets of one count.

    Attributes:
        mean: Over the subsets that are answered; `None` without any.
        median: Of the same.
        answered: How many are.
        asked: How many there are.
    """

    mean: float | None
    median: float | None
    answered: int
    asked: int


@dataclass(frozen=True)
class Measured:
    """Errors of the largest size.

    Attributes:
        sizes: How many smaller ones there are.
        every: From all of them, by way.
        drawn: From fewer, by way and count.
        split: By way and (runs, seeds of each size): from one seed of more sizes, from several seeds of fewer.
    """

    sizes: int
    every: Mapping[str, float | None]
    drawn: Mapping[str, Mapping[int, Drawn]]
    split: Mapping[str, Mapping[tuple[int, int], tuple[float | None, float | None]]]


def measure(case: Case) -> Measured:
    """The errors from subsets of the smaller sizes, and where there are seeds, from as many runs of fewer sizes."""
    smaller = case.sizes[:-1]
    return Measured(
        len(smaller),
        {way: ask(way, case.ladder, pick_longest(case)) for way in WAYS},
        {
            way: {
                count: describe(
                    [
                        ask(way, keep(case.ladder, sizes), pick_longest(case))
                        for sizes in draw(smaller, count, DRAWS[way])
                    ]
                )
                for count in ASKED[way]
                if count < len(smaller)
            }
            for way in WAYS
        },
        {way: split_budgets(case, way) for way in WAYS},
    )


def keep(runs: Sequence[Run], sizes: Sequence[float]) -> list[Run]:
    """The runs of these sizes."""
    return [run for run in runs if run.params in sizes]


def draw(sizes: Sequence[float], count: int, most: int) -> list[tuple[float, ...]]:
    """Subsets of so many sizes: all of them, or as many that differ, in an order that is fixed.

    Example:
        >>> draw((1.0, 2.0, 3.0), 2, 8)
        [(1.0, 2.0), (1.0, 3.0), (2.0, 3.0)]
    """
    if comb(len(sizes), count) <= most:
        return list(combinations(sizes, count))
    generator = np.random.default_rng(count)
    found: dict[tuple[float, ...], None] = {}
    while len(found) < most:
        chosen: list[int] = sorted(generator.choice(len(sizes), count, replace=False).tolist())
        found[tuple(sizes[place] for place in chosen)] = None
    return list(found)


def describe(errors: Sequence[float | None]) -> Drawn:
    """What the errors of the subsets come to."""
    return Drawn(mean(errors), middle(errors), sum(error is not None for error in errors), len(errors))


def split_budgets(case: Case, way: str) -> dict[tuple[int, int], tuple[float | None, float | None]]:
    """Mean errors from as many runs: one seed of more sizes, and several seeds of fewer."""
    twins = find_twins(case.ladder)
    groups: dict[float, list[Run]] = {}
    for size in case.sizes[:-1]:
        own = keep(case.ladder, [size])
        groups[size] = [run for run in own if twins[run.name] == twins[own[0].name]]
    found: dict[tuple[int, int], tuple[float | None, float | None]] = {}
    for runs, seeds in BUDGETS:
        rich = [size for size, own in groups.items() if len(own) >= seeds]
        if len(rich) >= runs:
            one, several = (
                [
                    ask(way, take(groups, sizes, each), pick_longest(case))
                    for sizes in draw(rich, runs // each, DRAWS[way])
                ]
                for each in (1, seeds)
            )
            found[runs, seeds] = mean(one), mean(several)
    return found


def take(groups: Mapping[float, Sequence[Run]], sizes: Sequence[float], seeds: int) -> list[Run]:
    """The first seeds of these sizes."""
    return [run for size in sizes for run in groups[size][:seeds]]


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by the number of sizes, over families and of each, and sizes against seeds."""
    method = (
        f"Subsets of the sizes below the largest are fitted: all subsets of a count, or, where there are more, "
        f"{DRAWS[PROTOCOL]} that are drawn for the protocol and {DRAWS[DEFAULT]} for the default; what is forecast is "
        "the longest "
        "run of the largest size, and the error of a family is the mean over its subsets. Families with no more sizes "
        "than the count are left out of its row, so "
        "errors of different rows are of different families: compare *to all sizes*, the median over families of the "
        "error over that of all smaller sizes of the same family."
    )
    parts = [method, summarise(found), draw_numbers(found), show_families(found)]
    if any(made.split[PROTOCOL] for made in found.values()):
        parts += ["The same number of runs, spent on sizes or on seeds:", show_split(found)]
    return Section("Number of models", tuple(parts), list_findings(found))


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a count."""
    rows: list[Sequence[str]] = []
    for count in COUNTS:
        having = {name: made for name, made in found.items() if count in made.drawn[PROTOCOL]}
        if not having:
            continue
        row = [str(count), str(len(having))]
        for way in WAYS:
            errors = {name: get(made, way, count).mean for name, made in having.items()}
            ratios = [divide(get(made, way, count).mean, made.every[way]) for made in having.values()]
            drawn = [get(made, way, count) for made in having.values()]
            answered, asked = sum(each.answered for each in drawn), sum(each.asked for each in drawn)
            row += [format_percent(middle(errors.values())), format_percent(middle_of_sources(errors))]
            row += [show_ratio(middle(ratios)), f"{answered} of {asked}" if asked else "not asked"]
        rows.append(row)
    last = ["all", str(len(found))]
    for way in WAYS:
        errors = {name: made.every[way] for name, made in found.items()}
        answered = sum(error is not None for error in errors.values())
        last += [format_percent(middle(errors.values())), format_percent(middle_of_sources(errors))]
        last += ["1x", f"{answered} of {len(found)}"]
    heads = [f"{way}, {what}" for way in WAYS for what in ("median", "median of sources", "to all sizes", "answered")]
    return table(("sizes", "families", *heads), [*rows, last])


def get(made: Measured, way: str, count: int) -> Drawn:
    """The errors of one way from so many sizes; nothing where it was not asked."""
    return made.drawn[way].get(count, Drawn(None, None, 0, 0))


def show_families(found: Mapping[str, Measured]) -> str:
    """One row a family."""
    counts = (FEW, SAFE, COUNTS[-1])
    rows = [
        (
            name,
            str(made.sizes),
            *(
                format_percent(error)
                for way in WAYS
                for error in (*(get(made, way, count).mean for count in counts), made.every[way])
            ),
        )
        for name, made in found.items()
    ]
    heads = [f"{way}, {count}" for way in WAYS for count in (*counts, "all")]
    return table(("family", "smaller sizes", *heads), rows)


def show_split(found: Mapping[str, Measured]) -> str:
    """One row a family, budget and way."""
    rows = [
        (
            name,
            way,
            str(runs),
            f"{runs} x 1",
            f"{runs // seeds} x {seeds}",
            format_percent(one),
            format_percent(several),
        )
        for name, made in found.items()
        for way in WAYS
        for (runs, seeds), (one, several) in made.split[way].items()
    ]
    return table(
        ("family", "way", "runs", "more sizes", "more seeds", "error, more sizes", "error, more seeds"), rows, text=2
    )


def draw_numbers(found: Mapping[str, Measured]) -> Figure:
    """The error over that of all sizes, by the number of sizes."""

    def ratio(made: Measured, way: str, count: float) -> float | None:
        return divide(get(made, way, int(count)).mean, made.every[way])

    def median(way: str, count: float) -> float | None:
        return middle(ratio(made, way, count) for made in found.values())

    return draw_families(
        "numbers",
        {name: trace(COUNTS, lambda count, made=made: ratio(made, PROTOCOL, count)) for name, made in found.items()},
        {way: trace(ASKED[way], lambda count, way=way: median(way, count)) for way in WAYS},
        Scale("sizes fitted"),
        Scale("error over that of all sizes", log=True),
        title="Number of sizes",
        caption="Error for the largest model over that from all smaller sizes; thin: the protocol on each family, "
        "bold: medians of families.",
        alt=f"Errors by the number of sizes fitted, on {len(found)} families",
        rule=1.0,
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether five are safe, whether more are better, and whether sizes are better than seeds."""
    safe = {
        way: Tally(
            {
                name: five <= NEAR * every
                for name, made in found.items()
                if (five := get(made, way, SAFE).median) is not None and (every := made.every[way]) is not None
            }
        )
        for way in WAYS
    }
    more = {
        way: compare({name: (made.every[way], get(made, way, FEW).mean) for name, made in found.items()})
        for way in WAYS
    }
    ratios = {
        way: middle(divide(get(made, way, SAFE).mean, made.every[way]) for made in found.values()) for way in WAYS
    }
    pairs = {way: [pair for made in found.values() for pair in made.split[way].values()] for way in WAYS}
    wins = {
        way: [one < several for one, several in of if one is not None and several is not None]
        for way, of in pairs.items()
    }
    families = sum(bool(made.split[PROTOCOL]) for made in found.values())
    return (
        Finding(
            f"{SAFE} models are a safe bet",
            safe[PROTOCOL].verdict,
            f"{SAFE} sizes are no worse than all on {safe[PROTOCOL]} with the protocol, {safe[DEFAULT]} with the "
            f"default; the mean over subsets is {show_ratio(ratios[PROTOCOL])} and {show_ratio(ratios[DEFAULT])} that "
            "of all in the median",
            f"the median error over subsets of {SAFE} is within {NEAR:g} times that of all sizes {MOST}, with the "
            "protocol",
            "five_sizes",
        ),
        Finding(
            "The error falls with the number of models",
            more[PROTOCOL].verdict,
            f"all sizes are nearer than {FEW} on {more[PROTOCOL]} with the protocol, {more[DEFAULT]} with the default",
            f"all are nearer than the mean over subsets of {FEW} {MOST}, with the protocol",
            "five_sizes",
        ),
        Finding(
            "More sizes are better than more seeds",
            judge(float(np.mean(wins[PROTOCOL])) if wins[PROTOCOL] else float("nan")),
            f"of as many runs, more sizes are nearer in {sum(wins[PROTOCOL])} of {len(wins[PROTOCOL])} comparisons on "
            f"{families} families with the protocol, {sum(wins[DEFAULT])} of {len(wins[DEFAULT])} with the default",
            f"in at least {format_level(0.8)} of them, with the protocol",
            "sizes_over_seeds",
        ),
    )


NUMBERS_AXIS = Axis("number of models", measure, tell)
