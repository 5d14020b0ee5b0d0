"""Walk a finished ladder as if it were happening, and score every forecast.

At each moment exactly the observations that the compute spent so far has paid for are visible, and the horizons of
the runs that have begun; the forecasts come from `pipeline.refresh`, as those of a live ladder do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from scaling_callback.curves import METHODS, Abstention, FinalForecast, Method
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.forecasting import DEFAULT, FORECASTERS, baselines, best_runs
from scaling_callback.pipeline import forecast_by, refresh
from scaling_callback.records import Array, Run, Target
from scaling_callback.snapshot import Config

Order: TypeAlias = Literal["planned", "as-recorded"]

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the ladder's compute after which a forecast is asked for."""

OWN_FRACTIONS = (0.1, 0.2, 0.3, 0.5, 0.7)
"""Shares of a run's own horizon after which its final is asked for."""

BASELINES = {"best-loss": "best_loss", "most-compute": "most_compute"}
"""The guesses that need no law, by name of the row."""

ROUNDING = 1e-9
"""Share of the compute by which sums of it may differ and be the same."""


@dataclass(frozen=True)
class Goal:
    """What a forecast is asked for, and what was then measured."""

    params: float
    tokens: float
    loss: float
    run: str | None = None


@dataclass(frozen=True)
class Row:
    """One forecast of a replay, or why there is none (then `median` is `None`)."""

    fraction: float
    goal: Goal
    forecaster: str
    median: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None

    @property
    def error(self) -> float | None:
        """(forecast - measured) / measured."""
        return None if self.median is None else (self.median - self.goal.loss) / self.goal.loss

    @property
    def covered(self) -> bool | None:
        """Whether the interval holds what was measured; `None` without one."""
        if self.lower is None or self.upper is None:
            return None
        return self.lower <= self.goal.loss <= self.upper


@dataclass(frozen=True)
class Summary:
    """What the forecasts of one forecaster at one fraction come to.

    Attributes:
        are: Mean absolute relative error, as a fraction; `None` where none was answered.
        median_are: The median of the same.
        bias: Mean relative error.
        coverage: Share of the intervals that hold what was measured.
        answered: How many forecasts there are.
        asked: How many were asked for.
    """

    are: float | None
    median_are: float | None
    bias: float | None
    coverage: float | None
    answered: int
    asked: int


@dataclass(frozen=True)
class Replay:
    """Every forecast of a replay, by fraction, then goal, then forecaster."""

    rows: tuple[Row, ...]

    def summary(self) -> dict[str, dict[float, Summary]]:
        """By forecaster and fraction."""
        found: dict[str, dict[float, Summary]] = {}
        rows = sorted(self.rows, key=lambda row: (row.forecaster, row.fraction))
        for (forecaster, fraction), group in groupby(rows, key=lambda row: (row.forecaster, row.fraction)):
            found.setdefault(forecaster, {})[fraction] = _summarise(list(group))
        # those that the user gets first, in the order of the rows
        return {name: found[name] for name in dict.fromkeys(row.forecaster for row in self.rows)}


_Work = TypeVar("_Work")

Step: TypeAlias = Callable[[int, int], None]
"""Told of the steps done and of all steps."""


