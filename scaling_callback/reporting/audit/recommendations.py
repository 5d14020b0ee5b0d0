"""The recommendations of Choshen, Zhang, Andreas 2025 (A Hitchhiker's Guide to Scaling Law Estimation), as checks.

Each looks at what was done here, says whether the recommendation was followed, and the figure that it says so by. One
that does not concern this ladder says why not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scaling_callback.forecasting import find_twins, included
from scaling_callback.forecasting.evidence import FIRST_TENTH
from scaling_callback.records import Run, same_count
from scaling_callback.reporting.audit.checkpoints import count_checkpoints, count_parameters, find_cut
from scaling_callback.reporting.audit.facts import MIN_SCORES, say_set_aside
from scaling_callback.reporting.figures.series import rank_sizes
from scaling_callback.reporting.units import format_count, format_level, format_percent, number
from scaling_callback.snapshot import Snapshot

STUDY = "Choshen, Zhang, Andreas 2025, arXiv 2410.11840"

Outcome: TypeAlias = Literal["pass", "fail", "not applicable"]

FEWEST_SIZES = 5
USUAL_ERROR = 0.04
"""The best mean error that the study typically obtained on published families."""
THIRD = 0.3
"""Share of a target's training from which it predicts its own end."""
EXPLAINED = ("phase", "observation")
"""Words of the reasons for which a finished run is left out: its schedule, or nothing that was measured late enough."""


@dataclass(frozen=True)
class Found:
    """What a check found: its outcome, the figure, and a sentence."""

    outcome: Outcome
    figure: str
    sentence: str


@dataclass(frozen=True)
class Recommendation:
    """A recommendation and how it stands here.

    Attributes:
        name: By which a program knows it.
        text: What is recommended.
        outcome: Whether it was followed.
        figure: The figure that says so.
        sentence: What was found, in one sentence.
        source: What the study found.
    """

    name: str
    text: str
    outcome: Outcome
    figure: str
    sentence: str
    source: str


def check_recommendations(snapshot: Snapshot) -> tuple[Recommendation, ...]:
    """Every recommendation, in their order."""
    made: list[Recommendation] = []
    for name, text, source, check in CHECKS:
        found = check(snapshot)
        made.append(Recommendation(name, text, found.outcome, found.figure, found.sentence, source))
    return tuple(made)


def check_sizes(snapshot: Snapshot) -> Found:
    """At least five sizes."""
    sizes = len(rank_sizes(_finished(snapshot)))
    if not sizes:
        return _concerns_not("0 sizes", "No run has finished.")
    return _judge(sizes >= FEWEST_SIZES, number(sizes, "size"), f"Finished runs have {number(sizes, 'size')}.")


def check_seeds(snapshot: Snapshot) -> Found:
    """More sizes than seeds."""
    runs = _finished(snapshot)
    if not runs:
        return _concerns_not("0 runs", "No run has finished.")
    sizes, repeats = len(rank_sizes(runs)), max(Counter(find_twins([*runs, *snapshot.set_aside]).values()).values())
    figure = f"{number(sizes, 'size')}, {number(repeats, 'run')} of one setting at most"
    return _judge(sizes > repeats, figure, f"{figure}.")


def check_checkpoints(snapshot: Snapshot) -> Found:
    """Checkpoints are evidence."""
    if snapshot.forecast is None and snapshot.fit is None:
        return _concerns_not("0 checkpoints", "Nothing is fitted.")
    seen = sum(len(run.curve) for run in snapshot.runs)
    used = count_checkpoints(snapshot)
    rule = "The forecast uses" if used else "The fit uses"
    return _judge(used > 0, f"{used} of {seen}", f"{rule} {used} checkpoints beside finals, of {seen} observations.")


def check_earliest(snapshot: Snapshot) -> Found:
    """The earliest losses are left out."""
    used = count_checkpoints(snapshot)
    if not used:
        return _concerns_not("0 checkpoints", "No checkpoint is evidence.")
    share = find_cut(snapshot)
    dropped = [share * run.horizon for run in snapshot.runs if run.horizon]
    reach = f", {format_count(min(dropped))} to {format_count(max(dropped))} tokens" if dropped else ""
    sentence = f"The first {format_level(share)} of a run{reach}, is no evidence."
    return _judge(share >= FIRST_TENTH, f"first {format_level(share)}", sentence)


