"""Fewer free parameters where few sizes are at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from cases import DEFAULT, Case, ask, miss
from page import Finding, Section, Verdict, judge, table
from protocol import START, Array, Law, fit_published, gather_checkpoints, search

from axes.base import Axis
from axes.components import PUBLISHED_LINES
from axes.tally import Tally, are_few, compare, is_text, middle
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Points, fit
from scaling_callback.reporting.units import format_percent

FEW = (3, 4)
"""Sizes from which the target is forecast: few."""

FIVE, THREE, CONVERGED, TIED, RIDGES = (
    "protocol, 5 free",
    "protocol, published lines, 3 free",
    "converged, 5 free",
    "converged, alpha = beta, 4 free",
    "converged, lines as a prior",
)
COLUMNS = (FIVE, THREE, CONVERGED, TIED, RIDGES, DEFAULT)

RULE = f"on at least 80% of families and counts together, from {' and '.join(map(str, FEW))} sizes"

Few: TypeAlias = Mapping[int, Mapping[str, float | None]]
"""Error of the target by number of sizes at hand, then by way."""


def measure(case: Case) -> Few:
    """The target from few of the sizes below it, and from all."""
    counts = [count for count in FEW if count < len(case.sizes) - 1]
    return {count: measure_few(case, count) for count in (*counts, len(case.sizes) - 1)}


def spread_evenly(sizes: Sequence[float], count: int) -> list[float]:
    """So many of the sizes, evenly by rank, the first and the last among them."""
    return [sizes[place] for place in np.linspace(0, len(sizes) - 1, count).round().astype(int)]


def measure_few(case: Case, count: int) -> dict[str, float | None]:
    """Errors of the target from so many sizes below it."""
    sizes = spread_evenly(case.sizes[:-1], count)
    runs = [run for run in case.ladder if run.params in sizes]
    points = gather_checkpoints(runs)
    if points is None:
        return dict.fromkeys(COLUMNS)
    errors = {FIVE: miss(fit_published(points), case.goals), THREE: miss(fit_lines(points), case.goals)}
    for way, law, ridges in (
        (CONVERGED, "chinchilla", False),
        (TIED, "chinchilla-tied", False),
        (RIDGES, "chinchilla", True),
    ):
        try:
            errors[way] = miss(fit(points, law=law, ridges=ridges), case.goals)
        except NotEnoughData:
            errors[way] = None
    return errors | {DEFAULT: ask(DEFAULT, runs, case.goals)}


def fit_lines(points: Points) -> Law | None:
    """The law with its exponents on the published lines: A, B and E are free, searched for as the protocol does.

    Example:
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9], [1e10, 4e10])
        >>> planted = on_lines(6.0, 7.0, 0.6).predict(N.ravel(), D.ravel())
        >>> found = fit_lines(Points.of(N.ravel(), D.ravel(), planted))
        >>> round(found.values["a"], 3), round(found.values["b"], 3)
        (6.0, 7.0)
    """

    def losses(_: Array, a: float, b: float, e: float) -> Array:
        return on_lines(a, b, e).predict(points.params, points.tokens)

    found = search(losses, points, [START[name] for name in ("a", "b", "e")], [-np.inf] * 3)
    return None if found is None else on_lines(*map(float, found))


def on_lines(a: float, b: float, e: float) -> Law:
    """The law of these ln A, ln B and ln E whose exponents lie on the published lines."""
    (alpha, per_a), (beta, per_b) = PUBLISHED_LINES["alpha"], PUBLISHED_LINES["beta"]
    return Law({"a": a, "b": b, "e": e, "alpha": alpha + per_a * a, "beta": beta + per_b * b})


def tell(found: Mapping[str, Few]) -> Section:
    """Medians by how many sizes are at hand."""
    text = {name: made for name, made in found.items() if is_text(name)}
    rows: list[Sequence[str]] = []
    for count in (*FEW, None):
        of = {name: errors for name, errors in pick_count(text, count).items() if None not in errors.values()}
        each = [format_percent(middle(errors[way] for errors in of.values())) for way in COLUMNS]
        rows.append(("all sizes below" if count is None else f"{count} sizes", str(len(of)), *each))
    method = (
        "The largest size is forecast from few sizes, evenly by rank from the smallest to the largest below it, so "
        "that the distance to the target stays the same. *3 free*: alpha and beta on the published lines, A, B and E "
        "free, by the protocol's search. *4 free*: one exponent for both terms, which rests on no published line; its "
        "certified optimum stands beside that of 5. *As a prior*: the published lines with their published spread, "
        "each weighing one observation (`ridges=True`). The lines are of losses in nats per token of text: other "
        "families are left out. Medians are "
        "over those that every way answers; *all* are more than four."
    )
    each = [
        (name, str(count), *(format_percent(errors[way]) for way in COLUMNS))
        for name, made in text.items()
        for count, errors in made.items()
    ]
    parts = (method, table(("at hand", "families", *COLUMNS), rows))
    families = (table(("family", "sizes at hand", *COLUMNS), each),)
    return Section("Fewer parameters", parts, list_findings(text), families)


def pick_count(found: Mapping[str, Few], count: int | None) -> dict[str, Mapping[str, float | None]]:
    """The errors of each family from so many sizes; from all of more than four for `None`."""
    if count is None:
        return {name: made[max(made)] for name, made in found.items() if max(made) > max(FEW)}
    return {name: made[count] for name, made in found.items() if count in made}


def list_findings(text: Mapping[str, Few]) -> tuple[Finding, ...]:
    """Whether fewer parameters help when data are few."""
    pairs = {"on the published lines (3 free)": (THREE, FIVE), "with alpha = beta (4 free)": (TIED, CONVERGED)}
    seen = {words: pool(text, *pair) for words, pair in pairs.items()}
    told = "; ".join(f"{words} it is nearer {count_nearer(text, *pair)}" for words, pair in pairs.items())
    return (
        Finding(
            "Fit fewer parameters when data are few (3, on the published lines; or 4, with alpha = beta, which rests "
            "on none)",
            judge_both(list(seen.values())),
            f"{told}. Of families and counts together: "
            + ", ".join(f"{words} {format_percent(mean(of))}" for words, of in seen.items()),
            f"either law is nearer than that of 5 free parameters, found in the same way, {RULE}; fails if both are on "
            "20% or less",
            "few_parameters",
            looked=True,
        ),
        Finding(
            "The same lines as a prior help when data are few",
            judge_both([pool(text, RIDGES, CONVERGED)]),
            f"the fit with them is nearer than that without, {count_nearer(text, RIDGES, CONVERGED)}",
            f"it is nearer {RULE}",
            "few_parameters",
            looked=True,
            of="library",
        ),
        Finding(
            "Its default needs no such constraint",
            judge_both([pool(text, DEFAULT, THREE), pool(text, DEFAULT, TIED)]),
            f"it is nearer than the law on the published lines, {count_nearer(text, DEFAULT, THREE)}; than that with "
            f"alpha = beta, {count_nearer(text, DEFAULT, TIED)}",
            f"it is nearer than either {RULE}; fails if than both on 20% or less",
            looked=True,
            of="library",
        ),
    )


def count_nearer(text: Mapping[str, Few], way: str, other: str) -> str:
    """In how many families one way is nearer than another, by how many sizes are at hand."""
    words = {3: "from 3 sizes", 4: "from 4", None: "from all"}
    return ", ".join(f"{said} on {nearer(pick_count(text, count), way, other)}" for count, said in words.items())


def nearer(errors: Mapping[str, Mapping[str, float | None]], way: str, other: str) -> Tally:
    """In how many families one way is nearer than another."""
    return compare({name: (of[way], of[other]) for name, of in errors.items()})


Pooled: TypeAlias = Mapping[tuple[str, int], bool]
"""Whether one way is nearer than another, of each family and number of sizes."""


def pool(text: Mapping[str, Few], way: str, other: str) -> Pooled:
    """Where one way is nearer than another, from few sizes."""
    seen = {count: nearer(pick_count(text, count), way, other).seen for count in FEW}
    return {(name, count): near for count, of in seen.items() for name, near in of.items()}


def judge_both(seen: Sequence[Pooled]) -> Verdict:
    """One verdict where all agree; else, and of few families, it depends."""
    verdicts: set[Verdict] = {judge(mean(of)) for of in seen}
    few = any(are_few({name for name, _ in of}) for of in seen)
    return verdicts.pop() if len(verdicts) == 1 and not few else "depends"


def mean(seen: Pooled) -> float:
    """The share of those that are nearer; NaN without any."""
    return float(np.mean(list(seen.values()))) if seen else math.nan


FEWER_AXIS = Axis("fewer parameters", measure, tell)
