"""One model alone, with A and alpha from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from page import Finding, Section, table

from axes.base import Axis
from axes.single import Borrowing, Single, lend, measure
from axes.summaries import follow
from axes.tally import MOST, SUMMARY, Tally, compare, middle, summarise
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Marks, Rule
from scaling_callback.reporting.units import UNKNOWN, format_count, format_level, format_percent, number

REACHES = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, math.inf))
"""Ranges of ln(N target / N run)."""

FAR = 1.0
"""ln(N target / N run) beyond which the sizes differ by more than neighbours of a dense ladder do."""

SEVENFOLD = (5.0, 10.0)
"""Ratios of sizes around that of OLMo 7B and 1B."""

PUBLISHED_SEVENFOLD = 0.01
"""What borrowing was off by there, at most."""

PUBLISHED_FAR = {30e9: 0.15, 13e9: 0.25, 8.7e9: 0.37}
"""What borrowing was off by for OPT 175B, by the size of the run."""

FAR_TARGET = 175e9

CLOSE = 4.0
"""How much smaller a run may be than the smallest of these."""

FITTED_ON = "datablations"
"""The source of the models that Muennighoff's A and alpha were fitted to: for them they are not borrowed."""

BORROWED, CONVERGED, FINAL = "Muennighoff's, protocol", "Muennighoff's, converged", "its own final"

WAYS: Mapping[str, Callable[[Single], float | None]] = {
    BORROWED: lambda single: single.borrowed,
    CONVERGED: lambda single: single.library,
    "the same, B tied to beta": lambda single: single.ridges,
    FINAL: lambda single: single.own,
}


def tell(found: Mapping[str, Borrowing]) -> Section:
    """From the largest run below the target, by distance, and with what other families lend."""
    every = {name: made for name, made in found.items() if made.language}
    text = {name: made for name, made in every.items() if made.source != FITTED_ON}
    other = {name: made for name, made in found.items() if not made.language}
    lent = {name: lend(name, found) for name in every}
    method = (
        "One run is seen, the longest of its size, with its checkpoints after the first tenth; A and alpha are those "
        "of Muennighoff et al. (2023), and B, beta and E are fitted. Of one size the term A/N^alpha is a constant, "
        "which E makes up for: what is borrowed is how much that term falls from the size of the run to that of the "
        "target, and nothing else. A is in units of the loss: it can be lent between losses of text in nats per token "
        "alone, and findings count those families; the others (regression, pixels, bits per byte) are shown to say "
        "so. A and alpha were fitted to the models of Datablations: these families lend, but are left out of the "
        "summaries, the figure and the findings. *Of another family*: the fall of the size term of each law that the "
        "protocol fits to all runs of a text family of another source, added to the run's own curve; a lender whose "
        "term at the run's size is more than the curve falls to lends nothing. *Its own final*: the run's last loss as "
        "the forecast. The first table is from the largest size below the target."
    )
    figures = (draw(text),) if pair_errors(text) else ()
    parts = (method, table_ways(text, other, lent), table_distances(text), *figures)
    return Section("One model and borrowed parameters", parts, list_findings(text, lent), (table_each(every, lent),))


def table_ways(
    text: Mapping[str, Borrowing], other: Mapping[str, Borrowing], lent: Mapping[str, Sequence[float]]
) -> str:
    """Every way from the largest size below the target."""
    head = ("A and alpha", *(f"{words}, {of}" for words in ("text", "other") for of in SUMMARY))

    def show(words: str, read: Callable[[Borrowing], float | None]) -> Sequence[str]:
        return (words, *(cell for of in (text, other) for cell in summarise({n: read(m) for n, m in of.items()})))

    def read_last(way: str) -> Callable[[Borrowing], float | None]:
        return lambda made: WAYS[way](made.singles[-1])

    *borrowed, final = (show(way, read_last(way)) for way in WAYS)
    lenders = ("of another family (median of lenders)", *summarise({n: middle(lent[n]) for n in text}), "", "", "")
    return table(head, [*borrowed, lenders, final, show("best baseline, all smaller sizes", lambda m: m.baseline)])


def table_distances(text: Mapping[str, Borrowing]) -> str:
    """Every way by how far the target is."""
    rows = [
        (
            f"{low:g} to {high:g}" if math.isfinite(high) else f"above {low:g}",
            str(len(of)),
            *(format_percent(middle(read(single) for single in of)) for read in WAYS.values()),
        )
        for low, high in REACHES
        if (of := [single for made in text.values() for single in made.singles if low < single.distance <= high])
    ]
    return table(("ln(N target / N run)", "runs", *WAYS), rows)


def table_each(every: Mapping[str, Borrowing], lent: Mapping[str, Sequence[float]]) -> str:
    """The families of text."""
    rows = [
        (
            name,
            format_count(made.singles[-1].params),
            format_count(made.target),
            *(format_percent(read(made.singles[-1])) for read in WAYS.values()),
            format_percent(middle(lent[name])),
            show_range(lent[name]),
            format_percent(made.baseline),
        )
        for name, made in every.items()
    ]
    return table(("family", "run", "target", *WAYS, "another family", "its range, lenders", "best baseline"), rows)


def show_range(errors: Sequence[float]) -> str:
    """Least and largest error, and of how many lenders."""
    return f"{format_percent(min(errors))} to {format_percent(max(errors))}, {len(errors)}" if errors else UNKNOWN


def pair_errors(text: Mapping[str, Borrowing]) -> list[tuple[str, Single, float, float]]:
    """Name, run, error with borrowed parameters and error of its own final, of every run that has both."""
    return [
        (f"{name}, {format_count(single.params)}", single, single.borrowed, single.own)
        for name, made in text.items()
        for single in made.singles
        if single.borrowed is not None and single.own is not None
    ]


