"""Counts: positive, finite numbers, and when two of them are the same."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, cast

SAME_COUNT = 0.02
"""Two sizes or horizons that differ by no more than this fraction are the same."""


def is_count(value: Any) -> bool:
    """Whether a value is a positive, finite number.

    Example:
        >>> is_count(7e9), is_count(0), is_count(math.inf), is_count(True), is_count("7B")
        (True, False, False, False, False)
    """
    if not isinstance(value, Real) or isinstance(cast("Any", value), bool):
        return False
    try:
        return 0 < float(value) < math.inf
    except OverflowError:  # a whole number beyond any float
        return False


def as_count(text: str) -> float | None:
    """A text as a positive, finite number; `None` where it is none.

    Example:
        >>> as_count("2e9"), as_count("-1"), as_count("torch")
        (2000000000.0, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if is_count(value) else None


def same_count(one: float | None, other: float | None) -> bool:
    """Whether two counts (sizes, horizons) are known and differ by at most 2%.

    Example:
        >>> same_count(1.00e9, 1.01e9), same_count(1.0e9, 1.1e9)
        (True, False)
    """
    return one is not None and other is not None and abs(one - other) <= SAME_COUNT * max(one, other)
