"""Leave-one-out as a way to choose a size that is left out of the fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from cases import DEFAULT, Case, ask, miss
from numpy.typing import NDArray
from page import Finding, Section, Verdict, table
from protocol import fit_published, gather_checkpoints

from axes import tally
from axes.base import Axis
from axes.tally import Tally, are_few, compare, middle
from scaling_callback.fitting import Points
from scaling_callback.replaying import Goal, make_goals
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Bars, Layer, Marks, Rule
from scaling_callback.reporting.units import UNKNOWN, format_level, format_percent

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
    """The forecasts of the largest size without each other size, and which of these leave-one-out would choose.

    `None` where no law is found with all of them, or so few without one that there is nothing to choose from.
    """
    sizes = case.sizes[:-1]
    points = gather_checkpoints(case.ladder)
    if points is None or not FEWEST <= len(sizes) <= MOST:
        return None
    goals = {size: make_goals([run for run in case.ladder if run.params == size]) for size in sizes}

    def leave(out: Sequence[float], at: Sequence[Goal]) -> float:
        return miss_goals(points.take(~np.isin(points.params, out)), at)

    none = leave([], case.goals)
    errors = [leave([size], case.goals) for size in sizes]
    alone = np.array([leave([size], goals[size]) for size in sizes])
    others = [
        float(np.mean([leave([size, other], goals[other]) for other in sizes if other != size])) for size in sizes
    ]
    if not all(np.isfinite(values).any() for values in (none, errors, alone, others)):
        return None
    return Pruned(
        tuple(errors),
        none,
        int(np.argmin(others)),
        int(np.argmax(np.where(np.isfinite(alone), alone, -np.inf))),  # what no law forecasts is not forecast worst
        ask(DEFAULT, case.ladder, case.goals),
    )


def miss_goals(points: Points, goals: Sequence[Goal]) -> float:
    """The error of the protocol's law through these points; infinite where there is no law."""
    error = miss(fit_published(points), goals)
    return np.inf if error is None else error


CONSISTENT, UNEXPECTED = "without which the others forecast each other best", "that the others forecast worst"
RULES: Mapping[str, Callable[[Pruned], int]] = {
    CONSISTENT: lambda made: made.consistent,
    UNEXPECTED: lambda made: made.unexpected,
}
"""Ways to choose a size by leave-one-out."""


def tell(found: Mapping[str, Pruned]) -> Section:
    """What leaving a size out did, by how it was chosen."""
    chance = float(np.mean([1 / len(made.errors) for made in found.values()])) if found else math.nan
    rows: list[Sequence[str]] = []
    for words, choose in RULES.items():
        errors = [made.errors[choose(made)] for made in found.values()]
        shares = (judge_worst(found, choose), judge_worse_half(found, choose), judge_better(found, choose))
        rows.append((f"the size {words}", *(format_percent(t.share) for t in shares), show_error(middle(errors))))
    usual = middle(float(np.median(made.errors)) for made in found.values())
    rows.append(("one at random", format_percent(chance), "", format_percent(share_random(found)), show_error(usual)))
    rows.append(("none", "", "", "", show_error(middle(made.none for made in found.values()))))
    rows.append(
        ("none, this library's default", "", "", "", show_error(middle(made.default for made in found.values())))
    )
    method = (
        "The protocol forecasts the largest size from all others but one. Leave-one-out chooses which: for each size "
        "the others are forecast, each from all that are left, and the size is left out without which this goes best; "
        "or, simpler, each size is forecast from all others, and the one is left out that is forecast worst. Which of "
        "both the study used is not known here. *Worst possible*: no other single size would have been worse to leave "
        f"out. Families of {FEWEST} to {MOST} sizes below the largest are asked."
    )
    head = (
        "left out is",
        "worst possible",
        "worse than the median choice",
        "better than leaving none out",
        "median error",
    )
    figures = (draw(found),) if found else ()
    parts = (method, table(head, rows), tell_ends(found), *figures)
    return Section("Leaving sizes out", parts, list_findings(found, chance), (tell_each(found),))


def tell_each(found: Mapping[str, Pruned]) -> str:
    """The error of every choice, family by family."""
    rows = [
        (
            name,
            str(len(made.errors)),
            *map(
                show_error,
                (
                    made.none,
                    *(made.errors[choose(made)] for choose in RULES.values()),
                    min(made.errors),
                    max(made.errors),
                ),
            ),
        )
        for name, made in found.items()
    ]
    rules = (f"without the size {words}" for words in RULES)
    head = ("family", "sizes below", "with all", *rules, "without the best to leave out", "without the worst")
    note = f"Errors of the largest size. *{UNKNOWN}*: no law is found."
    return f"{note}\n\n{table(head, rows)}"


def show_error(error: float | None) -> str:
    """A dash where no law was found."""
    return UNKNOWN if error is None or math.isinf(error) else format_percent(error)