def check_error(snapshot: Snapshot) -> Found:
    """The error to expect is stated from this ladder's own record."""
    if snapshot.forecast is None:
        return _concerns_not(format_percent(USUAL_ERROR), "There is no forecast.")
    record = snapshot.record
    if record.are is None:
        return Found(
            "fail",
            f"at least {format_percent(USUAL_ERROR)}",
            "This ladder has no record of its own: expect what published families show, at least 4%.",
        )
    own = format_percent(record.are)
    if len(record.scores) < MIN_SCORES:
        few = number(len(record.scores), "forecast")
        return _concerns_not(
            few, f"{few} of this ladder's own runs, off by {own} on average, are too few to tell the error to expect."
        )
    return Found(
        "pass",
        f"{own} here",
        f"{len(record.scores)} forecasts of this ladder's own runs were off by {own} on average; on published families "
        f"{format_percent(USUAL_ERROR)} is the best that is typically reached, and further away it is more.",
    )


def check_baselines(snapshot: Snapshot) -> Found:
    """Baselines stand beside the forecast."""
    if snapshot.forecast is None:
        return _concerns_not("0 baselines", "There is no forecast.")
    count = len(snapshot.forecast.baselines)
    return _judge(count > 0, f"{count} baselines", f"{count} guess(es) that need no law stand beside the forecast.")


def check_target(snapshot: Snapshot) -> Found:
    """The target itself is trained for a third."""
    forecast = snapshot.forecast
    if forecast is None:
        return _concerns_not("no target", "There is no forecast.")
    begun = [run for run in snapshot.runs if _is_of(run, forecast.params, forecast.tokens) and len(run.curve)]
    used = [run for run in begun if not run.card.held_out]
    if begun and not used:
        return _concerns_not("held out", "A run of the target's size and length is held out, not used.")
    if not used:
        return _concerns_not("not begun", "No run of the target's size and length has begun, which may be too dear.")
    seen = max(float(run.progress[-1]) for run in used)
    return _judge(
        seen >= THIRD, format_level(seen), f"A run of the target's size and length has seen {format_level(seen)}."
    )


def check_pruning(snapshot: Snapshot) -> Found:
    """No run is dropped for its distance from the law."""
    known = [run for run in snapshot.runs if not run.card.held_out]
    if snapshot.fit is None or not known:
        return _concerns_not("0 runs", "Nothing is fitted.")
    left = {run.name: snapshot.evidence.left_out[run.name] for run in known if run.name in snapshot.evidence.left_out}
    ended = {run.name for run in known if run.final is not None}
    # whoever has no final has nothing that could be compared; a finished one must be told why
    dropped = [name for name in left if name in ended and not any(word in left[name] for word in EXPLAINED)]
    by_hand = number(len(snapshot.excluded), "run")
    hand = f" A line in the card excludes {by_hand}, with its reason." if snapshot.excluded else ""
    figure = f"{len(dropped)} of {len(known)} runs"
    if dropped:
        finished = number(len(dropped), "finished run")
        return Found("fail", figure, f"Left out, and not for the schedule: {finished}.{hand}")
    if snapshot.set_aside:
        return _judge_best(snapshot, hand)
    return Found("pass", figure, f"Left out: {number(len(left), 'run')}, none for its distance from the law.{hand}")


def _judge_best(snapshot: Snapshot, hand: str) -> Found:
    """What to say where the best run of each size and horizon alone is looked at."""
    aside, said = snapshot.set_aside, say_set_aside(snapshot)
    twins = find_twins([*snapshot.runs, *aside])
    kept = {twins[run.name] for run in snapshot.runs}
    repeats = sum(twins[run.name] in kept for run in aside)
    figure = f"{len(aside)} of {len(aside) + len(snapshot.runs)} runs"
    if repeats:
        return Found(
            "fail",
            figure,
            f"{said} The seed alone tells {number(repeats, 'run')} of these from one that is kept: what is chosen "
            f"there is chance, and the law comes out too low.{hand}",
        )
    return _concerns_not(
        figure,
        f"{said} For settings that were swept, such as the learning rate, that is the published practice; it is a "
        f"choice by the loss all the same, which the study did not test.{hand}",
    )


