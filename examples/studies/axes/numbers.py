"""How many models a law is fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask
from page import Finding, Section, table

from axes.base import Axis
from axes.summaries import (
    AVERAGES,
    NEAR,
    average,
    divide,
    draw_families,
    keep,
    mean,
    pick_longest,
    show_ratio,
    trace,
)
from axes.tally import MOST, Tally, compare, middle
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_percent

COUNTS = (1, 2, 3, 4, 5, 6, 8)
"""How many of the smaller sizes are taken."""

SAFE = 5
"""So many models are a safe bet, says the study."""

FEW = 3
"""The fewest sizes that both ways answer from."""

ASKED = {PROTOCOL: COUNTS, DEFAULT: (2, 3, 5, 8)}
"""The counts that each way is asked of; the default refits for every run of its record, and takes longer."""

DRAWS = {PROTOCOL: 8, DEFAULT: 3}
"""Most subsets of one count; those of the default are the first of those of the protocol."""

SHOWN = (0.1, 30.0)
"""Ratios of errors that the figure shows."""

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
    """

    sizes: int
    every: Mapping[str, float | None]
    drawn: Mapping[str, Mapping[int, Drawn]]


def measure(case: Case) -> Measured:
    """The errors from all smaller sizes and from subsets of them."""
    smaller = case.sizes[:-1]
    goals = pick_longest(case)
    subsets = {count: draw(smaller, count) for count in COUNTS if count < len(smaller)}
    return Measured(
        len(smaller),
        {way: ask(way, case.ladder, goals) for way in WAYS},
        {
            way: {
                count: describe([ask(way, keep(case.ladder, sizes), goals) for sizes in of[: DRAWS[way]]])
                for count, of in subsets.items()
                if count in ASKED[way]
            }
            for way in WAYS
        },
    )


def draw(sizes: Sequence[float], count: int) -> list[tuple[float, ...]]:
    """Subsets of so many sizes, all of them or as many as are asked most, in an order that is drawn, but fixed.

    Example:
        >>> draw((1.0, 2.0, 3.0), 2), draw((1, 2, 3, 4, 5, 6, 7, 8, 9), 5)[:2]
        ([(2.0, 3.0), (1.0, 2.0), (1.0, 3.0)], [(1, 4, 5, 7, 9), (1, 2, 3, 4, 5)])
    """
    most = max(DRAWS.values())
    generator = np.random.default_rng(count)
    if comb(len(sizes), count) <= most:
        every = list(combinations(sizes, count))
        return [every[place] for place in generator.permutation(len(every))]
    found: dict[tuple[float, ...], None] = {}
    while len(found) < most:
        chosen: list[int] = sorted(generator.choice(len(sizes), count, replace=False).tolist())
        found[tuple(sizes[place] for place in chosen)] = None
    return list(found)


def describe(errors: Sequence[float | None]) -> Drawn:
    """What the errors of the subsets come to."""
    return Drawn(mean(errors), middle(errors), sum(error is not None for error in errors), len(errors))


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by the number of sizes, over families and of each."""
    method = (
        f"Subsets of the sizes below the largest are fitted: all subsets of a count, or, where there are more, "
        f"{DRAWS[PROTOCOL]} that are drawn; the default is asked of the first {DRAWS[DEFAULT]} of them. What is "
        "forecast is the longest run of the largest size, and the error of a family is the mean over its subsets. "
        "Families with no more sizes than the count are left out of its row, so errors of different rows are of "
        "different families: compare *ratio*, the median over families of the error over that of all smaller sizes of "
        "the same family."
    )
    parts = (method, summarise(found), draw_numbers(found))
    return Section("Number of models", parts, list_findings(found), (show_families(found),))


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a way and count."""
    rows: list[Sequence[str]] = []
    for way in WAYS:
        for count in ASKED[way]:
            of = {name: drawn for name, made in found.items() if (drawn := made.drawn[way].get(count)) is not None}
            ratios = [divide(drawn.mean, found[name].every[way]) for name, drawn in of.items()]
            answered, asked = sum(drawn.answered for drawn in of.values()), sum(drawn.asked for drawn in of.values())
            cells = (*average({name: drawn.mean for name, drawn in of.items()}), show_ratio(middle(ratios)))
            if of:
                rows.append((way, str(count), str(len(of)), *cells, f"{answered} of {asked}"))
        errors = {name: made.every[way] for name, made in found.items()}
        answered = sum(error is not None for error in errors.values())
        rows.append((way, "all", str(len(found)), *average(errors), "1x", f"{answered} of {len(found)}"))
    return table(("way", "sizes", "families", *AVERAGES, "ratio", "answered"), rows)


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


def draw_numbers(found: Mapping[str, Measured]) -> Figure:
    """The error over that of all sizes, by the number of sizes."""

    def ratio(made: Measured, way: str, count: float) -> float | None:
        return divide(get(made, way, int(count)).mean, made.every[way])

    def median(way: str, count: float) -> float | None:
        return middle(ratio(made, way, count) for made in found.values())

    lines = {name: trace(COUNTS, lambda count, made=made: ratio(made, PROTOCOL, count)) for name, made in found.items()}
    low, high = SHOWN
    cut = [name for name, path in lines.items() if any(not low <= value <= high for _, value in path)]
    return draw_families(
        "numbers",
        lines,
        {way: trace(ASKED[way], lambda count, way=way: median(way, count)) for way in WAYS},
        Scale("sizes fitted"),
        Scale("error / error from all sizes", log=True, limits=SHOWN),
        title="Number of sizes",
        caption="Error for the largest model over that from all smaller sizes; thin: the protocol on each family, "
        "bold: medians of families." + (f" Cut: {'; '.join(cut)}." if cut else ""),
        alt=f"Errors by the number of sizes fitted, on {len(found)} families",
        rule=1.0,
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether five are safe, and whether more are better."""
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
    return (
        Finding(
            f"{SAFE} models are a safe bet",
            safe[PROTOCOL].verdict,
            f"{SAFE} sizes are within {NEAR:g} times the error of all on {safe[PROTOCOL]} with the protocol, "
            f"{safe[DEFAULT]} with the default; the mean over subsets is "
            f"{show_ratio(ratios[PROTOCOL])} and {show_ratio(ratios[DEFAULT])} that of all in the median",
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
    )


NUMBERS_AXIS = Axis("number of models", measure, tell)
