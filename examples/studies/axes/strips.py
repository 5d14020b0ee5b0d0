"""The errors of several ways, one strip of marks each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cases import DEFAULT, PROTOCOL

from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis, Layer, Marks, Rule
from scaling_callback.reporting.units import format_level

TYPICAL = 0.04
"""The best error that the study typically obtained."""

LEAST = 0.01
"""Percent below which an error is not told from none in the figure."""

FITTED = (PROTOCOL, "checkpoints, converged", "finals")


def draw_errors(found: Mapping[str, Sequence[float]], families: int) -> Figure:
    """The errors of each way, as fractions, by its name: one row a way, one mark a family, and the median."""
    places = {way: float(len(found) - 1 - place) for place, way in enumerate(found)}
    layers: list[Layer] = [Rule(100 * TYPICAL, across="y")]
    for way, place in places.items():
        # errors below a hundredth of a percent are drawn there: less than seeds differ by
        errors = [max(100 * error, LEAST) for error in found[way]]
        colour = "target" if way == DEFAULT else "final" if way in FITTED else "out"
        layers.append(Marks(errors, [place] * len(errors), "o", colour, hollow=True, size=4.6))
        if errors:
            layers.append(Marks([float(np.median(errors))], [place], "|", "ink", size=17.0))
    return Figure(
        name="ways",
        title="How far each way missed",
        caption=f"One mark a family; the bar is the median, the line {format_level(TYPICAL)}. Smaller errors than "
        f"{LEAST:g}% are drawn there.",
        alt=f"Errors of {len(found)} ways to forecast the largest model, on {families} families",
        layers=tuple(layers),
        x=Axis("error for the largest model, %", "number", log=True),
        y=Axis("", rows={place: way for way, place in places.items()}, height=float(len(found) - 1)),
        height=2.6,
        columns=1,
    )
