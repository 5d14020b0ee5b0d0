"""From a record to a run: its card, its observations, and what is to be noted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scaling_callback.importing.keys import Chosen, find_partner, find_value, read_amount
from scaling_callback.importing.observing import FINAL, observe
from scaling_callback.importing.record import LeftOut, Record
from scaling_callback.records import FINAL_PROGRESS, Curve, Run, RunCard, as_count, is_count
from scaling_callback.tables import NO_PLAN, list_names
from scaling_callback.tables.cells import shorten

MOST_KEPT = 500
"""Characters of a key's value that a card keeps."""


@dataclass(frozen=True)
class Refusal:
    """Why a run cannot be imported.

    Attributes:
        reason: In words.
    """

    reason: str


def make_run(record: Record, keys: Chosen) -> Run | Refusal:
    """The run of a record: its card, its observations, and notes on what was left out or worked out.

    A row without tokens of its own takes them from the rows around it, by the step: between two of them in proportion,
    and after the last one at the same pace for no longer than between any two before. What was recorded before a
    training resumed, and after where it resumed from, is superseded.
    """
    try:
        return _make_run(record, keys)
    except LeftOut as left_out:
        return Refusal(str(left_out))


def _make_run(record: Record, keys: Chosen) -> Run:
    if record.fault:
        raise LeftOut(record.fault)
    params, horizon, each = (_amount(record, key) for key in (keys.params, keys.total_tokens, keys.tokens_per_step))
    if params is None:
        raise LeftOut(f"it has no {shorten(keys.params)}, which is to be its number of parameters")
    needed = (keys.loss, keys.tokens, keys.step if keys.step_given else None)
    missing = [key for key in needed if key is not None and key not in record.metrics]
    if missing:
        known = [key for key in record.metrics if not key.startswith("_")]
        raise LeftOut(f"it has no metric {list_names(missing)}; it has: {list_names(known) or 'none'}")
    # rows are those of the first one: of our own logs the tokens, which stand there without a loss that is no number
    first = (keys.tokens, keys.loss) if find_partner(keys.loss) == keys.tokens else (keys.loss, keys.tokens)
    log = record.read([key for key in (*first, keys.step, keys.lr, FINAL) if key is not None and key in record.metrics])
    if not log.held[keys.loss].any():
        active = " yet: the run is still active; import again later" if record.state == "unfinished" else ""
        raise LeftOut(f"no row with a number as {shorten(keys.loss)} can be read{active}")
    curve, notes = observe(record, log, keys, each)
    return _complete(record, keys, curve, notes, params=params, horizon=horizon, each=each)


def _complete(
    record: Record,
    keys: Chosen,
    curve: Curve,
    notes: Sequence[str],
    *,
    params: float,
    horizon: float | None,
    each: float | None,
) -> Run:
    reached = float(curve.tokens[-1])
    ended = record.state != "unfinished"
    completed = ended and (horizon is None or reached >= FINAL_PROGRESS * horizon)
    last = float(curve.loss[-1])
    if completed and not is_count(last) and not curve.is_final.any():
        notes = [*notes, f"its last loss is {last:g}: it has no final loss"]
    elif record.state == "unknown" and horizon is None and not curve.is_final.any():
        notes = [*notes, NO_PLAN]
    kept = {key: value for key in keys.keep if (value := _text(find_value(record, key))) is not None}
    measure = keys.tokens or f"step x {keys.tokens_per_step}"
    sizes = {
        key: size
        for key, value in record.config.items()
        if key.startswith("params") and key != "params" and (size := as_count(str(value))) is not None
    }
    told: dict[str, Any] = {
        "schedule": _find_text(record, keys, keys.schedule),
        "peak_lr": _amount(record, keys.peak_lr),
        "seed": _find_text(record, keys, keys.seed),
        "batch_tokens": each,
        "loss_kind": keys.loss,
        **record.card,
    }
    card = RunCard(
        name=record.name,
        params=params,
        sizes=sizes,
        horizon=horizon,
        created=record.created,
        **told,
        extra={
            **kept,
            **record.facts,
            "source": record.source,
            "identity": record.identity,
            "loss_key": keys.loss,
            "tokens_key": measure,
            "params_key": keys.params,
            **({"import_notes": "; ".join(notes)} if notes else {}),
        },
    )
    return Run(card, curve, tuple(notes), completed=completed)


def _amount(record: Record, key: str | None) -> float | None:
    """A number as it was typed, or as the run has it under a key; `None` where it has none."""
    value = None if key is None else find_value(record, key)
    if key is None or value is None:
        return None if key is None else read_amount(key)
    amount = None if isinstance(value, bool) else read_amount(str(value))
    if amount is None:
        raise LeftOut(f"{shorten(key)} is {shorten(str(value))!r}; it must be a positive, finite number")
    return amount


def _find_text(record: Record, keys: Chosen, key: str | None) -> str | None:
    """What a run has under a key, or the key itself where it is the text that was meant."""
    return None if key is None else key if key in keys.literal else _text(find_value(record, key))


def _text(value: Any) -> str | None:
    text = None if value is None else str(value)[:MOST_KEPT].strip()
    return text or None
