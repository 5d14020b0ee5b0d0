"""Selecting runs of a ladder by what stands in their cards, as rows of a table are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scaling_callback.errors import InputError
from scaling_callback.records import Run, RunCard
from scaling_callback.tables import Selection, matches

FIELDS = {"run": "name", "total_tokens": "horizon"}
"""Columns of a table whose field of the card has another name."""


def select(runs: Sequence[Run], where: Selection, params: str, location: str) -> tuple[Run, ...]:
    """The runs that `where` keeps, with N counted as `params` says.

    Raises:
        InputError: One of them names something that no run has.
    """
    wanted: dict[str, list[str]] = {}
    for column, value in where:
        wanted.setdefault(column, []).append(value)
    held = {column: [_held(run.card, column) for run in runs] for column in wanted}
    for column, found in held.items():
        if runs and not any(found):
            known = ", ".join(sorted({name for run in runs for name in _columns(run.card)}))
            raise InputError(f"{location} has no column {column!r} to select by; its columns are: {known}")
    kept = [
        run
        for index, run in enumerate(runs)
        if all(any(matches(held[column][index], value) for value in values) for column, values in wanted.items())
    ]
    if runs and not kept:
        asked = " and ".join(f"{c} = {' or '.join(repr(v) for v in values)}" for c, values in wanted.items())
        there = "; ".join(f"{column} holds {_distinct(found)}" for column, found in held.items())
        raise InputError(f"{location} has no run with {asked}; {there}")
    if params != "params":
        without = next((run for run in kept if params not in run.card.sizes), None)
        if without is not None:
            known = ", ".join(without.card.sizes) or "none"
            raise InputError(f"run {without.name!r} has no count of N named {params!r}; its other counts are: {known}")
        kept = [replace(run, card=replace(run.card, params=run.card.sizes[params])) for run in kept]
    return tuple(kept)


def _held(card: RunCard, column: str) -> str:
    """What a card holds, as the text of a table's cell; empty where it holds nothing."""
    field = FIELDS.get(column, column)
    for place in (vars(card), card.sizes, card.extra, card.recipe):
        if (value := place.get(field)) is not None:
            return str(value)
    return ""


def _columns(card: RunCard) -> list[str]:
    """The columns that a card fills."""
    names = {field: column for column, field in FIELDS.items()}
    own = [name for name, value in vars(card).items() if value not in (None, {}, False)]
    others = {"sizes", "extra", "recipe"}
    return [*(names.get(name, name) for name in own if name not in others), *card.sizes, *card.extra, *card.recipe]


def _distinct(found: Sequence[str]) -> str:
    values = sorted({repr(value[:40]) for value in found})
    return ", ".join(values[:8]) + (", ..." if len(values) > 8 else "")
