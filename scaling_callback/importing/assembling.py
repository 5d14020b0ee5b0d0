"""From the rows of a record to the observations of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scaling_callback.importing.keys import Chosen, find_value, read_amount
from scaling_callback.importing.record import Log, Record
from scaling_callback.records import FINAL_PROGRESS, Array, BoolArray, Curve, Run, RunCard, as_count
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
    amounts = {name: _amount(record, getattr(keys, name)) for name in ("params", "total_tokens", "tokens_per_step")}
    wrong = next((amount for amount in amounts.values() if isinstance(amount, Refusal)), None)
    if wrong is not None:
        return wrong
    params, horizon, each = amounts.values()
    if params is None:
        return Refusal(f"it has no {shorten(keys.params)}, which is to be its number of parameters")
    wanted = [key for key in (keys.loss, keys.tokens, keys.step, keys.lr) if key is not None]
    missing = [key for key in (keys.loss, keys.tokens) if key is not None and key not in record.metrics]
    if missing:
        known = [key for key in record.metrics if not key.startswith("_")]
        return Refusal(f"it has no metric {list_names(missing)}; it has: {list_names(known) or 'none'}")
    log = record.read([key for key in (*wanted, FINAL) if key in record.metrics])
    if not log.held[keys.loss].any():
        return Refusal(_no_rows(record, keys.loss))
    found = _observe(record, log, keys, each)
    if isinstance(found, Refusal):
        return found
    curve, notes = found
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
    ended = record.state == "finished" or (record.state == "unknown" and not curve.is_final.any())
    completed = ended and (horizon is None or reached >= FINAL_PROGRESS * horizon)
    if completed and horizon is None and record.state == "unknown":
        notes = [*notes, NO_PLAN]
    peak = None if keys.peak_lr is None else _amount(record, keys.peak_lr)
    kept = {key: value for key in keys.keep if (value := _text(find_value(record, key))) is not None}
    measure = keys.tokens or f"step x {keys.tokens_per_step}"
    sizes = {
        key: size
        for key, value in record.config.items()
        if key.startswith("params") and key != "params" and (size := as_count(str(value))) is not None
    }
    told: dict[str, Any] = {
        "schedule": _find_text(record, keys, keys.schedule),
        "peak_lr": peak if isinstance(peak, float) else None,
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


def _observe(record: Record, log: Log, keys: Chosen, each: float | None) -> tuple[Curve, list[str]] | Refusal:
    """The curve of a record and what is to be noted of it."""
    rows = log.held[keys.loss]
    step = _steps(log, keys, rows)
    counts = step is not None and (log.counts_training or (keys.step is not None and step is log.columns[keys.step]))
    axis = log.order if step is None else step
    unused = np.zeros(len(rows), dtype=bool)
    if keys.tokens is not None:
        tokens, inferred, carried = _fill(log.columns[keys.tokens], axis, rows)
    elif step is not None and each is not None:
        tokens, inferred, carried = step * each, unused, unused
    else:
        return Refusal("it has no steps to multiply by the tokens per step; give --step or --tokens")
    known = rows & (tokens > 0) & np.isfinite(tokens)
    if not known.any():
        return Refusal(f"none of its {int(rows.sum())} losses stands at a known, positive number of tokens")
    order = np.flatnonzero(known)
    if not record.ordered:
        order = order[np.lexsort((tokens[order], axis[order] if step is not None else tokens[order]))]
    last = order if not (record.ordered and counts) else order[_standing(axis[order])]
    if record.ordered and counts and (fall := _first_fall(tokens[last])) is not None:
        before, after = last[fall], last[fall + 1]
        return Refusal(
            f"{shorten(str(keys.tokens))} falls from {tokens[before]:g} to {tokens[after]:g} while steps go on "
            f"from {axis[before]:g} to {axis[after]:g}: it is no count of all tokens so far; give another --tokens"
        )
    if record.ordered:
        last = last[_standing(tokens[last])]
    lr = np.full(len(rows), np.nan) if keys.lr not in log.columns else _carry(log.columns[keys.lr], axis)
    final = log.columns[FINAL][last] == 1 if FINAL in log.columns else np.zeros(len(last), dtype=bool)
    curve = Curve.of_columns(
        {
            "tokens": tokens[last],
            "loss": log.columns[keys.loss][last],
            "step": np.full(len(last), np.nan) if step is None else step[last],
            "lr": lr[last],
            "wall_time": log.wall_time[last],
            "is_final": final,
        }
    )
    if 2 * len(curve) < len(order):
        return Refusal(
            f"its {len(order)} losses stand at {len(curve)} numbers of tokens that grow; is "
            f"{shorten(str(keys.tokens))} a count of all tokens so far? give another --tokens, or --tokens-per-step"
        )
    said = {
        "loss(es) without a positive number of tokens left out": int((rows & ~known).sum()),
        "observation(s) superseded by a resume": len(order) - len(last),
        "repeated observation(s) at the same tokens; the last one counts": len(last) - len(curve),
        "observation(s) took their tokens from the rows around them": int(inferred[last].sum()),
        "observation(s) after the last row with tokens; theirs go on at the pace before": int(carried[last].sum()),
    }
    return curve, [f"{count} {what}" for what, count in said.items() if count]


def _steps(log: Log, keys: Chosen, rows: BoolArray) -> Array | None:
    """The step of each row: by the metric that counts it, where all losses have it; else as the tool counts."""
    if keys.step in log.columns and np.isfinite(log.columns[keys.step][rows]).all():
        return log.columns[keys.step]
    return log.step


def _standing(at: Array) -> BoolArray:
    """Which of some points (n,), in the order recorded, no later one lies before: the others are superseded.

    Example:
        >>> _standing(np.array([1.0, 2.0, 3.0, 2.0, 3.0])).tolist()
        [True, True, False, True, True]
    """
    later = np.append(np.minimum.accumulate(at[::-1])[::-1][1:], np.inf)
    return at <= later


def _first_fall(values: Array) -> int | None:
    falls = np.flatnonzero(np.diff(values) < 0)
    return int(falls[0]) if len(falls) else None


def _known(values: Array, axis: Array) -> tuple[Array, Array]:
    """Where values are known, increasing, and what they are; what a resume superseded is none, of equals the last."""
    rows = np.flatnonzero(np.isfinite(values) & np.isfinite(axis))
    rows = rows[_standing(axis[rows])]
    rows = rows[np.append(np.diff(axis[rows]) > 0, np.ones(min(len(rows), 1), dtype=bool))]
    return axis[rows], values[rows]


def _fill(values: Array, axis: Array, rows: BoolArray) -> tuple[Array, BoolArray, BoolArray]:
    """Values (n,) where `rows` lack them; which were taken from others, and which lie after the last one."""
    filled, none = values.copy(), np.zeros(len(values), dtype=bool)
    where, known = _known(values, axis)
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


def _carry(values: Array, axis: Array) -> Array:
    """Values (n,), and where a row lacks one the last before it."""
    where, known = _known(values, axis)
    before = np.searchsorted(where, axis, side="right") - 1
    carried = np.append(known, np.nan)[np.where(np.isfinite(axis), before, -1)]
    return np.where(np.isfinite(values), values, carried)


def _amount(record: Record, key: str | None) -> float | Refusal | None:
    """A number as it was typed, or as the run has it under a key; `None` where it has none."""
    value = None if key is None else find_value(record, key)
    if key is None or value is None:
        return None if key is None else read_amount(key)
    amount = None if isinstance(value, bool) else read_amount(str(value))
    shown = shorten(str(value))
    return Refusal(f"{shorten(key)} is {shown!r}; it must be a positive, finite number") if amount is None else amount


def _find_text(record: Record, keys: Chosen, key: str | None) -> str | None:
    """What a run has under a key, or the key itself where it is the text that was meant."""
    return None if key is None else key if key in keys.literal else _text(find_value(record, key))


def _text(value: Any) -> str | None:
    text = None if value is None else str(value)[:MOST_KEPT].strip()
    return text or None


def _no_rows(record: Record, loss: str) -> str:
    if record.state == "unfinished":
        return f"no row with {shorten(loss)} can be read yet: the run is still active, import again later"
    return f"no row with a number as {shorten(loss)}"
