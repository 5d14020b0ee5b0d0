"""Approach 2 of Hoffmann et al. (2022, section 3.2): parabolas through losses at equal compute.

At each budget C the loss against ln N is a valley; the vertex of a parabola through its bottom is N*(C), and a power
law goes through the vertices. No law of the loss is assumed. The parabola is fitted locally (as Cleveland's loess,
1979): what lies high on the walls says little of where the bottom is, and where the walls differ in steepness it
would pull the vertex to one side, which is the known bias of the approach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.allocating.frontier import (
    MIN_OPTIMA,
    Frontier,
    IsoFlop,
    describe,
    fit_power_law,
    recount,
    refuse,
    scatter_variance,
)
from scaling_callback.allocating.profiles import (
    MIN_SIZES,
    Profile,
    cut_tracks,
    find_lines,
    trace_curves,
    trace_finals,
)
from scaling_callback.allocating.valleys import (
    Valleys,
    count_beside,
    find_vertices,
    fit_valleys,
    locate_vertices,
    redraw_vertices,
    vertex_variance,
)
from scaling_callback.costs import SIX_ND, Cost, check_budget
from scaling_callback.records import Array, BoolArray, Run

WIDTH = 0.05
"""Excess of ln L over the bottom at which a point no longer counts: some ten times what two seeds differ by."""

WIDTHS = (0.5, 1.0, 2.0)
"""Widths over `WIDTH` that replicates choose among: no principle tells them apart."""

KNOWN_BIAS = (
    "where the valley is steeper on one side the vertex of a parabola lies off the minimum, and sizes sampled "
    "off-centre make it lean on one side; by how much can be said only under a fitted law"
)
"""What is said of the bias until a fitted law measures it."""

SOURCES: dict[str, Callable[[Sequence[Run]], list[Profile]]] = {
    "finals on IsoFLOP lines": find_lines,
    "finals of each size, interpolated over their compute": lambda runs: cut_tracks(trace_finals(runs)),
    "checkpoints, interpolated over their compute": lambda runs: cut_tracks(trace_curves(runs)),
}
"""What profiles are made from, in order of choice: the first that holds enough optima is taken."""


def estimate_isoflop(
    runs: Sequence[Run],
    flops: float,
    *,
    cost: Cost = SIX_ND,
    level: float = 0.9,
    seed: int = 0,
    replicates: int = 200,
    source: str | None = None,
) -> Frontier:
    """The frontier through the minima of IsoFLOP profiles.

    Uncertainty is a bootstrap that keeps the design: residuals, corrected for leverage, return with a random sign
    that all points of a run share (wild cluster bootstrap, Cameron, Gelbach and Miller 2008), and each optimum is
    moved by its scatter around the power law beyond that.

    Args:
        runs: The ladder.
        flops: The budget that N* and D* are said for.
        cost: What compute is counted as.
        level: Nominal coverage of the intervals.
        seed: Seed of the bootstrap.
        replicates: How many replicates; without any there are no intervals.
        source: Only this one of `SOURCES`.

    Raises:
        InputError: The budget is not a positive, finite number.

    Example:
        >>> from scaling_callback.testing import planted_isoflop
        >>> found = estimate_isoflop(planted_isoflop(noise=0.0), 1e22)
        >>> round(found.exponent, 2), found.budgets  # planted: .37 / (.35 + .37) = .514
        (0.51, 5)
    """
    check_budget(flops)
    runs = recount(runs, cost)
    found: list[Frontier] = []
    for name in SOURCES if source is None else (source,):
        found.append(
            _estimate(
                runs,
                SOURCES[name](runs),
                Frontier(name="isoflop", source=name, flops=flops, level=level),
                seed,
                replicates,
                cost,
            )
        )
        if found[-1].reason is None:
            return found[-1]
    return max(found, key=lambda frontier: frontier.points)


def _estimate(
    runs: Sequence[Run], profiles: Sequence[Profile], empty: Frontier, seed: int, replicates: int, cost: Cost
) -> Frontier:
    points = sum(len(profile) for profile in profiles)
    start = replace(empty, points=points)
    if not profiles:
        return refuse(start, "no_profiles", f"there is no budget at which {MIN_SIZES} sizes have a loss")
    valleys, fitted, scale = fit_valleys(profiles, WIDTH)
    vertices = locate_vertices(fitted.coefficients, valleys)
    inner = np.asarray((count_beside(vertices, valleys) >= 1).all(0), dtype=np.bool_)
    start = replace(start, profiles=_show(profiles, valleys, vertices, inner))
    if inner.sum() < MIN_OPTIMA:
        return refuse(
            start,
            "few_minima",
            f"{inner.sum()} of {len(profiles)} budgets have a minimum inside the sampled sizes; "
            f"a power law needs {MIN_OPTIMA}",
        )
    log_flops, variance = valleys.log_flops[inner], vertex_variance(fitted, scale)[inner]
    scatter = scatter_variance(log_flops, vertices[inner], variance)
    weight = 1.0 / (variance + scatter)
    law = fit_power_law(log_flops, vertices[None, inner], weight)
    rng = np.random.default_rng(seed)
    drawn = redraw_vertices(valleys, fitted, scale, rng, replicates)[:, inner]
    drawn = drawn + math.sqrt(scatter) * rng.standard_normal(drawn.shape)
    # how wide to look is a choice: each replicate makes its own
    shifts = np.stack([find_vertices(profiles, WIDTH * factor)[inner] - vertices[inner] for factor in WIDTHS])
    drawn = drawn + shifts[rng.integers(len(WIDTHS), size=replicates)]
    draws = fit_power_law(log_flops, drawn, weight)
    used = [profiles[b] for b in np.flatnonzero(inner).tolist()]
    members = [runs[int(i)] for profile in used for i in profile.run]
    optima = zip(np.exp(log_flops).tolist(), np.exp(vertices[inner]).tolist(), strict=True)
    notes = {"bias": KNOWN_BIAS}
    if len(used) < len(profiles):
        notes["edge_minima"] = (
            f"{len(profiles) - len(used)} of {len(profiles)} budgets have no minimum inside the sampled sizes and "
            "are left out"
        )
    if unfinished := sum(profile.unfinished for profile in used):
        notes["mid_schedule"] = (
            f"{unfinished} of {len(members)} losses are of unfinished schedules: the optimum is that of these "
            "checkpoints, not of finished runs"
        )
    elif any(run.phase == "constant" for run in members):
        notes["constant_rate"] = "the losses are at a constant learning rate: the optimum is that before a cooldown"
    found = replace(start, optima=tuple(optima), notes=notes, points=len(members))
    return describe(found, law, draws, cost)


def _show(profiles: Sequence[Profile], valleys: Valleys, vertices: Array, inner: BoolArray) -> tuple[IsoFlop, ...]:
    """The profiles as they were looked at, with the minima inside their sizes."""
    return tuple(
        IsoFlop(
            flops=math.exp(profile.log_flops),
            params=tuple(np.exp(profile.log_params).tolist()),
            loss=tuple(np.exp(losses[: len(profile)]).tolist()),
            optimum=math.exp(vertex) if inside else None,
        )
        for profile, losses, vertex, inside in zip(profiles, valleys.log_loss, vertices, inner, strict=True)
    )
