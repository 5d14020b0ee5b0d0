"""What the cards of a ladder say about its recipe, as text: nothing is guessed from anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Literal, TypeAlias

from scaling_callback.records import Run
from scaling_callback.reporting.audit.questions import QUESTIONS
from scaling_callback.reporting.units import format_count
from scaling_callback.snapshot import Snapshot

SHOWN_VALUES = 4
"""Different values that a sentence lists before it counts the others."""

QUOTED = 40
"""Characters of a text from outside that a sentence shows; tables and items hold it whole."""

MIN_SCORES = 5
"""Fewer scores than this say nothing about a record."""


Origin: TypeAlias = Literal["tool", "card", "form"]
"""Where something comes from: worked out here, said by the cards of runs, or written by somebody into the form."""


@dataclass(frozen=True)
class Fact:
    """Something that somebody said: its text, which comes from outside, and where it was said."""

    text: str
    origin: Origin


@dataclass(frozen=True)
class Known:
    """What the checklist is filled from: a snapshot, and the answers of the form by key."""

    snapshot: Snapshot
    answers: Mapping[str, str] = field(default_factory=dict[str, str])

    def find(self, key: str) -> Fact | None:
        """The answer to a question: the form's, else that of the cards; `None` if nobody said it.

        Example:
            >>> from scaling_callback.pipeline import refresh
            >>> Known(refresh(()), {"corpus": "c4"}).find("corpus")
            Fact(text='c4', origin='form')
        """
        answer = self.answers.get(key, "").strip()
        if answer:
            return Fact(answer, "form")
        return self.note(key, *QUESTIONS[key].also)

    def note(self, *keys: str) -> Fact | None:
        """What the runs' recipes, or else their other notes, say under any of `keys`.

        Where only some runs say it, the text tells how many.
        """
        said = self._read(*keys)
        return Fact(list_values(said) + self.limit(len(said)), "card") if said else None

    def _read(self, *keys: str) -> list[str]:
        """What each run that says something under any of `keys` says."""
        said: list[str] = []
        for run in self.snapshot.runs:
            noted = {**run.card.extra, **run.card.recipe}
            value = next((noted[key] for key in keys if str(noted.get(key, "")).strip()), None)
            if value is not None:
                said.append(str(value))
        return said

    def limit(self, said: int) -> str:
        """What follows a fact that the cards of so many runs hold: nothing where all do."""
        total = len(self.snapshot.runs)
        return "" if said == total else f" (said of {said} of {total} runs)"

    def loss(self) -> Fact | None:
        """What the loss is, as recorded."""
        kinds = [run.card.loss_kind for run in self.snapshot.runs if run.card.loss_kind]
        if kinds and not self.answers.get("metric", "").strip():
            return Fact(list_values(kinds) + self.limit(len(kinds)), "card")
        return self.find("metric")

    def unit(self) -> str:
        """The unit of the loss, short: that of the form, or one that every run says; empty where none is known.

        Example:
            >>> from scaling_callback.pipeline import refresh
            >>> Known(refresh(()), {"loss_unit": "nats per byte"}).unit()
            'nats per byte'
        """
        written = self.answers.get("loss_unit", "").strip()
        said = [written] if written else self._read("loss_unit")
        known = len({*said}) == 1 and (written or len(said) == len(self.snapshot.runs))
        return quote(said[0].strip(" .")) if known else ""


def group_notes(runs: Iterable[Run]) -> dict[str, list[str]]:
    """What was odd about the records of runs: each note, with the names of the runs that share it."""
    names: dict[str, list[str]] = {}
    for run in runs:
        for note in run.notes:
            names.setdefault(note, []).append(run.name)
    return names


def quote(text: str) -> str:
    r"""A name or words from outside as a sentence holds them: short, on one line, and never turning it around.

    What is not plain ASCII is isolated, for it may be written to the left; marks that would end that, or that turn
    anything around themselves, are shown as escapes.

    Example:
        >>> print(quote("a\u2069\u202eb"), quote("a" * 50))
        a\u2069\u202eb aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…
    """
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    short = seen if len(seen) <= QUOTED else seen[: QUOTED - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return short if seen.isascii() else f"\N{FIRST STRONG ISOLATE}{short}\N{POP DIRECTIONAL ISOLATE}"


def say_set_aside(snapshot: Snapshot) -> str:
    """How many runs were not looked at because another one ended lower; empty where there are none."""
    aside = len(snapshot.set_aside)
    if not aside:
        return ""
    return (
        f"{aside} of {aside + len(snapshot.runs)} runs are set aside: of those that share size and horizon only the "
        "one that ended at the lowest loss is looked at."
    )


def list_values(values: Iterable[str]) -> str:
    """The different values in their order, the first few by name.

    Example:
        >>> list_values(["cosine", "wsd", "cosine"])
        'cosine, wsd'
    """
    different = list(dict.fromkeys(values))
    more = f" and {len(different) - SHOWN_VALUES} more" if len(different) > SHOWN_VALUES else ""
    return ", ".join(different[:SHOWN_VALUES]) + more


def list_counts(values: Iterable[float | None]) -> str:
    """The different counts, or their number and range where there are many; empty if none is known.

    Example:
        >>> list_counts([1e7, 3e7, 1e7]), list_counts([1e6 * i for i in range(1, 9)])
        ('10.0M, 30.0M', '8 values from 1.0M to 8.0M')
    """
    known = sorted({value for value in values if value is not None})
    if len(known) <= SHOWN_VALUES:
        return ", ".join(format_count(value) for value in known)
    return f"{len(known)} values from {format_count(known[0])} to {format_count(known[-1])}"


def list_horizons(runs: Iterable[Run]) -> list[float]:
    """The planned tokens of the runs that have a plan, increasing."""
    return sorted(run.horizon for run in runs if run.horizon is not None)


def list_versions(*packages: str) -> str:
    """The installed versions of these packages; a package that is not installed is left out.

    Example:
        >>> list_versions("no-such-package")
        ''
    """
    found: list[str] = []
    for package in packages:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
