"""Ask every forecaster at every moment.

At each moment exactly the observations that the compute spent so far has paid for are visible, and the horizons of
the runs that have begun; the forecasts come from `pipeline.refresh`, as those of a live ladder do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from typing import TypeAlias, TypeVar

from scaling_callback.curves import METHODS, Abstention, FinalForecast, Method, forecast_final
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.forecasting import DEFAULT, Forecaster, baselines, get_forecaster, others_of
from scaling_callback.pipeline import forecast_by, refresh, select
from scaling_callback.records import Run, Target
from scaling_callback.replaying.goals import Goal
from scaling_callback.replaying.result import Replay, Row
from scaling_callback.replaying.visible import ROUNDING, Order, see, see_until, sort_runs
from scaling_callback.snapshot import Config

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
"""Shares of the ladder's compute after which a forecast is asked for."""

OWN_FRACTIONS = (0.1, 0.2, 0.3, 0.5, 0.7)
"""Shares of a run's own horizon after which its final is asked for."""

BASELINES = {"best-loss": "best_loss", "most-compute": "most_compute"}
"""The guesses that need no law, by name of the row."""

PROTOCOLS = ("intermediate", "final-only")
"""The published protocols, beside which every forecast stands: they have no prior, no record and no interval."""


_Work = TypeVar("_Work")

Step: TypeAlias = Callable[[int, int], None]
"""Told of the steps done and of all steps."""


