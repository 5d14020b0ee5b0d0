"""What an axis of the study is: what is measured of each family, and what the page says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cases import Case
from page import Section


@dataclass(frozen=True)
class Axis:
    """One thing that is varied.

    Attributes:
        name: A short name, for the progress display.
        measure: What is measured of one family: plain data, computed in a process of its own; `None` where the family
            does not carry it.
        tell: What the page says, from what was measured of every family that carries it, by name, in their order.
    """

    name: str
    measure: Callable[[Case], Any]
    tell: Callable[[Mapping[str, Any]], Section]
