"""Loss against compute: the ladder, the law through it, and the target."""

from __future__ import annotations

from scaling_callback.reporting.figures.drawing import INK, Axis, Figure, Layer, Line
from scaling_callback.reporting.figures.frames import frame_counts, frame_losses
from scaling_callback.reporting.figures.marks import mark_ends, mark_target
from scaling_callback.reporting.figures.series import collect_runs, find_target, trace_compute
from scaling_callback.reporting.units import format_flops, format_loss
from scaling_callback.snapshot import Snapshot

LAW_WORDS = {"frontier": "law, compute-optimal split", "ladder": "law, the ladder's own split", "size": "law"}
LAW_CAPTIONS = {
    "frontier": "The law is drawn along its compute-optimal split of N and D, dashed beyond the evidence.",
    "ladder": "The law is drawn along the ladder's own mean split of N and D, since no optimal one is identified, and "
    "from the end of the evidence dashed to the target.",
    "size": "",
}


def plot_compute(snapshot: Snapshot) -> Figure | None:
    """Curves, finals, held-out runs, the law and the target; `None` without losses."""
    runs, law, target = collect_runs(snapshot), trace_compute(snapshot), find_target(snapshot)
    if not any(len(run.tokens) for run in runs):
        return None
    finals = sum(run.final is not None for run in runs)
    alt = f"Loss against compute on logarithmic axes for {len(runs)} runs, {finals} of them finished"
    if target is not None:
        alt += f"; the target at {format_flops(target.compute)} FLOPs is forecast at {format_loss(target.loss)}"
    layers: list[Layer] = []
    for run in runs:
        held = run.role == "held out"
        colour, width, dash = ("held", 1.0, "dotted") if held else ("curve", 0.8, "solid")
        layers.append(Line(run.compute, run.loss, colour, width=width, dash=dash, name=run.name))
    if law is not None:
        inside = law.compute <= law.reach
        layers.append(Line(law.compute[inside], law.loss[inside], INK, label=LAW_WORDS[law.kind]))
        layers.append(Line(law.compute[~inside], law.loss[~inside], INK, dash="dashed"))
    if target is not None:
        layers += mark_target(target.compute, target, snapshot.config.level)
    layers += mark_ends(runs)
    ends = [6.0 * run.params * run.tokens[-1] for run in runs if len(run.tokens)]
    last = [target.compute] if target else []
    words = LAW_CAPTIONS[law.kind] if law else "No law is fitted yet."
    if law and snapshot.forecast and snapshot.forecast.parts:
        words += " The forecast combines other laws, and may lie off the line."
    return Figure(
        name="compute",
        title="Loss against compute",
        caption=f"Thin lines are training curves, marks are finals. {words}",
        alt=alt,
        layers=tuple(layers),
        x=Axis("compute 6ND (FLOPs)", "power", log=True, limits=frame_counts(ends, last, 8.0)),
        y=Axis("loss", log=True, limits=frame_losses(runs, law, target)),
        height=4.3,
        columns=2,
    )
