"""How the parameters of all laws go together: principal components, lines, and the centre of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from page import Finding, Section, Verdict, table

from axes.base import Axis
from axes.laws import (
    EXPONENTS,
    KINDS,
    LEVEL,
    LINES,
    SUBSETS,
    WITH_E,
    Components,
    Fitted,
    Row,
    describe_variance,
    find_slope_within,
    fit_line,
    measure,
    pick,
    relate,
)
from axes.tally import are_few, is_text
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks
from scaling_callback.reporting.units import UNKNOWN, format_count, format_level

Array = NDArray[np.float64]

PUBLISHED_SHARE = 0.9949
"""Of the parameters' variance, held by three principal components."""

SHARE = 0.99
"""From which share on they are said to hold as much."""

PUBLISHED_LINES = {"alpha": (0.01163, 0.05005), "beta": (0.23710, 0.03844)}
"""Intercept and slope of the exponent on ln of its coefficient."""


def tell(found: Mapping[str, Components]) -> Section:
    """Components, lines, and what becomes of them at the centre of the data."""
    laws = [(made.source, name, law) for name, made in found.items() for law in made.laws]
    whole = [row for row in laws if row[2].usual and is_text(row[1])]
    others = [row for row in laws if row[2].usual and not is_text(row[1])]
    method = (
        f"The protocol is fitted to every family and to up to {SUBSETS} random subsets of three and more of its sizes: "
        f"{len(laws)} laws. *Usual* are the {len(whole)} of them that have an E (at least {format_level(WITH_E)} of "
        "the lowest loss they saw; below, its logarithm is any very negative number) and exponents such as have been "
        f"published ({EXPONENTS[0]:g} to {EXPONENTS[1]:g}), and are of text in nats per token: A and B are in units "
        "of the loss. Components of *centred* parameters are the study's; there "
        "ln A, ln B and ln E vary by units and the exponents by tenths, so that three of five hold nearly everything "
        "whatever they are. *Standardised* ones count alike. *Shuffled*: each parameter permuted over the laws, so "
        "that none follows another."
    )
    components = table(
        ("parameters", "laws", "first", "first two", "first three", "first three, shuffled"),
        [
            (f"{kind}, {words}", str(len(of)), *map(show_share, describe_variance(of, kind)))
            for words, of in (("all laws", laws), ("usual laws", whole))
            for kind in KINDS
        ],
    )
    lines = {name: fit_line(whole, name) for name in LINES}
    parts = (method, components, tell_lines(whole, lines), draw(whole, others, lines["alpha"]), tell_centre(whole))
    return Section("Principal components", parts, list_findings(whole, lines))


def tell_lines(whole: Sequence[Row], lines: Mapping[str, Fitted | None]) -> str:
    """Both lines, published and refitted, and the place that each slope is the centre of."""
    rows: list[Sequence[str]] = []
    for exponent, (coefficient, variable, *_) in LINES.items():
        intercept, slope = PUBLISHED_LINES[exponent]
        words = f"{exponent} on ln {coefficient}"
        rows.append(
            (f"{words}, published", *show_line(intercept, slope), "–", "–", f"{variable} = {show_place(slope)}")
        )
        if (line := lines[exponent]) is not None:
            interval = f"{line.interval[0]:.4f} to {line.interval[1]:.4f}"
            place = f"{variable} = {show_place(line.slope)}"
            rows.append(
                (f"{words}, here", *show_line(line.intercept, line.slope), interval, f"{line.deviation:.3f}", place)
            )
        slope, place = find_slope_within(whole, exponent)
        inside = (
            f"{words}, here within families",
            "–",
            show_number(slope, 5),
            "–",
            "–",
            f"{variable} = {show_place(slope)}",
        )
        rows += [inside, (f"centre of the data here, {variable}", *["–"] * 4, f"{variable} = {format_count(place)}")]
    head = ("line", "intercept", "slope", f"its {format_level(LEVEL)} interval", "deviation", "e^(1/slope)")
    note = (
        "Through usual laws; the interval is over sources drawn anew. A law that is known best where the data are, at "
        "N0, and whose alpha is off by d, has an ln A that is off by d ln N0, for A is its size term at N = 1: errors "
        "lie on a line of slope 1/ln N0. The last column is the N0 (D0) of each slope. *Within families*: of the "
        "deviations of each law from the mean of its family's. A place below the centre means that the term is known "
        "best at small sizes, where it is large: a coefficient at the centre then still goes with its exponent, the "
        "other way."
    )
    return f"{table(head, rows)}\n\n{note}"


