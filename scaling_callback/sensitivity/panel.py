"""Refit under every choice, and say how far the answers spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import OWN_COLUMNS, Fit, Points, Status, fewest_replicates, fit
from scaling_callback.fitting.procedures import PROCEDURE_REPLICATES, bootstrap_search, search
from scaling_callback.records import Run, Target, is_count
from scaling_callback.sensitivity.answers import Aim
from scaling_callback.sensitivity.choices import ANALYSIS, Choice, as_asked, list_analyses, list_choices
from scaling_callback.sensitivity.result import Panel, Row
from scaling_callback.sensitivity.rows import describe_fit, describe_search, rejects

AHEAD = 10.0
"""The budget where none is given, over the largest compute among the points: a step that a ladder should carry."""

SEARCHES = 3
"""Searches of each of the other analyses."""

Progress = Callable[[int, int], None]


def compare_choices(
    runs: Sequence[Run],
    base: Choice,
    *,
    cluster: Callable[[Run], str] = lambda run: run.cluster,
    flops: float | None = None,
    target: Target | None = None,
    known: Mapping[str, float] | None = None,
    cost: Callable[[Sequence[Run]], Cost] = lambda _: SIX_ND,
    groups: Sequence[str] | None = None,
    also: Sequence[Choice] = (),
    target_sizes: Mapping[str, float] | None = None,
    replicates: int = 0,
    level: float = 0.9,
    seed: int = 0,
    procedure_replicates: int = PROCEDURE_REPLICATES,
    progress: Progress | None = None,
) -> Panel:
    """Refit `runs` under `base` and under every choice that changes one thing in it.

    Sum or mean is no choice of its own: they have one optimum. Minimising the mean is shown among the procedures,
    whose tolerances it defeats.

    Intervals are percentiles over replicates: of a certified fit those of its bootstrap, of a published procedure what
    a bootstrap around that very procedure would say (`bootstrap_search`), which can be a narrow interval around a wrong
    answer. A procedure that fails is diagnosed in its row: where it `stalled`, how far it is `order_dependent`, and
    whether its interval `misses_optimum`.

    Args:
        runs: The ladder.
        base: What was asked.
        cluster: What a run shares its noise with.
        flops: Budget of the optimal D/N; by default the target's compute, else ten times what the
            largest point costs.
        target: What the loss is forecast for; by default the optimum at the budget.
        cost: What a model costs, by runs whose N is counted in one way.
        known: Values there of further variables of the law, such as `unique_tokens`.
        groups: Only these groups of choices.
        also: Choices beside those that are always made, such as caps that a study has used.
        target_sizes: N of the target in other countings, by the name that the runs know them by; without one there is
            no loss in that counting.
        replicates: Bootstrap replicates of each row; 0 for none.
        level: Nominal coverage of the intervals.
        seed: Seed of the bootstrap.
        procedure_replicates: Most replicates of a published procedure, or as many as the level needs; each is a whole
            search. 0 for none.
        progress: Told of the choices done, and of how many.

    Raises:
        NotEnoughData: The base itself cannot be fitted.
        InputError: The budget, the level, the replicates or a size of the target cannot be used.

    Example:
        >>> from scaling_callback.sensitivity import as_asked
        >>> from scaling_callback.testing import planted_ladder
        >>> panel = compare_choices(planted_ladder(noise=0.0), as_asked(), flops=1e20, groups=("loss", "delta"))
        >>> panel.spread("tokens_per_param", converged=True).ratio < 1.01
        True
    """
    if flops is not None:
        check_budget(flops)
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level!r}; it must lie between 0 and 1, such as 0.9")
    for name, size in (target_sizes or {}).items():
        if not is_count(size):
            raise InputError(f"target_sizes[{name!r}] is {size!r}; it must be a positive, finite count")
    evidence = _points(base, runs, cluster)
    refit = partial(_fit, replicates=replicates, seed=seed)
    certified = refit(base, evidence)
    own = cost(base.select(runs))
    budget = flops or (target.compute if target else AHEAD * max(map(own.flops, evidence.params, evidence.tokens)))
    place = None if target is None or target.flops is not None else target
    searches = min(replicates, max(procedure_replicates, fewest_replicates(level))) if procedure_replicates else 0
    aim = Aim(budget, place, target_sizes or {}, known or {}, level)

    choices = [c for c in list_choices(base, runs) if c is base or groups is None or c.group in groups] + [*also]
    rows: list[Row] = []
    skipped: dict[str, str] = {}
    plain: Fit | None = None
    for done, choice in enumerate(choices):
        try:
            points = (
                evidence if choice.group in (*ANALYSIS, "procedure") else _other_points(choice, runs, cluster, evidence)
            )
            if choice.procedure is not None:
                plain = plain or _fit(choice, points)
                outcome = search(points, choice.procedure)
                draws = bootstrap_search(points, choice.procedure, searches, seed)
                rows.append(describe_search(choice, outcome, draws, plain, aim, own))
            else:
                found = certified if choice is base else refit(choice, points)
                rows.append(describe_fit(choice, found, certified, aim, cost(choice.select(runs))))
        except NotEnoughData as reason:
            skipped[choice.name] = str(reason)
        if progress is not None:
            progress(done + 1, len(choices))
    return Panel(budget, aim.target, tuple(rows), skipped, level)


def fit_analyses(found: Fit) -> dict[str, Fit]:
    """Fits of the same points by other analyses that these do not reject, by name; of few searches each.

    Whether a split turns on such a choice is asked at every refresh, and must not take longer than the rest of it.

    Example:
        >>> from scaling_callback.fitting import Points
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> losses = 1.8 + 480 / N**0.35 + 2100 / D**0.37
        >>> others = fit_analyses(fit(Points.of(N.ravel(), D.ravel(), losses.ravel())))
        >>> [round(other.params["alpha"], 3) for other in others.values()]
        [0.35, 0.35, 0.35, 0.35, 0.35, 0.35]
    """
    base = as_asked(found.law, found.criterion, prior=found.prior, ridges=found.ridges, borrowed=found.borrowed)
    others: dict[str, Fit] = {}
    for choice in list_analyses(base):
        with suppress(NotEnoughData):  # another law may need what was borrowed for this one
            other = _fit(choice, found.points, searches=SEARCHES)
            if other.status is Status.CONVERGED and (other.law is found.law or not rejects(found, other)):
                others[choice.name] = other
    return others


def _fit(choice: Choice, points: Points, *, searches: int | None = None, replicates: int = 0, seed: int = 0) -> Fit:
    """The certified optimum, unless the number of searches is limited."""
    return fit(
        points,
        law=choice.law,
        objective=choice.objective,
        prior=choice.prior,
        ridges=choice.ridges,
        borrowed=choice.borrowed,
        searches=searches,
        replicates=replicates,
        seed=seed,
    )


def _points(choice: Choice, runs: Sequence[Run], cluster: Callable[[Run], str]) -> Points:
    points = choice.policy(choice.select(runs), cluster).points
    if points is None:
        raise NotEnoughData("no point remains")
    return points.take(choice.keep(points))


def _other_points(choice: Choice, runs: Sequence[Run], cluster: Callable[[Run], str], base: Points) -> Points:
    points = _points(choice, runs, cluster)
    if len(points) == len(base) and all(np.array_equal(getattr(points, c), getattr(base, c)) for c in OWN_COLUMNS):
        raise NotEnoughData("it leaves the points as they are")
    return points
