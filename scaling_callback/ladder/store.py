"""Reading a ladder, and starting its runs."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from scaling_callback.errors import InputError, LadderWarning
from scaling_callback.ladder.files import claim, open_filesystem, write
from scaling_callback.ladder.format import CARD, Segment, assemble, check, read_card, refuse_constant, safe_name
from scaling_callback.ladder.writer import RunWriter
from scaling_callback.records import SCHEMA_VERSION, IssuedForecast, Run, RunCard
from scaling_callback.tables import Selection

LARGEST_FILE = 64 * 2**20
"""Bytes beyond which a file is taken for damage: a million observations need less."""


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
        self.location = os.fspath(location)
        self._fs, self._root = open_filesystem(self.location)
        self._files: dict[str, dict[str, Any]] = {}
        self._runs: dict[str, tuple[tuple[str, ...], Run]] = {}
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"Ladder({self.location!r})"

    def exists(self) -> bool:
        """Whether there is a folder at the location."""
        return self._fs.isdir(self._root)

    def start(self, card: RunCard, *, resume: bool = False) -> RunWriter:
        """A writer for the run of `card`, whose card is written at once.

        A name that is taken gets a number, unless the run is resumed: then its numbering goes on.
        """
        chosen, number = card.name, 1
        while not resume and not claim(self._fs, self._folder(chosen), f"{self._folder(chosen)}/{CARD}"):
            number += 1
            chosen = f"{card.name}-{number}"
        folder = self._folder(chosen)
        named = replace(card, name=chosen, created=card.created if card.created is not None else time.time())
        if not (resume and self._fs.exists(f"{folder}/{CARD}")):
            self._fs.makedirs(folder, exist_ok=True)
            write(self._fs, f"{folder}/{CARD}", {"schema": SCHEMA_VERSION, **asdict(named)})
        found = [Segment.parse(_filename(path)) for path in self._listing().get(folder, {})] if resume else []
        return RunWriter(self._fs, folder, chosen, [segment for segment in found if segment])

    def runs(self, *, where: Selection = (), params: str = "params") -> tuple[Run, ...]:
        """Every readable run, by name of its folder.

        Args:
            where: Runs to keep, as pairs of a field of the card and its value.
            params: Counting of N: `params` for the primary one, else a name among the card's sizes.

        Raises:
            InputError: `where` or `params` names something that no run has.
        """
        listing = self._listing()
        runs = [run for folder in sorted(listing) if (run := self._run(folder, listing[folder])) is not None]
        self._warn_if_mixed(runs)
        return _select(runs, where, params, self.location)

    def issued(self) -> tuple[IssuedForecast, ...]:
        """Every forecast that was issued while training, by run and number."""
        found: list[IssuedForecast] = []
        for _, files in sorted(self._listing().items()):
            for part in self._parts(files, "forecasts"):
                found += [IssuedForecast(**row) for row in part["rows"]]
        return tuple(found)

    def _folder(self, name: str) -> str:
        return f"{self._root}/{safe_name(name)}"

    def _listing(self) -> dict[str, dict[str, int]]:
        """Sizes of files by path, by run folder."""
        self._fs.invalidate_cache()
        folders: dict[str, dict[str, int]] = {}
        for path, info in self._fs.find(self._root, detail=True).items():
            folder, _, name = path.rpartition("/")
            if folder.rpartition("/")[0] == self._root and (name == CARD or Segment.parse(name)):
                folders.setdefault(folder, {})[path] = int(info.get("size") or 0)
        return folders

    def _run(self, folder: str, files: Mapping[str, int]) -> Run | None:
        seen = tuple(sorted(path for path in files if not _filename(path).startswith("forecasts")))
        cached = self._runs.get(folder)
        if cached is not None and cached[0] == seen:
            return cached[1]
        card_path = f"{folder}/{CARD}"
        card = self._read(card_path, files.get(card_path, -1))
        if card is None:
            return None
        run = assemble(read_card(card), self._parts(files, "observations"))
        if all(path in self._files for path in seen):  # a damaged file may be whole the next time
            self._runs[folder] = (seen, run)
        return run

    def _parts(self, files: Mapping[str, int], kind: str) -> list[dict[str, Any]]:
        """The parts of a run's segments of one kind, in order; of a merged file and its sources the merged one."""
        found = {
            segment: path for path in files if (segment := Segment.parse(_filename(path))) and segment.kind == kind
        }
        taken: dict[Segment, dict[str, Any]] = {}
        for segment in sorted(found, key=lambda s: (s.first - s.last, s.first)):
            if not any(other.covers(segment) for other in taken):
                content = self._read(found[segment], files[found[segment]])
                if content is not None:
                    taken[segment] = content
        return [part for segment in sorted(taken) for part in taken[segment]["parts"]]

    def _read(self, path: str, size: int) -> dict[str, Any] | None:
        """A whole, checked file, or `None` with a warning; files are written once, so a good one is kept."""
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
            return None  # merged by its writer since the folder was listed; the next listing has the merged file
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


def _filename(path: str) -> str:
    return path.rpartition("/")[2]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _select(runs: Sequence[Run], where: Selection, params: str, location: str) -> tuple[Run, ...]:
    wanted: dict[str, set[str]] = {}
    for column, value in where:
        wanted.setdefault(column, set()).add(value)
    kept = [run for run in runs if all(_has(run.card, column, values) for column, values in wanted.items())]
    if wanted and runs and not kept:
        asked = " and ".join(f"{c} = {' or '.join(sorted(v))}" for c, v in wanted.items())
        raise InputError(f"{location}: none of {len(runs)} runs has {asked}; look at their cards for what they have")
    if params != "params":
        without = next((run for run in kept if params not in run.card.sizes), None)
        if without is not None:
            known = ", ".join(without.card.sizes) or "none"
            raise InputError(f"run {without.name!r} does not count N by {params!r}; its countings are: {known}")
        kept = [replace(run, card=replace(run.card, params=run.card.sizes[params])) for run in kept]
    return tuple(kept)


def _has(card: RunCard, column: str, values: set[str]) -> bool:
    held = getattr(card, column, None)
    held = card.extra.get(column, card.recipe.get(column)) if held is None else held
    if held is None:
        return False
    try:
        return any(float(held) == float(value) for value in values)
    except (TypeError, ValueError):
        return str(held) in values