def show_line(intercept: float, slope: float) -> tuple[str, str]:
    """Both as the study printed them."""
    return f"{intercept:.5f}", f"{slope:.5f}"


def show_share(share: float) -> str:
    """With the decimals of the published share, and more where it would read as all; a dash for NaN: too few laws.

    Example:
        >>> show_share(0.98765), show_share(0.99998), show_share(1.0), show_share(math.nan)
        ('98.77%', '99.998%', '100.00%', '–')
    """
    if math.isnan(share):
        return UNKNOWN
    decimals = next((places for places in range(2, 9) if share == 1 or round(100 * share, places) < 100), 9)
    return f"{100 * share:.{decimals}f}%"


def show_number(value: float, decimals: int = 2) -> str:
    """A correlation, deviation or slope; a dash where there are too few laws for one."""
    return UNKNOWN if math.isnan(value) else f"{value:.{decimals}f}"


def show_place(slope: float) -> str:
    """The place whose ln is one over the slope."""
    return format_count(math.exp(1 / slope)) if slope > 0.01 else "–"


def tell_centre(rows: Sequence[Row]) -> str:
    """Correlations at N = 1 and at the centre."""
    cells: list[Sequence[str]] = []
    for exponent, (coefficient, *_) in LINES.items():
        for words, within in (("over all laws", False), ("within families", True)):
            found = [relate(rows, exponent, centred=centred, within=within) for centred in (False, True)]
            cells.append(
                (f"{exponent} and ln {coefficient}, {words}", *(show_number(value) for pair in found for value in pair))
            )
    head = ("of", "correlation at 1", "deviation of ln coefficient", "correlation at the centre", "deviation")
    note = (
        "This library fits the coefficient at the centre of the data, A' = A / N0^alpha, the size term of a usual run. "
        "*Within families*: of the deviations of each law from the mean of its family's laws: how errors of one law go "
        "together."
    )
    return f"{table(head, cells)}\n\n{note}"


def draw(rows: Sequence[Row], others: Sequence[Row], line: Fitted | None) -> Figure:
    """Alpha against ln A, with the published line and that through these laws."""
    x, *_ = pick(rows, "alpha")
    ends = np.array([x.min(), x.max()]) if len(x) else np.array([0.0, 10.0])
    intercept, slope = PUBLISHED_LINES["alpha"]
    layers: list[Layer] = []
    for words, of, marker, colour in (("text", rows, "o", "final"), ("other losses", others, "s", "out")):
        at, powers, _ = pick(of, "alpha")
        names = [name for _, name, _ in of]
        layers.append(Marks(at, powers, marker, colour, hollow=True, size=3.6, label=words, names=names))
    layers.append(Line(ends, intercept + slope * ends, "held", label="published line"))
    if line is not None:
        layers.append(Line(ends, line.intercept + line.slope * ends, "guess", dash="dashed", label="line through text"))
    return Figure(
        name="ridge",
        title="Alpha and ln A",
        caption="One mark a law. Those of other losses (regression, pixels) are not usual ones: their A has another "
        "unit.",
        alt=f"Alpha against ln A of {len(rows)} laws, with the published line",
        layers=tuple(layers),
        x=Scale("ln A"),
        y=Scale("alpha"),
        height=3.2,
        columns=2,
    )


