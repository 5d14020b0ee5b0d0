"""Evidence policies: which weighted points a fit sees, made from observations.

A policy never drops a run silently: each run that it leaves out is named with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling_callback.curves import FinalForecast, forecast_final
from scaling_callback.errors import InputError
from scaling_callback.fitting import SEED_NOISE, Points
from scaling_callback.forecasting.variables import further_variables, shared_columns
from scaling_callback.records import Run, same_count

FIRST_TENTH = 0.1
"""Checkpoints up to this progress are warmup and are not evidence (Hitchhiker's Guide)."""


BROKEN = {"off-law", "diverged"}
"""Rules that stop a run for being no run of its ladder any more."""

COMBINATIONS = {"any-of", "all-of", "patient"}
"""What stands in the name of a combined rule beside the names of its parts."""


@dataclass(frozen=True)
class Evidence:
    """Points for a fit, and what became of each run.

    Attributes:
        points: The points; `None` if there are none.
        used: Names of the runs behind them.
        left_out: Reason by name of each run that is not.
        guessed: Forecast finals of unfinished runs that are among the points.
    """

    points: Points | None
    used: tuple[str, ...]
    left_out: Mapping[str, str]
    guessed: Mapping[str, FinalForecast] = field(default_factory=dict[str, FinalForecast])


Policy = Callable[[Sequence[Run], "ClusterOf"], Evidence]
ClusterOf = Callable[[Run], str]


def finals(runs: Sequence[Run], cluster: ClusterOf) -> Evidence:
    """The final of every finished run of the prevailing phase, weight 1."""
    kept, left_out = split_finished(runs)
    rows = [_Row(run, run.final.tokens, run.final.loss, 1.0) for run in kept if run.final is not None]
    return Evidence(_points(rows, cluster), tuple(run.name for run in kept), left_out)


def intermediate(runs: Sequence[Run], cluster: ClusterOf) -> Evidence:
    """Every finite observation after the first tenth of its run, weight 1, as if each were a finished run."""
    return _checkpoints(runs, cluster, FIRST_TENTH)


def checkpoints_beyond(progress: float) -> Policy:
    """`intermediate` with another cut: every finite observation beyond that share of its run."""
    return lambda runs, cluster: _checkpoints(runs, cluster, progress)


def _checkpoints(runs: Sequence[Run], cluster: ClusterOf, beyond: float) -> Evidence:
    rows: list[_Row] = []
    left_out: dict[str, str] = {}
    for run in runs:
        if (barred := _why_barred(run)) is not None:
            left_out[run.name] = barred
            continue
        known = np.isfinite(run.curve.loss) & (run.curve.loss > 0)
        late = known & ~(run.progress <= beyond) if run.horizon else known & (_rank(run) > beyond)
        if not late.any():
            left_out[run.name] = f"no finite observation after the first {beyond:.0%} of it"
        rows += [_Row(run, float(run.curve.tokens[i]), float(run.curve.loss[i]), 1.0) for i in np.flatnonzero(late)]
    used = dict.fromkeys(row.run.name for row in rows)
    return Evidence(_points(rows, cluster), tuple(used), left_out)


def finals_and_guesses(runs: Sequence[Run], cluster: ClusterOf) -> Evidence:
    """`finals`, and for each unfinished run the best guess at its own final.

    A guess weighs what a measurement with its spread weighs against one with seed noise alone:
    s^2 / (s^2 + spread^2).
    """
    kept, left_out = split_finished(runs)
    rows = [_Row(run, run.final.tokens, run.final.loss, 1.0) for run in kept if run.final is not None]
    guessed: dict[str, FinalForecast] = {}
    reasons = dict(left_out)
    for run in runs:
        if run.final is not None or run.horizon is None or _why_barred(run) is not None:
            continue
        guess = forecast_final(run, others_of(run, runs))
        if isinstance(guess, FinalForecast):
            relative = guess.spread / guess.median
            weight = SEED_NOISE**2 / (SEED_NOISE**2 + relative**2)
            rows.append(_Row(run, run.horizon, guess.median, weight, relative))
            guessed[run.name] = guess
            reasons.pop(run.name, None)
        else:
            reasons[run.name] = f"{reasons.get(run.name, 'unfinished')}; no guess at its final: {guess.reason}"
    return Evidence(_points(rows, cluster), tuple(row.run.name for row in rows), reasons, guessed)


POLICIES: dict[str, Policy] = {
    "finals": finals,
    "intermediate": intermediate,
    "default": finals_and_guesses,
}


def get_policy(name: str) -> Policy:
    """The evidence policy of that name.

    Raises:
        InputError: There is none.
    """
    if name not in POLICIES:
        raise InputError(f"there is no evidence policy named {name!r}; choose one of: {', '.join(POLICIES)}")
    return POLICIES[name]


def others_of(run: Run, runs: Sequence[Run]) -> list[Run]:
    """What the forecast of a run's own final may look at: every other run that is not held out."""
    return [other for other in runs if other.name != run.name and not other.card.held_out]


def name_phase(finished: Sequence[Run]) -> dict[str, str]:
    """The doubt that comes with finals of a constant rate: what annealing would gain is not in them."""
    if not finished or any(run.phase != "constant" for run in finished):
        return {}
    return {
        "cooldown_gap_unknown": (
            "every final was measured at a constant rate and no cooldown has been seen: this is the loss before "
            "annealing; an annealed model ends lower, by a gap that is unknown until branches are cooled down"
        )
    }


def included(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs that no line in their card excludes."""
    return tuple(run for run in runs if not run.card.excluded)


def name_excluded(runs: Sequence[Run]) -> dict[str, str]:
    """The others, each with its reason."""
    return {run.name: f"excluded: {run.card.excluded}" for run in runs if run.card.excluded}


def best_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Among runs that share params and horizon, the one with the lowest final.

    An unfinished run stays until one that shares both has finished; a held-out run competes with none, and an excluded
    one is none of them.
    """
    kept: list[Run] = []
    for run in sorted(included(runs), key=lambda r: r.final.loss if r.final else np.inf):
        twins = (other for other in kept if other.final is not None and not other.card.held_out)
        if run.card.held_out or not any(_is_twin(run, other) for other in twins):
            kept.append(run)
    names = {run.name for run in kept}
    return tuple(run for run in runs if run.name in names)


def trunks(runs: Sequence[Run]) -> dict[str, str]:
    """For each run the trunk that it stems from, however many branches lie between; itself where it is none.

    A parent that is not among the runs is a trunk: nothing more is known of it.
    """
    parents = {run.name: run.card.parent for run in runs}
    return {run.name: _follow(run.name, parents) for run in runs}


def _follow(name: str, parents: Mapping[str, str | None]) -> str:
    seen = [name]
    while (parent := parents.get(seen[-1])) is not None:
        if parent in seen:  # damaged cards: runs that are each other's parent are one cluster, whatever its name
            return min(seen)
        seen.append(parent)
    return seen[-1]


def find_twins(runs: Sequence[Run]) -> dict[str, str]:
    """For each run the first that differs from it by the seed alone; itself where there is none.

    Size, horizon, schedule, learning rate, batch and recipe are the same and both seeds are known: a sweep of the
    learning rate repeats sizes and horizons too, and its differences are no noise. One seed twice is one run twice.
    """
    twins: dict[str, str] = {}
    groups: list[list[Run]] = []
    for run in runs:
        group = next((group for group in groups if _repeats(run, group)), None)
        if group is None:
            groups.append(group := [])
        group.append(run)
        twins[run.name] = group[0].name
    return twins


def _repeats(run: Run, group: Sequence[Run]) -> bool:
    known = run.card.seed is not None and run.card.seed not in {other.card.seed for other in group}
    first = group[0]
    return known and first.card.seed is not None and _is_twin(run, first) and _recipe(run) == _recipe(first)


def _recipe(run: Run) -> tuple[object, ...]:
    """What is known of how a run was trained, but for size, horizon and seed."""
    rates = run.curve.lr[np.isfinite(run.curve.lr)]
    peak = run.card.peak_lr if run.card.peak_lr is not None else max(rates, default=None)
    return run.card.schedule, peak, run.card.batch_tokens, dict(run.card.recipe), run.card.loss_kind, run.card.parent


def _is_twin(run: Run, other: Run) -> bool:
    """Whether two runs share params and horizon."""
    return same_count(run.params, other.params) and same_count(run.horizon, other.horizon)


@dataclass(frozen=True)
class _Row:
    run: Run
    tokens: float
    loss: float
    weight: float
    spread: float = 0.0


def _points(rows: Sequence[_Row], cluster: ClusterOf) -> Points | None:
    if not rows:
        return None
    twins = find_twins([row.run for row in rows]) if len({row.run.name for row in rows}) == len(rows) else None
    return Points.of(
        [row.run.params for row in rows],
        [row.tokens for row in rows],
        [row.loss for row in rows],
        weight=[row.weight for row in rows],
        spread=[row.spread for row in rows],
        run=[row.run.name for row in rows],
        cluster=[cluster(row.run) for row in rows],
        # checkpoints of one run repeat no seed
        twins=None if twins is None else [twins[row.run.name] for row in rows],
        columns=shared_columns([further_variables(row.run, row.tokens) for row in rows]),
    )


def split_finished(runs: Sequence[Run]) -> tuple[list[Run], dict[str, str]]:
    """Runs whose final may be evidence, and why the others may not."""
    finished: list[Run] = []
    left_out: dict[str, str] = {}
    for run in runs:
        if (barred := _why_barred(run)) is not None:
            left_out[run.name] = barred
        elif run.final is None:
            left_out[run.name] = _why_unfinished(run)
        else:
            finished.append(run)
    phases = Counter(run.phase for run in finished)
    if len(phases) > 1:
        # losses at a constant rate lie well above annealed ones: mixing them bends the law
        prevailing = max(phases, key=lambda phase: (phases[phase], phase == "annealed"))
        for run in finished:
            if run.phase != prevailing:
                left_out[run.name] = (
                    f"its final is of phase {run.phase!r}, most are {prevailing!r}; phases are not mixed"
                )
        finished = [run for run in finished if run.phase == prevailing]
    return finished, left_out


def _why_barred(run: Run) -> str | None:
    """Why nothing of a run may be evidence, whatever was measured of it; `None` where it may."""
    if run.card.held_out:
        return "held out to be compared with the forecast"
    stopped = run.stopped
    rules = {*re.findall(r"[\w-]+", stopped.rule)} - COMBINATIONS if stopped is not None else set[str]()
    # a run that was stopped for another reason is as good as any that has not ended yet
    if stopped is not None and rules and rules <= BROKEN:
        return f"stopped by {stopped.rule}: {stopped.reason}"
    return None


def _why_unfinished(run: Run) -> str:
    if not len(run.curve):
        return "no observation"
    last = run.curve[len(run.curve) - 1]
    if not np.isfinite(last.loss):
        return f"its last loss is {last.loss}: diverged"
    if last.loss <= 0:
        return f"its last loss is {last.loss:g}; a law needs positive losses"
    if run.horizon is None:
        return "its planned tokens are unknown, so it cannot be told whether it has ended"
    return f"unfinished: {run.progress[-1]:.0%} of its planned tokens seen"


def _rank(run: Run) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Position in the run as a share of what was seen, where the horizon is unknown."""
    return run.curve.tokens / run.curve.tokens[-1:]
