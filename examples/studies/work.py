"""What both studies share: their options, work that is shared among processes, and where a page goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from families import FOLDERS, HERE, find_table

from scaling_callback.errors import InputError
from scaling_callback.terminal import Progress

REPOSITORY = HERE.parents[1]

COMMITTED = REPOSITORY / "docs" / "studies"
"""Where a page goes that all its tables were at hand for."""

PARTIAL = REPOSITORY / "runs" / "studies"
"""Where any other goes: it must not take the place of the whole one."""

LINES = 10
"""Lines that tell of the progress where there is no terminal."""

_Work = TypeVar("_Work")
_Made = TypeVar("_Made")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables are read, where the page goes, and how many processes share the work."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="where tables are looked for, in this order if given more than once (default: beside the repository, and "
        "examples/data)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where the page goes (default: docs/studies if every table is at hand, else runs/studies)",
    )
    parser.add_argument("--workers", type=read_workers, default=2, metavar="N", help="processes (default: %(default)s)")


def read_workers(text: str) -> int:
    """A count of processes.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of processes; give 1 or more")
    return int(text)


def read_folders(options: argparse.Namespace) -> tuple[Path, ...]:
    """The folders that tables are looked for in."""
    return tuple(options.data or FOLDERS)


def choose_folder(options: argparse.Namespace, tables: Sequence[str], *, whole: bool = True) -> Path:
    """Where the page goes; names on standard error the tables that are not at hand.

    The committed page is of the tables beside the repository: nothing that is named takes its place unasked.

    Raises:
        InputError: The folder that was asked for cannot be made, or is none.
    """
    folders = read_folders(options)
    missing = [name for name in dict.fromkeys(tables) if find_table(name, folders) is None]
    if missing:
        print(
            f"{', '.join(f'{name}.csv' for name in missing)}: not in {' or '.join(map(str, folders))}, and left out; "
            "name a folder that has it with --data FOLDER",
            file=sys.stderr,
        )
    folder: Path = options.output or (COMMITTED if whole and not missing and not options.data else PARTIAL)
    try:  # before minutes of work
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output {folder}: {error.strerror}; name a folder that can be written") from None
    return folder


def run(main: Callable[[], None]) -> None:
    """A study as a program: what cannot be used ends it with one line on standard error and status 2."""
    try:
        main()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def share(function: Callable[[_Work], _Made], work: Sequence[_Work], workers: int, what: str) -> list[_Made]:
    """The function of each piece of work, in their order, whichever process does it."""
    found: list[_Made] = []
    # fresh processes: a fork of one that holds threads may hang
    with Progress(what) as progress, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for made in pool.map(function, work):
            found.append(made)
            progress(len(found), len(work))
            if not sys.stderr.isatty() and len(found) * LINES // len(work) > (len(found) - 1) * LINES // len(work):
                print(f"{what}: {len(found)} of {len(work)}", file=sys.stderr, flush=True)
    return found