def replay(
    runs: Sequence[Run],
    goals: Sequence[Goal],
    fractions: Sequence[float] = FRACTIONS,
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    forecasters: Sequence[str] = PROTOCOLS,
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
        forecasters: Names of further forecasters, beside the config's and the baselines.
        order: `planned` takes runs one after another by planned compute, `as-recorded` the observations as their
            times say.
        workers: Processes to share the work; the numbers are the same whatever their count.
        progress: Told of the steps done.

    Raises:
        InputError: There is no run or goal, a fraction lies outside (0, 1], a time is missing, or there is no
            forecaster of such a name.

    Example:
        >>> from scaling_callback.testing import planted_ladder, planted_loss
        >>> goal = Goal(1e9, 2e10, planted_loss(1e9, 2e10))
        >>> made = replay(planted_ladder(), [goal], [0.5, 1.0], Config(replicates=20))
        >>> made.summary()["default"][1.0].are < 0.02
        True
    """
    _check_fractions(fractions)
    if not (runs and goals):
        raise InputError(
            f"a replay needs runs and targets, and there are {len(runs)} run(s) beside {len(goals)} target(s); runs "
            "that the targets name are left out: give targets that are other runs"
        )
    kept = select(runs, config)
    chosen = replace(config, runs="all")
    work = [(fraction, see(kept, fraction, order=order)) for fraction in fractions]
    asked = {name: get_forecaster(name) for name in forecasters}
    found = _share(partial(_ask, goals=tuple(goals), asked=asked, config=chosen), work, workers, progress)
    return Replay(tuple(row for rows in found for row in rows))


def replay_own(
    runs: Sequence[Run],
    fractions: Sequence[float] = OWN_FRACTIONS,
    config: Config = Config(),  # noqa: B008 (frozen)
    *,
    forecasters: Sequence[str] = PROTOCOLS,
    order: Order = "planned",
    workers: int = 1,
    progress: Step | None = None,
) -> Replay:
    """Forecast each run's own final from all runs earlier in the order and the prefix of its own.

    Arguments and exceptions are those of `replay`; a fraction is the progress of the run, and the methods of
    `curves.METHODS` are forecasters too.
    """
    _check_fractions(fractions)
    methods = {name: METHODS[name] for name in forecasters if name in METHODS}
    laws = {name: get_forecaster(name) for name in forecasters if name not in METHODS}
    kept = select(runs, config)
    ordered = sort_runs(kept, order)
    # of runs that trained side by side the times say what was visible
    work = [
        (tuple(ordered[:index]) if order == "planned" else tuple(other for other in ordered if other is not run), run)
        for index, run in enumerate(ordered)
        if run.final is not None
    ]
    if not work:
        raise InputError("no run has ended, so there is nothing to compare a forecast with; give finished runs")
    chosen = replace(config, runs="all", target=None)
    found = _share(
        partial(_ask_own, fractions=tuple(fractions), order=order, methods=methods, laws=laws, config=chosen),
        work,
        workers,
        progress,
    )
    rows = [row for rows in found for row in rows]
    return Replay(tuple(sorted(rows, key=lambda row: list(fractions).index(row.fraction))))


def _ask(
    work: tuple[float, tuple[Run, ...]], *, goals: Sequence[Goal], asked: Mapping[str, Forecaster], config: Config
) -> list[Row]:
    """Every forecaster's answer to every goal, from these runs."""
    fraction, runs = work
    rows: list[Row] = []
    for name, answers in _answer(runs, goals, asked, config).items():
        rows += [replace(answer, fraction=fraction, forecaster=name) for answer in answers]
    return rows


def _answer(
    runs: Sequence[Run], goals: Sequence[Goal], asked: Mapping[str, Forecaster], config: Config
) -> dict[str, list[Row]]:
    answers: dict[str, list[Row]] = {DEFAULT: []}
    for goal in goals:
        snapshot = refresh(
            runs, (), replace(config, target=Target(params=goal.params, tokens=goal.tokens), splits=False, past=False)
        )
        made = snapshot.forecast
        answers[DEFAULT].append(
            _none(goal, snapshot.absent["forecast"])
            if made is None
            else replace(_row(goal, made.median, made.lower, made.upper), warnings=tuple(made.warnings))
        )
    return answers | _answer_beside(
        runs, goals, [(goal.params, goal.tokens) for goal in goals], asked, baselines(runs), config
    )


def _answer_beside(
    runs: Sequence[Run],
    goals: Sequence[Goal],
    places: Sequence[tuple[float, float]],
    asked: Mapping[str, Forecaster],
    known: Mapping[str, float],
    config: Config,
) -> dict[str, list[Row]]:
    """Beside the default: what single forecasters say of each goal's place (N, D), and the guesses `known`."""
    answers: dict[str, list[Row]] = {}
    for name, forecaster in asked.items():
        try:
            medians = forecast_by(forecaster, runs, places, config)
            answers[name] = [_row(goal, median) for goal, median in zip(goals, medians.tolist(), strict=True)]
        except NotEnoughData as reason:
            answers[name] = [_none(goal, str(reason)) for goal in goals]
    for name, key in BASELINES.items():
        answers[name] = [_row(goal, known[key]) if key in known else _none(goal, "no run has ended") for goal in goals]
    return answers


def _ask_own(
    work: tuple[tuple[Run, ...], Run],
    *,
    fractions: Sequence[float],
    order: Order,
    methods: Mapping[str, Method],
    laws: Mapping[str, Forecaster],
    config: Config,
) -> list[Row]:
    """Every forecaster's answer to the final of one run, from the runs before it and its own prefix."""
    others, run = work
    assert run.final is not None
    goal = Goal(run.params, run.final.tokens, run.final.loss, run.name)
    horizon = run.horizon or run.final.tokens
    rows: list[Row] = []
    for fraction in fractions:
        prefix = run.until(fraction * horizon * (1 + ROUNDING))
        earlier = others if order == "planned" else see_until(others, _last_time(prefix))
        answers = {DEFAULT: _own_default(earlier, prefix, goal, config)}
        for name, method in methods.items():
            answers[name] = _own_row(method(prefix, others_of(prefix, earlier)), goal, config.level)
        known = baselines(earlier)  # a prefix that holds its final must not be its own baseline
        beside = _answer_beside((*earlier, prefix), [goal], [(goal.params, horizon)], laws, known, config)
        answers |= {name: row for name, (row,) in beside.items()}
        rows += [replace(row, fraction=fraction, forecaster=name) for name, row in answers.items()]
    return rows


def _last_time(run: Run) -> float:
    return float(run.curve.wall_time[-1]) if len(run.curve) else -math.inf


def _own_default(earlier: Sequence[Run], prefix: Run, goal: Goal, config: Config) -> Row:
    if prefix.final is not None:  # there is nothing left to forecast
        return _row(goal, prefix.final.loss)
    return _own_row(forecast_final(prefix, others_of(prefix, earlier)), goal, config.level)


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


def _check_fractions(fractions: Sequence[float]) -> None:
    if not fractions or len(set(fractions)) < len(fractions):
        raise InputError(f"fractions are {list(fractions)}; give at least one, and each once")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise InputError(f"fraction is {fraction:g}; it must lie in (0, 1], such as 0.5")


def _share(
    function: Callable[[_Work], list[Row]], work: Sequence[_Work], workers: int, progress: Step | None
) -> list[list[Row]]:
    """The function of each piece of work, in order, over some processes."""
    found: list[list[Row]] = []
    # neighbours in one piece: they look at the same runs, whose answers are kept as long as a process knows them
    with _open(min(workers, len(work)), math.ceil(len(work) / max(2 * workers, 1))) as apply:
        for done, rows in enumerate(apply(function, work), start=1):
            found.append(rows)
            if progress is not None:
                progress(done, len(work))
    return found


@contextmanager
def _open(workers: int, piece: int) -> Generator[Callable[..., Iterator[list[Row]]]]:
    if workers <= 1:
        yield map
        return
    # fresh processes: a fork of one that holds threads may hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=piece)
