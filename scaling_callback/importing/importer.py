"""Records into a ladder: each run once, however often it is imported."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NoReturn

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.importing.assembling import Refusal, make_run
from scaling_callback.importing.keys import Chosen, Keys, choose_keys
from scaling_callback.importing.record import Record
from scaling_callback.ladder import Ladder
from scaling_callback.records import Array, Curve, Run, RunCard
from scaling_callback.tables import list_names
from scaling_callback.tables.cells import shorten

IDENTITY = "identity"
"""What of a card's `extra` says which run of which source it is."""

SAME_KEYS = ("loss_key", "tokens_key", "params_key")
"""What of a card's `extra` says how its observations were read: by other keys they are others."""

EDITED = ("held_out", "excluded", "note", "recipe")
"""What people write into a card, and an import leaves as it is."""


@dataclass(frozen=True)
class Imported:
    """What came into a ladder.

    Attributes:
        location: The ladder.
        place: Where the runs come from.
        keys: What was read as what.
        added: Runs that are new in it.
        updated: Runs that were in it, and have new observations, or have ended, or are told of anew.
        unchanged: Runs that were in it as they are.
        left_out: The reason by run, of those that could not be imported.
        runs: All that are in it now, as they were read.
    """

    location: str
    place: str
    keys: Chosen
    added: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]
    left_out: Mapping[str, str]
    runs: tuple[Run, ...]


