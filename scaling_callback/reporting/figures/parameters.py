"""The fitted parameters as the ladder grew."""

from __future__ import annotations

import math

from scaling_callback.reporting.figures.drawing import MARKERS, Axis, Bars, Figure, Layer, Line, Marks, Rule
from scaling_callback.reporting.figures.palette import name_size
from scaling_callback.reporting.figures.traces import spent_by
from scaling_callback.reporting.units import format_level, format_value
from scaling_callback.snapshot import Snapshot

APART = 1.035
"""Factor of compute between the intervals of two parameters, which would hide each other."""

FARTHEST = 4.0
"""Ratios beyond this factor are cut off: a parameter that three runs do not hold may be anything."""


def plot_parameters(snapshot: Snapshot) -> Figure | None:
    """Each parameter over its present value, against the compute of the ladder; `None` without an earlier fit.

    Coefficients are left out: they are the law's size at N = D = 1, and follow the exponents over many decades.
    """
    fit, now = snapshot.fit, spent_by(snapshot)
    past = [made for made in snapshot.past if made.parameters]
    if fit is None or not past or now <= 0:
        return None
    floor = {parameter.name for parameter in fit.law.parameters if "irreducible" in parameter.meaning}
    names = [
        p.name for p in fit.law.parameters if (p.role != "coefficient" or p.name in floor) and fit.params[p.name] > 0
    ]
    moments = [(made.compute, made.parameters, made.intervals) for made in past if made.compute < now]
    moments.append((now, fit.params, fit.intervals(snapshot.config.level)))
    layers: list[Layer] = [Rule(1.0, across="x")]
    seen: list[float] = []
    for rank, name in enumerate(names):
        marker, colour = MARKERS[rank % len(MARKERS)], name_size(rank, len(names))
        shift = APART ** (rank - (len(names) - 1) / 2)
        x = [compute * shift for compute, _, _ in moments]
        ratio = [params[name] / fit.params[name] for _, params, _ in moments]
        ends = [intervals.get(name, (math.nan, math.nan)) for _, _, intervals in moments]
        lower, upper = ([end[i] / fit.params[name] for end in ends] for i in (0, 1))
        layers.append(Line(x, ratio, colour, width=1.0))
        layers.append(Bars(x, lower, upper, colour))
        layers.append(Marks(x, ratio, marker, colour, label=f"{name}, now {format_value(fit.params[name])}"))
        seen += [value for value in (*ratio, *lower, *upper) if math.isfinite(value) and value > 0]
    far = min(max(*seen, *(1 / value for value in seen), 1.05), FARTHEST)
    level = format_level(snapshot.config.level)
    return Figure(
        name="parameters",
        title="The law as the ladder grew",
        caption=f"What the fit that is shown was after so much of the ladder, over what it is now. Bars are {level} "
        "intervals, cut off at the edge. A parameter that still wanders is not yet known.",
        alt=f"{len(names)} parameters of the law over their present values, at {len(moments)} moments of the ladder",
        layers=tuple(layers),
        x=Axis("compute of the ladder so far (FLOPs)", "power", log=True),
        y=Axis("over its value now", log=True, limits=(far**-1.05, far**1.05)),
        height=3.4,
        columns=2,
    )
