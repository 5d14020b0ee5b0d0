"""Leave-one-out as a way to choose a size that is left out of the fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, Case, ask
from numpy.typing import NDArray
from page import Finding, Section, table
from protocol import fit_published, gather_checkpoints

from axes import tally
from axes.base import Axis
from axes.tally import Tally, compare, middle
from scaling_callback.fitting import Points
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Bars, Layer, Marks, Rule
from scaling_callback.reporting.units import format_level, format_percent

PUBLISHED_WORST = 0.58
"""Share of cases in which leaving out the size that leave-one-out chooses was the worst choice possible."""

FEWEST, MOST = 4, 25
"""Sizes below the largest. With three, two remain and each is forecast from one; with more than 25 a size is one run of
many, and leaving it out changes nothing."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pruned:
    """What leaving out one size does to the forecast of the largest.

    Attributes:
        errors: Of the forecast without each size in turn, smallest size first; infinite where no law was found.
        none: With all of them.
        consistent: Place of the size without which the others forecast each other best.
        unexpected: Place of the size that the others forecast worst.
        default: Error of this library's default, which leaves none out.
    """

    errors: tuple[float, ...]
    none: float
    consistent: int
    unexpected: int
    default: float | None


def measure(case: Case) -> Pruned | None:
    """The forecasts of the largest size without each other size, and which of these leave-one-out would choose."""
    sizes = case.sizes[:-1]
    points = gather_checkpoints(case.ladder)
    if points is None or not FEWEST <= len(sizes) <= MOST:
        return None
    goals = {size: make_goals([run for run in case.ladder if run.params == size]) for size in sizes}

    def miss(without: Sequence[float], at: Sequence[Goal]) -> float:
        return miss_goals(points.take(~np.isin(points.params, without)), at)

    alone = [miss([size], goals[size]) for size in sizes]
    without = [
        float(np.mean([miss([size, other], goals[other]) for other in sizes if other != size])) for size in sizes
    ]
    return Pruned(
        tuple(miss([size], case.goals) for size in sizes),
        miss([], case.goals),
        int(np.argmin(without)),
        int(np.argmax(alone)),
        ask(DEFAULT, case.ladder, case.goals),
    )


def miss_goals(points: Points, goals: Sequence[Goal]) -> float:
    """Mean absolute relative error of the protocol's law through these points; infinite where there is no law."""
    law = fit_published(points)
    if law is None:
        return np.inf
    said = law.predict(np.array([goal.params for goal in goals]), np.array([goal.tokens for goal in goals]))
    return float(np.mean(np.abs(said / [goal.loss for goal in goals] - 1)))


CONSISTENT, UNEXPECTED = "without which the others forecast each other best", "that the others forecast worst"
RULES: Mapping[str, Callable[[Pruned], int]] = {
    CONSISTENT: lambda made: made.consistent,
    UNEXPECTED: lambda made: made.unexpected,
}
"""Ways to choose a size by leave-one-out."""


def tell(found: Mapping[str, Pruned]) -> Section:
    """What leaving a size out did, by how it was chosen."""
    known = {name: made for name, made in found.items() if np.isfinite(made.none)}
    chance = float(np.mean([1 / len(made.errors) for made in known.values()])) if known else math.nan
    rows: list[Sequence[str]] = []
    for words, choose in RULES.items():
        errors = {name: made.errors[choose(made)] for name, made in known.items()}
        shares = (judge_worst(known, choose), judge_worse_half(known, choose), judge_better(known, choose))
        rows.append(
            (f"the size {words}", *(format_percent(t.share) for t in shares), format_percent(middle(errors.values())))
        )
    usual = middle(float(np.median(made.errors)) for made in known.values())
    rows.append(
        ("one at random", format_percent(chance), "", format_percent(share_random(known)), format_percent(usual))
    )
    rows.append(("none", "", "", "", format_percent(middle(made.none for made in known.values()))))
    rows.append(
        ("none, this library's default", "", "", "", format_percent(middle(made.default for made in known.values())))
    )
    method = (
        "The protocol forecasts the largest size from all others but one. Leave-one-out chooses which: for each size "
        "the others are forecast, each from all that are left, and the size is left out without which this goes best; "
        "or, simpler, each size is forecast from all others, and the one is left out that is forecast worst. *Worst "
        "possible*: no other single size would have been worse to leave out. Families of "
        f"{FEWEST} to {MOST} sizes below the largest are asked."
    )
    head = (
        "left out is",
        "worst possible",
        "worse than the median choice",
        "better than leaving none out",
        "median error",
    )
    parts = (method, table(head, rows), tell_ends(known), draw(known))
    return Section("Leaving sizes out", parts, list_findings(known, chance))


