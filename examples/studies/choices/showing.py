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


def show_over(over: float | None) -> str:
    """An objective over that of the optimum: four decimals where it is near it."""
    return show_exact(over, 4 if over is not None and over < 1.01 else 3)


def with_interval(
    words: str, ends: tuple[float, float] | None, places: int | None = None, value: float | None = None
) -> str:
    """A value over its interval, with a word where the interval does not hold it.

    Example:
        >>> with_interval("2.95", (1.87, 2.94), 2, 2.95)
        '2.95<br>1.87 to 2.94, without it'
    """
    if ends is None:
        return words
    low, high = (show(end) if places is None else show_exact(end, places) for end in ends)
    outside = value is not None and not ends[0] <= value <= ends[1]
    return f"{words}<br>{low} to {high}" + ", without it" * outside
