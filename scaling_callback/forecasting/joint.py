"""Finals and checkpoints in one fit: a law of finished runs, and what an unfinished point lies off it (`laws.gap`).

Checkpoints bring diversity in D that few finals lack. Fitted as if each were a finished run they bring a bias too,
for their schedule has not ended; here that bias is a part of the law, with parameters of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import MIN_RUNS, Borrowed, Fit, Objective, Points, Progress, fit
from scaling_callback.forecasting.evidence import ClusterOf, Evidence, find_twins, split_finished
from scaling_callback.forecasting.variables import further_variables, shared_columns
from scaling_callback.laws import get_law
from scaling_callback.laws.base import Law
from scaling_callback.laws.gap import PROGRESS, with_gap
from scaling_callback.records import FINAL_PROGRESS, Array, Run

EARLIEST = 0.15
"""Progress from which a checkpoint is evidence. From .1 to .3 the forecasts are alike, from .5 on they lose what
checkpoints bring."""

CHECKPOINTS = 6
"""Most checkpoints of one run, evenly over its progress: neighbours on a curve say the same, and with 12 the
forecasts are no better."""

ABSURD = 1e3
"""Factor from the median of its curve beyond which a checkpoint is no loss of that run: those of any training differ by
less from its first tenth on."""

SEARCHES = 4
"""Searches of the joint fit: hundreds of points leave one basin on every ladder that was tried, and a refresh must not
wait for more."""

SHARE = 0.5
"""What the checkpoints of one run weigh together, where its final weighs 1. Of .25, .5, 1 and 2 forecasts are alike,
and best at .5."""


def finals_and_checkpoints(runs: Sequence[Run], cluster: ClusterOf) -> Evidence:
    """The finals of finished runs, and checkpoints of all, with their progress as a column.

    A run whose planned tokens are unknown has no progress: its final stays, its checkpoints do not.
    """
    kept, left_out = split_finished(runs)
    reasons = dict(left_out)
    phases = Counter(run.phase for run in kept)
    rows: list[_Row] = [(run, run.final.tokens, run.final.loss, 1.0, 1.0) for run in kept if run.final is not None]
    for run in runs:
        finished = run.final is not None
        if run.card.held_out or (finished and run.name in reasons):
            continue
        reason = _why_no_checkpoints(run, phases)
        found = [] if reason else _checkpoints(run)
        rows += found
        if not finished and found:
            reasons.pop(run.name, None)
        elif not finished:
            reasons[run.name] = (
                f"{reasons.get(run.name, 'unfinished')}; {reason or f'no finite loss beyond {EARLIEST:.0%} of it'}"
            )
    used = tuple(dict.fromkeys(run.name for run, *_ in rows))
    return Evidence(_points(rows, cluster), used, reasons)


def fit_joint(
    points: Points,
    *,
    law: str | Law = "skaling",
    objective: str | Objective = "log-huber",
    prior: bool = True,
    borrowed: Borrowed | None = None,
    replicates: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """The law of finished runs, from the points of `finals_and_checkpoints`.

    Args:
        points: Finals and checkpoints, with a column `progress`.
        law: The law of finished runs, or its name.
        objective: What is minimised.
        prior: Add the weak prior, on the law and on the gap.
        borrowed: Parameters of the law to hold.
        replicates: Replicates, each of a few steps.
        seed: Their seed.
        progress: Told of the replicates done.

    Returns:
        A fit of `law` whose points are the finals. Its noise, objective and certificate are of the joint fit.

    Raises:
        NotEnoughData: Fewer than 3 independent runs have finished.
        InputError: The points have no column `progress`, or a name or a borrowed value cannot be used.
    """
    base = get_law(law)
    if PROGRESS not in points.columns:
        raise InputError(f"the points have no column {PROGRESS!r}; make them with finals_and_checkpoints")
    at_end = points.columns[PROGRESS] >= 1.0
    finished = len(np.unique(points.cluster[at_end]))
    if not finished or (finished < MIN_RUNS and borrowed is None):
        raise NotEnoughData(
            f"{finished} independent run(s) have finished; a fit of finals and checkpoints needs at least {MIN_RUNS}: "
            "let them finish"
        )
    joint = fit(
        points,
        law=base if at_end.all() else with_gap(base),
        objective=objective,
        prior=prior,
        borrowed=borrowed,
        searches=SEARCHES,
        replicates=replicates,
        refits=False,
        seed=seed,
        progress=progress,
    )
    own, variables = len(base.parameters), len(base.variables)
    return replace(
        joint,
        law=base,
        points=points.take(at_end),
        theta=joint.theta[:own],
        centre=joint.centre[:variables],
        draws=joint.draws[:, :own],
    )


_Row = tuple[Run, float, float, float, float]
"""Run, tokens, loss, weight and progress of one point."""


def _why_no_checkpoints(run: Run, phases: Counter[str]) -> str | None:
    if run.horizon is None:
        return "its planned tokens are unknown, and so is the progress of its checkpoints"
    if phases and run.phase not in phases and "unknown" not in {run.phase, *phases}:
        return f"its schedule is of phase {run.phase!r}, those of finished runs are not; phases are not mixed"
    return None


def _checkpoints(run: Run) -> list[_Row]:
    """At most `CHECKPOINTS` finite observations of the run between `EARLIEST` and its final."""
    progress, curve = run.progress, run.curve
    usable = np.isfinite(curve.loss) & (curve.loss > 0) & (progress >= EARLIEST) & (progress < FINAL_PROGRESS)
    if usable.any():  # a loss that is off by orders of magnitude is a failed measurement
        middle = float(np.median(curve.loss[usable]))
        usable &= (curve.loss < middle * ABSURD) & (curve.loss > middle / ABSURD)
    if run.final is not None:
        usable &= curve.tokens < run.final.tokens
    places = _spread(np.flatnonzero(usable), progress)
    weight = SHARE / max(len(places), 1)
    return [(run, float(curve.tokens[i]), float(curve.loss[i]), weight, float(progress[i])) for i in places]


def _spread(places: np.ndarray[tuple[int], np.dtype[np.intp]], progress: Array) -> list[int]:
    """Those places that lie nearest to an even grid over the progress that they span."""
    if len(places) <= CHECKPOINTS:
        return [int(place) for place in places]
    seen = progress[places]
    grid = np.linspace(EARLIEST, float(seen[-1]), CHECKPOINTS)
    nearest = np.abs(seen[None, :] - grid[:, None]).argmin(1)
    return [int(places[index]) for index in np.unique(nearest)]


def _points(rows: Sequence[_Row], cluster: ClusterOf) -> Points | None:
    if not rows:
        return None
    runs, tokens, loss, weight, progress = zip(*rows, strict=True)
    # finals may repeat a seed, checkpoints of one run do not
    twins = find_twins([run for run, *_, x in rows if x == 1.0])
    repeats = [twins[run.name] if x == 1.0 else f"{run.name}@{seen:g}" for run, seen, *_, x in rows]
    columns = shared_columns([further_variables(run, seen) for run, seen in zip(runs, tokens, strict=True)])
    return Points.of(
        [run.params for run in runs],
        tokens,
        loss,
        weight=weight,
        run=[run.name for run in runs],
        cluster=[cluster(run) for run in runs],
        twins=repeats,
        columns={**columns, PROGRESS: progress},
    )
