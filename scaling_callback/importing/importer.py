"""Records into a ladder: each run once, however often it is imported."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.importing.assembling import Refusal, make_run
from scaling_callback.importing.keys import Chosen, Keys, choose_keys
from scaling_callback.importing.record import Record
from scaling_callback.ladder import Ladder
from scaling_callback.records import Array, Curve, Run, RunCard

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
        extended: Runs that were in it, and have new observations or have ended since.
        unchanged: Runs that were in it as they are.
        left_out: The reason by run, of those that could not be imported.
        runs: All that are in it now, as they were read.
    """

    location: str
    place: str
    keys: Chosen
    added: tuple[str, ...]
    extended: tuple[str, ...]
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
    of the ladder sees of each run nothing, or a beginning of it, or all.

    Args:
        records: The runs of the source.
        ladder: Where they go.
        keys: Which keys hold what.
        place: What messages call the source.
        only: Patterns (`gpt-*`) of the names of runs to import; none for all.
        unfinished: Patterns of the names of runs that have not reached their end, whatever the source says.
        progress: Told how many of how many runs are done.

    Raises:
        InputError: No run can be imported, a key cannot be told, or a run is in the ladder with other content.
    """
    found = list(records)
    chosen_records = [_mark(record, unfinished) for record in found if not only or _matches(record.name, only)]
    if not chosen_records:
        names = ", ".join(sorted({record.name for record in found})[:20]) or "none"
        raise InputError(f"{place} holds no run that is asked for; its runs are: {names}")
    chosen = choose_keys(keys, chosen_records, place)
    known = {run.card.extra[IDENTITY]: run for run in ladder.recorded() if IDENTITY in run.card.extra}
    taken = {run.name for run in ladder.recorded()}
    sorted_into: dict[str, list[str]] = {"added": [], "extended": [], "unchanged": []}
    left_out: dict[str, str] = {}
    made: list[Run] = []
    for index, record in enumerate(chosen_records):
        run = make_run(record, chosen)
        if isinstance(run, Refusal):
            left_out[record.name if record.name not in left_out else record.identity] = run.reason
        else:
            run = _name(run, known, taken)
            outcome = _write(ladder, run, known.get(run.card.extra[IDENTITY]))
            sorted_into[outcome].append(run.name)
            taken.add(run.name)
            made.append(run)
        if progress is not None:
            progress(index + 1, len(chosen_records))
    if not made:
        name, reason = next(iter(left_out.items()))
        raise InputError(f"none of the {len(left_out)} run(s) of {place} can be imported: {name[:60]!r}: {reason}")
    return Imported(
        ladder.location, place, chosen, left_out=left_out, runs=tuple(made),
        **{outcome: tuple(names) for outcome, names in sorted_into.items()},
    )  # fmt: skip


def _mark(record: Record, unfinished: Sequence[str]) -> Record:
    return replace(record, state="unfinished") if _matches(record.name, unfinished) else record


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _name(run: Run, known: Mapping[str, Run], taken: set[str]) -> Run:
    """The run under the name that it has in the ladder, or under one that is free."""
    identity = run.card.extra[IDENTITY]
    if identity in known:
        return replace(run, card=replace(run.card, name=known[identity].name))
    name = run.name
    if name in taken:
        name = f"{run.name}-{run.card.extra.get('run_id') or run.card.extra['loss_key']}"
    number = 1
    while name in taken:
        number += 1
        name = f"{run.name}-{number}"
    return replace(run, card=replace(run.card, name=name))


def _write(ladder: Ladder, run: Run, old: Run | None) -> str:
    """Bring a run of the ladder to what it is in the source; what became of it.

    Raises:
        InputError: It is in the ladder with other content.
    """
    if old is None:
        writer = ladder.start(run.card)
        writer.observe(list(run.curve))
        if run.completed:
            writer.finish()
        return "added"
    asked, held = ({key: card.extra.get(key) for key in SAME_KEYS} for card in (run.card, old.card))
    if asked != held:
        differs = "; ".join(
            f"{key} was {held[key]!r} and is {asked[key]!r}" for key in asked if asked[key] != held[key]
        )
        raise InputError(
            f"run {run.name[:60]!r} is in {ladder.location} already, read by other keys ({differs}); import into "
            "another ladder, or delete the folder of the run"
        )
    card = _revise(run.card, old.card)
    if card != old.card:
        ladder.revise(card)
    shared = _count_shared(run.curve, old.curve)
    same = shared == len(run.curve) == len(old.curve) and run.completed == old.completed
    if same:
        return "unchanged" if card == old.card else "extended"
    reopened = old.completed and not run.completed
    resumed = _resumed_after(old, shared, ladder.location) if shared < len(old.curve) or reopened else None
    writer = ladder.start(card, resume=True)
    rest = [run.curve[index] for index in range(shared, len(run.curve))]
    if rest or resumed is not None:
        writer.observe(rest, resumed_after=resumed)
    if run.completed:
        writer.finish()
    return "extended"


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


def _resumed_after(old: Run, shared: int, location: str) -> float:
    """The step beyond which what a run holds is superseded.

    Raises:
        InputError: Its observations have no steps to say so by.
    """
    before, gone = old.curve.step[:shared], old.curve.step[shared:]
    last = float(np.max(before, initial=0.0))
    if np.isnan(last) or not (gone > last).all():
        raise InputError(
            f"run {old.name[:60]!r} is in {location} already with other observations, and has no steps by which they "
            "could be replaced; delete its folder, or import into another ladder"
        )
    return last
