"""From a card and the parts of its segments to a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.ladder.segments import COLUMNS, Part
from scaling_callback.records import SAME_COUNT, BoolArray, Curve, Run, RunCard, StopCall


def assemble(card: RunCard, parts: Sequence[Part]) -> Run:
    """The run of a card and the parts of its segments, in order: superseded and repeated rows are counted."""
    horizons = [card.horizon, *(part.horizon for part in parts if part.horizon is not None)]
    card = replace(card, horizon=horizons[-1])
    if not parts:
        return Run(card, Curve.of(()))
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in COLUMNS}
    kept = _which_count(columns["step"], parts)
    superseded = int((~kept).sum())
    if superseded:
        columns = {name: column[kept] for name, column in columns.items()}
    last = parts[max((i for i, part in enumerate(parts) if part.resumed_after is not None), default=0) :]
    if any(part.final for part in last) and len(columns["tokens"]):
        columns["is_final"][-1] = True
    curve = Curve.of_columns(columns)
    repeated = len(columns["tokens"]) - len(curve)
    broken = int((~np.isfinite(curve.loss)).sum())
    beyond = 0 if card.horizon is None else int((curve.tokens > card.horizon * (1 + SAME_COUNT)).sum())
    notes = {
        f"{superseded} observation(s) superseded by a resume": superseded,
        f"{repeated} repeated observation(s) at the same tokens; the last one counts": repeated,
        f"{broken} loss(es) that are not a positive number are left out of every fit": broken,
        f"{beyond} observation(s) beyond the planned tokens; their progress is taken as 1": beyond,
    }
    said = tuple(note for note, count in notes.items() if count)
    return Run(card, curve, said, completed=any(part.completed for part in last), calls=_calls_that_count(parts))


def _calls_that_count(parts: Sequence[Part]) -> tuple[StopCall, ...]:
    """What rules said, but for what they said beyond the step that a later part resumed from."""
    kept: list[StopCall] = []
    for part in parts:
        if part.resumed_after is not None:
            kept = [call for call in kept if not call.step > part.resumed_after]
        kept += part.calls
    return tuple(kept)


def _which_count(step: np.ndarray[tuple[int], np.dtype[np.float64]], parts: Sequence[Part]) -> BoolArray:
    """Which of all rows (n,) count: those beyond the step that a later part resumed from are superseded."""
    counts = np.ones(len(step), dtype=bool)
    offset = 0
    for part in parts:
        if part.resumed_after is not None:
            counts[:offset] &= ~(step[:offset] > part.resumed_after)
        offset += len(part.columns["step"])
    return counts
