"""Loss against tokens, one colour and marker a size, with the law of each."""

from __future__ import annotations

from scaling_callback.reporting.figures.drawing import Axis, Figure, Layer, Line
from scaling_callback.reporting.figures.frames import frame_counts, frame_losses
from scaling_callback.reporting.figures.marks import (
    LEGEND_SIZES,
    explain_legend,
    mark_sizes,
    mark_target,
    pick_legend_ranks,
)
from scaling_callback.reporting.figures.palette import name_size
from scaling_callback.reporting.figures.series import collect_runs, find_target, rank_sizes, trace_sizes
from scaling_callback.reporting.units import number
from scaling_callback.snapshot import Snapshot


def plot_tokens(snapshot: Snapshot) -> Figure | None:
    """Curves and finals by size, the law of each size and of the target's; `None` without losses."""
    runs, laws, target = collect_runs(snapshot), trace_sizes(snapshot), find_target(snapshot)
    sizes = rank_sizes(snapshot.runs)
    if not any(len(run.tokens) for run in runs):
        return None
    layers: list[Layer] = [
        Line(run.tokens, run.loss, name_size(run.size, len(sizes)), width=0.7, alpha=0.5, name=run.name) for run in runs
    ]
    named = pick_legend_ranks(len(sizes))
    for law in laws:
        if law.size < 0:
            layers.append(Line(law.tokens, law.loss, "target", dash="dashed"))
        elif law.size in named:
            layers.append(Line(law.tokens, law.loss, name_size(law.size, len(sizes))))
    if target is not None:
        layers += mark_target(target.tokens, target, snapshot.config.level)
    finals = [(run.size, run.role == "used", *run.final, run.name) for run in runs if run.final]
    layers += mark_sizes(finals, sizes)
    ends = [run.tokens[-1] for run in runs if len(run.tokens)]
    last = [target.tokens] if target else []
    every = "each size" if len(sizes) <= LEGEND_SIZES else "each size in the legend"
    words = f"Heavy lines are the fitted law, one for {every}" if laws else "No law is fitted yet"
    return Figure(
        name="tokens",
        title="Loss against tokens, by size",
        caption=f"Thin lines are training curves, marks are finals, hollow where the fit does not use them. "
        f"{words}{', dashed for the target' if laws and target else ''}.{explain_legend(sizes)}",
        alt=f"Loss against training tokens on logarithmic axes for {number(len(sizes), 'size')} of models",
        layers=tuple(layers),
        x=Axis("training tokens D", "count", log=True, limits=frame_counts(ends, last, 3.0)),
        y=Axis("loss", log=True, limits=frame_losses(runs, None, target)),
        height=4.3,
        columns=4,
    )
