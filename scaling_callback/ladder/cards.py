"""The card of a run: who it is, checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from scaling_callback.records import RunCard, is_count


def read_card(record: Mapping[str, Any]) -> RunCard:
    """The card; fields that this version does not know are ignored, so that it reads newer ones too.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(record.get("name"), str) or not is_count(record.get("params")):
        raise ValueError("a card needs a name and a positive count `params`")
    for key, (sound, wanted) in _CARD_FIELDS.items():
        if record.get(key) is not None and not sound(record[key]):
            raise ValueError(f"{key} is {str(record[key])[:40]!r}; it must be {wanted}")
    return RunCard(**{f.name: record[f.name] for f in fields(RunCard) if record.get(f.name) is not None})


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping_of(sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(sound, cast("dict[str, Any]", value).values()))


_CARD_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(("horizon", "peak_lr", "batch_tokens", "flops_per_token"), (is_count, "a positive number")),
    **dict.fromkeys(("schedule", "seed", "parent", "loss_kind", "excluded", "note"), (_is_text, "a text")),
    **dict.fromkeys(("recipe", "extra"), (_is_mapping_of(_is_text), "a mapping of texts")),
    "sizes": (_is_mapping_of(is_count), "a mapping of positive numbers"),
    "held_out": (lambda value: isinstance(value, bool), "true or false"),
}
