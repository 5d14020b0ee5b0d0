"""What a command is: how it is typed, and what it does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from scaling_callback.reporting.words.layout import Answer

Output: TypeAlias = tuple[dict[str, Any], Answer]
"""An answer as data, ready for JSON, and in words."""


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: As it is typed.
        summary: What it does, in a sentence.
        example: What could be typed after the program's name.
        outcome: What that answers.
        add_options: Adds its positional arguments and options to its parser.
        run: Does it.
    """

    name: str
    summary: str
    example: str
    outcome: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Output]