def replay(
    runs: Sequence[Run],
    goals: Sequence[Goal],
    fractions: Sequence[float] = FRACTIONS,
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    order: Order = "planned",
    workers: int = 1,
    progress: Step | None = None,
) -> Replay:
    """Forecast `goals` from what was visible after each fraction of the ladder's compute.

    Args:
        runs: The ladder, without the runs that the goals are made of.
        goals: What to forecast.
        fractions: Shares of the ladder's compute, in (0, 1].
        config: How to forecast; its target is not looked at. `runs="best"` chooses before the replay begins.
        order: `planned` takes runs one after another by planned compute, `as-recorded` the observations as their
            times say.
        workers: Processes to share the work; the numbers are the same whatever their count.
        progress: Told of the steps done.

    Raises:
        InputError: There is no run or goal, a fraction lies outside (0, 1], or a time is missing.

    Example:
        >>> from scaling_callback.testing import planted_ladder, planted_loss
        >>> goal = Goal(1e9, 2e10, planted_loss(1e9, 2e10))
        >>> made = replay(planted_ladder(), [goal], [0.5, 1.0], Config(replicates=20))
        >>> made.summary()["default"][1.0].are < 0.02
        True
    """
    _check_fractions(fractions)
    if not (runs and goals):
        raise InputError(f"a replay needs runs and targets; there are {len(runs)} run(s) and {len(goals)} target(s)")
    kept = best_runs(runs) if config.runs == "best" else tuple(runs)
    chosen = replace(config, runs="all")
    work = [(fraction, see(kept, fraction, order=order)) for fraction in fractions]
    found = _share(partial(_ask, goals=tuple(goals), config=chosen), work, workers, progress)
    return Replay(tuple(row for rows in found for row in rows))


def replay_own(
    runs: Sequence[Run],
    fractions: Sequence[float] = OWN_FRACTIONS,
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    order: Order = "planned",
    workers: int = 1,
    progress: Step | None = None,
) -> Replay:
    """Forecast each run's own final from all runs earlier in the order and the prefix of its own.

    Arguments and exceptions are those of `replay`; a fraction is the progress of the run.
    """
    _check_fractions(fractions)
    kept = best_runs(runs) if config.runs == "best" else tuple(runs)
    ordered = sort_runs(kept, order)
    work = [(tuple(ordered[:index]), run) for index, run in enumerate(ordered) if run.final is not None]
    if not work:
        raise InputError("no run has ended, so there is nothing to compare a forecast with; give finished runs")
    chosen = replace(config, runs="all", target=None)
    found = _share(partial(_ask_own, fractions=tuple(fractions), config=chosen), work, workers, progress)
    rows = [row for rows in found for row in rows]
    return Replay(tuple(sorted(rows, key=lambda row: list(fractions).index(row.fraction))))


def hold_out(
    runs: Sequence[Run], *, largest: int = 0, split: tuple[float, float] | None = None
) -> tuple[tuple[Run, ...], tuple[Goal, ...]]:
    """The ladder, and the finals that it is to forecast.

    Args:
        runs: All runs.
        largest: Hold out every run of so many largest sizes.
        split: Instead: by params * tokens the first int(A n) runs are the ladder, from int(B n) on their finals the
            goals.

    Raises:
        InputError: Nothing is left on one side.
    """
    if split is not None:
        begin, end = split
        if not 0 < begin <= end < 1:
            raise InputError(f"split is {begin:g},{end:g}; give two shares A,B with 0 < A <= B < 1, such as 0.7,0.85")
        ordered = sorted(runs, key=lambda run: (run.params * _last_tokens(run), run.name))
        ladder, held = ordered[: int(begin * len(ordered))], ordered[int(end * len(ordered)) :]
    else:
        sizes = sorted({run.params for run in runs})
        if not 0 < largest < len(sizes):
            raise InputError(f"largest is {largest}; there are {len(sizes)} sizes, hold out 1 to {len(sizes) - 1}")
        ladder = [run for run in runs if run.params < sizes[-largest]]
        held = [run for run in runs if run.params >= sizes[-largest]]
    return tuple(ladder), make_goals(held)


def make_goals(runs: Sequence[Run]) -> tuple[Goal, ...]:
    """The finals of finished runs, as goals."""
    return tuple(Goal(run.params, run.final.tokens, run.final.loss, run.name) for run in runs if run.final is not None)


def sort_runs(runs: Sequence[Run], order: Order = "planned") -> list[Run]:
    """Runs by increasing planned compute, ties by name; or by the time of their last observation.

    Raises:
        InputError: A time is asked for and missing.
    """
    if order == "as-recorded":
        return sorted(runs, key=lambda run: (float(_times(run)[-1]), run.name))
    return sorted(runs, key=lambda run: (_compute(run), run.name))


