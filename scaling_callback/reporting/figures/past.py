"""The forecast of the target as the ladder grew."""

from __future__ import annotations

from scaling_callback.reporting.figures.drawing import Area, Axis, Bars, Figure, Layer, Line, Marks
from scaling_callback.reporting.figures.frames import frame_counts, frame_past
from scaling_callback.reporting.figures.marks import mark_target
from scaling_callback.reporting.figures.series import find_target
from scaling_callback.reporting.figures.traces import trace_past
from scaling_callback.reporting.tables import held_out_measurement
from scaling_callback.reporting.units import format_flops, format_level, format_loss
from scaling_callback.snapshot import Snapshot


def plot_past(snapshot: Snapshot) -> Figure | None:
    """Earlier forecasts with their intervals against the compute of the ladder; `None` if there is no earlier one."""
    target, past = find_target(snapshot), trace_past(snapshot)
    if target is None or past is None:
        return None
    layers: list[Layer] = []
    recomputed, issued = past.recomputed, past.issued
    if len(recomputed):
        level = format_level(snapshot.config.level)
        layers.append(Area(recomputed.compute, recomputed.lower, recomputed.upper, "final", f"{level} interval"))
        label = "recomputed from the runs finished by then"
        layers.append(Line(recomputed.compute, recomputed.median, "final", label=label))
        layers.append(Marks(recomputed.compute, recomputed.median, "o", "final", size=3.6))
    if len(issued):
        label = "issued while training"
        layers.append(Bars(issued.compute, issued.lower, issued.upper, "guess", width=0.8))
        layers.append(Marks(issued.compute, issued.median, "s", "guess", hollow=True, size=3.6, label=label))
    layers += mark_target(past.now, target, snapshot.config.level)
    limits = frame_counts([*recomputed.compute, *issued.compute], [past.now], 1.6)
    measured = held_out_measurement(snapshot)
    if measured is not None:
        layers.append(Line(limits, [measured.measured] * 2, "held", dash="dotted", label="measured on a held-out run"))
    alt = (
        f"The forecast of the target against the compute of the ladder: {format_loss(target.loss)} now, at "
        f"{format_flops(past.now)} FLOPs, after {len(recomputed) + len(issued)} earlier ones"
    )
    return Figure(
        name="forecast",
        title="The forecast as the ladder grew",
        caption="Each point is made from the first 3, 4, 6, 8, 12, ... runs alone, those with less compute first. "
        "An interval that later forecasts leave was too narrow; one that is wider than the figure is cut off.",
        alt=alt,
        layers=tuple(layers),
        x=Axis("compute of the ladder so far (FLOPs)", "power", log=True, limits=limits),
        y=Axis(
            "forecast loss of the target",
            log=True,
            limits=frame_past(past, target, measured.measured if measured else None),
        ),
        height=3.8,
        columns=1,
    )
