"""Loss along budgets: where each is split best, and how flat the valley is."""

from __future__ import annotations

import numpy as np

from scaling_callback.allocating import Allocation
from scaling_callback.records import Array
from scaling_callback.reporting.figures.drawing import INK, MARKERS, Axis, Bars, Figure, Layer, Line, Marks
from scaling_callback.reporting.figures.palette import name_size
from scaling_callback.reporting.figures.traces import Valley, trace_valleys
from scaling_callback.reporting.units import format_count, format_flops, format_level, format_percent
from scaling_callback.snapshot import Snapshot

HIGHEST = 1.25
"""Valleys are cut off at so many times the loss at their optimum: the walls would flatten the rest."""


def plot_isoflop(snapshot: Snapshot) -> Figure | None:
    """Loss against N at equal compute, with the frontier and the valley; `None` without a law or a budget."""
    valleys, made = trace_valleys(snapshot), snapshot.allocation
    if not valleys or made is None:
        return None
    layers: list[Layer] = []
    for rank, valley in enumerate(valleys):
        asked = rank == len(valleys) - 1
        colour = "target" if asked else name_size(rank, len(valleys) - 1)
        label = f"{format_flops(valley.flops)} FLOPs{', the budget' if asked else ''}"
        layers.append(Line(valley.params, valley.loss, colour, label=label, dash="dashed" if asked else "solid"))
        marker = MARKERS[rank % len(MARKERS)]
        if len(valley.measured_params):
            layers.append(Marks(valley.measured_params, valley.measured_loss, marker, colour, size=4.0))
    # a minimum beyond the sizes that are drawn would stand on no line
    optima = [
        valley.optimum
        for valley in valleys
        if valley.optimum is not None and valley.params.min() <= valley.optimum[0] <= valley.params.max()
    ]
    if made.identified and made.fixed is None:
        x, y = zip(*optima, strict=True)
        layers.append(Line(x, y, INK, width=1.0, label="optimum of the law"))
        layers += _mark_split(made, valleys[-1])
    else:
        x, y = ([optimum[i] for optimum in optima] for i in (0, 1))
        layers.append(Marks(x, y, "|", INK, size=9, label="minimum of the law, no advice"))
    refused = f" The split is refused ({', '.join(made.reasons)}): the law's minima are marked, and are no advice."
    chosen = (
        f" The heavy part is within {format_percent(made.valleys[-1].excess)} of the lowest loss of the budget."
        if made.valleys
        else ""
    )
    points = any(len(valley.measured_params) for valley in valleys)
    return Figure(
        name="isoflop",
        title="Loss at equal compute",
        caption="Lines are the fitted law along a budget, each N on the tokens that are left."
        + (" Marks are measured losses at that compute." if points else "")
        + (refused if made.reasons else chosen),
        alt=f"Loss against parameters for {len(valleys)} budgets, up to {format_flops(made.flops)} FLOPs"
        + _say_best(made),
        layers=tuple(layers),
        x=Axis("parameters N", "count", log=True),
        y=Axis("loss", log=True, limits=_frame(valleys)),
        height=4.0,
        columns=2,
    )


def _say_best(made: Allocation) -> str:
    if made.params is None:
        return "; the best N is not known"
    count = format_count(made.params)
    return f"; N is {count}, with the {made.fixed} as given" if made.fixed else f"; the best N there is {count}"


def _mark_split(made: Allocation, valley: Valley) -> list[Layer]:
    """The split of the budget, its interval, and its valley."""
    assert made.params is not None
    assert made.loss is not None
    layers: list[Layer] = []
    if made.valleys:
        low, high = made.valleys[-1].params
        inside = (valley.params >= low) & (valley.params <= high)
        layers.append(Line(valley.params[inside], valley.loss[inside], "target", width=4.0, alpha=0.5))
    label = "split of the budget"
    if ends := made.intervals.get("params"):
        layers.append(Bars([made.loss], [ends[0]], [ends[1]], "target", along="x", width=1.5))
        label += f", {format_level(made.level)} interval of N"
    layers.append(Marks([made.params], [made.loss], "*", "target", size=10, label=label))
    return layers


def _frame(valleys: tuple[Valley, ...]) -> tuple[float, float]:
    bottoms = np.array([valley.loss.min() for valley in valleys if len(valley.loss)])
    shown: list[Array] = [valley.measured_loss for valley in valleys]
    marks = np.concatenate([bottoms, *shown])
    return float(marks.min()) / 1.02, min(float(marks.max()) * 1.03, float(bottoms.max()) * HIGHEST)
