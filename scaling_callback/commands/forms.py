"""The answers that somebody wrote for the checklist of a report: in the ladder's own form, or in a file that is named.

The command line writes nothing into a ladder. A file that is named and missing is written as a form, outside of one.
"""

from __future__ import annotations

import os
from pathlib import Path

from scaling_callback.arguments import check_output
from scaling_callback.errors import InputError
from scaling_callback.ladder import FORM, Ladder
from scaling_callback.reporting.audit.form import LARGEST, read_form, write_form
from scaling_callback.tables import is_table
from scaling_callback.terminal import one_line, tell


def name_form(source: str, card: str | None) -> str | None:
    """Where the answers of a source belong: the file `card`, else the form in the ladder; `None` for a table.

    Example:
        >>> name_form("ladder/", None), name_form("ladder.csv", "card.yaml"), name_form("ladder.csv", None)
        ('ladder/card.yaml', 'card.yaml', None)
    """
    return card or (None if is_table(source) else f"{source.rstrip('/')}/{FORM}")


def find_answers(source: str, card: str | None) -> tuple[dict[str, str], str | None]:
    """The answers by key, and the form that they stand in: the file `card`, else the ladder's; `None` without one.

    Raises:
        InputError: The form is broken, or a missing one cannot be written where it was named.
        OSError: The file cannot be read.
    """
    if card is None:
        place = name_form(source, None)
        data = None if place is None else Ladder(source).form()
        return ({}, None) if place is None or data is None else (read_form(data, place), place)
    path = Path(card)
    if not os.path.lexists(path):
        _check_place(path, source)
        try:
            path.write_text(write_form(), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}); give --card a path that can") from None
        tell(f"wrote the form {one_line(path)}: answer in it what you can, and ask for the report again")
    try:
        with path.open("rb") as file:
            return read_form(file.read(LARGEST + 1), card), card
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give --card a file that can") from None


def check_apart(output: Path, form: str | None) -> None:
    """Refuse, before any work, to write a report over the answers that it is made with.

    Args:
        output: Where the report is to be written.
        form: Where the answers stand (`name_form`), or are going to.

    Raises:
        InputError: Both are one file, however they are spelled or linked.
    """
    if form is None:
        return
    card = Path(form)
    one = output.samefile(card) if output.exists() and card.exists() else _follow(output) == _follow(card)
    if one:
        raise InputError(
            f"{output} is the file of the answers ({form}), which a report would overwrite; give --output another path"
        )


def _follow(path: Path) -> str:
    """What a path means in the end, whatever links and dots it is spelled with."""
    return os.path.realpath(path)


def _check_place(path: Path, source: str) -> None:
    """Refuse to write a form where the command line writes nothing: into SOURCE, or into any ladder.

    Raises:
        InputError: It lies there, or cannot be written at all.
    """
    check_output(path, source, "--card", FORM)
    place = Path(_follow(path)).parent
    if next(place.glob("*/card.json"), None) or (place / "card.json").exists():
        raise InputError(
            f"{path} lies in a ladder, where its trainings alone write; give --card another path, and copy it there"
        )
