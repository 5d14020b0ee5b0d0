"""What a person should be told at once, in a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Alert:
    """Something that happened between two refits and that a person should know of.

    Attributes:
        name: What it is, in kebab case; a logger may thin alerts of one name.
        title: It in a few words.
        text: It in a sentence with its figures; may hold words from outside.
        level: How urgent it is, in W&B's words.
    """

    name: str
    title: str
    text: str
    level: Literal["INFO", "WARN", "ERROR"]
