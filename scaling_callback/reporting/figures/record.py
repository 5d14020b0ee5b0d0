"""The track record: forecasts against what was then measured."""

from __future__ import annotations

from scaling_callback.reporting.figures.drawing import Axis, Bars, Figure, Layer, Marks, Rule
from scaling_callback.reporting.figures.frames import limit_errors, place_rows
from scaling_callback.reporting.figures.series import ErrorRow, collect_errors
from scaling_callback.reporting.units import format_count, format_level
from scaling_callback.snapshot import Snapshot

LABELLED_ROWS = 32
"""More rows than this cannot carry a label each."""

LOOKS = {
    "recomputed": ("o", "final", "recomputed from runs before it"),
    "issued": ("s", "guess", "issued while training"),
    "target": ("D", "held", "the target, measured on a held-out run"),
}
"""Marker, role of the colour, and words, for every kind of score."""


def plot_record(snapshot: Snapshot) -> Figure | None:
    """Errors in percent, one row a run; `None` without a score."""
    rows = collect_errors(snapshot)
    if not rows:
        return None
    places = place_rows(rows)
    height = len(set(places))
    labelled = height <= LABELLED_ROWS
    # more rows than can be told apart are drawn finer, so that their spread is seen
    width, size = (1.5, 5.0) if labelled else (0.5, 2.6)
    layers: list[Layer] = [Rule(0.0, across="y")]
    for kind, (marker, colour, label) in LOOKS.items():
        chosen = [(row, place) for row, place in zip(rows, places, strict=True) if row.kind == kind]
        if not chosen:
            continue
        at = [place for _, place in chosen]
        if kind != "issued":  # every refit issues a forecast: bars on all of them would hide the rest
            layers.append(
                Bars(at, [row.lower for row, _ in chosen], [row.upper for row, _ in chosen], colour, "x", width)
            )
        errors, names = [row.error for row, _ in chosen], [_name_row(row) for row, _ in chosen]
        layers.append(Marks(errors, at, marker, colour, kind == "issued", size, label, names))
    limit = limit_errors(rows)
    names = {place: _name_row(row) for row, place in zip(rows, places, strict=True)} if labelled else {}
    level = format_level(snapshot.config.level)
    return Figure(
        name="record",
        title="Forecasts against what was then measured",
        caption=f"One row a run{', N on D tokens' if labelled else ''}, the most compute on top. "
        f"Each is the last forecast before that run, made after 3, 4, 6, 8, 12, ... runs. "
        f"Bars are {level} intervals, cut off at the edge: that share of them should cross zero.",
        alt=f"Relative errors of {len(rows)} earlier forecasts with their intervals, around a line at zero",
        layers=tuple(layers),
        x=Axis("forecast above or below the measured loss", "percent", limits=(-limit, limit)),
        y=Axis("" if labelled else "runs, by compute", rows=names, height=height - 1.0),
        height=min(1.7 + 0.22 * height, 7.0),
        columns=1,
    )


def _name_row(row: ErrorRow) -> str:
    return f"{format_count(row.params)} on {format_count(row.tokens)}"