def list_findings(text: Mapping[str, Borrowing], lent: Mapping[str, Sequence[float]]) -> tuple[Finding, ...]:
    """Whether borrowing helps, how far, what else would do as well, and whose parameters."""
    last = {name: made.singles[-1] for name, made in text.items()}
    beats = compare({name: (last[name].borrowed, made.baseline) for name, made in text.items()})
    far = compare(
        {name: (single.borrowed, text[name].baseline) for name, single in last.items() if single.distance > FAR}
    )
    final = compare({name: (single.borrowed, single.own) for name, single in last.items()})
    every = pair_errors(text)
    low, high = map(math.log, SEVENFOLD)
    seven = {
        name: middle(single.borrowed for single in made.singles if low <= single.distance <= high)
        for name, made in text.items()
    }
    within = Tally({name: error <= PUBLISHED_SEVENFOLD for name, error in seven.items() if error is not None})
    further = Tally(
        {
            name: rank > 0
            for name, made in text.items()
            if (rank := follow({single.distance: single.borrowed for single in made.singles})) is not None
        }
    )
    others = compare({name: (middle(lent[name]), single.borrowed) for name, single in last.items()})
    library = Tally(
        {
            name: single.library <= single.borrowed * (1 + 1e-3)
            for name, single in last.items()
            if single.library is not None and single.borrowed is not None
        }
    )
    ties = compare({name: (single.ridges, single.library) for name, single in last.items()})
    medians = [format_percent(middle(read(single) for single in last.values())) for read in WAYS.values()]
    return (
        Finding(
            "One model with borrowed A and alpha forecasts better than a baseline",
            beats.verdict,
            "from the largest run below the target it is nearer than the better baseline of all smaller sizes on "
            f"{beats}; {medians[0]} in the median against "
            f"{format_percent(middle(made.baseline for made in text.values()))}. Where the target is more than "
            f"{math.exp(FAR):.1f} times as large: on {far}",
            f"the error is less {MOST}",
            "borrow_for_one",
            looked=True,
        ),
        Finding(
            "It is off by less than 1% from a seventh of the size (OLMo 7B from 1B)",
            within.verdict,
            f"from {SEVENFOLD[0]:g} to {SEVENFOLD[1]:g} times smaller runs on {within}; "
            f"{format_percent(middle(seven.values()))} in the median",
            f"the median over such runs is at most 1% {MOST}",
            "borrow_for_one",
            looked=True,
        ),
        Finding(
            f"The smaller the model, the worse (OPT {format_count(FAR_TARGET)} from "
            + ", ".join(f"{format_count(size)} {format_level(error)}" for size, error in PUBLISHED_FAR.items())
            + ")",
            further.verdict,
            f"error and ln(N target / N run) rise together on {further}{show_far(text)}",
            f"their rank correlation over the sizes is positive {MOST}",
            looked=True,
        ),
        Finding(
            "Borrowing is nearer than that run's own final",
            final.verdict,
            f"from the largest run on {final}; of all {len(every)} runs of every size "
            f"{format_percent(float(np.mean([a < b for *_, a, b in every])) if every else None)}",
            MOST,
            "borrow_for_one",
            of="beside",
            looked=True,
        ),
        Finding(
            "A and alpha of another family serve as well as Muennighoff's",
            others.verdict,
            f"the median lender is nearer on {others}; "
            f"{format_percent(middle(middle(lent[name]) for name in text))} in the median against {medians[0]}",
            MOST,
            of="beside",
            looked=True,
        ),
        Finding(
            "Its certified optimum borrows no worse than the published search",
            library.verdict,
            f"on {library}; {medians[1]} in the median against {medians[0]}; with B tied to beta it is nearer still "
            f"on {ties}",
            f"the error is no more than a thousandth above {MOST}",
            of="library",
            looked=True,
        ),
    )


def show_far(text: Mapping[str, Borrowing]) -> str:
    """The errors for models as large as OPT's, in words; empty without any."""
    lowest = min(PUBLISHED_FAR) / CLOSE
    told = [
        f"{name} {format_count(made.target)} from "
        + ", ".join(
            f"{format_count(single.params)} {format_percent(single.borrowed)}"
            for single in reversed(made.singles)
            if single.params >= lowest
        )
        for name, made in text.items()
        if made.target == FAR_TARGET
    ]
    return "".join(f"; {words}" for words in told)


def draw(text: Mapping[str, Borrowing]) -> Figure:
    """Errors by how far the target is."""
    known = pair_errors(text)
    names = [name for name, *_ in known]
    ratios = [math.exp(single.distance) for _, single, *_ in known]
    layers = (
        Marks(
            ratios,
            [100 * own for *_, own in known],
            "s",
            "out",
            hollow=True,
            size=3.6,
            label="its own final",
            names=names,
        ),
        Marks(
            ratios,
            [100 * borrowed for *_, borrowed, _ in known],
            "o",
            "final",
            size=3.6,
            label="Muennighoff's A and alpha",
            names=names,
        ),
        Rule(100 * PUBLISHED_SEVENFOLD, across="x"),
    )
    return Figure(
        name="borrowing",
        title="One model by its distance",
        caption="One mark a run of text, of every size below the largest. The line is 1%, as from OLMo 1B to 7B.",
        alt=f"Errors of forecasts from one run by the ratio of sizes, {number(len(known), 'run')} of text",
        layers=layers,
        x=Scale("N target / N run", log=True),
        y=Scale("error, %", log=True),
        height=3.4,
        columns=2,
    )


BORROWING_AXIS = Axis("borrowed parameters", measure, tell)