def import_runs(
    records: Iterable[Record],
    ladder: Ladder,
    keys: Keys,
    *,
    place: str,
    only: Sequence[str] = (),
    unfinished: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Write the runs of a source into a ladder.

    A run that is there already gets what is new in it, and stays as it is where nothing is. At every moment a reader
    of the ladder sees of each run nothing, or a beginning of it, or all. One that is there with other content is left
    out, and the ladder keeps what it has.

    Args:
        records: The runs of the source.
        ladder: Where they go.
        keys: Which keys hold what.
        place: What messages call the source.
        only: Patterns (`gpt-*`) of the names of runs to import; none for all.
        unfinished: Patterns of the names of runs that have not reached their end, whatever the source says.
        progress: Told how many of how many runs are done.

    Raises:
        InputError: No run can be imported, a key cannot be told, or the source or the ladder cannot be read.
    """
    found = list(records)
    names = sorted({record.name for record in found})
    for option, patterns in (("only", only), ("unfinished", unfinished)):
        _refuse_unmatched(option, patterns, names, place)
    chosen_records = [_mark(record, unfinished) for record in found if not only or _matches(record.name, only)]
    if not chosen_records:
        raise InputError(f"{place} holds no run; give another place, or another filter")
    readable = [record for record in chosen_records if not record.fault] or _refuse_all(
        place, {record.name: record.fault for record in chosen_records}
    )
    chosen = choose_keys(keys, readable, place)
    held = {run.name: run for run in ladder.recorded()}
    became: dict[str, list[str]] = {"added": [], "updated": [], "unchanged": []}
    left_out: dict[str, str] = {}
    made: list[Run] = []
    for index, record in enumerate(chosen_records):
        run = make_run(record, chosen)
        outcome = run if isinstance(run, Refusal) else _bring(ladder, run, held)
        if isinstance(outcome, Refusal):
            left_out[record.name if record.name not in left_out else record.identity] = outcome.reason
        else:
            became[outcome[0]].append(outcome[1].name)
            held[outcome[1].name] = outcome[1]
            made.append(outcome[1])
        if progress is not None:
            progress(index + 1, len(chosen_records))
    if not made:
        _refuse_all(place, left_out)
    return Imported(
        ladder.location, place, chosen, left_out=left_out, runs=tuple(made),
        **{outcome: tuple(names) for outcome, names in became.items()},
    )  # fmt: skip


def _refuse_unmatched(option: str, patterns: Sequence[str], names: Sequence[str], place: str) -> None:
    """A name that is mistyped must neither leave a run out nor take one as finished."""
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in names):
            raise InputError(
                f"--{option} {shorten(pattern)} is the name of no run of {place}; its runs are: "
                f"{list_names(names) or 'none'}"
            )


def _refuse_all(place: str, left_out: Mapping[str, str]) -> NoReturn:
    name, reason = next(iter(left_out.items()))
    raise InputError(f"none of the {len(left_out)} run(s) of {place} can be imported: {name[:60]!r}: {reason}")


def _mark(record: Record, unfinished: Sequence[str]) -> Record:
    return replace(record, state="unfinished") if _matches(record.name, unfinished) else record


def _matches(name: str, patterns: Sequence[str]) -> bool:
    # a name may itself hold what stands for something in a pattern
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _bring(ladder: Ladder, run: Run, held: Mapping[str, Run]) -> tuple[str, Run] | Refusal:
    """Bring a run into the ladder, which holds some by name: what became of it, and the run under its name there."""
    old = _find_same(run, held)
    if isinstance(old, Refusal):
        return old
    if old is None:
        run = _rename(run, run.name if run.name not in held else f"{run.name}-{run.card.extra['run_id']}")
        if run.name in held:
            return Refusal(f"{run.name[:60]!r} is another run of the ladder; import it into another ladder")
        writer = ladder.start(run.card)
        writer.observe(list(run.curve))
        if run.completed:
            writer.finish()
        return "added", run
    return _update(ladder, _rename(run, old.name), old)


def _find_same(run: Run, held: Mapping[str, Run]) -> Run | Refusal | None:
    """The same run in the ladder: by its identity, or by name where a file has moved and begins as it did."""
    identity = run.card.extra[IDENTITY]
    by_identity = next((old for old in held.values() if old.card.extra.get(IDENTITY) == identity), None)
    old = by_identity or held.get(run.name)
    if by_identity is not None or old is None:
        return by_identity
    sources = {run.card.extra["source"], old.card.extra.get("source")}
    if sources == {"wandb"}:  # whose own identities say that it is another run of the same name
        return None
    if IDENTITY in old.card.extra and _begins_alike(run.curve, old.curve):
        return old
    return Refusal(
        "a run of this name, from elsewhere and with other observations, is in the ladder already; import into another "
        "ladder, or delete the folder of that run"
    )


def _begins_alike(one: Curve, other: Curve) -> bool:
    length = min(len(one), len(other))
    return all(
        np.array_equal(getattr(one, column)[:length], getattr(other, column)[:length], equal_nan=True)
        for column in ("tokens", "loss")
    )


def _rename(run: Run, name: str) -> Run:
    return replace(run, card=replace(run.card, name=name))


def _update(ladder: Ladder, run: Run, old: Run) -> tuple[str, Run] | Refusal:
    """Bring a run that the ladder holds to what it is in the source."""
    asked, before = ({key: card.extra.get(key) for key in SAME_KEYS} for card in (run.card, old.card))
    differs = [f"{key} was {before[key]!r} and is {asked[key]!r}" for key in asked if asked[key] != before[key]]
    if differs:
        return Refusal(
            f"it is in the ladder already, read by other keys ({'; '.join(differs)}); import into another ladder, or "
            "delete the folder of the run"
        )
    shared = _count_shared(run.curve, old.curve)
    resumed = None
    if shared < len(old.curve) or (old.completed and not run.completed):
        resumed = _last_step(old.curve, shared)
        if resumed is None:
            return Refusal(
                f"it is in the ladder already with other observations, from number {shared + 1} on, and has no steps "
                "by which they could be replaced; delete its folder, or import into another ladder"
            )
    card = _revise(run.card, old.card)
    rest = [run.curve[index] for index in range(shared, len(run.curve))]
    if card != old.card:
        ladder.revise(card)
    if rest or resumed is not None or run.completed != old.completed:
        writer = ladder.start(card, resume=True)
        if rest or resumed is not None:
            writer.observe(rest, resumed_after=resumed)
        if run.completed:
            writer.finish()
    elif card == old.card:
        return "unchanged", run
    return "updated", run


def _revise(card: RunCard, old: RunCard) -> RunCard:
    """What the source says by now, with what people wrote into the card, and when it was first recorded."""
    kept = {name: getattr(old, name) for name in EDITED}
    return replace(card, **kept, created=card.created or old.created)


def _count_shared(one: Curve, other: Curve) -> int:
    """How many observations two curves have in common from their beginning."""
    length = min(len(one), len(other))
    pairs: list[tuple[Array, Array]] = [
        (getattr(one, column.name)[:length], getattr(other, column.name)[:length]) for column in fields(Curve)
    ]
    same = np.ones(length, dtype=bool)
    for left, right in pairs:
        same &= (left == right) | (np.isnan(left.astype(float)) & np.isnan(right.astype(float)))
    differing = np.flatnonzero(~same)
    return int(differing[0]) if len(differing) else length


def _last_step(curve: Curve, shared: int) -> float | None:
    """The step beyond which what a run holds is superseded; `None` where its observations have no such steps."""
    before, gone = curve.step[:shared], curve.step[shared:]
    last = float(np.max(before, initial=0.0))
    return last if not np.isnan(last) and bool((gone > last).all()) else None
