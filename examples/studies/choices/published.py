"""What was published or computed before of how choices move the answer, and when a row is said to meet it.

The values are those of refits of the points that Li et al. 2025 ((Mis)Fitting, arXiv 2502.18969) released of their own
ladder, and of the 245 points that Besiroglu et al. 2024 (arXiv 2404.10102) read off a figure of Hoffmann et al. 2022.
They are kept as they were written, for their digits say how exactly they are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

BUDGET = 5.88e23
"""Compute of Chinchilla in FLOPs, for which every D/N is said."""

WITHIN = {"E": 0.04, "alpha": 0.04, "beta": 0.04, "tokens_per_param": 0.06}
"""How far a value may be from the published one where it does not round to its digits."""

RULE = (
    f"*met*: each of E, alpha and beta rounds to the published digits or is within {100 * WITHIN['E']:g}% of the "
    f"published value, and D/N rounds to them or is within {100 * WITHIN['tokens_per_param']:g}%; of a published "
    "range, it lies in it by the same rule; *met by choice*: the same, from a start of the grid or a selection of "
    "checkpoints that was not published, and was looked for because it meets the row"
)

HALF = 0.5 + 1e-9
"""Half a unit of the last digit, and what rounding in binary adds."""


@dataclass(frozen=True)
class Published:
    """A row as it was published.

    Attributes:
        words: What it is called there.
        choice: What it is called here.
        values: E, alpha, beta and `tokens_per_param` as they were written, a range as `low-high`; others are not given.
        chosen: Whether the start, or the selection of checkpoints, was not published, and is one that was looked for
            because it meets these values.
        counted: Whether it is a published row; the others explain one.
    """

    words: str
    choice: str
    values: Mapping[str, str]
    chosen: bool = False
    counted: bool = True


def _row(
    words: str, choice: str, e: str, alpha: str, beta: str, ratio: str, *, chosen: bool = False, counted: bool = True
) -> Published:
    values = {"E": e, "alpha": alpha, "beta": beta, "tokens_per_param": ratio}
    return Published(words, choice, {name: value for name, value in values.items() if value}, chosen, counted)


_LOSSES = ("1.5-1.7", ".15-.18", ".56-.67", ".02-.05")
_RATES = ("2.3-2.8", ".52-.70", ".59-.69")

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "misfitting": (
        _row("log-Huber, converged", "as asked", "1.40", ".138", ".670", ".009"),
        _row("alpha = beta tied", "law chinchilla-tied", "2.55", ".608", ".608", "25.2"),
        _row("finite differences, 40 starts", "best 40 of a grid of starts", "2.65", ".807", ".605", "159"),
        _row(
            "the same, from one of the starts", "one start", "2.65", ".807", ".605", "159", chosen=True, counted=False
        ),
        _row("tolerance 1e-4", "one start, tolerance 1e-4", "2.82", ".852", ".997", "4.0", chosen=True),
        _row("mean for sum", "one start, mean for sum", "2.64", ".565", ".734", "4.3", chosen=True),
        _row("Huber", "Huber loss of L with delta 0.001", *_LOSSES),
        _row("log-MSE", "half the squared residual of ln L", *_LOSSES),
        _row("log-MAE", "absolute residual of ln L", *_LOSSES),
        _row("N without embeddings", "N counted as params", "0.0", ".050", ".657", ".003"),
        _row("LR 1e-3", "learning rate 0.001", *_RATES, "9"),
        _row("LR 2e-3", "learning rate 0.002", *_RATES, "15"),
        _row("LR 4e-3", "learning rate 0.004", *_RATES, "41"),
        _row("D/N < 18", "D/N below 18", "1.6", ".14", ".55", ".10"),
        _row("D/N > 22", "D/N above 22", "2.1", ".37", ".39", "7.1"),
        _row("all checkpoints", "lowest at each N and D, every checkpoint", "2.35", ".40", ".63", "1.1", chosen=True),
        _row("checkpoints > 50%", "lowest at each N and D, beyond 50%", "2.31", ".38", ".61", ".9", chosen=True),
    ),
    "chinchilla_epoch": (
        _row("log-Huber, converged", "as asked", "1.817", ".347", ".367", "17.9"),
        _row("tied", "law chinchilla-tied", "1.818", ".357", ".357", "24.2"),
        _row("finite differences, 40 starts", "best 40 of a grid of starts", "1.817", ".347", ".367", "18"),
        _row("Chinchilla start: stuck", "start at Chinchilla's values", "1.698", ".339", ".285", "55.5"),
        _row("mean for sum", "one start, mean for sum", "2.167", ".552", ".715", "5.4", chosen=True),
        _row("Huber", "Huber loss of L with delta 0.001", "1.82-1.87", ".34-.36", ".37-.41", "15.6"),
        _row("log-MSE", "half the squared residual of ln L", "1.82-1.87", ".34-.36", ".37-.41", "14.2"),
        _row("log-MAE", "absolute residual of ln L", "1.82-1.87", ".34-.36", ".37-.41", "18.3"),
        _row("245 points", "the 5 outliers kept", "1.891", ".349", ".453", "6.8"),
        _row("N <= 120M", "N up to 1.2e+08", "2.43", ".77", ".55", "325"),
        _row("N <= 500M", "N up to 5e+08", "1.96", ".35", ".48", "5.2"),
        _row("D/N < 18", "D/N below 18", "1.94", ".45", ".41", "31.8"),
        _row("D/N > 22", "D/N above 22", "1.64", ".25", ".41", "1.5"),
    ),
}
"""The rows of either ladder, by its table."""

INTERVAL = {"chinchilla_epoch": (10.6, 30.1)}
"""The bootstrap's 10th to 90th percentile of D/N, by table."""

FORECAST_LOSS = (1.97, 1.995)
"""L at 5.9e23 FLOPs over converged choices of the Chinchilla reconstruction."""

MOVES = {
    "non-convergence": 1,
    "data range": 1,
    "tying": 2,
    "learning rate": 3,
    "counting": 4,
    "loss": 5,
    "delta": 6,
}
"""The place of each kind of choice by how far it was said to move D/N, the strongest first."""


def differs(published: Published, found: Mapping[str, float]) -> tuple[str, ...]:
    """The values that are not met, by name; a value that was not found is not met.

    Example:
        >>> row = Published("tied", "law chinchilla-tied", {"E": "2.55", "tokens_per_param": "20-25.2"})
        >>> differs(row, {"E": 2.546, "tokens_per_param": 25.24}), differs(row, {"E": 2.7, "tokens_per_param": 22.0})
        ((), ('E',))
    """
    return tuple(
        name
        for name, value in published.values.items()
        if not meets(value, found.get(name, math.nan), within=WITHIN[name])
    )


def meets(published: str, found: float, within: float) -> bool:
    """Whether a value rounds to the published digits, is near enough, or lies between two that it may equal.

    Example:
        >>> meets(".10", 0.0975, 0.01), meets(".009", 0.0095, 0.01), meets("1.5-1.7", 1.6, 0.01), meets("9", 9.6, 0.01)
        (True, True, True, False)
    """
    low, _, high = published.partition("-")
    ends = (low, high or low)
    if any(_equals(end, found, within) for end in ends):
        return True
    return float(ends[0]) < found < float(ends[1])


def _equals(published: str, found: float, within: float) -> bool:
    value, digits = float(published), len(published.partition(".")[2])
    return abs(found - value) <= max(within * abs(value), HALF * 10.0**-digits)
