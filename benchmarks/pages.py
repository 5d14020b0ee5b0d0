"""What the benchmarks that write pages share: cells, verdicts and seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

_Made = TypeVar("_Made")


def clock(work: Callable[[], _Made]) -> tuple[_Made, float]:
    """The result and its CPU seconds."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began


def percent(value: float) -> str:
    """A fraction in percent, with two digits that mean something."""
    return "none" if not math.isfinite(value) else f"{100 * value:.{2 if value >= 0.001 else 3}f}"


def met(kept: bool) -> str:
    """The verdict on a bound."""
    return "met" if kept else "**not met**"


def table_row(*cells: str) -> str:
    """One row of a table."""
    return "| " + " | ".join(cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A whole table."""
    return "\n".join([table_row(*head), table_row(*["---"] * len(head)), *(table_row(*row) for row in rows)])
