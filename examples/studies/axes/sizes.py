"""How large the models are that a law is fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
from cases import DEFAULT, PROTOCOL, Case, ask
from page import Finding, Section, table

from axes.base import Axis
from axes.summaries import AVERAGES, NEAR, average, correlate, draw_families, keep, pick_longest, trace
from axes.tally import MOST, Tally, middle
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.units import format_level, format_percent

WIDTHS = (3, 4)
"""How many sizes of a ladder that follow each other are fitted."""

WINDOWS = 6
"""Most windows of one width, evenly spaced from the smallest sizes to the nearest."""

FOUR = 4
"""The default, which takes longer, is asked of windows of four only."""

PUBLISHED = 0.10
"""The four smallest models give less than that on GPT-3, Gopher and OPT."""

GPT3 = "GPT-3"
"""What the names of its families begin with."""

EDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, np.inf)
"""How many times larger the target is, in classes."""

WAYS = (PROTOCOL, DEFAULT)


@dataclass(frozen=True)
class Window:
    """Errors from some sizes that follow each other.

    Attributes:
        ratio: Parameters of the largest model of the family over those of the largest of these.
        errors: By way.
    """

    ratio: float
    errors: Mapping[str, float | None]


Measured = Mapping[int, Sequence[Window]]
"""Windows by their width, from the smallest sizes to the nearest."""


def measure(case: Case) -> Measured | None:
    """The errors from windows of sizes; `None` where there is one window only."""
    smaller = case.sizes[:-1]
    if len(smaller) <= min(WIDTHS):
        return None
    found: dict[int, list[Window]] = {}
    for width in WIDTHS:
        last = len(smaller) - width  # -1 where there are too few sizes: no window
        places = dict.fromkeys(np.linspace(0, last, min(last + 1, WINDOWS)).round().astype(int).tolist())
        windows = [smaller[place : place + width] for place in places]
        found[width] = [
            Window(
                case.sizes[-1] / sizes[-1],
                {
                    way: ask(way, keep(case.ladder, sizes), pick_longest(case))
                    for way in WAYS
                    if way == PROTOCOL or width == FOUR
                },
            )
            for sizes in windows
        ]
    return found


def tell(found: Mapping[str, Measured]) -> Section:
    """Errors by distance, over families and of each."""
    method = (
        f"Windows of {WIDTHS[0]} or {WIDTHS[1]} sizes that follow each other are fitted, at most {WINDOWS} of each "
        "width, from the smallest sizes to those nearest to the target, which is the longest run of the largest size. "
        "*Times larger*: parameters of the target "
        "over those of the largest model that was fitted. A family counts once in a row, by the median of its windows."
    )
    parts = (method, summarise(found), draw_sizes(found))
    return Section("Size of models", parts, list_findings(found), (show_families(found),))


def summarise(found: Mapping[str, Measured]) -> str:
    """One row a width, way and class of distance."""
    rows: list[Sequence[str]] = []
    for width, way, (low, high) in product(WIDTHS, WAYS, pairwise(EDGES)):
        inside = {
            name: [window for window in made[width] if low < window.ratio <= high and way in window.errors]
            for name, made in found.items()
        }
        asked = [window.errors[way] for windows in inside.values() for window in windows]
        if asked:
            errors = {name: middle(window.errors[way] for window in windows) for name, windows in inside.items()}
            larger = f"{low:g} to {high:g}" if np.isfinite(high) else f"above {low:g}"
            answered = f"{sum(error is not None for error in asked)} of {len(asked)}"
            rows.append((str(width), way, larger, str(sum(map(bool, inside.values()))), *average(errors), answered))
    return table(("sizes fitted", "way", "times larger", "families", *AVERAGES, "windows answered"), rows, text=2)


def show_families(found: Mapping[str, Measured]) -> str:
    """The smallest and the nearest window of each family, and how error and distance go together."""
    rows = [
        (
            name,
            f"{windows[0].ratio:.3g}x",
            f"{windows[-1].ratio:.3g}x",
            *(
                cell
                for way in WAYS
                for cell in (
                    format_percent(windows[0].errors[way]),
                    format_percent(windows[-1].errors[way]),
                    show_rank(rank(windows, way)),
                )
            ),
        )
        for name, windows in ((name, made[FOUR]) for name, made in found.items())
        if len(windows) > 1
    ]
    heads = [f"{way}, {what}" for way in WAYS for what in ("smallest", "nearest", "rank correlation")]
    return table((f"family, {FOUR} sizes", "smallest: times larger", "nearest: times larger", *heads), rows)


def list_errors(windows: Sequence[Window], way: str) -> list[tuple[Window, float]]:
    """The windows that are answered, with their errors."""
    return [(window, error) for window in windows if (error := window.errors.get(way)) is not None]


def rank(windows: Sequence[Window], way: str) -> float | None:
    """The rank correlation of error and distance; `None` with fewer than three errors."""
    known = list_errors(windows, way)
    return correlate([window.ratio for window, _ in known], [error for _, error in known])


def show_rank(value: float | None) -> str:
    """A rank correlation."""
    return "–" if value is None else f"{value:+.2f}"


def draw_sizes(found: Mapping[str, Measured]) -> Figure:
    """The error by the distance, for windows of four."""

    def median(way: str, edge: float) -> float | None:
        low, high = edge / np.sqrt(2), edge * np.sqrt(2)
        of = [middle(w.errors[way] for w in made[FOUR] if low < w.ratio <= high) for made in found.values()]
        error = middle(of) if sum(each is not None for each in of) >= 3 else None
        return None if error is None else 100 * error

    centres = [float(np.sqrt(2) * edge) for edge in EDGES[:-1]]
    return draw_families(
        "sizes",
        {
            name: [(window.ratio, 100 * error) for window, error in list_errors(made[FOUR][::-1], PROTOCOL)]
            for name, made in found.items()
        },
        {way: trace(centres, lambda centre, way=way: median(way, centre)) for way in WAYS},
        Scale("target's parameters over those of the largest model fitted", "number", log=True),
        Scale("error, %", "number", log=True),
        title="Size of the models",
        caption=f"Windows of {FOUR} sizes; thin: the protocol on each family, bold: medians of families whose windows "
        "lie within a factor of 2, where there are at least three.",
        alt=f"Errors by the distance from the sizes fitted to the largest, on {len(found)} families",
    )


def list_findings(found: Mapping[str, Measured]) -> tuple[Finding, ...]:
    """Whether nearer sizes are better, whether always, and what the four smallest say."""
    ranks = {
        way: {n: value for n, made in found.items() if (value := rank(made[FOUR], way)) is not None} for way in WAYS
    }
    larger = {way: Tally({name: each > 0 for name, each in of.items()}) for way, of in ranks.items()}
    bent = {way: Tally({name: is_bent(found[name][FOUR], way) for name in of}) for way, of in ranks.items()}
    best = {way: Tally({name: is_best(found[name][FOUR], way) for name in ranks[way]}) for way in WAYS}
    small = {
        way: {n: e for n, made in found.items() if made[FOUR] and (e := made[FOUR][0].errors[way]) is not None}
        for way in WAYS
    }
    under = {
        way: Tally({name: error < PUBLISHED for name, error in of.items() if not name.startswith(GPT3)})
        for way, of in small.items()
    }
    theirs = {name: error for name, error in small[PROTOCOL].items() if name.startswith(GPT3)}
    ours = {name: error for name, error in small[DEFAULT].items() if name.startswith(GPT3)}
    far = middle(made[FOUR][0].ratio for made in found.values() if made[FOUR])
    reach = "" if far is None else f"; the target is {far:.3g} times larger in the median"
    medians = {way: show_rank(middle(of.values())) for way, of in ranks.items()}
    return (
        Finding(
            "Larger models are better to fit",
            larger[PROTOCOL].verdict,
            f"the error grows with the distance on {larger[PROTOCOL]} with the protocol (rank correlation "
            f"{medians[PROTOCOL]} in the median), {larger[DEFAULT]} with the default ({medians[DEFAULT]})",
            f"the rank correlation of error and distance is above zero {MOST}, windows of {FOUR} sizes, protocol",
        ),
        Finding(
            "The error is not monotone in their size",
            bent[PROTOCOL].verdict,
            f"a nearer window is worse by more than a factor of {NEAR:g} on {bent[PROTOCOL]} with the protocol, "
            f"{bent[DEFAULT]} with the default; the nearest window is the best on {best[PROTOCOL]} and {best[DEFAULT]}",
            f"somewhere a nearer window is worse than a farther one by more than a factor of {NEAR:g} {MOST}, with the "
            "protocol; by less, noise would do",
            looked=True,
        ),
        Finding(
            f"The four smallest models of GPT-3 give less than {format_level(PUBLISHED)}",
            Tally({name: error < PUBLISHED for name, error in theirs.items()}).verdict,
            f"protocol: {show(theirs)}; default: {show(ours)}"
            + "; both are losses of the same models" * (len(theirs) > 1),
            "on train and validation loss, with the protocol",
        ),
        Finding(
            f"So do those of other families (Gopher, OPT; not at hand: less than {format_level(PUBLISHED)})",
            under[PROTOCOL].verdict,
            f"on {under[PROTOCOL]} with the protocol, {under[DEFAULT]} with the default{reach}",
            f"{MOST} with four smaller sizes, with the protocol",
        ),
    )


def is_bent(windows: Sequence[Window], way: str) -> bool:
    """Whether a nearer window is worse than a farther one, by more than a factor that noise does not reach."""
    errors = [error for _, error in list_errors(windows, way)]
    return any(near > NEAR * far for far, near in combinations(errors, 2))


def is_best(windows: Sequence[Window], way: str) -> bool:
    """Whether the nearest window has the least error of those that are answered."""
    known = [error for _, error in list_errors(windows, way)]
    return windows[-1].errors[way] == min(known)


def show(errors: Mapping[str, float]) -> str:
    """Errors of families by name."""
    return " and ".join(f"{name} {format_percent(error)}" for name, error in errors.items()) or "no family at hand"


SIZES_AXIS = Axis("size of models", measure, tell)
