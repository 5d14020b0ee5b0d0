"""Reading a ladder, and starting its runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace

from scaling_callback.errors import InputError
from scaling_callback.ladder.assembling import assemble
from scaling_callback.ladder.cards import read_card
from scaling_callback.ladder.files import (
    claim,
    create,
    exists,
    is_older,
    leads_out,
    open_filesystem,
    overwrite,
    plain_errors,
    read,
    remove,
    tidy_location,
)
from scaling_callback.ladder.format import CARD, FORM, Segment, encode, is_unfinished, safe_name
from scaling_callback.ladder.listing import Folders, Listing, filename, list_files, look
from scaling_callback.ladder.reading import Files, Segments, one_line
from scaling_callback.ladder.segments import read_forecasts, read_parts
from scaling_callback.ladder.selecting import select
from scaling_callback.ladder.writer import RunWriter, list_segments
from scaling_callback.records import IssuedForecast, Run, RunCard
from scaling_callback.tables import Selection

MOST_SHOWN = 40
"""Characters of a name or value in a message: what stands in a card may be of any length."""

UNFINISHED = 60.0
"""Seconds after which a file that is still being written never will be."""


class Ladder:
    """The runs of one recipe, read as often as wanted and written by one `RunWriter` each.

    What an object store needs to know beside its URL comes from where its client looks for it: for `s3://` from
    `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and the like, or from fsspec's configuration
    (`FSSPEC_S3_ENDPOINT_URL`, `~/.config/fsspec/*.json`).

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
        self._files = Files(self._fs, self._root, self.location)
        self._folders = Folders(self._fs, self._root)
        self._cards: dict[str, tuple[str, RunCard]] = {}  # with the stamp of the file that it was read from
        self._observations = Segments(self._files, "observations", read_parts)
        self._forecasts = Segments(self._files, "forecasts", read_forecasts)
        self._issued: dict[str, tuple[Listing, list[IssuedForecast]]] = {}
        self._runs: dict[str, tuple[Listing, RunCard, Run]] = {}

    def __repr__(self) -> str:
        return f"Ladder({self.location!r})"

    def exists(self) -> bool:
        """Whether there is a folder at the location.

        Raises:
            InputError: The place cannot be reached.
        """
        with self._reachable():
            return exists(self._fs, self._root)

    def start(self, card: RunCard, *, resume: bool = False) -> RunWriter:
        """A writer for the run of `card`, whose card is written at once.

        A name that is taken gets a number, unless the run is resumed: then its numbering goes on, and whoever wrote it
        before writes no more.

        Raises:
            InputError: No reader would accept the card, or the run's folder is a link out of the ladder.
            OSError: It cannot be written.
        """
        card = _sound(card)
        card = replace(card, created=card.created if card.created is not None else time.time())
        if resume:
            return self._resume(card)
        chosen, number = card, 1
        while not claim(self._fs, folder := self._folder(chosen.name), f"{folder}/{CARD}", encode(asdict(chosen))):
            number += 1
            chosen = replace(card, name=f"{card.name}-{number}")
        return RunWriter(self._fs, folder, chosen.name)

    def revise(self, card: RunCard) -> None:
        """Write the card of a run that is there anew: what its source says of it has changed.

        Raises:
            InputError: No reader would accept the card, or the run's folder is a link out of the ladder.
            OSError: It cannot be written.
        """
        overwrite(self._fs, f"{self._own_folder(_sound(card).name)}/{CARD}", encode(asdict(card)))

    def _resume(self, card: RunCard) -> RunWriter:
        folder = self._own_folder(card.name)
        files = list_files(self._fs, folder)
        if not files or self._card(folder, files) is None:
            self._fs.makedirs(folder, exist_ok=True)
            overwrite(self._fs, f"{folder}/{CARD}", encode(asdict(card)))
        writer = RunWriter(self._fs, folder, card.name, list_segments(self._fs, folder))
        writer.take_over()
        # what a writer that was killed had not finished writing; one that lives needs no such time
        remove(self._fs, (path for path in files if is_unfinished(filename(path)) and is_older(path, UNFINISHED)))
        return writer

    def leave_form(self, form: str) -> bool:
        """Write the form that people fill in, unless there is one already; whether it was written.

        Raises:
            OSError: It cannot be written.
        """
        path = f"{self._root}/{FORM}"
        with plain_errors():
            self._fs.invalidate_cache()
            if self._fs.exists(path):
                return False
        return create(self._fs, path, form.encode("utf-8"))

    def form(self) -> bytes | None:
        """The form as somebody filled it in; `None` where there is none.

        Raises:
            InputError: It cannot be read.

        Example:
            >>> ladder = Ladder("memory://doctest-form")
            >>> ladder.leave_form("corpus:"), ladder.leave_form("tokenizer:"), ladder.form()
            (True, False, b'corpus:')
        """
        try:
            return read(self._fs, f"{self._root}/{FORM}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(
                f"{self.location}/{FORM} cannot be read ({one_line(error)}); see that it is the file you filled in"
            ) from None

    def runs(self, *, where: Selection = (), params: str = "params") -> tuple[Run, ...]:
        """Every readable run, by name of its folder.

        Args:
            where: Runs to keep, as pairs of a field of the card (or a column of a table) and its value.
            params: Counting of N: `params` for the primary one, else a name among the card's sizes.

        Raises:
            InputError: The place cannot be reached, `where` or `params` names something that no run has, or the runs
                hold several kinds of loss.
        """
        runs = self.recorded()
        self._warn_if_mixed(runs)
        kept = select(runs, where, params, self.location)
        kinds = sorted({str(run.card.loss_kind) for run in kept if not run.card.excluded})
        if len(kinds) > 1:
            raise InputError(
                f"{self.location} holds {len(kinds)} kinds of loss ({', '.join(repr(k) for k in kinds)}); "
                "choose one with --where loss_kind=NAME"
            )
        return kept

    def recorded(self) -> tuple[Run, ...]:
        """Every readable run, by name of its folder, whatever its loss and recipe: what an import compares with.

        Raises:
            InputError: The place cannot be reached.
        """
        with self._reachable():
            listing = self._listing()
        return tuple(run for folder in sorted(listing) if (run := self._run(folder, listing[folder])) is not None)

    def issued(self) -> tuple[IssuedForecast, ...]:
        """Every forecast that was issued while training, by run and number.

        Raises:
            InputError: The place cannot be reached.
        """
        with self._reachable():
            listing = self._listing()
        found: list[IssuedForecast] = []
        for folder, files in sorted(listing.items()):
            self._card(folder, files)  # says whether it is still the same run
            cached = self._issued.get(folder)
            if cached is not None and _alike(cached[0], files, "forecasts"):
                found += cached[1]
                continue
            made, whole = self._forecasts.read(folder, files)
            if whole:
                self._issued[folder] = (files, made)
            found += made
        return tuple(found)

    def _folder(self, name: str) -> str:
        return f"{self._root}/{safe_name(name)}"

    def _own_folder(self, name: str) -> str:
        folder = self._folder(name)
        if leads_out(self._fs, folder):
            raise InputError(f"{folder} is a link out of the ladder, and is not written to; give the run another name")
        return folder

    @contextlib.contextmanager
    def _reachable(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.location} cannot be read as a ladder ({one_line(error)}); check its name, and that you may "
                "open it"
            ) from None

    def _listing(self) -> dict[str, Listing]:
        """The files of each folder that looks like a run."""
        found, failed = self._folders.list()
        for folder, error in failed.items():
            self._files.warn(
                folder, f"{self.location}: {self._files.name(folder)} cannot be listed ({one_line(error)})"
            )
        return {
            folder: files
            for folder, files in found.items()
            if any(filename(path) == CARD or Segment.parse(filename(path)) for path in files)
        }

    def _card(self, folder: str, files: Listing) -> RunCard | None:
        """The card as it stands now: people write lines into it. One that is damaged since leaves the last good one."""
        path = f"{folder}/{CARD}"
        seen, known = self._cards.get(path, ("", None))
        try:
            size, stamp = look(path, files[path]) if path in files else (-1, "missing")
            if known is not None and stamp == seen:
                return known
            card = self._files.read(path, size, read_card, stamp)
        except FileNotFoundError:  # somebody has just deleted the run
            return None
        if card is None:
            return known
        if known is not None and known.created != card.created:  # deleted, and begun again under the same name
            self._observations.forget(folder)
            self._forecasts.forget(folder)
            self._runs.pop(folder, None)
            self._issued.pop(folder, None)
        self._cards[path] = (stamp, card)
        return card

    def _run(self, folder: str, files: Listing) -> Run | None:
        card = self._card(folder, files)
        if card is None:
            return None
        cached = self._runs.get(folder)
        if cached is not None and cached[1] is card and _alike(cached[0], files, "observations"):
            return cached[2]
        parts, whole = self._observations.read(folder, files)
        run = assemble(card, parts)
        name = self._files.name(folder)
        for wrong in {each: None for part in parts for each in part.unread}:
            text = f"{self.location}: {name}: a call of a stopping rule was skipped ({wrong})"
            self._files.warn(f"{folder} call {wrong}", text)
        if whole:  # what is damaged or missing may be there the next time
            self._runs[folder] = (files, card, run)
        return run

    def _warn_if_mixed(self, runs: Sequence[Run]) -> None:
        runs = [run for run in runs if not run.card.excluded]
        for key in sorted({key for run in runs for key in run.card.recipe}):
            values: dict[str, list[str]] = {}
            for run in runs:
                if key in run.card.recipe:
                    values.setdefault(run.card.recipe[key], []).append(run.name)
            if len(values) > 1:
                shown = "; ".join(
                    f"{value[:MOST_SHOWN]!r} in {', '.join(name[:MOST_SHOWN] for name in names[:3])}"
                    for value, names in list(values.items())[:4]
                )
                self._files.warn(
                    f"{key}:{shown}",
                    f"{self.location} mixes recipes: {key[:MOST_SHOWN]} is {shown}; a law holds for one recipe",
                )


def _sound(card: RunCard) -> RunCard:
    """The card, if a reader would accept it."""
    try:
        read_card(asdict(card))
    except ValueError as error:
        raise InputError(f"the card of run {card.name!r} cannot be kept: {error}") from None
    return card


def _alike(seen: Listing, files: Listing, kind: str) -> bool:
    """Whether two listings of a folder hold the same files of one kind."""
    if seen is files:
        return True
    one, other = ({path for path in listing if filename(path).startswith(kind)} for listing in (seen, files))
    return one == other
