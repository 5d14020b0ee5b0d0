"""How an item of the checklist can stand: answered, waiting for the user, or waiting for data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from scaling_callback.snapshot import Snapshot

Status: TypeAlias = Literal["answered", "asked", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """How an item stands, and what is said to it: text that may hold words from outside."""

    status: Status
    text: str


def say(*sentences: str) -> Answer:
    """An answer."""
    return Answer("answered", " ".join(sentence for sentence in sentences if sentence))


def ask(question: str, key: str, known: str = "") -> Answer:
    """A question to the user, who answers it under `key` in the recipe of the runs, with what is known already."""
    return Answer("asked", " ".join(part for part in (known, question, f"Recipe key or table column: {key}.") if part))


def leave(reason: str) -> Answer:
    """An item that the tool would fill in, had this ladder the data."""
    return Answer("unanswered", reason)


def no_fit(snapshot: Snapshot) -> Answer:
    """Nothing was fitted, and why."""
    return leave(f"Nothing is fitted: {snapshot.absent.get('fit', 'no fit was made')}.")
