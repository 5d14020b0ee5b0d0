"""Refit under every choice, and say how far the answers spread."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import OWN_COLUMNS, Fit, Points, Status, fit
from scaling_callback.fitting.points import log_variables
from scaling_callback.fitting.procedures import Outcome, search
from scaling_callback.laws.muennighoff import heed_repetition
from scaling_callback.records import Array, Run, Target
from scaling_callback.sensitivity.choices import ANALYSIS, Choice, as_asked, list_analyses, list_choices
from scaling_callback.sensitivity.result import Panel, Row

AHEAD = 10.0
"""The budget where none is given, over the largest compute among the points: a step that a ladder should carry."""

REACHED = 1e-3
"""A published procedure that ends within this fraction of the certified objective has found the optimum."""

EXACT = 1e-12
"""An objective below this, per point, is an exact fit: there is no ratio to it."""

REJECTED = 10.0
"""Twice the log likelihood ratio beyond which the data reject another law; chance gives as much once in 600."""

SEARCHES = 3
"""Searches of each of the other analyses."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Aim:
    """What every row answers for: D/N at a budget, and the loss of a target, or of that optimum without one."""

    budget: float
    target: Target | None
    known: Mapping[str, float]


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
    progress: Progress | None = None,
) -> Panel:
    """Refit `runs` under `base` and under every choice that changes one thing in it.

    Sum or mean is no choice of its own: they have one optimum. Minimising the mean is shown among the procedures,
    whose tolerances it defeats.

    Args:
        runs: The ladder.
        base: What was asked.
        cluster: What a run shares its noise with.
        flops: Budget of the optimal D/N; by default the target's compute, else ten times that of the
            largest point.
        target: What the loss is forecast for; by default the optimum at the budget.
        cost: What a model costs, by runs whose N is counted in one way.
        known: Values there of further variables of the law, such as `unique_tokens`.
        groups: Only these groups of choices.
        also: Choices beside those that are always made, such as caps that a study has used.
        progress: Told of the choices done, and of how many.

    Raises:
        NotEnoughData: The base itself cannot be fitted.
        InputError: The budget is not a positive, finite number.

    Example:
        >>> from scaling_callback.sensitivity import as_asked
        >>> from scaling_callback.testing import planted_ladder
        >>> panel = compare_choices(planted_ladder(noise=0.0), as_asked(), flops=1e20, groups=("loss", "delta"))
        >>> panel.spread("tokens_per_param", converged=True).ratio < 1.01
        True
    """
    if flops is not None:
        check_budget(flops)
    evidence = _points(base, runs, cluster)
    certified = _fit(base, evidence)
    budget = flops or (target.compute if target else AHEAD * 6.0 * float((evidence.params * evidence.tokens).max()))
    aim = _Aim(budget, None if target is None or target.flops is not None else target, known or {})

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
                rows.append(_describe_outcome(choice, search(points, choice.procedure), plain, aim, cost(runs)))
            else:
                found = certified if choice is base else _fit(choice, points)
                rows.append(_describe_fit(choice, found, certified, aim, cost(choice.select(runs))))
        except NotEnoughData as reason:
            skipped[choice.name] = str(reason)
        if progress is not None:
            progress(done + 1, len(choices))
    return Panel(budget, aim.target, tuple(rows), skipped)


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
            other = _fit(choice, found.points, SEARCHES)
            if other.status is Status.CONVERGED and (other.law is found.law or not _rejects(found, other)):
                others[choice.name] = other
    return others


def _fit(choice: Choice, points: Points, searches: int | None = None) -> Fit:
    """The certified optimum, unless the number of searches is limited."""
    return fit(
        points,
        law=choice.law,
        objective=choice.objective,
        prior=choice.prior,
        ridges=choice.ridges,
        borrowed=choice.borrowed,
        searches=searches,
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


def _describe_fit(choice: Choice, found: Fit, base: Fit, aim: _Aim, cost: Cost) -> Row:
    natural = found.law.natural(found.theta[None], found.centre)
    diagnostics = dict(found.diagnostics)
    if choice.group == "law" and _rejects(base, found):
        diagnostics["rejected_law"] = f"{found.law.name} explains these points worse than {base.law.name}"
    ratio, loss = _answer(found, natural, aim, cost)
    return Row(
        choice=choice.name,
        group=choice.group,
        status="converged" if found.status is Status.CONVERGED else "not_converged",
        params=found.params,
        tokens_per_param=ratio,
        # a target's N is given in one counting: what it is in another is not known
        loss=None if choice.group == "counting" and aim.target is not None else loss,
        over_optimum=1.0,
        points=len(found.points),
        diagnostics=diagnostics,
    )


def _describe_outcome(choice: Choice, outcome: Outcome, certified: Fit, aim: _Aim, cost: Cost) -> Row:
    exact = certified.objective <= EXACT * len(certified.points)
    over = None if exact else outcome.objective / certified.objective
    reached = outcome.objective <= certified.objective * (1 + REACHED) + EXACT * len(certified.points)
    says = "it reports success" if outcome.success else "it reports no success"
    if reached:
        verdict = f"reached the optimum, and {says}"
    elif over is None:
        verdict = f"stopped short of an exact fit, and {says}"
    else:
        low, high = (f"{end / certified.objective:.3g}" for end in outcome.range)
        orders = f" ({low} to {high} by the order of the rows alone)" if low != high else ""
        verdict = f"stopped at {over:.3g} times the optimum{orders}, and {says}"
    ratio, loss = _answer(certified, outcome.natural[None], aim, cost)
    return Row(
        choice=choice.name,
        group=choice.group,
        status="reached" if reached else "stalled",
        params=dict(zip(certified.law.names, outcome.natural.tolist(), strict=True)),
        tokens_per_param=ratio,
        loss=loss,
        over_optimum=over,
        points=len(certified.points),
        diagnostics={},
        verdict=verdict,
    )


def _answer(found: Fit, natural: Array, aim: _Aim, cost: Cost) -> tuple[float | None, float | None]:
    """Optimal D/N at the budget, and the loss at the target or at that optimum, of one natural vector (1, P)."""
    law, natural = heed_repetition(found.law, natural, aim.known)
    params, tokens = (float(value[0]) for value in law.optimum(natural, aim.budget, aim.known, cost))
    ratio = tokens / params if math.isfinite(params) else None
    if aim.target is None:
        at = {"params": params, "tokens": tokens, "compute": aim.budget}
    else:
        of = aim.target
        at = {"params": of.params or math.nan, "tokens": of.tokens or math.nan, "compute": of.compute}
    try:
        x = log_variables({**at, **aim.known}, law.variables)
    except InputError:  # the law has a variable that was not given
        return ratio, None
    with np.errstate(all="ignore"):  # a stalled search may leave a term beyond a double
        value, _ = law.log_loss(law.working(natural, np.zeros(len(x))), x)
        loss = float(np.exp(value[0, 0]))
    return ratio, loss if math.isfinite(loss) else None


def _rejects(base: Fit, other: Fit) -> bool:
    """Whether the base explains the points far better than another law, by the likelihood of the residuals.

    Twice the log likelihood ratio is n ln of the ratio of two sums of squares (normal residuals), and twice that for
    sums of absolute residuals (Laplace), which a Huber loss far narrower than the noise comes to. Of n independent
    points as many are spent as the base has parameters.
    """
    floor = EXACT * len(base.points)
    spare = max(base.points.n_independent - base.free, 0)
    sides = 1.0 if math.isinf(base.criterion.delta) else 2.0
    return sides * spare * math.log((other.objective + floor) / (base.objective + floor)) > REJECTED
