"""How many parameters the laws of all families need: principal components, published lines, and fewer free parameters."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

import numpy as np
from cases import Case, ask_default, score
from numpy.typing import NDArray
from page import Finding, Section, judge, table
from protocol import NAMES, START, Law, fit_published, gather_checkpoints
from scipy.optimize import OptimizeWarning, curve_fit

from axes.base import Axis
from axes.tally import MOST, compare, middle
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.replaying import Goal
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks
from scaling_callback.reporting.units import format_count, format_level, format_percent

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


WITH_E = 0.01
"""Share of the lowest loss that E must be to be one: below it ln E is any very negative number."""

RESAMPLES = 1000
"""Times that the tables are drawn anew for the interval of a slope."""

LEVEL = 0.9


def tell(found: Mapping[str, Components]) -> Section:
    """Components, lines, what becomes of them at the centre of the data, and forecasts with fewer parameters."""
    laws = [(made.table, name, law) for name, made in found.items() for law in made.laws]
    whole = [row for row in laws if math.exp(row[2].values[NAMES.index("e")]) >= WITH_E * row[2].lowest]
    method = (
        f"The protocol is fitted to every family and to up to {SUBSETS} random subsets of three and more of its sizes: "
        f"{len(laws)} laws. {len(laws) - len(whole)} of them have no E to speak of (less than {format_level(WITH_E)} of the "
        "lowest loss they saw; its logarithm is then any very negative number): they are counted once with and once "
        "without. Components of *centred* parameters are the study's; there ln A, ln B and ln E vary by units and the "
        "exponents by tenths, so that three of five hold nearly everything whatever they are. *Standardised* ones "
        "count alike. *Shuffled*: each parameter permuted over the laws, so that none follows another."
    )
    components = table(
        ("parameters", "laws", "first", "first two", "first three", "first three, shuffled"),
        [
            (f"{kind}, {words}", str(len(of)), *(format_percent(share) for share in describe_variance(of, kind)))
            for words, of in (("all laws", laws), ("laws with an E", whole))
            for kind in KINDS
        ],
    )
    lines = {name: fit_line(whole, name) for name in LINES}
    parts = (
        method,
        components,
        tell_lines(lines),
        tell_centre(whole),
        draw(whole, lines["alpha"]),
        show_few(found),
    )
    return Section("Components and fewer parameters", parts, list_findings(found, whole, lines))


Row: TypeAlias = tuple[str, str, Made]
"""Table, family and law."""

KINDS = ("centred", "standardised")

LINES = {"alpha": ("A", "N", "a", 0), "beta": ("B", "D", "b", 1)}
"""Of each exponent its coefficient, its variable, the name of ln of the coefficient, and which centre is its own."""


def describe_variance(rows: Sequence[Row], kind: str) -> list[float | None]:
    """Shares of the first one, two and three components, and of three where parameters are shuffled."""
    if len(rows) <= len(NAMES):
        return [None] * 4
    values = np.array([law.values for _, _, law in rows])
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(column) for column in values.T], -1)
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
        interval: Of the slope, over tables drawn anew.
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
    """Least squares; `None` of laws from fewer than three tables."""
    x, y, _ = pick(rows, exponent)
    tables = np.array([name for name, *_ in rows])
    names = np.array(list(dict.fromkeys(tables.tolist())))
    if len(names) < 3:
        return None
    slope, intercept = np.polyfit(x, y, 1)
    rng = np.random.default_rng(0)
    places = {name: np.flatnonzero(tables == name) for name in names.tolist()}
    slopes: list[float] = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([places[name] for name in rng.choice(names, len(names)).tolist()])
        slopes.append(float(np.polyfit(x[drawn], y[drawn], 1)[0]))
    lower, upper = np.quantile(slopes, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    deviation = float(np.std(y - intercept - slope * x, ddof=2))
    return Fitted(float(intercept), float(slope), deviation, (float(lower), float(upper)))


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
        "Through laws with an E; the interval is over tables drawn anew. A law that is known best where the data are, at "
        "N0, and whose alpha is off by d, has an ln A that is off by d ln N0, for A is its size term at N = 1: errors lie on "
        "a line of slope 1/ln N0. The last column is the N0 of each slope."
    )
    return f"{table(head, rows)}\n\n{note}"


def show_line(intercept: float, slope: float) -> tuple[str, str]:
    """Both as the study printed them."""
    return f"{intercept:.5f}", f"{slope:.5f}"


def show_place(slope: float) -> str:
    """The place whose ln is one over the slope."""
    return format_count(math.exp(1 / slope)) if 0.01 < slope else "–"


def correlate(rows: Sequence[Row], exponent: str, *, centred: bool, within: bool) -> float:
    """Correlation of an exponent with ln of its coefficient at N = 1 (D = 1), or at the centre of the data.

    `within` families: of deviations from the mean of each family. NaN of fewer than three laws.
    """
    x, y, centre = pick(rows, exponent)
    x = x - y * centre if centred else x
    if within:
        families = np.array([name for _, name, _ in rows])
        for name in dict.fromkeys(families.tolist()):
            own = families == name
            x[own], y[own] = x[own] - x[own].mean(), y[own] - y[own].mean()
    return float(np.corrcoef(x, y)[0, 1]) if len(x) >= 3 else math.nan


def tell_centre(rows: Sequence[Row]) -> str:
    """Correlations at N = 1 and at the centre."""
    cells: list[Sequence[str]] = []
    for exponent, (coefficient, variable, *_) in LINES.items():
        for words, within in (("over all laws", False), ("within families", True)):
            found = [correlate(rows, exponent, centred=centred, within=within) for centred in (False, True)]
            cells.append((f"{exponent} and ln {coefficient}, {words}", variable, *(f"{value:.2f}" for value in found)))
    head = ("correlation of", "variable", "coefficient at 1", "coefficient at the centre of the data")
    note = (
        "This library fits the coefficient at the centre of the data, A' = A / N0^alpha, the size term of a usual run. "
        "*Within families*: of the deviations of each law from the mean of its family's laws: how errors of one law go "
        "together."
    )
    return f"{table(head, cells, text=2)}\n\n{note}"


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


def list_counts(found: Mapping[str, Components]) -> dict[str, dict[str, Mapping[str, float | None]]]:
    """The errors of each family by how many sizes are at hand, in words; `all` where more than those of `FEW`."""
    counts = {f"{count} sizes": {n: m.few[count] for n, m in found.items() if count in m.few} for count in FEW}
    return counts | {"all sizes below": {n: m.few[max(m.few)] for n, m in found.items() if max(m.few) > max(FEW)}}


def show_few(found: Mapping[str, Components]) -> str:
    """Medians over the families that every way answers."""
    rows: list[Sequence[str]] = []
    for words, errors in list_counts(found).items():
        same = [of for of in errors.values() if None not in of.values()]
        rows.append((words, str(len(same)), *(format_percent(middle(of[way] for of in same)) for way in COLUMNS)))
    note = (
        "The largest size is forecast from few sizes, evenly by rank from the smallest to the largest below it, so that "
        "the distance to the target stays the same. *3 free*: alpha and beta on the published lines. *As a prior*: the "
        "same lines with their published spread, each weighing one observation (`ridges=True`). Medians are over the "
        "families that every way answers."
    )
    return f"{note}\n\n{table(('at hand', 'families', *COLUMNS), rows)}"


def list_findings(
    found: Mapping[str, Components], rows: Sequence[Row], lines: Mapping[str, Fitted | None]
) -> tuple[Finding, ...]:
    """Whether three parameters are enough, the lines are found again, and fewer parameters help."""
    shares = {kind: describe_variance(rows, kind) for kind in KINDS}
    three, shuffled = shares["centred"][2], shares["centred"][3]
    scaled, mixed = shares["standardised"][2], shares["standardised"][3]
    far, near = (
        [correlate(rows, exponent, centred=centred, within=True) for exponent in LINES] for centred in (False, True)
    )
    few = [errors for words, errors in list_counts(found).items() if words != "all sizes below"]
    fewer = {
        words: compare({n: (e[THREE], e[FIVE]) for n, e in of.items()}) for words, of in list_counts(found).items()
    }
    prior = {
        words: compare({n: (e[RIDGES], e[CONVERGED]) for n, e in of.items()})
        for words, of in list_counts(found).items()
    }
    default = {
        words: compare({n: (e[DEFAULTS], e[THREE]) for n, e in of.items()}) for words, of in list_counts(found).items()
    }
    at_few = [words for words in fewer if words != "all sizes below"]
    return (
        Finding(
            f"Three principal components hold {format_percent(PUBLISHED_SHARE)} of the variance of the parameters",
            "no data" if three is None else "holds" if three >= 0.99 else "fails",
            f"{format_percent(three)} of {len(rows)} laws with an E; of shuffled parameters {format_percent(shuffled)}",
            "99% or more, of centred parameters as in the study",
            "few_parameters",
        ),
        Finding(
            "(What it means) two of the five parameters follow the others",
            "no data" if scaled is None or mixed is None else "holds" if scaled >= 0.95 > mixed else "fails",
            f"three components hold {format_percent(scaled)} of standardised parameters, {format_percent(mixed)} of shuffled "
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
            f"within families exponent and ln coefficient correlate by {far[0]:.2f} (alpha) and {far[1]:.2f} (beta); with the "
            f"coefficient at the centre of the data by {near[0]:.2f} and {near[1]:.2f}",
            "0.8 or more at 1, and at most 0.5 at the centre; fails if no less at the centre",
        ),
        Finding(
            "Fit fewer parameters when data are few",
            judge(pool(few, THREE, FIVE)),
            "; ".join(f"{words}: on the published lines it is nearer on {fewer[words]}" for words in fewer),
            f"with {' and '.join(at_few)} the law of 3 free parameters is nearer than that of 5 {MOST}",
            "few_parameters",
        ),
        Finding(
            "(This library) its lines as a prior help when data are few",
            judge(pool(few, RIDGES, CONVERGED)),
            "; ".join(f"{words}: nearer on {prior[words]}" for words in prior),
            f"with {' and '.join(at_few)} it is nearer than the same fit without them {MOST}",
            "few_parameters",
        ),
        Finding(
            "(This library) its default needs no such constraint",
            judge(pool(few, DEFAULTS, THREE)),
            "; ".join(f"{words}: nearer than the published lines on {default[words]}" for words in default),
            f"with {' and '.join(at_few)} it is nearer than the law on the published lines {MOST}",
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


def pool(few: Sequence[Mapping[str, Mapping[str, float | None]]], way: str, other: str) -> float:
    """In which share of families and numbers of sizes one way is nearer than another; NaN without any."""
    seen = [
        seen for errors in few for seen in compare({n: (e[way], e[other]) for n, e in errors.items()}).seen.values()
    ]
    return float(np.mean(seen)) if seen else math.nan


COMPONENTS_AXIS = Axis("components", measure, tell)
