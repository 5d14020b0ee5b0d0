"""The row of a choice: of a certified fit, or of a published procedure beside the optimum that it should have found."""

from __future__ import annotations

import math
from collections.abc import Mapping

from scaling_callback.costs import Cost
from scaling_callback.fitting import Fit, Status
from scaling_callback.fitting.procedures import Outcome
from scaling_callback.records import Array
from scaling_callback.sensitivity.answers import Aim, Answer, answer
from scaling_callback.sensitivity.choices import Choice
from scaling_callback.sensitivity.result import Row

REACHED = 1e-3
"""A published procedure that ends within this fraction of the certified objective has found the optimum."""

MOVED = 0.01
"""Ends that differ by more than this fraction of the objective are different ends."""

EXACT = 1e-12
"""An objective below this, per point, is an exact fit: there is no ratio to it."""

REJECTED = 10.0
"""Twice the log likelihood ratio beyond which the data reject another law; chance gives as much once in 600."""


def describe_fit(choice: Choice, found: Fit, base: Fit, aim: Aim, cost: Cost) -> Row:
    """The row of a certified fit, beside that of what was asked."""
    natural = found.law.natural(found.theta[None], found.centre)[0]
    diagnostics = dict(found.diagnostics)
    if choice.group == "law" and rejects(base, found):
        diagnostics["rejected_law"] = f"{found.law.name} explains these points worse than {base.law.name}"
    said = answer(choice, found.law, natural, found.natural_draws, aim, cost)
    return Row(
        choice=choice.name,
        group=choice.group,
        status="converged" if found.status is Status.CONVERGED else "not_converged",
        params=found.params,
        tokens_per_param=said.tokens_per_param,
        loss=said.loss,
        over_optimum=1.0,
        points=len(found.points),
        diagnostics=diagnostics,
        intervals=said.intervals,
    )


def describe_search(choice: Choice, outcome: Outcome, draws: Array, certified: Fit, aim: Aim, cost: Cost) -> Row:
    """The row of a published procedure with its replicates (R, 5), beside the certified optimum of the same problem."""
    points, law = certified.points, certified.law
    said = answer(choice, law, outcome.natural, draws, aim, cost)
    natural = law.natural(certified.theta[None], certified.centre)[0]
    best = answer(choice, law, natural, draws[:0], aim, cost)

    slack = EXACT * len(points)
    reached = outcome.objective <= certified.objective * (1 + REACHED) + slack
    diagnostics = _diagnose(outcome, certified, said, best, aim.level, reached=reached)
    return Row(
        choice=choice.name,
        group=choice.group,
        status="reached" if reached else "stalled",
        params=dict(zip(law.names, outcome.natural.tolist(), strict=True)),
        tokens_per_param=said.tokens_per_param,
        loss=said.loss,
        over_optimum=None if certified.objective <= slack else outcome.objective / certified.objective,
        points=len(points),
        diagnostics=diagnostics,
        verdict=_judge(outcome, certified, diagnostics),
        intervals=said.intervals,
        success=outcome.success,
    )


def _diagnose(
    outcome: Outcome, certified: Fit, said: Answer, best: Answer, level: float, *, reached: bool
) -> dict[str, str]:
    """In what a published procedure fails, by name."""
    found: dict[str, str] = {}
    slack = EXACT * len(certified.points)
    exact = certified.objective <= slack
    if not reached:
        over = "short of an exact fit" if exact else f"at {_over(outcome.objective, certified)} times the optimum"
        found["stalled"] = f"the objective ends {over}, and the optimiser {_report(outcome)}"
    low, high = outcome.range
    if high > low * (1 + MOVED) + slack:
        moved = f"{low:.3g} to {high:.3g}"
        if not exact:
            moved = f"{_over(low, certified)} to {_over(high, certified)} times the optimum"
        found["order_dependent"] = f"the order of the rows alone moves where the objective ends: {moved}"
    ends = said.intervals.get("tokens_per_param")
    optimum = best.tokens_per_param
    if ends is not None and optimum is not None and not ends[0] <= optimum <= ends[1]:
        found["misses_optimum"] = (
            f"its {100 * level:g}% interval of tokens per parameter, {ends[0]:.3g} to {ends[1]:.3g}, does not hold the "
            f"{optimum:.3g} of the optimum"
        )
    return found


def _judge(outcome: Outcome, certified: Fit, diagnostics: Mapping[str, str]) -> str:
    """What became of a published procedure, in a few words."""
    if "stalled" not in diagnostics:
        end = "reached the optimum"
    elif certified.objective <= EXACT * len(certified.points):
        end = "stopped short of an exact fit"
    else:
        end = f"stopped at {_over(outcome.objective, certified)} times the optimum"
        if "order_dependent" in diagnostics:
            low, high = (_over(value, certified) for value in outcome.range)
            end += f" ({low} to {high} by the order of the rows alone)"
    misses = "; its interval misses the optimum" if "misses_optimum" in diagnostics else ""
    return f"{end}, and it {_report(outcome)}{misses}"


def _over(objective: float, certified: Fit) -> str:
    return f"{objective / certified.objective:.3g}"


def _report(outcome: Outcome) -> str:
    return "reports success" if outcome.success else "reports no success"


def rejects(base: Fit, other: Fit) -> bool:
    """Whether the base explains the points far better than another law, by the likelihood of the residuals.

    Twice the log likelihood ratio is n ln of the ratio of two sums of squares (normal residuals), and twice that for
    sums of absolute residuals (Laplace), which a Huber loss far narrower than the noise comes to. Of n independent
    points as many are spent as the base has parameters.
    """
    floor = EXACT * len(base.points)
    spare = max(base.points.n_independent - base.free, 0)
    sides = 1.0 if math.isinf(base.criterion.delta) else 2.0
    return sides * spare * math.log((other.objective + floor) / (base.objective + floor)) > REJECTED