def tell_ends(found: Mapping[str, Pruned]) -> str:
    """Where in the ladder the chosen sizes lie: which would say why they matter."""
    words = [
        f"The size {rule} is the largest of the ladder on "
        f"{sum(choose(m) == len(m.errors) - 1 for m in found.values())} and the smallest on "
        f"{sum(choose(m) == 0 for m in found.values())} of {len(found)} families."
        for rule, choose in RULES.items()
    ]
    return " ".join((*words, "The largest is the nearest to the target, and others have to extrapolate to it."))


def list_findings(found: Mapping[str, Pruned], chance: float) -> tuple[Finding, ...]:
    """Whether leave-one-out chooses the worst, and whether it is of any use."""
    worst = {words: judge_worst(found, choose) for words, choose in RULES.items()}
    better = {words: judge_better(found, choose) for words, choose in RULES.items()}
    library = compare(
        {n: (made.default, min(made.errors[choose(made)] for choose in RULES.values())) for n, made in found.items()}
    )
    return (
        Finding(
            f"Leaving a size out by leave-one-out is the worst choice possible in {format_level(PUBLISHED_WORST)} of "
            "cases (of two rules that go by that name; which of them the study used is not known here)",
            judge_rules(worst, lambda share: share >= 0.5),
            "; ".join(f"the size {words}: on {seen}" for words, seen in worst.items())
            + f"; by chance it would be {format_percent(chance)}",
            "it is the worst on half of the families or more by both rules; fails if by neither, depends if by one",
            "no_pruning",
            looked=True,
        ),
        Finding(
            "Do not leave sizes out by leave-one-out: it does not help",
            judge_rules(better, lambda share: share <= 0.5),
            "; ".join(f"the size {words}: better than leaving none out on {seen}" for words, seen in better.items())
            + f"; a size at random: on {format_percent(share_random(found))} of choices",
            "it is better on half of the families or less by both rules; fails if by neither, depends if by one",
            "no_pruning",
            looked=True,
        ),
        Finding(
            "Its default, which leaves none out, is nearer than the better of both rules",
            library.verdict,
            f"on {library}",
            tally.MOST,
            of="library",
        ),
    )


def judge_rules(seen: Mapping[str, Tally], agrees: Callable[[float], bool]) -> Verdict:
    """Whether the shares of both rules agree with a claim, or none does; of few families neither."""
    if not all(tally.seen for tally in seen.values()):
        return "no data"
    agreeing = sum(agrees(tally.share) for tally in seen.values())
    if any(are_few(tally.seen) for tally in seen.values()) or 0 < agreeing < len(seen):
        return "depends"
    return "holds" if agreeing else "fails"


def judge_worst(found: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether no other size would have been worse to leave out."""
    return Tally({name: made.errors[choose(made)] >= max(made.errors) for name, made in found.items()})


def judge_worse_half(found: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether half of the sizes would have been better to leave out."""
    return Tally({name: made.errors[choose(made)] > float(np.median(made.errors)) for name, made in found.items()})


def judge_better(found: Mapping[str, Pruned], choose: Callable[[Pruned], int]) -> Tally:
    """Whether leaving it out is better than leaving none out."""
    return Tally({name: made.errors[choose(made)] < made.none for name, made in found.items()})


def share_random(found: Mapping[str, Pruned]) -> float:
    """Mean over families of the share of sizes that are better left out."""
    shares = [float(np.mean(np.array(made.errors) < made.none)) for made in found.values()]
    return float(np.mean(shares)) if shares else math.nan


def draw(found: Mapping[str, Pruned]) -> Figure:
    """What leaving out each size does to the error, and which is chosen."""
    places = {name: float(len(found) - 1 - place) for place, name in enumerate(found)}
    ratios = {name: np.array(made.errors) / made.none for name, made in found.items()}
    finite = {name: of[np.isfinite(of)] for name, of in ratios.items()}  # `measure` leaves at least one
    at = list(places.values())
    bars = Bars(
        at, [float(of.min()) for of in finite.values()], [float(of.max()) for of in finite.values()], "out", along="x"
    )
    layers: list[Layer] = [Rule(1.0, across="y"), bars]
    for words, marker, colour, choose in (
        ("leaves the others most consistent", "o", "held", RULES[CONSISTENT]),
        ("forecast worst by the others", "s", "final", RULES[UNEXPECTED]),
    ):
        chosen = {places[name]: float(ratios[name][choose(made)]) for name, made in found.items()}
        drawn = {place: ratio for place, ratio in chosen.items() if math.isfinite(ratio)}
        layers.append(Marks([*drawn.values()], [*drawn], marker, colour, hollow=True, label=words))
    return Figure(
        name="pruning",
        title="The error without one size, over that with all",
        caption="The bar spans every size that could be left out, the marks are those that leave-one-out chooses. "
        "Right of the line the forecast is worse than with all sizes.",
        alt=f"Range of errors when one size is left out, on {len(found)} families",
        layers=tuple(layers),
        x=Scale("error over that with all", log=True),
        y=Scale("", rows={place: name for name, place in places.items()}, height=max(len(found) - 1.0, 0.0)),
        height=1.2 + 0.17 * len(found),
        columns=2,
    )


PRUNING_AXIS = Axis("leaving sizes out", measure, tell)
