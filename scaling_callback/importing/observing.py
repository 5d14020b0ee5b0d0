"""From the rows of a record to observations: which rows are some, and at how many tokens each stands."""

from __future__ import annotations

import numpy as np

from scaling_callback.importing.keys import Chosen, find_partner, is_own
from scaling_callback.importing.record import LeftOut, Log, Record
from scaling_callback.records import Array, BoolArray, Curve
from scaling_callback.tables.cells import shorten

FINAL = "is_final"
"""A metric of this name flags the end of a run's schedule."""


def observe(record: Record, log: Log, keys: Chosen, each: float | None) -> tuple[Curve, list[str]]:
    """The curve of a record and what is to be noted of it.

    Args:
        record: Whose rows they are.
        log: The rows.
        keys: Which keys hold what.
        each: Tokens of one step, where no metric counts tokens.

    Raises:
        LeftOut: The tokens of its losses cannot be known.
    """
    rows = log.held[keys.loss]
    steps, around, beyond = _count_steps(record, log, keys)
    axis = steps if steps is not None else log.order if log.step is None else log.step
    if keys.tokens is not None:
        tokens = log.columns[keys.tokens]
        if is_own(keys.tokens) and steps is not None:
            tokens = _lend(tokens, steps, rows)
        tokens, around, beyond = _fill(tokens, axis, rows, ordered=record.ordered)
        if keys.tokens == find_partner(keys.loss):
            rows = _settle(log.columns[keys.loss], tokens, rows, log.held[keys.tokens])
    elif steps is not None and each is not None:
        tokens = steps * each
    else:
        raise LeftOut(_explain_steps(log))
    known = rows & (tokens > 0) & np.isfinite(tokens) & np.isfinite(axis)
    if not known.any():
        raise LeftOut(f"none of its {int(rows.sum())} losses stands at a known, positive number of tokens")
    every = last = np.flatnonzero(known)
    if record.ordered and steps is not None:
        last = last[_standing(axis[last])]
        _refuse_falls(str(keys.tokens), tokens[last], axis[last])
    if record.ordered:
        last = last[_standing(tokens[last])]
    unknown = np.full(len(rows), np.nan)
    rates = log.columns.get(keys.lr or "")
    lr = unknown if rates is None else _carry(rates, axis, ordered=record.ordered)
    own = log.columns.get(keys.step or "")
    shown = next((found for found in (steps, own, log.step) if found is not None), unknown)
    curve = Curve.of_columns(
        {
            "tokens": tokens[last],
            "loss": log.columns[keys.loss][last],
            "step": shown[last],
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
    counted = "step" if keys.tokens is None else "tokens"
    said = {
        "loss(es) without a positive number of tokens left out": int((rows & ~known).sum()),
        "observation(s) superseded by a resume": len(every) - len(last),
        "repeated observation(s) at the same tokens; the last one counts": len(last) - len(curve),
        f"observation(s) took their {counted} from the rows around them": int(around[last].sum()),
        f"observation(s) after the last row with {counted}; theirs go on at the pace before": int(beyond[last].sum()),
    }
    return curve, [f"{count} {what}" for what, count in said.items() if count]


def _count_steps(record: Record, log: Log, keys: Chosen) -> tuple[Array | None, BoolArray, BoolArray]:
    """The step of the training of each row (n,), `None` where none is told; which are those of the rows around.

    Of the latter first what lies between two steps that are told, then what lies beyond the last one.
    """
    rows, none = log.held[keys.loss], np.zeros(len(log.order), dtype=bool)
    own = log.columns.get(keys.step or "")
    if log.step is not None and log.counts_training and not keys.step_given:
        return log.step, none, none
    if own is None or np.isfinite(own[rows]).all():
        return own, none, none
    if keys.tokens is not None and not keys.step_given:  # tokens can be told without
        return None, none, none
    if log.step is None and not record.ordered:  # the rows of a table may stand in any order
        filled = own, none, none
    else:
        filled = _fill(own, log.order if log.step is None else log.step, rows, ordered=record.ordered)
    if not np.isfinite(filled[0][rows]).any():
        raise LeftOut(
            f"none of its {int(rows.sum())} losses has {shorten(str(keys.step))} in its row or those around it; give "
            "another --step"
        )
    return filled


def _explain_steps(log: Log) -> str:
    if log.step is None:
        return "it has no steps to multiply by the tokens of one; give --step, or --tokens"
    return (
        "its source counts the rows that were logged, not the steps of the training, which the tokens of one are to be "
        "multiplied by; give --step KEY (of W&B _step, where each step logged one row), or --tokens KEY"
    )


def _lend(tokens: Array, steps: Array, rows: BoolArray) -> Array:
    """Tokens (n,) of this package's own logs for losses that others logged in the validation before.

    Lightning logs what a validation measured at the step before the one that has been done, at which this package
    logs the tokens: they are in the next row that holds some, if that is no more than a step later.
    """
    lent, holding = tokens.copy(), np.flatnonzero(np.isfinite(tokens))
    lacking = np.flatnonzero(rows & ~np.isfinite(tokens))
    lacking = lacking[lacking < holding.max(initial=-1)]
    after = holding[np.searchsorted(holding, lacking)]
    near = (steps[after] >= steps[lacking]) & (steps[after] <= steps[lacking] + 1)
    lent[lacking[near]] = tokens[after[near]]
    return lent


def _settle(loss: Array, tokens: Array, rows: BoolArray, counted: BoolArray) -> BoolArray:
    """Which rows (n,) of this package's own logs are observations.

    A refit logs again what it knew, in another process later than what came after. A loss that is no number is not
    logged, but its tokens are.
    """
    held = np.flatnonzero(rows)
    _, first = np.unique(np.column_stack([tokens[held], loss[held]]), axis=0, return_index=True)
    settled = counted & ~np.isin(tokens, tokens[held])
    settled[held[first]] = True
    return settled


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
    """Values (n,) where `rows` lack them; which were taken from others, and which lie after the last one.

    Between two values that fall a training has resumed: of what lies there nobody can tell on which side it was.
    """
    filled, none = values.copy(), np.zeros(len(values), dtype=bool)
    where, known = _known(values, axis, ordered=ordered)
    lacking = rows & ~np.isfinite(values) & np.isfinite(axis)
    if not len(where) or not lacking.any():
        return filled, none, none
    exact = lacking & np.isin(axis, where)
    rises = np.append(np.diff(known) >= 0, False)[np.searchsorted(where, axis, side="right") - 1]
    between = lacking & ~exact & (axis > where[0]) & (axis < where[-1]) & rises
    filled[exact | between] = np.interp(axis[exact | between], where, known)
    if len(where) < 2 or known[-1] < known[-2]:
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
