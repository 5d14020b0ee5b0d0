"""The median of few numbers, without the set-up that `np.median` costs each time."""

from __future__ import annotations

import numpy as np

from scaling_callback.records import Array


def median(values: Array) -> float:
    """The median of finite values, shape (n,).

    Example:
        >>> median(np.array([3.0, 1.0, 2.0])), median(np.array([4.0, 1.0, 2.0, 8.0]))
        (2.0, 3.0)
    """
    ordered = np.sort(values)
    return float(0.5 * (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]))
