"""Fewer free parameters where few sizes are at hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from cases import DEFAULT, Case, ask_default, score
from page import Finding, Section, judge, table
from protocol import START, Law, fit_published, gather_checkpoints
from scipy.optimize import OptimizeWarning, curve_fit

from axes.base import Axis
from axes.components import PUBLISHED_LINES
from axes.tally import MOST, Tally, compare, is_text, middle
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.replaying import Goal
from scaling_callback.reporting.units import format_percent

FEW = (3, 4)
"""Sizes from which the target is forecast: few."""

FIVE, THREE, CONVERGED, RIDGES = (
    "protocol, 5 free",
    "published lines, 3 free",
    "converged, 5 free",
    "converged, lines as a prior",
)
COLUMNS = (FIVE, THREE, CONVERGED, RIDGES, DEFAULT)


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
    laws = {FIVE: fit_published(points), THREE: fit_lines(points)}
    errors = {way: miss(law, case.goals) for way, law in laws.items()}
    for way, ridges in ((CONVERGED, False), (RIDGES, True)):
        try:
            errors[way] = miss(fit(points, ridges=ridges), case.goals)
        except NotEnoughData:
            errors[way] = None
    errors[DEFAULT] = score(ask_default(runs, case.goals), case.goals)
    return errors


def fit_lines(points: Points) -> Law | None:
    """The law with its exponents on the published lines: A, B and E are free, searched for as the protocol does.

    Example:
        >>> N, D = np.meshgrid([1e8, 3e8, 1e9], [1e10, 4e10])
        >>> planted = on_lines(6.0, 7.0, 0.6).predict(N.ravel(), D.ravel())
        >>> found = fit_lines(Points.of(N.ravel(), D.ravel(), planted))
        >>> round(found.values["a"], 3), round(found.values["b"], 3)
        (6.0, 7.0)
    """
    start = [START[name] for name in ("a", "b", "e")]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of a covariance that nobody asks for
            found, _ = curve_fit(
                lambda params, *free: on_lines(*free).predict(params, points.tokens),
                points.params,
                points.loss,
                start,
                bounds=(-np.inf, np.inf),
                method="trf",
            )
    except (RuntimeError, ValueError):  # as of the protocol
        return None
    return on_lines(*map(float, found))


def on_lines(a: float, b: float, e: float) -> Law:
    """The law of these ln A, ln B and ln E whose exponents lie on the published lines."""
    (alpha, per_a), (beta, per_b) = PUBLISHED_LINES["alpha"], PUBLISHED_LINES["beta"]
    return Law({"a": a, "b": b, "e": e, "alpha": alpha + per_a * a, "beta": beta + per_b * b})


def miss(law: Law | Fit | None, goals: Sequence[Goal]) -> float | None:
    """Its error; `None` without a law."""
    if law is None:
        return None
    params, tokens = np.array([goal.params for goal in goals]), np.array([goal.tokens for goal in goals])
    return score(law.predict(params, tokens).tolist(), goals)


def tell(found: Mapping[str, Few]) -> Section:
    """Medians by how many sizes are at hand."""
    text = {name: made for name, made in found.items() if is_text(name)}
    rows: list[Sequence[str]] = []
    for count in (*FEW, None):
        of = {name: errors for name, errors in take(text, count).items() if None not in errors.values()}
        each = [format_percent(middle(errors[way] for errors in of.values())) for way in COLUMNS]
        rows.append(("all sizes below" if count is None else f"{count} sizes", str(len(of)), *each))
    method = (
        "The largest size is forecast from few sizes, evenly by rank from the smallest to the largest below it, so "
        "that the distance to the target stays the same. *3 free*: alpha and beta on the published lines, A, B and E "
        "free. *As a prior*: the same lines with their published spread, each weighing one observation "
        "(`ridges=True`). The lines are of losses in nats per token of text: other families are left out. Medians are "
        "over those that every way answers; *all* are more than four."
    )
    parts = (method, table(("at hand", "families", *COLUMNS), rows))
    return Section("Fewer parameters", parts, list_findings(text))


def take(found: Mapping[str, Few], count: int | None) -> dict[str, Mapping[str, float | None]]:
    """The errors of each family from so many sizes; from all of more than four for `None`."""
    if count is None:
        return {name: made[max(made)] for name, made in found.items() if max(made) > max(FEW)}
    return {name: made[count] for name, made in found.items() if count in made}


def list_findings(text: Mapping[str, Few]) -> tuple[Finding, ...]:
    """Whether fewer parameters help when data are few."""
    at_few = " and of ".join(f"{count} sizes" for count in FEW)
    return (
        Finding(
            "Fit fewer parameters when data are few",
            judge(pool(text, THREE, FIVE)),
            f"on the published lines it is nearer, {count_nearer(text, THREE, FIVE)}",
            f"of {at_few} the law of 3 free parameters is nearer than that of 5 {MOST}",
            "few_parameters",
            looked=True,
        ),
        Finding(
            "The same lines as a prior help when data are few",
            judge(pool(text, RIDGES, CONVERGED)),
            f"the fit with them is nearer than that without, {count_nearer(text, RIDGES, CONVERGED)}",
            f"of {at_few} it is nearer {MOST}",
            "few_parameters",
            looked=True,
            of="library",
        ),
        Finding(
            "Its default needs no such constraint",
            judge(pool(text, DEFAULT, THREE)),
            f"it is nearer than the law on the published lines, {count_nearer(text, DEFAULT, THREE)}",
            f"of {at_few} it is nearer {MOST}",
            looked=True,
            of="library",
        ),
    )


def count_nearer(text: Mapping[str, Few], way: str, other: str) -> str:
    """In how many families one way is nearer than another, by how many sizes are at hand."""
    words = {3: "from 3 sizes", 4: "from 4", None: "from all"}
    return ", ".join(f"{said} on {nearer(take(text, count), way, other)}" for count, said in words.items())


def nearer(errors: Mapping[str, Mapping[str, float | None]], way: str, other: str) -> Tally:
    """In how many families one way is nearer than another."""
    return compare({name: (of[way], of[other]) for name, of in errors.items()})


def pool(text: Mapping[str, Few], way: str, other: str) -> float:
    """In which share of families and few sizes one way is nearer than another; NaN without any."""
    seen = [seen for count in FEW for seen in nearer(take(text, count), way, other).seen.values()]
    return float(np.mean(seen)) if seen else math.nan


FEWER_AXIS = Axis("fewer parameters", measure, tell)
