"""Reading a ladder, and starting its runs."""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from scaling_callback.errors import InputError, LadderWarning
from scaling_callback.ladder.files import claim, list_sizes, open_filesystem, tidy_location, write
from scaling_callback.ladder.format import (
    CARD,
    Segment,
    assemble,
    check,
    read_card,
    read_forecast,
    refuse_constant,
    safe_name,
)
from scaling_callback.ladder.writer import RunWriter
from scaling_callback.records import SCHEMA_VERSION, IssuedForecast, Run, RunCard
from scaling_callback.tables import Selection, matches

LARGEST_FILE = 64 * 2**20
"""Bytes beyond which a file is taken for damage: a million observations need less."""

ATTEMPTS = 4
"""Listings of a run's folder in which a missing segment must stay missing before it is taken for lost."""

FIELDS = {"run": "name", "total_tokens": "horizon"}
"""Columns of a table whose field of the card has another name."""


class Ladder:
    """The runs of one recipe, read as often as wanted and written by one `RunWriter` each.

    Args:
        location: A folder, or a URL that fsspec understands (`s3://bucket/ladder`, `memory://ladder`).

    Example:
        >>> from scaling_callback.records import Observation, RunCard
        >>> ladder = Ladder("memory://doctest-ladder")
        >>> writer = ladder.start(RunCard(name="a", params=1e6, horizon=2e6))
        >>> writer.observe([Observation(tokens=2e6, loss=3.1)])
        >>> [(run.name, run.final.loss) for run in ladder.runs()]
        [('a', 3.1)]
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        self.location = tidy_location(location)
        self._fs, self._root = open_filesystem(self.location)
        self._files: dict[str, dict[str, Any]] = {}
        self._runs: dict[str, tuple[tuple[str, ...], Run]] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"Ladder({self.location!r})"

    def exists(self) -> bool:
        """Whether there is a folder at the location."""
        return self._fs.isdir(self._root)

    def start(self, card: RunCard, *, resume: bool = False) -> RunWriter:
        """A writer for the run of `card`, whose card is written at once.

        A name that is taken gets a number, unless the run is resumed: then its numbering goes on.

        Raises:
            InputError: No reader would accept the card.
        """
        try:
            check(CARD, {"schema": SCHEMA_VERSION, **asdict(card)})
        except ValueError as error:
            raise InputError(f"the card of run {card.name!r} cannot be kept: {error}") from None
        chosen, number = card.name, 1
        while not resume and not claim(self._fs, self._folder(chosen), f"{self._folder(chosen)}/{CARD}"):
            number += 1
            chosen = f"{card.name}-{number}"
        folder = self._folder(chosen)
        named = replace(card, name=chosen, created=card.created if card.created is not None else time.time())
        known = self._listing().get(folder, {}) if resume else {}
        if not known or self._card(folder, known) is None:
            self._fs.makedirs(folder, exist_ok=True)
            write(self._fs, f"{folder}/{CARD}", {"schema": SCHEMA_VERSION, **asdict(named)})
        found = [Segment.parse(_filename(path)) for path in known]
        return RunWriter(self._fs, folder, chosen, [segment for segment in found if segment])

    def runs(self, *, where: Selection = (), params: str = "params") -> tuple[Run, ...]:
        """Every readable run, by name of its folder.

        Args:
            where: Runs to keep, as pairs of a field of the card (or a column of a table) and its value.
            params: Counting of N: `params` for the primary one, else a name among the card's sizes.

        Raises:
            InputError: `where` or `params` names something that no run has, or the runs hold several kinds of loss.
        """
        listing = self._listing()
        runs = [run for folder in sorted(listing) if (run := self._run(folder, listing[folder])) is not None]
        self._warn_if_mixed(runs)
        kept = _select(runs, where, params, self.location)
        kinds = sorted({str(run.card.loss_kind) for run in kept})
        if len(kinds) > 1:
            raise InputError(
                f"{self.location} holds {len(kinds)} kinds of loss ({', '.join(repr(k) for k in kinds)}); "
                "choose one with --where loss_kind=NAME"
            )
        return kept

    def issued(self) -> tuple[IssuedForecast, ...]:
        """Every forecast that was issued while training, by run and number."""
        found: list[IssuedForecast] = []
        for folder, files in sorted(self._listing().items()):
            for part in self._parts(folder, files, "forecasts")[0]:
                found += [read_forecast(row) for row in part["rows"]]
        return tuple(found)

    def _folder(self, name: str) -> str:
        return f"{self._root}/{safe_name(name)}"

    def _listing(self) -> dict[str, dict[str, int]]:
        """Sizes of files by path, by run folder."""
        folders: dict[str, dict[str, int]] = {}
        for path, size in list_sizes(self._fs, self._root).items():
            folder, _, name = path.rpartition("/")
            if folder.rpartition("/")[0] == self._root and (name == CARD or Segment.parse(name)):
                folders.setdefault(folder, {})[path] = size
        return folders

    def _card(self, folder: str, files: Mapping[str, int]) -> RunCard | None:
        path = f"{folder}/{CARD}"
        try:
            content = self._read(path, files.get(path, -1))
        except FileNotFoundError:  # somebody has just deleted the run
            content = None
        return None if content is None else read_card(content)

    def _run(self, folder: str, files: Mapping[str, int]) -> Run | None:
        seen = tuple(sorted(path for path in files if not _filename(path).startswith("forecasts")))
        cached = self._runs.get(folder)
        if cached is not None and cached[0] == seen:
            return cached[1]
        card = self._card(folder, files)
        if card is None:
            return None
        parts, whole = self._parts(folder, files, "observations")
        run = assemble(card, parts)
        if whole:  # what is damaged or missing may be there the next time
            self._runs[folder] = (seen, run)
        return run

    def _parts(self, folder: str, files: Mapping[str, int], kind: str) -> tuple[list[dict[str, Any]], bool]:
        """The parts of a run's segments of one kind, in order, and whether all of them could be read.

        A listing is not taken in one moment: while the writer merges, it may lack both the merged file and some
        that went into it. Numbers have no gaps and never fall, so that shows, and the folder is listed again.
        """
        taken: dict[Segment, dict[str, Any]] = {}
        damaged: set[Segment] = set()
        missing: int | None = None
        for _ in range(ATTEMPTS):
            found = {s: path for path in files if (s := Segment.parse(_filename(path))) and s.kind == kind}
            taken, damaged = self._take(found, files)
            last = max((segment.last for segment in found), default=0)
            missing = _first_gap((*taken, *damaged), max(last, self._last.get((folder, kind), 0)))
            if missing is None:
                self._last[folder, kind] = last
                break
            files = list_sizes(self._fs, folder)
        else:
            name = f"{folder[len(self._root) :].lstrip('/')}/{kind}-{missing:06d}.json"
            self._warn(name, f"{self.location}: {name} is missing; what it held is lost")
        return [part for segment in sorted(taken) for part in taken[segment]["parts"]], not (damaged or missing)

    def _take(
        self, found: Mapping[Segment, str], files: Mapping[str, int]
    ) -> tuple[dict[Segment, dict[str, Any]], set[Segment]]:
        """Segments that were read, and those that are damaged; of a merged file and its sources the merged one."""
        taken: dict[Segment, dict[str, Any]] = {}
        damaged: set[Segment] = set()
        for segment in sorted(found, key=lambda s: (-s.span, s.first)):
            if any(other.covers(segment) for other in taken):
                continue
            # one that its writer has merged and deleted since the folder was listed is neither
            with contextlib.suppress(FileNotFoundError):
                content = self._read(found[segment], files[found[segment]])
                if content is None:
                    damaged.add(segment)
                else:
                    taken[segment] = content
        return taken, damaged

    def _read(self, path: str, size: int) -> dict[str, Any] | None:
        """A whole, checked file, or `None` with a warning; files are written once, so a good one is kept.

        Raises:
            FileNotFoundError: It has been deleted since it was listed.
        """
        if path in self._files:
            return self._files[path]
        name = path[len(self._root) :].lstrip("/")
        try:
            if size < 0:
                raise ValueError("it is missing")
            if size > LARGEST_FILE:
                raise ValueError(f"{size} bytes is more than any file of a ladder holds")
            content = json.loads(self._fs.cat_file(path).decode("utf-8"), parse_constant=refuse_constant)
            check(name, content)
        except FileNotFoundError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            self._warn(path, f"{self.location}: {name} is damaged and was skipped ({_one_line(error)})")
            return None
        self._files[path] = content
        return content

    def _warn_if_mixed(self, runs: Sequence[Run]) -> None:
        for key in sorted({key for run in runs for key in run.card.recipe}):
            values: dict[str, list[str]] = {}
            for run in runs:
                if key in run.card.recipe:
                    values.setdefault(run.card.recipe[key], []).append(run.name)
            if len(values) > 1:
                shown = "; ".join(f"{value!r} in {', '.join(names[:3])}" for value, names in list(values.items())[:4])
                self._warn(
                    f"{key}:{shown}", f"{self.location} mixes recipes: {key} is {shown}; a law holds for one recipe"
                )

    def _warn(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(message, LadderWarning, stacklevel=2)


def _first_gap(segments: Iterable[Segment], last: int) -> int | None:
    """The first number up to `last` that is in no segment."""
    reached = 0
    for segment in sorted(segments):
        if segment.first > reached + 1:
            break
        reached = max(reached, segment.last)
    return reached + 1 if reached < last else None


def _filename(path: str) -> str:
    return path.rpartition("/")[2]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _select(runs: Sequence[Run], where: Selection, params: str, location: str) -> tuple[Run, ...]:
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