def tell_ends(known: Mapping[str, Pruned]) -> str:
    """Where in the ladder the chosen sizes lie: which would say why they matter."""
    words = [
        f"The size {rule} is the largest of the ladder on "
        f"{sum(choose(m) == len(m.errors) - 1 for m in known.values())} and the smallest on "
        f"{sum(choose(m) == 0 for m in known.values())} of {len(known)} families."
        for rule, choose in RULES.items()
    ]
    return " ".join((*words, "The largest is the nearest to the target, and others have to extrapolate to it."))


def list_findings(known: Mapping[str, Pruned], chance: float) -> tuple[Finding, ...]:
    """Whether leave-one-out chooses the worst, and whether it is of any use."""
    worst = {words: judge_worst(known, choose) for words, choose in RULES.items()}
    better = {words: judge_better(known, choose) for words, choose in RULES.items()}
    most = max((seen.share for seen in worst.values()), default=math.nan)
    useful = max((seen.share for seen in better.values()), default=math.nan)
    library = compare(
        {n: (made.default, min(made.errors[choose(made)] for choose in RULES.values())) for n, made in known.items()}
    )
    return (
        Finding(
            f"Leaving a size out by leave-one-out is the worst choice possible in {format_level(PUBLISHED_WORST)} of "
            "cases",
            "no data" if math.isnan(most) else "holds" if most >= 0.5 else "fails" if most <= chance else "depends",
            "; ".join(f"the size {words}: on {seen}" for words, seen in worst.items())
            + f"; by chance it would be {format_percent(chance)}",
            "it is the worst, by either rule, on at least half of families; fails at no more than by chance",
            "no_pruning",
        ),
        Finding(
            "Do not leave sizes out by leave-one-out: it does not help",
            "no data" if math.isnan(useful) else "holds" if useful <= 0.5 else "fails" if useful >= 0.8 else "depends",
            "; ".join(f"the size {words}: better than leaving none out on {seen}" for words, seen in better.items())
            + f"; a size at random: on {format_percent(share_random(known))} of choices",
            "by neither rule it is better on more than half of families; fails if by one on 80%",
            "no_pruning",
        ),
        Finding(
            "Its default, which leaves none out, is nearer than the better of both rules",
            library.verdict,
            f"on {library}",
            tally.MOST,
            of="library",
        ),
    )


def judge_worst(known: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether no other size would have been worse to leave out."""
    return Tally({name: made.errors[choose(made)] >= max(made.errors) for name, made in known.items()})


def judge_worse_half(known: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether half of the sizes would have been better to leave out."""
    return Tally({name: made.errors[choose(made)] > float(np.median(made.errors)) for name, made in known.items()})


def judge_better(known: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether leaving it out is better than leaving none out."""
    return Tally({name: made.errors[choose(made)] < made.none for name, made in known.items()})


def share_random(known: Mapping[str, Pruned]) -> float:
    """Mean over families of the share of sizes that are better left out."""
    shares = [float(np.mean(np.array(made.errors) < made.none)) for made in known.values()]
    return float(np.mean(shares)) if shares else math.nan


def draw(known: Mapping[str, Pruned]) -> Figure:
    """What leaving out each size does to the error, and which is chosen."""
    places = {name: float(len(known) - 1 - place) for place, name in enumerate(known)}
    ratios = {name: np.array(made.errors) / made.none for name, made in known.items()}
    finite = {name: of[np.isfinite(of)] for name, of in ratios.items()}
    at = list(places.values())
    bars = Bars(
        at, [float(of.min()) for of in finite.values()], [float(of.max()) for of in finite.values()], "out", along="x"
    )
    layers: list[Layer] = [Rule(1.0, across="y"), bars]
    for words, marker, colour, choose in (
        ("leaves the others most consistent", "o", "held", RULES[CONSISTENT]),
        ("forecast worst by the others", "s", "final", RULES[UNEXPECTED]),
    ):
        chosen = [float(ratios[name][choose(made)]) for name, made in known.items()]
        layers.append(Marks(chosen, at, marker, colour, hollow=True, label=words))
    return Figure(
        name="pruning",
        title="The error without one size, over that with all",
        caption="The bar spans every size that could be left out, the marks are those that leave-one-out chooses. "
        "Right of the line the forecast is worse than with all sizes.",
        alt=f"Range of errors when one size is left out, on {len(known)} families",
        layers=tuple(layers),
        x=Scale("error over that with all", log=True),
        y=Scale("", rows={place: name for name, place in places.items()}, height=max(len(known) - 1.0, 0.0)),
        height=1.2 + 0.17 * len(known),
        columns=2,
    )


PRUNING_AXIS = Axis("leaving sizes out", measure, tell)
