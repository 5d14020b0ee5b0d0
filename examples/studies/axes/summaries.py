"""What several axes say of errors over families: which of two ways is nearer, whether errors follow what is varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest, rankdata

from axes.tally import middle
from scaling_callback.reporting import Figure
from scaling_callback.reporting.figures import Axis as Scale
from scaling_callback.reporting.figures import Layer, Line, Marks

Errors = Mapping[float, "float | None"]
"""The error at each value of what is varied; `None` where nothing was said."""

LEAST = 0.01
"""Percent below which an error is not told from none in a figure."""

STYLES = (("o", "final"), ("s", "target"), ("^", "guess"), ("D", "held"))
"""Marker and colour of each way in a figure."""


def count_signs(pairs: Sequence[tuple[float | None, float | None]]) -> tuple[int, int, float]:
    """How often the first of a pair is larger, of how many that differ, and the two-sided p-value of the sign test.

    Example:
        >>> count_signs([(2.0, 1.0), (3.0, 1.0), (2.0, None), (1.0, 1.0), (4.0, 2.0), (9.0, 1.0)])
        (4, 4, 0.125)
    """
    known = [a > b for a, b in pairs if a is not None and b is not None and a != b]
    return sum(known), len(known), float(binomtest(sum(known), len(known)).pvalue) if known else 1.0


def compare_ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """The median of the first over the second; `None` without pairs."""
    return middle(a / b for a, b in pairs if a is not None and b)


def correlate(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rank correlation; `None` of fewer than three pairs, or where one of them does not vary.

    Example:
        >>> correlate([1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1]), correlate([1, 2], [3, 4])
        (-1.0, None)
    """
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return round(float(np.corrcoef(rankdata(x), rankdata(y))[0, 1]), 12)


def follow(errors: Errors) -> float | None:
    """How errors go with what is varied: the rank correlation of those that there are."""
    known = [(value, error) for value, error in errors.items() if error is not None]
    return correlate([value for value, _ in known], [error for _, error in known])


def draw_families(
    name: str,
    title: str,
    x: Scale,
    thin: Mapping[str, Errors],
    bold: Mapping[str, Errors],
    caption: str,
    scale: float = 1.0,
) -> Figure:
    """Errors against what is varied: one thin line a family, and a bold line for each way's median.

    Args:
        name: A short name.
        title: What is shown.
        x: The axis of what is varied.
        thin: The errors of one way, by family.
        bold: Medians by way.
        caption: How to read it.
        scale: What the values are multiplied by: 100 where they are shares shown in percent.
    """
    layers: list[Layer] = []
    for family, errors in thin.items():
        at, values = _points(errors, scale)
        layers.append(Line(at, values, "curve", width=0.7, alpha=0.7, name=family))
    for (way, errors), (marker, colour) in zip(bold.items(), STYLES, strict=False):
        at, values = _points(errors, scale)
        layers.append(Line(at, values, colour, width=2.2))
        layers.append(Marks(at, values, marker, colour, label=f"{way}, median"))
    return Figure(
        name=name,
        title=title,
        caption=caption,
        alt=f"{title}: errors of {len(thin)} families",
        layers=tuple(layers),
        x=x,
        y=Scale("error for the largest model, %", log=True),
        height=3.4,
        columns=2,
    )


def _points(errors: Errors, scale: float) -> tuple[list[float], list[float]]:
    known = [(scale * value, max(100 * error, LEAST)) for value, error in errors.items() if error is not None]
    return [at for at, _ in known], [error for _, error in known]
