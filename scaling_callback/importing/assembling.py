"""From the rows of a record to the observations of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_callback.importing.keys import Chosen, find_value, read_amount
from scaling_callback.importing.record import LeftOut, Log, Record
from scaling_callback.records import FINAL_PROGRESS, Array, BoolArray, Curve, Run, RunCard, as_count, is_count
from scaling_callback.tables import NO_PLAN, list_names
from scaling_callback.tables.cells import shorten

FINAL = "is_final"
"""A metric of this name flags the end of a run's schedule."""

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
    missing = [key for key in (keys.loss, keys.tokens) if key is not None and key not in record.metrics]
    if missing:
        known = [key for key in record.metrics if not key.startswith("_")]
        raise LeftOut(f"it has no metric {list_names(missing)}; it has: {list_names(known) or 'none'}")
    wanted = [key for key in (keys.loss, keys.tokens, keys.step, keys.lr, FINAL) if key in record.metrics]
    log = record.read([key for key in wanted if key is not None])
    if not log.held[keys.loss].any():
        active = " yet: the run is still active; import again later" if record.state == "unfinished" else ""
        raise LeftOut(f"no row with a number as {shorten(keys.loss)} can be read{active}")
    curve, notes = _observe(record, log, keys, each)
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


def _observe(record: Record, log: Log, keys: Chosen, each: float | None) -> tuple[Curve, list[str]]:
    """The curve of a record and what is to be noted of it."""
    rows = log.held[keys.loss]
    own = log.columns.get(keys.step or "")  # steps of the training, as a metric of its own
    told = own is not None and bool(np.isfinite(own[rows]).all())
    step = own if told else log.step
    axis = log.order if step is None else step
    unused = np.zeros(len(rows), dtype=bool)
    if keys.tokens is not None:
        tokens, inferred, carried = _fill(log.columns[keys.tokens], axis, rows, ordered=record.ordered)
    elif step is not None and each is not None:
        tokens, inferred, carried = step * each, unused, unused
    else:
        raise LeftOut("it has no steps to multiply by the tokens of one; give --step, or --tokens")
    known = rows & (tokens > 0) & np.isfinite(tokens)
    if not known.any():
        raise LeftOut(f"none of its {int(rows.sum())} losses stands at a known, positive number of tokens")
    every = last = np.flatnonzero(known)
    if record.ordered and step is not None and (told or log.counts_training):
        last = last[_standing(axis[last])]
        _refuse_falls(str(keys.tokens), tokens[last], axis[last])
    if record.ordered:
        last = last[_standing(tokens[last])]
    unknown = np.full(len(rows), np.nan)
    rates = log.columns.get(keys.lr or "")
    lr = unknown if rates is None else _carry(rates, axis, ordered=record.ordered)
    steps = next((steps for steps in (own, log.step) if steps is not None), unknown)
    curve = Curve.of_columns(
        {
            "tokens": tokens[last],
            "loss": log.columns[keys.loss][last],
            "step": steps[last],
            "lr": lr[last],
            "wall_time": log.wall_time[last],
            "is_final": log.columns.get(FINAL, unknown)[last] == 1,
        }
    )
    if 2 * len(curve) < len(every):
        raise LeftOut(
            f"its {len(every)} losses stand at {len(curve)} numbers of tokens that grow; is "
            f"{shorten(str(keys.tokens))} a count of all tokens so far? give another --tokens, or --tokens-per-step"
        )
    said = {
        "loss(es) without a positive number of tokens left out": int((rows & ~known).sum()),
        "observation(s) superseded by a resume": len(every) - len(last),
        "repeated observation(s) at the same tokens; the last one counts": len(last) - len(curve),
        "observation(s) took their tokens from the rows around them": int(inferred[last].sum()),
        "observation(s) after the last row with tokens; theirs go on at the pace before": int(carried[last].sum()),
    }
    return curve, [f"{count} {what}" for what, count in said.items() if count]


def _standing(at: Array) -> BoolArray:
    """Which of some points (n,), in the order recorded, no later one lies before: the others are superseded.

    Example:
        >>> _standing(np.array([1.0, 2.0, 3.0, 2.0, 3.0])).tolist()
        [True, True, False, True, True]
    """
    later = np.append(np.minimum.accumulate(at[::-1])[::-1][1:], np.inf)
    return at <= later


def _refuse_falls(name: str, tokens: Array, axis: Array) -> None:
    falls = np.flatnonzero(np.diff(tokens) < 0)
    if len(falls):
        before, after = int(falls[0]), int(falls[0]) + 1
        raise LeftOut(
            f"{shorten(name)} falls from {tokens[before]:g} to {tokens[after]:g} while steps go on from "
            f"{axis[before]:g} to {axis[after]:g}: it is no count of all tokens so far; give another --tokens"
        )


def _known(values: Array, axis: Array, *, ordered: bool) -> tuple[Array, Array]:
    """Where values are known, increasing, and what they are; what a resume superseded is none, of equals the last."""
    rows = np.flatnonzero(np.isfinite(values) & np.isfinite(axis))
    rows = rows[_standing(axis[rows])] if ordered else rows[np.argsort(axis[rows], kind="stable")]
    rows = rows[np.append(np.diff(axis[rows]) > 0, np.ones(min(len(rows), 1), dtype=bool))]
    return axis[rows], values[rows]


def _fill(values: Array, axis: Array, rows: BoolArray, *, ordered: bool) -> tuple[Array, BoolArray, BoolArray]:
    """Values (n,) where `rows` lack them; which were taken from others, and which lie after the last one."""
    filled, none = values.copy(), np.zeros(len(values), dtype=bool)
    where, known = _known(values, axis, ordered=ordered)
    lacking = rows & ~np.isfinite(values) & np.isfinite(axis)
    if not len(where) or not lacking.any():
        return filled, none, none
    exact = lacking & np.isin(axis, where)
    between = lacking & ~exact & (axis > where[0]) & (axis < where[-1])
    filled[exact | between] = np.interp(axis[exact | between], where, known)
    if len(where) < 2:
        return filled, between, none
    beyond = lacking & (axis > where[-1]) & (axis <= where[-1] + np.diff(where).max())
    pace = (known[-1] - known[-2]) / (where[-1] - where[-2])
    filled[beyond] = known[-1] + pace * (axis[beyond] - where[-1])
    return filled, between, beyond


def _carry(values: Array, axis: Array, *, ordered: bool) -> Array:
    """Values (n,), and where a row lacks one the last before it."""
    where, known = _known(values, axis, ordered=ordered)
    before = np.searchsorted(where, axis, side="right") - 1
    carried = np.append(known, np.nan)[np.where(np.isfinite(axis), before, -1)]
    return np.where(np.isfinite(values), values, carried)


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
