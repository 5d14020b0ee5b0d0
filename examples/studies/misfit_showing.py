"""How numbers and intervals of the study are written."""

from __future__ import annotations

import math


def show(value: float | None) -> str:
    """A number with three significant digits.

    Example:
        >>> show(0.0094627), show(59652.9), show(17.91), show(None), show(1e-12)
        ('0.00946', '59,700', '17.9', '–', '1.0e-12')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    rounded = float(f"{value:.3g}")
    places = max(0, 2 - math.floor(math.log10(abs(rounded)))) if rounded else 0
    return f"{rounded:,.{min(places, 5)}f}"


def show_exact(value: float | None, places: int = 3) -> str:
    """A parameter or loss with three decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{places}f}"


def with_interval(words: str, ends: tuple[float, float] | None, places: int | None = None) -> str:
    """A value over its interval."""
    if ends is None:
        return words
    low, high = (show(end) if places is None else show_exact(end, places) for end in ends)
    return f"{words}<br>{low} to {high}"