def list_findings(rows: Sequence[Row], lines: Mapping[str, Fitted | None]) -> tuple[Finding, ...]:
    """Whether three parameters are enough, the lines are found again, and what makes them."""
    shares = {kind: describe_variance(rows, kind) for kind in KINDS}
    three, shuffled = shares["centred"][2], shares["centred"][3]
    scaled, mixed = shares["standardised"][2], shares["standardised"][3]
    related = [[relate(rows, e, centred=centred, within=True) for e in LINES] for centred in (False, True)]
    (far, near), spreads = ([pair[0] for pair in of] for of in related), [[pair[1] for pair in of] for of in related]
    return (
        Finding(
            f"Three principal components hold {100 * PUBLISHED_SHARE:.2f}% of the variance of the parameters",
            temper("no data" if math.isnan(three) else judge_share(three, shuffled), rows),
            f"{show_share(three)} of {len(rows)} usual laws; of shuffled parameters, none of which follows another, "
            f"{show_share(shuffled)}",
            f"{SHARE:.0%} or more of centred parameters, as in the study, and less of shuffled ones; depends if those "
            "reach it, too: then any five parameters of these units do",
            looked=True,
        ),
        Finding(
            "Two of the five parameters follow the others",
            temper("no data" if math.isnan(scaled) else "holds" if scaled >= 0.95 > mixed else "fails", rows),
            f"three components hold {show_share(scaled)} of standardised parameters, {show_share(mixed)} of shuffled "
            "ones",
            "95% or more of standardised parameters, and less of shuffled ones",
            looked=True,
            of="beside",
        ),
        *(judge_line(exponent, lines[exponent], rows) for exponent in LINES),
        Finding(
            "These lines are made by writing coefficients at N = 1 and D = 1, far from the data",
            temper("no data" if math.isnan(far[0]) else judge_centre(far, near), rows),
            f"within families exponent and ln coefficient correlate by {show_number(far[0])} (alpha) and "
            f"{show_number(far[1])} (beta); with the coefficient at the centre of the data by {show_number(near[0])} "
            f"and {show_number(near[1])}, and it varies by {show_number(spreads[1][0])} and "
            f"{show_number(spreads[1][1])} in ln instead of by {show_number(spreads[0][0])} and "
            f"{show_number(spreads[0][1])}",
            "0.8 or more at 1, and at most 0.5 at the centre; fails if no less at the centre",
            looked=True,
            of="library",
        ),
    )


def temper(verdict: Verdict, rows: Sequence[Row]) -> Verdict:
    """Of few families, or sources, nothing holds or fails."""
    return "depends" if verdict != "no data" and are_few({name for _, name, _ in rows}) else verdict


def judge_share(three: float, shuffled: float) -> Verdict:
    """Whether three components hold as much as was published, and would not whatever the parameters are.

    Example:
        >>> judge_share(0.995, 0.80), judge_share(0.995, 0.994), judge_share(0.90, 0.80)
        ('holds', 'depends', 'fails')
    """
    return "fails" if three < SHARE else "holds" if shuffled < SHARE else "depends"


def judge_centre(far: Sequence[float], near: Sequence[float]) -> Verdict:
    """Whether exponent and coefficient correlate at N = 1 and D = 1, and not at the centre of the data."""
    if min(far) >= 0.8 and max(map(abs, near)) <= 0.5:
        return "holds"
    return "fails" if max(map(abs, near)) >= min(far) else "depends"


def judge_line(exponent: str, line: Fitted | None, rows: Sequence[Row]) -> Finding:
    """Whether the published slope is found again."""
    coefficient, variable, *_ = LINES[exponent]
    intercept, slope = PUBLISHED_LINES[exponent]
    held = line is not None and line.interval[0] <= slope <= line.interval[1]
    return Finding(
        f"{coefficient} follows {exponent}: {exponent} = {intercept:.5f} + {slope:.5f} ln {coefficient}",
        temper("no data" if line is None else "holds" if held else "fails", rows),
        ""
        if line is None
        else f"{exponent} = {line.intercept:.4f} + {line.slope:.4f} ln {coefficient}, slope within "
        f"{line.interval[0]:.4f} to {line.interval[1]:.4f}, deviation {line.deviation:.3f}; that is the slope of "
        f"errors of laws known best at {variable} = {show_place(line.slope)}, the published one at {show_place(slope)}",
        f"the published slope is in the {format_level(LEVEL)} interval of the slope over sources",
        looked=True,
    )


COMPONENTS_AXIS = Axis("components", measure, tell)