def check_parameters(snapshot: Snapshot) -> Found:
    """No more parameters than the data carry."""
    fit = snapshot.fit
    if fit is None:
        return _concerns_not("0 points", "Nothing is fitted.")
    independent, free, terms = fit.points.n_independent, fit.free, fit.prior_terms
    carried = f"{number(independent, 'independent run')} for {number(free, 'free parameter')} of the fit that is shown."
    prior = f" {number(terms, 'term')} of a prior steady it, which are no data." if terms else ""
    more = (
        f" The laws that the forecast combines have {' and '.join(map(str, joint))} parameters, and see "
        f"{number(count_checkpoints(snapshot), 'checkpoint')} beside the ends of runs."
        if (joint := count_parameters(snapshot))
        else ""
    )
    figure = f"{number(independent, 'run')}, {number(free, 'parameter')}"
    return _judge(independent >= free, figure, f"{carried}{prior}{more}")


def check_borrowing(snapshot: Snapshot) -> Found:
    """With a single run, parameters are borrowed."""
    finished = len({run.cluster for run in _finished(snapshot)})
    if finished != 1:
        return _concerns_not(f"{finished} runs", f"{finished} independent runs have finished, not a single one.")
    borrowed = snapshot.config.borrowed
    names = ", ".join(borrowed.names) if borrowed else ""
    sentence = f"{names} are borrowed." if borrowed else "A single run has finished and no parameter is borrowed."
    return _judge(borrowed is not None, f"{len(borrowed.names) if borrowed else 0} borrowed", sentence)


CHECKS: tuple[tuple[str, str, str, Callable[[Snapshot], Found]], ...] = (
    ("five_sizes", "Train at least five sizes", "five models are a safe bet", check_sizes),
    ("sizes_over_seeds", "Train more sizes rather than more seeds", "more sizes beat more seeds", check_seeds),
    (
        "checkpoints",
        "Use the checkpoints of a run beside its end",
        "fitting only the end of training is significantly worse",
        check_checkpoints,
    ),
    (
        "earliest_dropped",
        "Drop the earliest losses: the first 10B tokens, of small runs about a tenth",
        "dropping them takes two families from above 15% to 4 to 10%",
        check_earliest,
    ),
    ("expected_error", "Expect an error of 4% or more", "4% is the best error typically obtained", check_error),
    ("baselines", "Show baselines beside every forecast", "baselines are off by 18% on average", check_baselines),
    (
        "target_third",
        "Train the target for a third, if that is affordable",
        "a target that was trained for 30% predicts its own end",
        check_target,
    ),
    (
        "no_pruning",
        "Do not drop runs by cross-validation",
        "it gives the worst possible result in 58% of cases",
        check_pruning,
    ),
    (
        "few_parameters",
        "Fit fewer parameters when data are few",
        "three components hold 99.49% of the variance of all parameters",
        check_parameters,
    ),
    (
        "borrow_for_one",
        "Borrow parameters when there is a single run",
        "with borrowed A and alpha a 1B model told the loss of a 7B one to within 1%; on another family it failed",
        check_borrowing,
    ),
)
"""Each recommendation: its name, what it says, what the study found, and what checks it."""


def _judge(good: object, figure: str, sentence: str) -> Found:
    return Found("pass" if good else "fail", figure, sentence)


def _concerns_not(figure: str, sentence: str) -> Found:
    return Found("not applicable", figure, sentence)


def _finished(snapshot: Snapshot) -> list[Run]:
    return [run for run in included(snapshot.runs) if run.final is not None and not run.card.held_out]


def _is_of(run: Run, params: float, tokens: float) -> bool:
    return same_count(run.params, params) and same_count(run.horizon, tokens)
