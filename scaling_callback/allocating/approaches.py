"""The three approaches of Hoffmann et al. (2022) side by side, each as far as the ladder has the data for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.allocating.allocation import Allocation
from scaling_callback.allocating.envelope import estimate_envelope
from scaling_callback.allocating.frontier import Frontier, find_disagreement, refuse
from scaling_callback.allocating.isoflop import estimate_isoflop
from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.errors import NotEnoughData
from scaling_callback.fitting import Fit
from scaling_callback.forecasting import further_variables
from scaling_callback.records import Run


def estimate_frontiers(
    runs: Sequence[Run],
    flops: float,
    *,
    fit: Fit | None = None,
    cost: Cost = SIX_ND,
    level: float = 0.9,
    seed: int = 0,
    replicates: int = 200,
    further: Mapping[str, float] | None = None,
) -> tuple[Frontier, ...]:
    """The compute-optimal frontier by the envelope of curves and by IsoFLOP profiles.

    The approaches that know no law are biased where their picture of a loss is wrong: a parabola for a valley with
    unlike walls, a curve in the middle of its schedule for a finished run. How much of that a design brings with it
    is measured by giving the approach the losses of the fitted law at the very same points, without noise, and
    comparing its D/N with the law's own: `Frontier.bias`.

    Args:
        runs: The ladder; no run of it is held out.
        flops: The budget that N* and D* are said for.
        fit: A law fitted to it, by which the bias of either is measured.
        cost: What compute is counted as.
        level: Nominal coverage of the intervals.
        seed: Seed of the replicates.
        replicates: How many replicates; without any there are no intervals.
        further: Values at the budget of further variables of the law, such as `unique_tokens`.

    Raises:
        InputError: The budget is not a positive, finite number.

    Example:
        >>> from scaling_callback.testing import planted_isoflop
        >>> envelope, isoflop = estimate_frontiers(planted_isoflop(), 1e22)
        >>> envelope.reason[0], isoflop.reason
        ('no_curves', None)
    """
    check_budget(flops)
    envelope = estimate_envelope(runs, flops, cost=cost, level=level, seed=seed, replicates=replicates)
    isoflop = estimate_isoflop(runs, flops, cost=cost, level=level, seed=seed, replicates=replicates)
    if fit is None:
        return envelope, isoflop
    further = further or {}
    params, tokens = fit.optimum(flops, further, cost)
    ratio = tokens / params
    lawful = _replace_losses(runs, fit)
    if lawful is not None and math.isfinite(ratio):
        again = estimate_envelope(lawful, flops, cost=cost, replicates=0)
        envelope = _with_bias(envelope, again, ratio)
        again = estimate_isoflop(lawful, flops, cost=cost, replicates=0, source=isoflop.source)
        isoflop = _with_bias(isoflop, again, ratio)
    return envelope, isoflop


def set_beside(allocation: Allocation, frontiers: Sequence[Frontier], law: str) -> Allocation:
    """The allocation with what other approaches say and looked at, its own answer as the parametric one among them.

    Where their intervals do not meet that is a doubt.
    """
    grown = allocation.growth.get("params")
    parametric = Frontier(name="parametric", source=f"the law {law}", flops=allocation.flops, level=allocation.level)
    if grown is None:
        names = ", ".join(allocation.reasons)
        parametric = refuse(parametric, "refused", f"the split is refused: {names}")
    else:
        parametric = replace(
            parametric,
            exponent=grown.exponent,
            params=allocation.params,
            tokens=allocation.tokens,
            tokens_per_param=allocation.tokens_per_param,
            intervals={**allocation.intervals, "exponent": (grown.lower, grown.upper)},
        )
    beside = (*frontiers, parametric)
    doubts = {f"disagreeing_{pair}": sentence for pair, sentence in find_disagreement(beside).items()}
    profiles = tuple(profile for frontier in frontiers for profile in frontier.profiles)
    return replace(allocation, approaches=beside, profiles=profiles, doubts={**allocation.doubts, **doubts})


def _replace_losses(runs: Sequence[Run], fit: Fit) -> tuple[Run, ...] | None:
    """The runs with the losses of the fitted law; `None` where it needs what the runs do not say."""
    lawful: list[Run] = []
    try:
        for run in runs:
            curve = run.curve
            if len(curve):
                known = further_variables(run, 1.0)
                others = {
                    name: known[name] * (curve.tokens if name == "compute" else 1.0)
                    for name in fit.law.variables
                    if name in known
                }
                losses = fit.predict(run.params, curve.tokens, **others)
                # a loss that was no number stays none: the points must be the very same
                curve = replace(curve, loss=np.where(np.isfinite(curve.loss), losses, np.nan))
            lawful.append(replace(run, curve=curve))
    except NotEnoughData:
        return None
    return tuple(lawful)


def _with_bias(found: Frontier, lawful: Frontier, ratio: float) -> Frontier:
    """A frontier with its bias: what the approach says of the losses of the fitted law, over that law's own D/N."""
    if found.tokens_per_param is None or lawful.tokens_per_param is None:
        return found
    bias = lawful.tokens_per_param / ratio
    sentence = (
        f"on the losses of the fitted law at these very points the approach finds {bias:.3g} times the law's own "
        "tokens per parameter"
    )
    return replace(found, bias=bias, notes={**found.notes, "bias": sentence})
