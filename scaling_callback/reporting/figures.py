"""The figures of the report: the plain numbers of `series`, drawn.

Nothing is computed here but the frame. No text from outside (no run's name) is drawn, so none can break a drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scaling_callback.reporting.canvas import Canvas, open_canvas
from scaling_callback.reporting.frames import frame_counts, frame_losses, limit_errors, place_rows
from scaling_callback.reporting.series import (
    ErrorRow,
    RunSeries,
    TargetMark,
    collect_errors,
    collect_residuals,
    collect_runs,
    mark_target,
    rank_sizes,
    trace_compute,
    trace_sizes,
)
from scaling_callback.reporting.svg import INK, pick_colour, pick_size_colour
from scaling_callback.reporting.units import (
    format_count,
    format_level,
    format_loss,
    format_percent,
    format_power,
    format_tick,
    format_tick_percent,
)
from scaling_callback.snapshot import Snapshot

MARKERS = "osD^vPXhp<"
"""One marker a size, so that sizes are told apart without colour."""

LEGEND_SIZES = 10
"""More sizes than this are not all named in a legend."""

LABELLED_ROWS = 32
"""More rows than this cannot carry a label each."""

LAW_WORDS = {"frontier": "law, compute-optimal split", "ladder": "law, the ladder's own split", "size": "law"}
LAW_CAPTIONS = {
    "frontier": "The law is drawn along its compute-optimal split of N and D, dashed beyond the evidence.",
    "ladder": "The law is drawn along the ladder's own mean split of N and D, since no optimal one is identified, and "
    "from the end of the evidence dashed to the target.",
    "size": "",
}


@dataclass(frozen=True)
class Figure:
    """A drawing with its words.

    Attributes:
        name: A short name, the prefix of its ids.
        title: What it shows.
        caption: How to read it.
        alt: What a reader who cannot see it is told.
        svg: An `<svg>` element to stand inside HTML.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str


