"""What the law leaves over: finals against it."""

from __future__ import annotations

from scaling_callback.reporting.figures.drawing import Axis, Band, Figure, Layer, Rule
from scaling_callback.reporting.figures.frames import frame_counts
from scaling_callback.reporting.figures.marks import explain_legend, mark_sizes
from scaling_callback.reporting.figures.series import collect_residuals, rank_sizes
from scaling_callback.reporting.units import format_percent
from scaling_callback.snapshot import Snapshot


def plot_residuals(snapshot: Snapshot) -> Figure | None:
    """Finals against the fitted law, in percent, by compute; `None` without a fit or a final."""
    marks, sizes = collect_residuals(snapshot), rank_sizes(snapshot.runs)
    if not marks or snapshot.fit is None:
        return None
    noise = snapshot.fit.noise
    worst = max(abs(mark.percent) for mark in marks)
    layers: list[Layer] = [Band(-100.0 * noise, 100.0 * noise), Rule(0.0, across="x")]
    layers += mark_sizes([(m.size, m.role == "used", m.compute, m.percent, m.name) for m in marks], sizes)
    limit = 1.15 * max(worst, 100.0 * noise)
    return Figure(
        name="residuals",
        title="What the law leaves over",
        caption=f"The band is what a run is off the law by chance, {format_percent(noise)} either way. Hollow marks "
        "are finals that the fit did not use. A trend means that the law does not bend as the losses do."
        f"{explain_legend(sizes)}",
        alt=f"Residuals of {len(marks)} finals from the fitted law; the largest is {format_percent(worst / 100)}",
        layers=tuple(layers),
        x=Axis(
            "compute 6ND (FLOPs)",
            "power",
            log=True,
            limits=frame_counts([mark.compute for mark in marks], [], 1.6),
        ),
        y=Axis("measured over fitted", "percent", limits=(-limit, limit)),
        height=3.6,
        columns=5,
    )
