"""How many parameters the laws of all families need: principal components, published lines, and fewer free parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from cases import Case, ask_default, score
from numpy.typing import NDArray
from page import Finding, Section, judge, table
from protocol import NAMES, START, Law, fit_published, gather_checkpoints
from scipy.optimize import OptimizeWarning, curve_fit

from axes.base import Axis
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.replaying import Goal
from scaling_callback.reporting.units import format_percent

Array = NDArray[np.float64]

PUBLISHED_SHARE = 0.9949
"""Of the parameters' variance, held by three principal components."""

PUBLISHED_LINES = {"alpha": (0.01163, 0.05005), "beta": (0.23710, 0.03844)}
"""Intercept and slope of the exponent on ln of its coefficient."""

SUBSETS = 9
"""Laws of one family beside that of all its sizes: random subsets of at least three."""

FEWEST = 3

FEW = (3, 4)
"""Sizes from which the target is forecast: few."""

FIVE, THREE, CONVERGED, RIDGES, DEFAULTS = (
    "protocol, 5 free",
    "published lines, 3 free",
    "converged, 5 free",
    "converged, lines as a prior",
    "default",
)
COLUMNS = (FIVE, THREE, CONVERGED, RIDGES, DEFAULTS)


@dataclass(frozen=True)
class Made:
    """A law of some sizes of a family.

    Attributes:
        values: ln A, ln B, ln E, alpha, beta.
        centre: Mean ln N and mean ln D of what it was fitted to.
        lowest: Lowest loss that it was fitted to.
    """

    values: tuple[float, ...]
    centre: tuple[float, float]
    lowest: float


@dataclass(frozen=True)
class Components:
    """The laws of a family, and forecasts from few of its sizes.

    Attributes:
        table: Where the family is from.
        laws: That of all sizes first.
        few: Error by number of sizes, then by way.
    """

    table: str
    laws: tuple[Made, ...]
    few: Mapping[int, Mapping[str, float | None]]


def measure(case: Case) -> Components:
    """Laws of all sizes of a family and of random subsets, and the target from few sizes with fewer parameters."""
    points = gather_checkpoints(case.runs)
    subsets = [case.sizes, *draw_subsets(case)]
    laws = [law for sizes in subsets if points and (law := make_law(points.take(np.isin(points.params, sizes))))]
    counts = [count for count in FEW if count < len(case.sizes) - 1] + [len(case.sizes) - 1]
    return Components(case.family.table, tuple(laws), {count: measure_few(case, count) for count in counts})


def draw_subsets(case: Case) -> list[tuple[float, ...]]:
    """Different subsets of the sizes, of three and more, the same in every run of the study."""
    rng = np.random.default_rng(crc32(case.family.name.encode()))
    found: dict[tuple[float, ...], None] = {}
    for _ in range(SUBSETS):
        if len(case.sizes) > FEWEST:
            count = int(rng.integers(FEWEST, len(case.sizes)))
            found[tuple(sorted(rng.choice(case.sizes, count, replace=False).tolist()))] = None
    return list(found)


def make_law(points: Points) -> Made | None:
    """The protocol's law; `None` where it finds none."""
    law = fit_published(points)
    if law is None:
        return None
    centre = float(np.log(points.params).mean()), float(np.log(points.tokens).mean())
    return Made(tuple(law.values[name] for name in NAMES), centre, float(points.loss.min()))


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
    errors[DEFAULTS] = score(ask_default(runs, case.goals), case.goals)
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