def draw_figures(snapshot: Snapshot) -> tuple[Figure, ...]:
    """Every figure for which the snapshot has data.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    drawn = (draw_compute(snapshot), draw_tokens(snapshot), draw_record(snapshot), draw_residuals(snapshot))
    return tuple(figure for figure in drawn if figure is not None)


def draw_compute(snapshot: Snapshot) -> Figure | None:
    """Loss against compute: curves, finals, held-out runs, the law and the target; `None` without losses."""
    runs, law, target = collect_runs(snapshot), trace_compute(snapshot), mark_target(snapshot)
    if not any(len(run.tokens) for run in runs):
        return None
    finals = sum(run.final is not None for run in runs)
    alt = f"Loss against compute on logarithmic axes for {len(runs)} runs, {finals} of them finished"
    if target is not None:
        alt += f"; the target at {format_power(target.compute)} FLOPs is forecast at {format_loss(target.loss)}"
    with open_canvas("compute", 4.3, alt) as canvas:
        for run in runs:
            if run.role == "held out":
                canvas.line(run.compute, run.loss, pick_colour("held"), width=1.0, dash="dotted")
            else:
                canvas.line(run.compute, run.loss, pick_colour("curve"), width=0.8)
        if law is not None:
            inside = law.compute <= law.reach
            canvas.line(law.compute[inside], law.loss[inside], INK, label=LAW_WORDS[law.kind])
            canvas.line(law.compute[~inside], law.loss[~inside], INK, dash="dashed")
        if target is not None:
            _mark_target(canvas, target.compute, target, snapshot.config.level)
        _mark_ends(canvas, runs)
        ends = [6.0 * run.params * run.tokens[-1] for run in runs if len(run.tokens)]
        last = [target.compute] if target else []
        canvas.set_axis("x", "compute 6ND (FLOPs)", format_power, log=True, limits=frame_counts(ends, last, 8.0))
        canvas.set_axis("y", "loss", format_tick, log=True, limits=frame_losses(runs, law, target))
        canvas.add_legend(2)
    words = LAW_CAPTIONS[law.kind] if law else "No law is fitted yet."
    caption = f"Thin lines are training curves, marks are finals. {words}"
    return Figure("compute", "Loss against compute", caption, alt, canvas.svg)


def draw_tokens(snapshot: Snapshot) -> Figure | None:
    """Loss against tokens, one colour and marker a size, with the law of each; `None` without losses."""
    runs, laws, target = collect_runs(snapshot), trace_sizes(snapshot), mark_target(snapshot)
    sizes = rank_sizes(snapshot.runs)
    if not any(len(run.tokens) for run in runs):
        return None
    alt = f"Loss against training tokens on logarithmic axes for {len(sizes)} model size(s)"
    with open_canvas("tokens", 4.3, alt) as canvas:
        for run in runs:
            canvas.line(run.tokens, run.loss, pick_size_colour(run.size, len(sizes)), width=0.7, alpha=0.5)
        named = _pick_legend_ranks(len(sizes))
        for law in (law for law in laws if law.size < 0 or law.size in named):
            colour = pick_colour("target") if law.size < 0 else pick_size_colour(law.size, len(sizes))
            canvas.line(law.tokens, law.loss, colour, dash="dashed" if law.size < 0 else "solid")
        if target is not None:
            _mark_target(canvas, target.tokens, target, snapshot.config.level)
        for rank in range(len(sizes)):
            _mark_size(canvas, runs, rank, sizes)
        ends = [run.tokens[-1] for run in runs if len(run.tokens)]
        last = [target.tokens] if target else []
        canvas.set_axis("x", "training tokens D", format_tick, log=True, limits=frame_counts(ends, last, 3.0))
        canvas.set_axis("y", "loss", format_tick, log=True, limits=frame_losses(runs, None, target))
        canvas.add_legend(4)
    every = "each size" if len(sizes) <= LEGEND_SIZES else "each size in the legend"
    words = f"Heavy lines are the fitted law, one for {every}" if laws else "No law is fitted yet"
    caption = (
        f"Thin lines are training curves, marks are finals, hollow where the fit does not use them. "
        f"{words}{', dashed for the target' if laws and target else ''}.{_explain_legend(sizes)}"
    )
    return Figure("tokens", "Loss against tokens, by size", caption, alt, canvas.svg)


def draw_record(snapshot: Snapshot) -> Figure | None:
    """Forecasts against what was then measured, in percent, one row a run; `None` without a score."""
    rows = collect_errors(snapshot)
    if not rows:
        return None
    places = place_rows(rows)
    height = len(set(places))
    labelled = height <= LABELLED_ROWS
    looks = {
        "recomputed": ("o", "final", "recomputed from the runs before it"),
        "live": ("s", "guess", "issued while training"),
        "target": ("D", "held", "the target, measured on a held-out run"),
    }
    alt = f"Relative errors of {len(rows)} earlier forecasts with their intervals, around a line at zero"
    with open_canvas("record", min(1.7 + 0.22 * height, 7.0), alt) as canvas:
        canvas.rule(0.0, across="y")
        for kind, (marker, role, label) in looks.items():
            chosen = [(row, place) for row, place in zip(rows, places, strict=True) if row.kind == kind]
            # every refit issues a live forecast: bars on all of them would hide the rest
            for row, place in chosen if kind != "live" else ():
                canvas.bar((row.lower, row.upper), (place, place), pick_colour(role))
            x, y = [row.error for row, _ in chosen], [place for _, place in chosen]
            canvas.marks(x, y, marker, pick_colour(role), hollow=kind == "live", size=5.0, label=label)
        limit = limit_errors(rows)
        label = "forecast above or below the measured loss"
        canvas.set_axis("x", label, format_tick_percent, limits=(-limit, limit))
        names = {place: _name_row(row) for row, place in zip(rows, places, strict=True)}
        canvas.set_rows(names if labelled else {}, height - 1, "" if labelled else "runs, by compute")
        canvas.add_legend(1)
    level = format_level(snapshot.config.level)
    caption = (
        f"One row a run{', N on D tokens' if labelled else ''}, the most compute on top. "
        f"Bars are {level} intervals, cut off at the edge: that share of them should cross zero."
    )
    return Figure("record", "Forecasts against what was then measured", caption, alt, canvas.svg)


def draw_residuals(snapshot: Snapshot) -> Figure | None:
    """Finals against the fitted law, in percent, by compute; `None` without a fit or a final."""
    marks, sizes = collect_residuals(snapshot), rank_sizes(snapshot.runs)
    if not marks or snapshot.fit is None:
        return None
    noise = snapshot.fit.noise
    worst = max(abs(mark.percent) for mark in marks)
    alt = f"Residuals of {len(marks)} finals from the fitted law; the largest is {format_percent(worst / 100)}"
    shown = _pick_legend_ranks(len(sizes))
    with open_canvas("residuals", 3.6, alt) as canvas:
        canvas.band(-100.0 * noise, 100.0 * noise)
        canvas.rule(0.0, across="x")
        for rank, params in enumerate(sizes):
            for used in (True, False):
                chosen = [mark for mark in marks if mark.size == rank and (mark.role == "used") is used]
                first = used or not any(mark.size == rank and mark.role == "used" for mark in marks)
                label = format_count(params) if rank in shown and first else None
                colour, marker = pick_size_colour(rank, len(sizes)), MARKERS[rank % len(MARKERS)]
                x, y = [mark.compute for mark in chosen], [mark.percent for mark in chosen]
                canvas.marks(x, y, marker, colour, hollow=not used, label=label)
        frame = frame_counts([mark.compute for mark in marks], [], 1.6)
        limit = 1.15 * max(worst, 100.0 * noise)
        canvas.set_axis("x", "compute 6ND (FLOPs)", format_power, log=True, limits=frame)
        canvas.set_axis("y", "measured over fitted", format_tick_percent, limits=(-limit, limit))
        canvas.add_legend(5)
    caption = (
        f"The band is what a run is off the law by chance, {format_percent(noise)} either way. Hollow marks are "
        f"finals that the fit did not use. A trend means that the law does not bend as the losses do."
        f"{_explain_legend(sizes)}"
    )
    return Figure("residuals", "What the law leaves over", caption, alt, canvas.svg)


def _mark_ends(canvas: Canvas, runs: Sequence[RunSeries]) -> None:
    """Finals by what became of them, and forecast finals of unfinished runs."""
    looks = (
        ("used", "o", "final", "final, used in the fit"),
        ("left out", "o", "out", "final, left out"),
        ("waiting", "s", "out", "final, nothing fitted yet"),
        ("held out", "D", "held", "final, held out"),
    )
    for role, marker, colour, label in looks:
        ends = [(6.0 * run.params * run.final[0], run.final[1]) for run in runs if run.role == role and run.final]
        x, y = [end[0] for end in ends], [end[1] for end in ends]
        # small enough that a held-out final on top of the target leaves it visible
        size = 4.0 if role == "held out" else 5.2
        canvas.marks(x, y, marker, pick_colour(colour), hollow=role in ("left out", "waiting"), size=size, label=label)
    guesses = [(6.0 * run.params * run.guess[0], *run.guess[1:]) for run in runs if run.guess]
    for compute, _, lower, upper in guesses:
        canvas.bar((compute, compute), (lower, upper), pick_colour("guess"))
    x, y = [guess[0] for guess in guesses], [guess[1] for guess in guesses]
    canvas.marks(x, y, "^", pick_colour("guess"), hollow=True, label="forecast final, still running")


def _mark_target(canvas: Canvas, x: float, target: TargetMark, level: float) -> None:
    canvas.bar((x, x), (target.lower, target.upper), pick_colour("target"), width=2.4)
    label = "target"
    if math.isfinite(target.lower):
        label += f", {format_level(level)} interval"
    canvas.marks([x], [target.loss], "*", pick_colour("target"), size=10, label=label)


def _mark_size(canvas: Canvas, runs: Sequence[RunSeries], rank: int, sizes: Sequence[float]) -> None:
    """Finals of one size: filled where the fit uses them."""
    colour, marker = pick_size_colour(rank, len(sizes)), MARKERS[rank % len(MARKERS)]
    label = format_count(sizes[rank]) if rank in _pick_legend_ranks(len(sizes)) else None
    for used in (True, False):
        ends = [run.final for run in runs if run.size == rank and run.final and (run.role == "used") is used]
        x, y = [tokens for tokens, _ in ends], [loss for _, loss in ends]
        canvas.marks(x, y, marker, colour, hollow=not used, label=label)
        label = None if ends else label


def _pick_legend_ranks(sizes: int) -> set[int]:
    """The sizes that a legend names: all, or some spread evenly with both ends."""
    if sizes <= LEGEND_SIZES:
        return set(range(sizes))
    return {round(i * (sizes - 1) / (LEGEND_SIZES - 1)) for i in range(LEGEND_SIZES)}


def _explain_legend(sizes: Sequence[float]) -> str:
    return f" {len(sizes)} sizes; the legend names some of them." if len(sizes) > LEGEND_SIZES else ""


def _name_row(row: ErrorRow) -> str:
    return f"{format_count(row.params)} on {format_count(row.tokens)}"
