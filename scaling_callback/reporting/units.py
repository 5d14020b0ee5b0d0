"""Numbers as people say them: counts, compute, losses, shares, durations.

Every function takes `None` or a number that is not finite as "not known" and then returns `UNKNOWN`, so that
callers never print NaN.
"""

from __future__ import annotations

import math
from typing import TypeGuard

UNKNOWN = "\N{EN DASH}"
"""What is printed where nothing is known."""

MINUS = "\N{MINUS SIGN}"
SUFFIXES = ("", "k", "M", "B", "T", "P")
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_count(count: float | None) -> str:
    """A count of parameters or tokens with one decimal and its suffix.

    Example:
        >>> format_count(7e9), format_count(4e12), format_count(23_100), format_count(640), format_count(999_990)
        ('7.0B', '4.0T', '23.1k', '640', '1.0M')
        >>> format_count(5e21), format_count(None)
        ('5.0e21', '–')
    """
    if not _known(count):
        return UNKNOWN
    step = 0
    # 999.95k would be printed as 1000.0k, so it already belongs to the next suffix
    while abs(count) >= 999.95 * 1000.0**step and step < len(SUFFIXES):
        step += 1
    if step == len(SUFFIXES):
        return format_flops(count)
    if step == 0:
        return f"{count:.0f}" if count == round(count) else f"{count:.3g}"
    return f"{count / 1000.0**step:.1f}{SUFFIXES[step]}"


def format_flops(flops: float | None) -> str:
    """Compute with two significant digits, the way budgets are quoted.

    Example:
        >>> format_flops(5.88e23), format_flops(1e18), format_flops(math.nan)
        ('5.9e23', '1.0e18', '–')
    """
    if not _known(flops):
        return UNKNOWN
    mantissa, exponent = f"{flops:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def name_cost(source: str, inference_tokens: float) -> str:
    """What FLOPs are counted as.

    Example:
        >>> name_cost("6 N D", 2e12)
        '6 N D, and 2.0T tokens to serve'
    """
    return source + (f", and {format_count(inference_tokens)} tokens to serve" if inference_tokens else "")


def format_power(value: float) -> str:
    """A power of ten for the tick of a logarithmic axis.

    Example:
        >>> format_power(1e18), format_power(3e-5)
        ('10¹⁸', '3×10⁻⁵')
    """
    mantissa, exponent = f"{value:.0e}".split("e")
    power = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return power if mantissa == "1" else f"{mantissa}\N{MULTIPLICATION SIGN}{power}"


def format_tick(value: float) -> str:
    """A number on an axis: as short as it can be said.

    Example:
        >>> format_tick(2.5), format_tick(2.25), format_tick(1e9), format_tick(2.5e10), format_tick(0.001)
        ('2.5', '2.25', '1B', '25B', '0.001')
    """
    if abs(value) < 1e3:
        return _signed(f"{value:.4g}")
    return format_count(value).replace(".0", "")


def format_tick_percent(percent: float) -> str:
    """A difference in percent on an axis.

    Example:
        >>> format_tick_percent(5.0), format_tick_percent(-0.25), format_tick_percent(0.0)
        ('+5%', '−0.25%', '0%')
    """
    return f"{'+' if percent > 0 else ''}{format_tick(percent)}%"


def format_loss(loss: float | None) -> str:
    """A loss with four decimals, or with four significant digits below a hundredth.

    Example:
        >>> format_loss(2.12345), format_loss(10.8), format_loss(0.00012345), format_loss(None)
        ('2.1235', '10.800', '0.0001234', '–')
    """
    if not _known(loss):
        return UNKNOWN
    if abs(loss) >= 10:
        return _signed(f"{loss:#.5g}".rstrip("."))
    if abs(loss) >= 0.01 or loss == 0:
        return _signed(f"{loss:.4f}")
    return _signed(f"{loss:.4g}")


def format_value(value: float | None) -> str:
    """A fitted parameter or another number of any size, with four significant digits.

    Example:
        >>> format_value(0.34781), format_value(2085.43), format_value(1.8e11), format_value(19.6)
        ('0.3478', '2085', '1.800e11', '19.60')
    """
    if not _known(value):
        return UNKNOWN
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.3e}".split("e")
        return _signed(f"{mantissa}e{int(exponent)}")
    decimals = 3 if value == 0 else max(0, 3 - math.floor(math.log10(abs(value))))
    return _signed(f"{value:.{decimals}f}")


def format_percent(share: float | None, *, signed: bool = False) -> str:
    """A fraction as a percentage: two decimals below 10%, one below 100%, none above.

    Example:
        >>> format_percent(0.00321), format_percent(0.9), format_percent(-0.0123, signed=True)
        ('0.32%', '90.0%', '−1.23%')
        >>> format_percent(1.0), format_percent(12.3), format_percent(0.0, signed=True)
        ('100%', '1230%', '0.00%')
    """
    if not _known(share):
        return UNKNOWN
    percent = 100.0 * share
    decimals = 2 if abs(percent) < 9.995 else 1 if abs(percent) < 99.95 else 0
    text = f"{percent:+.{decimals}f}" if signed and round(percent, decimals) else f"{abs(percent):.{decimals}f}"
    if not signed and percent < 0:
        text = f"-{text}"
    return _signed(text) + "%"


def format_level(level: float) -> str:
    """The nominal coverage of an interval, or a progress, without decimals that say nothing.

    Example:
        >>> format_level(0.9), format_level(0.975), format_level(1 / 3)
        ('90%', '97.5%', '33.3%')
    """
    return f"{100 * level:.3g}%"


def format_duration(seconds: float | None) -> str:
    """A duration in the two units that matter.

    Example:
        >>> [format_duration(s) for s in (0.0421, 3.21, 75, 3 * 3600 + 120, 100 * 3600)]
        ['42 ms', '3.2 s', '1 min 15 s', '3 h 2 min', '4 d 4 h']
    """
    if not _known(seconds):
        return UNKNOWN
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for length, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // smaller} {name}"
    return f"{whole} s"


def number(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun.

    Example:
        >>> number(1, "run"), number(30, "run"), number(2, "search", "searches")
        ('1 run', '30 runs', '2 searches')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _signed(text: str) -> str:
    """A true minus sign, which is as wide as the plus sign and the digits."""
    return text.replace("-", MINUS, 1) if text.startswith("-") else text
