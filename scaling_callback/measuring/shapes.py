"""The shape of a learning-rate schedule, recognised from its curve: by that name runs share curve templates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SHAPES = (
    *("constant", "linear", "cosine", "warmup-stable-decay", "inverse-sqrt", "step", "exponential"),
    *("one-cycle", "warm-restarts", "plateau", "custom"),
)
"""Every name of a shape. `plateau` follows the loss and is told by its scheduler alone."""

ENDLESS = ("constant", "inverse-sqrt", "step", "exponential", "warm-restarts", "plateau")
"""Shapes that reach no end of their own: a training may stop anywhere in them."""

FEWEST = 5
"""Rates that a shape can be told from: with fewer, a cosine is a line."""

HELD = 0.01
"""Share of the peak by which a rate may fall and still be held; also the rise that is none."""

STABLE = 0.2
"""Share of the way behind the warmup that a stable phase holds at least; a cosine leaves its peak after a fifteenth."""

LONG_WARMUP = 0.25
"""Share of the training from which on a rise is half of a cycle rather than a warmup."""

MOST_LEVELS = 8
"""Levels that steps may have; more of them are the steps of an epoch or of a logger, and the curve behind counts."""

TOP = 0.9
"""Share of the peak that a first peak reaches: it may lie between two points, and those of later cycles upon them."""

MISFIT = 0.05
"""Largest distance from a formula, as a share of what the rate falls: line and cosine are two of these apart."""


TINY = 1e-12
"""Share of the peak that is nothing."""


def _exponential(way: Array, end: float) -> Array:
    return end**way if end > TINY else np.full_like(way, np.inf)


def _inverse_sqrt(way: Array, end: float) -> Array:
    return (1.0 + (end**-2 - 1.0) * way) ** -0.5 if end > TINY else np.full_like(way, np.inf)


_FORMULAS: dict[str, Callable[[Array, float], Array]] = {
    "linear": lambda way, end: 1.0 - (1.0 - end) * way,
    "cosine": lambda way, end: end + (1.0 - end) * 0.5 * (1.0 + np.cos(np.pi * way)),
    "exponential": _exponential,
    "inverse-sqrt": _inverse_sqrt,
}
"""Rate over its peak, from the share of the way behind the warmup and the rate at its end."""


def name_shape(progress: ArrayLike, rate: ArrayLike) -> str:
    """The shape of a schedule: one of `SHAPES`.

    A warmup is not part of the name, nor are peak and end. A curve is named for what it does behind its warmup; one
    that is cut in the middle of its decay, or that ends early and goes on at its floor, fits no name and is `custom`.

    Args:
        progress: Share of the training at which each rate was set, shape (n,), increasing.
        rate: Learning rates, shape (n,); those that are not finite are left out.

    Example:
        >>> x = np.linspace(0, 1, 101)
        >>> name_shape(x, 3e-4 * np.minimum(x / 0.05, 1 - x)), name_shape(x, np.minimum(x / 0.1, 1))
        ('linear', 'constant')
        >>> name_shape(x, np.minimum(1, (1 - x) / 0.3)), name_shape(x, 0.1 ** (x // 0.3))
        ('warmup-stable-decay', 'step')
    """
    x, rates = np.asarray(progress, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(rates)
    x, rates = x[known], rates[known]
    if len(x) < FEWEST or x[-1] <= x[0] or rates.max() <= 0 or rates.min() < -HELD * rates.max():
        return "custom"
    rates = rates / rates.max()
    first = int(np.argmax(rates >= 1.0 - HELD))
    if rates[first:].min() >= 1.0 - HELD and first < len(x) - 1 and (np.diff(rates[: first + 1]) >= -HELD).all():
        return "constant"
    top = _find_top(rates)
    if rates[top] < TOP or top == len(x) - 1:
        return "custom"  # it falls before its peak, or rises to its end
    warmup = (x[top] - x[0]) / (x[-1] - x[0])
    x, rates = x[top:], rates[top:] / rates[top]
    changes = np.diff(rates)
    if changes.max() > HELD:
        return "warm-restarts" if _rises_at_once(changes) else "custom"
    return _name_descent(x, rates, warmup)


def _find_top(rates: Array) -> int:
    """The place at which the rise ends from which the rates fall for the first time."""
    highest = np.maximum.accumulate(rates)
    fallen = int(np.argmax(highest - rates > HELD))
    return int(np.argmax(rates >= highest[fallen or -1] - 1e-9))


def _rises_at_once(changes: Array) -> bool:
    """Whether each rise is a jump between two points, with a descent behind it: no wave goes up like that."""
    rising = changes > HELD
    return bool((changes < 0).any()) and not (rising[1:] & rising[:-1]).any()


def _name_descent(x: Array, rates: Array, warmup: float) -> str:
    """The shape of rates that never rise, from their peak on."""
    moves = np.flatnonzero(np.abs(np.diff(rates)) > 1e-9)
    if len(moves) < MOST_LEVELS and (len(moves) == 1 or (np.diff(moves) > 1).all()):
        return "step"
    way = (x - x[0]) / (x[-1] - x[0])
    held = way[rates >= 1.0 - HELD][-1]
    if held >= STABLE:
        floor = way[rates <= rates[-1] + HELD * (1.0 - rates[-1])][0]
        return "warmup-stable-decay" if 1.0 - floor <= STABLE * (1.0 - held) else "custom"
    gaps = np.diff(moves, prepend=-1, append=len(x) - 1)
    if len(moves) < 0.5 * (len(x) - 1) and gaps.max() <= 2 * np.median(gaps):
        # the rate of an epoch, seen several times in it: each where it was set
        kept = np.append(0, moves + 1)
        way, rates = way[kept] / way[kept][-1], rates[kept]
    misfits = {name: _misfit(formula, way, rates) for name, formula in _FORMULAS.items()}
    name = min(misfits, key=lambda name: misfits[name])
    if misfits[name] > MISFIT:
        return "custom"
    return "one-cycle" if warmup >= LONG_WARMUP and name in {"linear", "cosine"} else name


def _misfit(formula: Callable[[Array, float], Array], way: Array, rates: Array) -> float:
    """Largest distance of rates from a formula that ends where they do, as a share of their fall.

    The last point of the warmup may be the highest, though the descent begins behind it, and the last point of all may
    lie behind its end: the best of these counts.
    """
    found: list[float] = []
    for begin, end in product((0, 1), (len(way), len(way) - 1)):
        if end - begin < 2:
            continue
        left = (way[begin:end] - way[begin]) / (way[end - 1] - way[begin])
        seen = rates[begin:end] / rates[begin]
        last = float(seen[-1])
        if last < 1.0:
            found.append(float(np.abs(formula(left, last) - seen).max()) / (1.0 - last))
    return min(found, default=np.inf)
