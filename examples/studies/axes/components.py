"""How the parameters of all laws go together: principal components, lines, and the centre of the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from page import Finding, Section, table
from protocol import NAMES

from axes.base import Axis
from axes.laws import (
    KINDS,
    LEVEL,
    LINES,
    SUBSETS,
    Components,
    Fitted,
    Row,
    describe_variance,
    fit_line,
    measure,
    pick,
    relate,
)
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks
from scaling_callback.reporting.units import format_count, format_level

Array = NDArray[np.float64]

PUBLISHED_SHARE = 0.9949
"""Of the parameters' variance, held by three principal components."""

PUBLISHED_LINES = {"alpha": (0.01163, 0.05005), "beta": (0.23710, 0.03844)}
"""Intercept and slope of the exponent on ln of its coefficient."""

WITH_E = 0.01
"""Share of the lowest loss that E must be to be one: below it ln E is any very negative number."""


def tell(found: Mapping[str, Components]) -> Section:
    """Components, lines, and what becomes of them at the centre of the data."""
    laws = [(made.table, name, law) for name, made in found.items() for law in made.laws]
    whole = [row for row in laws if math.exp(row[2].values[NAMES.index("e")]) >= WITH_E * row[2].lowest]
    method = (
        f"The protocol is fitted to every family and to up to {SUBSETS} random subsets of three and more of its sizes: "
        f"{len(laws)} laws. {len(laws) - len(whole)} of them have no E to speak of (less than {format_level(WITH_E)} "
        "of the lowest loss they saw; its logarithm is then any very negative number): they are counted once with and "
        "once without. Components of *centred* parameters are the study's; there ln A, ln B and ln E vary by units "
        "and the exponents by tenths, so that three of five hold nearly everything whatever they are. *Standardised* "
        "ones count alike. *Shuffled*: each parameter permuted over the laws, so that none follows another."
    )
    components = table(
        ("parameters", "laws", "first", "first two", "first three", "first three, shuffled"),
        [
            (f"{kind}, {words}", str(len(of)), *(f"{100 * share:.2f}%" for share in describe_variance(of, kind)))
            for words, of in (("all laws", laws), ("laws with an E", whole))
            for kind in KINDS
        ],
    )
    lines = {name: fit_line(whole, name) for name in LINES}
    parts = (method, components, tell_lines(lines), draw(whole, lines["alpha"]), tell_centre(whole))
    return Section("Principal components", parts, list_findings(whole, lines))


def tell_lines(lines: Mapping[str, Fitted | None]) -> str:
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
    head = ("line", "intercept", "slope", f"its {format_level(LEVEL)} interval", "deviation", "e^(1/slope)")
    note = (
        "Through laws with an E; the interval is over tables drawn anew. A law that is known best where the data are, "
        "at N0, and whose alpha is off by d, has an ln A that is off by d ln N0, for A is its size term at N = 1: "
        "errors lie on a line of slope 1/ln N0. The last column is the N0 of each slope."
    )
    return f"{table(head, rows)}\n\n{note}"


def show_line(intercept: float, slope: float) -> tuple[str, str]:
    """Both as the study printed them."""
    return f"{intercept:.5f}", f"{slope:.5f}"


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
                (f"{exponent} and ln {coefficient}, {words}", *(f"{value:.2f}" for pair in found for value in pair))
            )
    head = ("of", "correlation at 1", "deviation of ln coefficient", "correlation at the centre", "deviation")
    note = (
        "This library fits the coefficient at the centre of the data, A' = A / N0^alpha, the size term of a usual run. "
        "*Within families*: of the deviations of each law from the mean of its family's laws: how errors of one law go "
        "together."
    )
    return f"{table(head, cells)}\n\n{note}"


def draw(rows: Sequence[Row], line: Fitted | None) -> Figure:
    """Alpha against ln A, with the published line and that through these laws."""
    x, y, _ = pick(rows, "alpha")
    ends = np.array([x.min(), x.max()]) if len(x) else np.array([0.0, 10.0])
    names = [f"{name}" for _, name, _ in rows]
    intercept, slope = PUBLISHED_LINES["alpha"]
    layers: list[Layer] = [Marks(x, y, "o", "final", hollow=True, size=3.6, label="one law", names=names)]
    layers.append(Line(ends, intercept + slope * ends, "held", label="published line"))
    if line is not None:
        layers.append(
            Line(ends, line.intercept + line.slope * ends, "guess", dash="dashed", label="line through these")
        )
    return Figure(
        name="ridge",
        title="Alpha and ln A",
        caption="One mark a law with an E.",
        alt=f"Alpha against ln A of {len(rows)} laws, with the published line",
        layers=tuple(layers),
        x=Scale("ln A"),
        y=Scale("alpha"),
        height=3.2,
        columns=3,
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
            "no data" if math.isnan(three) else "holds" if three >= 0.99 else "fails",
            f"{100 * three:.2f}% of {len(rows)} laws with an E; of shuffled parameters {100 * shuffled:.2f}%",
            "99% or more, of centred parameters as in the study",
            "few_parameters",
        ),
        Finding(
            "(What it means) two of the five parameters follow the others",
            "no data" if math.isnan(scaled) else "holds" if scaled >= 0.95 > mixed else "fails",
            f"three components hold {100 * scaled:.2f}% of standardised parameters, {100 * mixed:.2f}% of shuffled "
            "ones",
            "95% or more of standardised parameters, and less of shuffled ones",
        ),
        *(judge_line(exponent, lines[exponent]) for exponent in LINES),
        Finding(
            "(This library) these lines are made by writing coefficients at N = 1 and D = 1, far from the data",
            "no data"
            if math.isnan(far[0])
            else "holds"
            if min(far) >= 0.8 and max(map(abs, near)) <= 0.5
            else "fails"
            if max(map(abs, near)) >= min(far)
            else "depends",
            f"within families exponent and ln coefficient correlate by {far[0]:.2f} (alpha) and {far[1]:.2f} (beta); "
            f"with the coefficient at the centre of the data by {near[0]:.2f} and {near[1]:.2f}, and it varies by "
            f"{spreads[1][0]:.2f} and {spreads[1][1]:.2f} in ln instead of by {spreads[0][0]:.2f} and "
            f"{spreads[0][1]:.2f}",
            "0.8 or more at 1, and at most 0.5 at the centre; fails if no less at the centre",
        ),
    )


def judge_line(exponent: str, line: Fitted | None) -> Finding:
    """Whether the published slope is found again."""
    coefficient = LINES[exponent][0]
    intercept, slope = PUBLISHED_LINES[exponent]
    held = line is not None and line.interval[0] <= slope <= line.interval[1]
    return Finding(
        f"{coefficient} follows {exponent}: {exponent} = {intercept:.5f} + {slope:.5f} ln {coefficient}",
        "no data" if line is None else "holds" if held else "fails",
        ""
        if line is None
        else f"{exponent} = {line.intercept:.4f} + {line.slope:.4f} ln {coefficient}, slope within {line.interval[0]:.4f} to "
        f"{line.interval[1]:.4f}, deviation {line.deviation:.3f}",
        f"the published slope is in the {format_level(LEVEL)} interval of the slope over tables",
    )


COMPONENTS_AXIS = Axis("components", measure, tell)
