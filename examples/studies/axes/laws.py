"""The laws of all families, and how their parameters go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import numpy as np
from cases import Case
from numpy.typing import NDArray
from protocol import NAMES, fit_published, gather_checkpoints

from scaling_callback.fitting import Points

Array = NDArray[np.float64]

WITH_E = 0.01
"""Share of the lowest loss that E must be to be one: below it ln E is any very negative number."""

EXPONENTS = (0.05, 1.0)
"""Least and largest exponent that studies have published: a few laws beyond would alone decide where a line lies."""

SUBSETS = 9
"""Laws of one family beside that of all its sizes: random subsets of at least three."""

FEWEST = 3


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

    @property
    def usual(self) -> bool:
        """Whether it has an E, and exponents such as have been published."""
        values = dict(zip(NAMES, self.values, strict=True))
        low, high = EXPONENTS
        return math.exp(values["e"]) >= WITH_E * self.lowest and all(
            low <= values[name] <= high for name in ("alpha", "beta")
        )


@dataclass(frozen=True)
class Components:
    """The laws of a family.

    Attributes:
        source: The study that the family comes from.
        laws: That of all sizes first.
    """

    source: str
    laws: tuple[Made, ...]


def measure(case: Case) -> Components:
    """Laws of all sizes of a family and of random subsets, as the protocol fits them."""
    points = gather_checkpoints(case.runs)
    subsets = [case.sizes, *draw_subsets(case)]
    laws = [law for sizes in subsets if points and (law := make_law(points.take(np.isin(points.params, sizes))))]
    return Components(case.family.source, tuple(laws))


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


RESAMPLES = 1000
"""Times that the sources are drawn anew for the interval of a slope."""

LEVEL = 0.9


Row: TypeAlias = tuple[str, str, Made]
"""The study that a family comes from, the family, and a law of it."""

KINDS = ("centred", "standardised")

LINES = {"alpha": ("A", "N", "a", 0), "beta": ("B", "D", "b", 1)}
"""Of each exponent its coefficient, its variable, the name of ln of the coefficient, and which centre is its own."""


def describe_variance(rows: Sequence[Row], kind: str) -> list[float]:
    """Shares of the first one, two and three components, and of three where parameters are shuffled; else NaN."""
    if len(rows) <= len(NAMES):
        return [math.nan] * 4
    values: Array = np.array([law.values for _, _, law in rows])
    rng = np.random.default_rng(0)
    shuffled = np.array([rng.permutation(column) for column in values.T], dtype=float).T
    return [*(share_components(values, kind, count) for count in (1, 2, 3)), share_components(shuffled, kind, 3)]


def share_components(values: Array, kind: str, count: int) -> float:
    """The share of variance of the first principal components of laws (n, 5).

    Example:
        >>> line = np.linspace(0.0, 1.0, 9)[:, None] * np.ones(5)
        >>> round(share_components(line, "standardised", 1), 6)
        1.0
    """
    centred = values - values.mean(0)
    scaled = centred / centred.std(0) if kind == "standardised" else centred
    variance = np.square(np.linalg.svd(scaled, compute_uv=False))
    return float(variance[:count].sum() / variance.sum())


@dataclass(frozen=True)
class Fitted:
    """A line through exponents on ln coefficient.

    Attributes:
        intercept: Exponent of a coefficient of 1.
        slope: Rise with ln coefficient.
        deviation: Of the exponents around it.
        interval: Of the slope, over sources drawn anew.
    """

    intercept: float
    slope: float
    deviation: float
    interval: tuple[float, float]


def pick(rows: Sequence[Row], exponent: str) -> tuple[Array, Array, Array]:
    """Ln coefficient, exponent, and ln of the centre of the variable, each (n,)."""
    *_, log_name, axis = LINES[exponent]
    take = NAMES.index(log_name), NAMES.index(exponent)
    columns = [(law.values[take[0]], law.values[take[1]], law.centre[axis]) for _, _, law in rows]
    coefficient, power, centre = np.array(columns, dtype=float).reshape(-1, 3).T
    return coefficient, power, centre


def fit_line(rows: Sequence[Row], exponent: str) -> Fitted | None:
    """Least squares; `None` of laws from fewer than three sources.

    Example:
        >>> laws = [Made((a, 7.0, 0.6, 0.05 * a, 0.3), (18.0, 23.0), 2.5) for a in (5.0, 6.0, 8.0)]
        >>> line = fit_line([(source, source, law) for source in "xyz" for law in laws], "alpha")
        >>> round(line.slope, 6)
        0.05
    """
    x, y, _ = pick(rows, exponent)
    sources = np.array([source for source, *_ in rows])
    names = np.array(list(dict.fromkeys(sources.tolist())))
    if len(names) < 3:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    rng = np.random.default_rng(0)
    places = {name: np.flatnonzero(sources == name) for name in names.tolist()}
    slopes: list[float] = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([places[name] for name in rng.choice(names, len(names)).tolist()])
        slopes.append(float(np.polyfit(x[drawn], y[drawn], 1)[0]))
    lower, upper = np.quantile(slopes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    deviation = float(np.std(y - intercept - slope * x, ddof=2))
    return Fitted(float(intercept), float(slope), deviation, (float(lower), float(upper)))


def relate(rows: Sequence[Row], exponent: str, *, centred: bool, within: bool) -> tuple[float, float]:
    """How an exponent goes with ln of its coefficient at N = 1 (D = 1), or at the centre of the data.

    `within` families: of deviations from the mean of each family.

    Returns:
        Their correlation, and the standard deviation of ln coefficient; NaN of fewer than three laws.

    Example:
        >>> laws = [Made((a, 7.0, 0.6, 0.05 * a, 0.3), (18.0, 23.0), 2.5) for a in (5.0, 6.0, 8.0)]
        >>> related, deviation = relate([("x", "x", law) for law in laws], "alpha", centred=False, within=True)
        >>> round(related, 6), round(deviation, 3)
        (1.0, 1.247)
    """
    x, y, centre = pick(rows, exponent)
    x = x - y * centre if centred else x
    if within:
        x, y = deviate(rows, x), deviate(rows, y)
    return (float(np.corrcoef(x, y)[0, 1]), float(x.std())) if len(x) >= 3 else (math.nan, math.nan)


def deviate(rows: Sequence[Row], values: Array) -> Array:
    """What each law's value differs by from the mean of its family's laws, shape (n,)."""
    families = np.array([name for _, name, _ in rows])
    return values - np.array([values[families == name].mean() for name in families])


def find_slope_within(rows: Sequence[Row], exponent: str) -> tuple[float, float]:
    """Slope of the line within families, and the usual place of the data, the mean of ln centres; NaN of few laws.

    Example:
        >>> laws = [Made((a, 7.0, 0.6, 0.05 * a, 0.3), (18.0, 23.0), 2.5) for a in (5.0, 6.0, 8.0)]
        >>> slope, place = find_slope_within([("x", "x", law) for law in laws], "alpha")
        >>> round(slope, 6), f"{place:.3g}"
        (0.05, '6.57e+07')
    """
    if len(rows) < 3:
        return math.nan, math.nan
    x, y, centre = pick(rows, exponent)
    x, y = deviate(rows, x), deviate(rows, y)
    return float(x @ y / (x @ x)), float(np.exp(centre.mean()))