def see(runs: Sequence[Run], fraction: float, *, order: Order = "planned") -> tuple[Run, ...]:
    """What was visible after that share of all compute: finished runs, and the seen prefix of those that ran.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> [round(float(run.progress[-1]), 2) for run in see(planted_ladder(sizes=(1e7, 1e8), ratios=(20,)), 0.5)]
        [1.0, 0.42]
    """
    if order == "as-recorded":
        return _see_recorded(runs, fraction)
    ordered = sort_runs(runs)
    left = fraction * math.fsum(_compute(run) for run in ordered)
    seen: list[Run] = []
    for run in ordered:
        whole = _compute(run)
        if left >= whole * (1 - ROUNDING):
            seen.append(run)
        elif (prefix := run.until(left / run.flops_per_token * (1 + ROUNDING))).curve.tokens.size:
            seen.append(prefix)
        left -= whole
        if left <= 0:
            break
    return tuple(seen)


def _see_recorded(runs: Sequence[Run], fraction: float) -> tuple[Run, ...]:
    """The observations that came first, whatever their run, until their compute is spent."""
    times = np.concatenate([_times(run) for run in runs])
    spent = np.concatenate([np.diff(run.curve.tokens, prepend=0.0) * run.flops_per_token for run in runs])
    owner = np.repeat(np.arange(len(runs)), [len(run.curve) for run in runs])
    by_time = np.lexsort((owner, times))
    known = np.cumsum(spent[by_time]) <= fraction * spent.sum() * (1 + ROUNDING)
    counts = np.bincount(owner[by_time][known], minlength=len(runs))
    # cut before the next observation: a run that is wholly seen has ended, and stays as it is
    return tuple(
        run if count == len(run.curve) else run.until(float(run.curve.tokens[count - 1]))
        for run, count in zip(runs, counts.tolist(), strict=True)
        if count
    )


def _ask(work: tuple[float, tuple[Run, ...]], *, goals: Sequence[Goal], config: Config) -> list[Row]:
    """Every forecaster's answer to every goal, from these runs."""
    fraction, runs = work
    rows: list[Row] = []
    for name, answers in _answer(runs, goals, config).items():
        rows += [replace(answer, fraction=fraction, forecaster=name) for answer in answers]
    return rows


def _answer(runs: Sequence[Run], goals: Sequence[Goal], config: Config) -> dict[str, list[Row]]:
    finished = [run for run in runs if run.final is not None]
    answers: dict[str, list[Row]] = {DEFAULT if config.combines else config.forecaster: []}
    (first,) = answers
    for goal in goals:
        snapshot = refresh(runs, (), replace(config, target=Target(params=goal.params, tokens=goal.tokens)))
        made = snapshot.forecast
        answers[first].append(
            _none(goal, snapshot.absent["forecast"])
            if made is None
            else _row(goal, made.median, made.lower, made.upper)
        )
    for name, forecaster in FORECASTERS.items():
        try:
            medians = forecast_by(forecaster, runs, [(goal.params, goal.tokens) for goal in goals], config)
            answers[name] = [_row(goal, median) for goal, median in zip(goals, medians.tolist(), strict=True)]
        except NotEnoughData as reason:
            answers[name] = [_none(goal, str(reason)) for goal in goals]
    known = baselines(finished)
    for name, key in BASELINES.items():
        answers[name] = [_row(goal, known[key]) if key in known else _none(goal, "no run has ended") for goal in goals]
    return answers


