"""The ladders whose choices are varied, and the choices that only this study makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from families import find_table

from scaling_callback import Run, read_table
from scaling_callback.fitting import Points
from scaling_callback.forecasting import checkpoints_beyond
from scaling_callback.records import BoolArray, Target
from scaling_callback.sensitivity import Choice, as_asked, cap_ratio, cap_size

CUTS = (0.0, 0.1, 0.2, 0.5)
"""Shares of a run beyond which its checkpoints are taken, as in the study."""

SAME_SIZE = 0.05
"""Models whose N differ by less are one size: some were read off a figure."""


@dataclass(frozen=True)
class Ladder:
    """A ladder, and what is asked of it.

    Attributes:
        name: As it is shown.
        table: Name of the table.
        source: Where it comes from, in words.
        params: The column that N is read from.
        other: The column with N in another counting, where there is one.
        best: Whether of each size and horizon only the best run is taken, as settings were swept.
        outliers: How many runs are left out, those of the highest loss.
        sizes: Caps on N that the study made.
        ratios: Caps on D/N: points below the first, and above the second.
    """

    name: str
    table: str
    source: str
    params: str = "params"
    other: str | None = None
    best: bool = False
    outliers: int = 0
    sizes: tuple[float, ...] = ()
    ratios: tuple[float, float] | None = (18.0, 22.0)


LADDERS: tuple[Ladder, ...] = (
    Ladder(
        "(Mis)Fitting ladder",
        "misfitting",
        "the runs of Li et al.; finals of the best learning rate of each size and horizon, N with embeddings",
        params="params_total",
        other="params",
        best=True,
    ),
    Ladder(
        "Chinchilla reconstruction",
        "chinchilla_epoch",
        "the runs of Hoffmann et al. as Besiroglu et al. read them off a figure, without the five highest losses",
        outliers=5,
        sizes=(120e6, 500e6),
    ),
    Ladder(
        "OLMo ladder",
        "olmo_ladder",
        "finals of the OLMo ladder, N without the input embedding: nothing was published of these choices",
        ratios=None,
    ),
)
"""The two that the study is measured on, and one that anybody has."""


def require_table(table: str, folders: Sequence[Path]) -> Path:
    """Where a table is.

    Raises:
        ValueError: It is in none of the folders.
    """
    path = find_table(table, folders)
    if path is None:
        raise ValueError(f"{table}.csv is in none of {', '.join(map(str, folders))}; name its folder with --data")
    return path


def read_ladder(ladder: Ladder, folders: Sequence[Path]) -> tuple[Run, ...]:
    """The finished runs of the ladder.

    Raises:
        ValueError: Its table is in none of the folders.
    """
    path = require_table(ladder.table, folders)
    return tuple(run for run in read_table(path, params=ladder.params) if run.final is not None)


def base_choice(ladder: Ladder) -> Choice:
    """What every other choice changes one thing in."""
    base = as_asked(best=ladder.best)
    return replace(base, select=partial(drop_highest, count=ladder.outliers)) if ladder.outliers else base


def make_points(choice: Choice, runs: Sequence[Run]) -> Points:
    """The points that a choice fits.

    Raises:
        ValueError: There is none.
    """
    points = choice.policy(choice.select(runs), lambda run: run.cluster).points
    if points is None:
        raise ValueError(f"no point remains under the choice {choice.name!r}")
    return points.take(choice.keep(points))


def base_points(ladder: Ladder, runs: Sequence[Run]) -> Points:
    """The points of what was asked."""
    return make_points(base_choice(ladder), runs)


def more_choices(ladder: Ladder) -> tuple[Choice, ...]:
    """The choices that were published of this ladder and are not in every panel."""
    base = base_choice(ladder)
    more = [cap_size(base, most) for most in ladder.sizes]
    if ladder.ratios is not None:
        below, above = ladder.ratios
        more += [cap_ratio(base, below=below), cap_ratio(base, above=above)]
    if ladder.outliers:
        more.append(replace(as_asked(), name=f"the {ladder.outliers} outliers kept", group="outliers"))
    if ladder.best:
        more += [_lowest_checkpoints(cut) for cut in CUTS]
    return tuple(more)


def _lowest_checkpoints(cut: float) -> Choice:
    name = f"lowest at each N and D, {f'beyond {cut:.0%}' if cut else 'every checkpoint'}"
    return replace(as_asked(policy=checkpoints_beyond(cut)), name=name, group="early cut", select=lowest_checkpoints)


def drop_highest(runs: Sequence[Run], count: int) -> Sequence[Run]:
    """All runs but those of the highest finals."""
    return sorted(runs, key=_loss)[: len(runs) - count]


def lowest_checkpoints(runs: Sequence[Run], *, same_horizon: bool = False) -> Sequence[Run]:
    """The runs without the observations at which another of their size stood lower after as many tokens.

    With `same_horizon` only runs that were to end at the same D are compared, which differ in learning rate alone.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> runs = planted_ladder(sizes=(1e7,), ratios=(5.0, 20.0))
        >>> [len(run.curve) for run in lowest_checkpoints(runs)] == [len(run.curve) for run in runs]
        True
    """
    lowest: dict[tuple[float, float | None, float], float] = {}
    for run in runs:
        for place, loss in _places(run, same_horizon=same_horizon):
            if np.isfinite(loss):
                lowest[place] = min(lowest.get(place, np.inf), loss)
    kept: list[Run] = []
    for run in runs:
        losses = np.full(len(run.curve), np.nan)
        for index, (place, loss) in enumerate(_places(run, same_horizon=same_horizon)):
            if loss == lowest.get(place):
                losses[index] = lowest.pop(place)  # of runs that stood equally low the first is taken
        kept.append(replace(run, curve=replace(run.curve, loss=losses)))
    return kept


def _places(run: Run, *, same_horizon: bool) -> list[tuple[tuple[float, float | None, float], float]]:
    horizon = run.horizon if same_horizon else None
    pairs = zip(run.curve.tokens.tolist(), run.curve.loss.tolist(), strict=True)
    return [((run.params, horizon, tokens), loss) for tokens, loss in pairs]


def lowest_of_each_place(points: Points) -> BoolArray:
    """Of the points at each N and D that of the lowest loss, whichever run and horizon it is of.

    Example:
        >>> lowest_of_each_place(Points.of([1e6, 1e6, 1e7], [1e8] * 3, [4.1, 4.0, 3.5])).tolist()
        [False, True, True]
    """
    order = np.lexsort((points.loss, points.tokens, points.params))
    params, tokens = points.params[order], points.tokens[order]
    first = np.ones(len(points), dtype=np.bool_)
    first[1:] = (params[1:] != params[:-1]) | (tokens[1:] != tokens[:-1])
    kept = np.zeros(len(points), dtype=np.bool_)
    kept[order] = first
    return kept


@dataclass(frozen=True)
class Task:
    """A real forecast: all sizes but the largest, and what was measured of it.

    Attributes:
        runs: The runs of the other sizes.
        target: The longest run of the largest size, N as the runs count it.
        sizes: Its N in other countings, by name.
        measured: Its loss; the lowest, where several runs were as long.
        reach: Its compute over that of the largest run of the other sizes.
    """

    runs: tuple[Run, ...]
    target: Target
    sizes: dict[str, float]
    measured: float
    reach: float


def hold_out(runs: Sequence[Run], select: Callable[[Sequence[Run]], Sequence[Run]]) -> Task:
    """The task of forecasting the longest run of the largest size, of those that `select` takes."""
    largest = max(run.params for run in runs)
    ends = [run for run in select(runs) if run.params > largest * (1 - SAME_SIZE) and run.final is not None]
    goal = min(ends, key=lambda run: (-_tokens(run), _loss(run)))
    others = tuple(run for run in runs if run.params <= largest * (1 - SAME_SIZE))
    target = Target(params=goal.params, tokens=_tokens(goal))
    reach = goal.params * _tokens(goal) / max(run.params * _tokens(run) for run in select(others))
    return Task(others, target, dict(goal.card.sizes), _loss(goal), reach)


def _tokens(run: Run) -> float:
    return run.final.tokens if run.final else np.nan


def _loss(run: Run) -> float:
    return run.final.loss if run.final else np.inf
