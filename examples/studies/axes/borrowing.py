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
from scaling_callback.reporting.units import format_count, format_percent

REACHES = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, math.inf))
"""Ranges of ln(N target / N run)."""

FAR = 1.0
"""ln(N target / N run) beyond which the sizes differ by more than neighbours of a dense ladder do."""

SEVENFOLD = (5.0, 10.0)
"""Ratios of sizes around that of OLMo 7B and 1B."""

PUBLISHED_SEVENFOLD = 0.01
"""What borrowing was off by there, at most."""

WAYS: Mapping[str, Callable[[Single], float | None]] = {
    "Muennighoff's, protocol": lambda single: single.borrowed,
    "Muennighoff's, converged": lambda single: single.library,
    "the same, B tied to beta": lambda single: single.ridges,
    "its own final": lambda single: single.own,
}


def tell(found: Mapping[str, Borrowing]) -> Section:
    """From the largest run below the target, by distance, and with what other families lend."""
    text = {name: made for name, made in found.items() if made.language}
    lent = {name: lend(name, found) for name in text}
    head = ("A and alpha", *(f"{words}, {of}" for words in ("text", "other") for of in SUMMARY))
    rows: list[Sequence[str]] = []
    other = {name: made for name, made in found.items() if not made.language}
    for way, read in WAYS.items():
        rows.append(
            (
                way,
                *(cell for of in (text, other) for cell in summarise({n: read(m.singles[-1]) for n, m in of.items()})),
            )
        )
    rows.insert(
        3,
        (
            "of another family (median of lenders)",
            *summarise({n: middle(errors) for n, errors in lent.items()}),
            "",
            "",
            "",
        ),
    )
    rows.append(
        (
            "best baseline, all smaller sizes",
            *(cell for of in (text, other) for cell in summarise({n: m.baseline for n, m in of.items()})),
        )
    )
    near = [
        (
            f"{low:g} to {high:g}" if math.isfinite(high) else f"above {low:g}",
            str(len(of)),
            *(format_percent(middle(read(single) for single in of)) for read in WAYS.values()),
        )
        for low, high in REACHES
        if (of := [single for made in text.values() for single in made.singles if low < single.distance <= high])
    ]
    each = [
        (
            name,
            format_count(made.singles[-1].params),
            format_count(made.target),
            *(format_percent(read(made.singles[-1])) for read in WAYS.values()),
            format_percent(middle(lent[name])),
            show_range(lent[name]),
            format_percent(made.baseline),
        )
        for name, made in text.items()
    ]
    method = (
        "One run is seen, the longest of its size, with its checkpoints after the first tenth; A and alpha are those "
        "of Muennighoff et al. (2023), and B, beta and E are fitted. Of one size the term A/N^alpha is a constant, "
        "which E makes up for: what is borrowed is how much that term falls from the size of the run to that of the "
        "target, and nothing else. A is in units of the loss: it can be lent between losses of text in nats per token "
        "alone, and findings count those families; the others (regression, pixels, bits per byte) are shown to say "
        "so. *Of another family*: the fall of the size term of each law that the protocol fits to all runs of a text "
        "family of another table, added to the run's own curve; a lender whose term at the run's size is more than "
        "the curve falls to lends nothing. *Its own final*: the run's last loss as the forecast. The first and last "
        "table are from the largest size below the target."
    )
    by_distance = table(("ln(N target / N run)", "runs", *WAYS), near)
    families = table(("family", "run", "target", *WAYS, "another family", "its range, lenders", "best baseline"), each)
    parts = (method, table(head, rows), by_distance, draw(text), families)
    return Section("One model and borrowed parameters", parts, list_findings(text, lent))


def show_range(errors: Sequence[float]) -> str:
    """Least and largest error, and of how many lenders."""
    least, most = (format_percent(take(errors, default=None)) for take in (min, max))
    return f"{least} to {most}, {len(errors)}"


def list_findings(text: Mapping[str, Borrowing], lent: Mapping[str, Sequence[float]]) -> tuple[Finding, ...]:
    """Whether borrowing helps, how far, what else would do as well, and whose parameters."""
    last = {name: made.singles[-1] for name, made in text.items()}
    beats = compare({name: (last[name].borrowed, made.baseline) for name, made in text.items()})
    far = compare(
        {name: (single.borrowed, text[name].baseline) for name, single in last.items() if single.distance > FAR}
    )
    final = compare({name: (single.borrowed, single.own) for name, single in last.items()})
    every = [(single.borrowed, single.own) for made in text.values() for single in made.singles if single.borrowed]
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
        ),
        Finding(
            "It is off by less than 1% from a seventh of the size (OLMo 7B from 1B)",
            within.verdict,
            f"from {SEVENFOLD[0]:g} to {SEVENFOLD[1]:g} times smaller runs on {within}; "
            f"{format_percent(middle(seven.values()))} in the median",
            f"the median over such runs is at most 1% {MOST}",
            "borrow_for_one",
        ),
        Finding(
            "The smaller the model, the worse (OPT 175B from 8.7B, 13B and 30B: 37%, 25%, 15%)",
            further.verdict,
            f"error and ln(N target / N run) rise together on {further}",
            f"their rank correlation over the sizes is positive {MOST}",
        ),
        Finding(
            "Borrowing is nearer than that run's own final",
            final.verdict,
            f"from the largest run on {final}; of all {len(every)} runs of every size "
            f"{format_percent(float(np.mean([a < (b or 0) for a, b in every])) if every else None)}",
            MOST,
            "borrow_for_one",
            of="beside",
        ),
        Finding(
            "A and alpha of another family serve as well as Muennighoff's",
            others.verdict,
            f"the median lender is nearer on {others}; "
            f"{format_percent(middle(middle(errors) for errors in lent.values()))} in the median against {medians[0]}",
            MOST,
            of="beside",
        ),
        Finding(
            "Its certified optimum borrows no worse than the published search",
            library.verdict,
            f"on {library}; {medians[1]} in the median against {medians[0]}; with B tied to beta it is nearer still "
            f"on {ties}",
            f"the error is no more than a thousandth above {MOST}",
            of="library",
        ),
    )


def draw(text: Mapping[str, Borrowing]) -> Figure:
    """Errors by how far the target is."""
    singles = [single for made in text.values() for single in made.singles if single.borrowed]
    names = [f"{name}, {format_count(s.params)}" for name, made in text.items() for s in made.singles if s.borrowed]
    ratios = [math.exp(single.distance) for single in singles]
    layers = (
        Marks(
            ratios,
            [100 * (s.own or 0) for s in singles],
            "s",
            "out",
            hollow=True,
            size=3.6,
            label="its own final",
            names=names,
        ),
        Marks(
            ratios,
            [100 * (s.borrowed or 0) for s in singles],
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
        title="One model, the nearer the better?",
        caption="One mark a run of text, of every size below the largest. The line is 1%, as from OLMo 1B to 7B.",
        alt=f"Errors of forecasts from one run by the ratio of sizes, {len(singles)} runs of {len(text)} families",
        layers=layers,
        x=Scale("N target / N run", log=True),
        y=Scale("error, %", log=True),
        height=3.4,
        columns=2,
    )


BORROWING_AXIS = Axis("borrowed parameters", measure, tell)
