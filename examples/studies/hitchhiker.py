"""The Hitchhiker's Guide to Scaling Law Estimation, on every family at hand.

    python examples/studies/hitchhiker.py [--data FOLDER ...] [--output FOLDER] [--only FAMILY ...]

Tables are looked for in the folders that are named, else beside the repository and in `examples/data`.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from axes import AXES
from cases import Case
from families import FAMILIES, FOLDERS, read_family


@cache
def read_case(name: str, folders: tuple[Path, ...]) -> Case | None:
    """The family of that name; `None` where its table is not at hand."""
    family = next(family for family in FAMILIES if family.name == name)
    runs = read_family(family, folders)
    every = read_family(replace(family, best=False), folders) if family.best else None
    return None if runs is None else Case(family, runs, every or ())


def measure(work: tuple[str, int], folders: tuple[Path, ...]) -> Any:
    """What one axis measures of one family."""
    name, axis = work
    case = read_case(name, folders)
    return None if case is None else AXES[axis].measure(case)


def main() -> None:
    """Measure every axis on every family, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", help="folder of tables (more than once: in this order)")
    parser.add_argument("--only", action="append", help="one family, by name")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    folders = tuple(options.data or FOLDERS)
    names = [family.name for family in FAMILIES if not options.only or family.name in options.only]
    work = [(name, axis) for name in names for axis in range(len(AXES))]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(partial(measure, folders=folders), work))
    for index, axis in enumerate(AXES):
        own = {name: made for (name, at), made in zip(work, found, strict=True) if at == index and made is not None}
        section = axis.tell(own)
        print(section.title)
        for part in section.parts:
            print(part)


if __name__ == "__main__":
    main()