def _ask_own(work: tuple[tuple[Run, ...], Run], *, fractions: Sequence[float], config: Config) -> list[Row]:
    """Every forecaster's answer to the final of one run, from the runs before it and its own prefix."""
    earlier, run = work
    assert run.final is not None
    goal = Goal(run.params, run.final.tokens, run.final.loss, run.name)
    horizon = run.horizon or run.final.tokens
    finished = [other for other in earlier if other.final is not None and not other.card.held_out]
    rows: list[Row] = []
    for fraction in fractions:
        prefix = run.until(fraction * horizon * (1 + ROUNDING))
        answers = {DEFAULT: _own_default(earlier, prefix, goal, config)}
        for name, method in METHODS.items():
            answers[name] = _own_by(method, prefix, finished, goal, config)
        for name in ("intermediate", "final-only"):
            try:
                (median,) = forecast_by(
                    FORECASTERS[name], (*earlier, prefix), [(goal.params, horizon)], config
                ).tolist()
                answers[name] = _row(goal, median)
            except NotEnoughData as reason:
                answers[name] = _none(goal, str(reason))
        known = baselines(finished)
        for name, key in BASELINES.items():
            answers[name] = _row(goal, known[key]) if key in known else _none(goal, "no run has ended")
        rows += [replace(row, fraction=fraction, forecaster=name) for name, row in answers.items()]
    return rows


def _own_default(earlier: Sequence[Run], prefix: Run, goal: Goal, config: Config) -> Row:
    made = refresh((*earlier, prefix), (), config).finals.get(prefix.name)
    if made is None:  # the prefix holds its final already
        return _none(goal, "the run has ended by then")
    return _own_row(made, goal, config.level)


def _own_by(method: Method, prefix: Run, finished: Sequence[Run], goal: Goal, config: Config) -> Row:
    return _own_row(method(prefix, finished), goal, config.level)


def _own_row(made: FinalForecast | Abstention, goal: Goal, level: float) -> Row:
    if isinstance(made, Abstention):
        return _none(goal, made.reason)
    return _row(goal, made.median, *made.interval(level))


def _row(goal: Goal, median: float, lower: float = math.nan, upper: float = math.nan) -> Row:
    if not math.isfinite(median):
        return _none(goal, "the forecast is no finite number")
    known = math.isfinite(lower) and math.isfinite(upper)
    return Row(math.nan, goal, "", median, lower if known else None, upper if known else None)


def _none(goal: Goal, reason: str) -> Row:
    return Row(math.nan, goal, "", None, reason=reason)


def _summarise(rows: Sequence[Row]) -> Summary:
    errors = [row.error for row in rows if row.error is not None]
    held = [row.covered for row in rows if row.covered is not None]
    return Summary(
        are=float(np.mean(np.abs(errors))) if errors else None,
        median_are=float(np.median(np.abs(errors))) if errors else None,
        bias=float(np.mean(errors)) if errors else None,
        coverage=float(np.mean(held)) if held else None,
        answered=len(errors),
        asked=len(rows),
    )


def _compute(run: Run) -> float:
    """Compute of the whole run; what was spent, where its plan is unknown."""
    return run.planned_flops or run.flops_per_token * _last_tokens(run)


def _last_tokens(run: Run) -> float:
    return float(run.curve.tokens[-1]) if len(run.curve) else 0.0


def _times(run: Run) -> Array:
    if not len(run.curve) or not np.isfinite(run.curve.wall_time).all():
        raise InputError(f"run {run.name!r} has observations without a wall_time; replay it in the planned order")
    return run.curve.wall_time


def _check_fractions(fractions: Sequence[float]) -> None:
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise InputError(f"fraction is {fraction:g}; it must lie in (0, 1], such as 0.5")


def _share(
    function: Callable[[_Work], list[Row]], work: Sequence[_Work], workers: int, progress: Step | None
) -> list[list[Row]]:
    """The function of each piece of work, in order, over some processes."""
    found: list[list[Row]] = []
    with _open(min(workers, len(work))) as apply:
        for done, rows in enumerate(apply(function, work), start=1):
            found.append(rows)
            if progress is not None:
                progress(done, len(work))
    return found


@contextmanager
def _open(workers: int) -> Iterator[Callable[..., Iterator[list[Row]]]]:
    if workers <= 1:
        yield map
        return
    # fresh processes: a fork of one that holds threads may hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=1)
