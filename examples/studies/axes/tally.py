"""Counts over families: in how many something is seen, and in how many of the studies that they come from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from families import FAMILIES
from page import Verdict, judge

from scaling_callback.reporting.units import format_percent

T = TypeVar("T")

SOURCES = {family.name: family.source for family in FAMILIES}
"""The study that each family comes from. Families of one study have much in common: they are counted once, too."""

NO_TEXT = {"supercollapse", "revisiting_lang", "llama3_isoflop", "gzip_pcfg"}
"""Studies whose loss is not that of text in nats per token: A, which is in units of the loss, is no A of theirs."""

FEWEST, FEWEST_SOURCES = 5, 3
"""Families, and studies that they come from, below which nothing is said to hold or to fail."""

ON_TALLIES = (
    "In brackets: the studies that the families come from, on most of whose families it is so. Where families are "
    "counted a verdict is that of both counts, and *depends* where they differ. "
    f"Of fewer than {FEWEST} families, or {FEWEST_SOURCES} sources, nothing is said to hold or to fail."
)
"""What stands above findings that count families."""

MOST = "on at least 80% of families, and of sources"
"""What `judge` calls a finding that holds, in words."""


@dataclass(frozen=True)
class Tally:
    """In how many families something was seen.

    Attributes:
        seen: Whether it was, by name of the family.
    """

    seen: Mapping[str, bool]

    @property
    def share(self) -> float:
        """Of the families; NaN without any."""
        return float(np.mean(list(self.seen.values()))) if self.seen else math.nan

    @property
    def sources(self) -> tuple[int, int]:
        """On most of whose families it is seen, and how many there are."""
        votes = [float(np.mean(seen)) > 0.5 for seen in gather(self.seen).values()]
        return sum(votes), len(votes)

    @property
    def verdict(self) -> Verdict:
        """By the usual rule, where families and sources agree on it; of few, neither `holds` nor `fails`."""
        most, of = self.sources
        if not self.seen:
            return "no data"
        verdict = judge(self.share)
        few = len(self.seen) < FEWEST or of < FEWEST_SOURCES
        return "depends" if few or judge(most / of) != verdict else verdict

    def __str__(self) -> str:
        """Families, and sources of whose families it is more than half."""
        most, of = self.sources
        return f"{sum(self.seen.values())} of {len(self.seen)} families ({most} of {of} sources)"


def are_few(names: Iterable[str]) -> bool:
    """Whether there are families, but too few of them, or of sources, for anything to hold or to fail.

    Example:
        >>> are_few(["OLMo ladder"]), are_few([])
        (True, False)
    """
    names = list(names)
    return bool(names) and (len(names) < FEWEST or len({SOURCES[name] for name in names}) < FEWEST_SOURCES)


def is_text(name: str) -> bool:
    """Whether the losses of a family are of text, in nats per token.

    Example:
        >>> is_text("OLMo ladder"), is_text("Supercollapse, MLP")
        (True, False)
    """
    return SOURCES[name] not in NO_TEXT


def compare(pairs: Mapping[str, tuple[float | None, float | None]]) -> Tally:
    """In how many families the first error is less than the second, of those that have both.

    Example:
        >>> str(compare({"OLMo ladder": (0.01, 0.02), "Step law": (0.01, None)}))
        '1 of 1 families (1 of 1 sources)'
    """
    return Tally({name: a < b for name, (a, b) in pairs.items() if a is not None and b is not None})


def middle(errors: Iterable[float | None]) -> float | None:
    """The median of those that there are; `None` without any."""
    known = [error for error in errors if error is not None]
    return float(np.median(known)) if known else None


def middle_of_sources(errors: Mapping[str, float | None]) -> float | None:
    """The median over sources of the median over the families of each."""
    return middle(middle(of) for of in gather(errors).values())


def summarise(errors: Mapping[str, float | None]) -> tuple[str, str, str]:
    """Median over families, median over sources, and how many families answer: the usual cells of a row."""
    known = [error for error in errors.values() if error is not None]
    return format_percent(middle(known)), format_percent(middle_of_sources(errors)), str(len(known))


SUMMARY = ("median of families", "median of sources", "families")
"""What these cells are."""


def gather(values: Mapping[str, T]) -> dict[str, list[T]]:
    """The values of the families of each source."""
    found: dict[str, list[T]] = {}
    for name, value in values.items():
        found.setdefault(SOURCES[name], []).append(value)
    return found
