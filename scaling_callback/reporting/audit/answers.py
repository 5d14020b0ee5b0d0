"""How an item of the checklist can stand: answered, waiting for the user, or waiting for data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from scaling_callback.reporting.audit.facts import Fact, Known, Origin
from scaling_callback.reporting.audit.questions import QUESTIONS

Status: TypeAlias = Literal["answered", "asked", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """How an item stands.

    Attributes:
        status: Whether it is answered, waits for the user, or for data.
        text: What is said to it; may hold words from outside.
        sources: Where that comes from: worked out by the tool, a run's card, the form of the ladder.
        keys: Under which the user may answer what is still asked.
    """

    status: Status
    text: str
    sources: tuple[Origin, ...] = ()
    keys: tuple[str, ...] = ()


def say(*sentences: str, of: tuple[Fact | None, ...] = (), tool: bool = True) -> Answer:
    """An answer, made `of` facts, and of what the tool worked out itself unless `tool` is false."""
    return Answer("answered", _join(sentences), _origins(of, tool=tool))


def ask(*keys: str, known: str = "", of: tuple[Fact | None, ...] = (), tool: bool = True) -> Answer:
    """The questions of these keys to the user, with what is known already."""
    questions = " ".join(QUESTIONS[key].text for key in keys)
    return Answer("asked", _join((known, questions)), _origins(of, tool=tool and bool(known)), keys)


def leave(reason: str) -> Answer:
    """An item that the tool would fill in, had this ladder the data."""
    return Answer("unanswered", reason)


def no_fit(known: Known) -> Answer:
    """Nothing was fitted, and why."""
    return leave(f"Nothing is fitted: {known.snapshot.absent.get('fit', 'no fit was made').rstrip('.')}.")


def _join(sentences: tuple[str, ...]) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _origins(facts: tuple[Fact | None, ...], *, tool: bool) -> tuple[Origin, ...]:
    own: tuple[Origin, ...] = ("tool",) if tool else ()
    return tuple(dict.fromkeys((*own, *(fact.origin for fact in facts if fact is not None))))
