"""The Hitchhiker's Guide to Scaling Law Estimation, on every family at hand: each finding, and whether it holds.

    python examples/studies/hitchhiker.py
    python examples/studies/hitchhiker.py --data my/tables --only "OLMo ladder" --output runs/mine

Choshen, Zhang, Andreas 2025 (arXiv 2410.11840). Tables are looked for in the folders that are named, else beside the
repository and in `examples/data`. A family of your own is one line in `families.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from axes import AXES
from cases import Case
from families import FAMILIES, FEWEST_SIZES, FOLDERS, find_table, read_family
from page import ON_RULES, Part, show_findings, write_page
from recommending import ON_RECOMMENDATIONS, show_recommendations
from work import add_options, choose_folder, read_folders, share

from scaling_callback.reporting.units import number

NAME, TITLE = "hitchhiker", "A Hitchhiker's Guide to Scaling Law Estimation, on other families"


def main() -> None:
    """Measure every axis on every family, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--only", action="append", metavar="FAMILY", help="one family, by name (may be repeated)")
    options = parser.parse_args()
    known = {family.name: family for family in FAMILIES}
    if wrong := [name for name in options.only or () if name not in known]:
        parser.error(f"there is no family {wrong[0]!r}; choose from: {', '.join(known)}")
    names = list(options.only or known)
    folders = read_folders(options)
    folder = choose_folder(options, [known[name].table for name in names], whole=not options.only)
    names = [name for name in names if find_table(known[name].table, folders) is not None]
    if not names:
        parser.error(f"none of the tables is in {' or '.join(map(str, folders))}; name a folder with --data")
    work = [(name, index) for name in names for index in range(len(AXES))]
    found = share(partial(measure, folders=folders), work, options.workers, "families")
    made = {name: {index: found[place] for place, (own, index) in enumerate(work) if own == name} for name in names}
    path = write_page(NAME, TITLE, list_parts([read_case(name, folders) for name in names], made), folder)
    print(path)


@cache
def read_case(name: str, folders: tuple[Path, ...] = FOLDERS) -> Case:
    """The family of that name.

    Raises:
        ValueError: Its table is not at hand, or it has too few sizes.
    """
    family = next(family for family in FAMILIES if family.name == name)
    every = read_family(replace(family, best=False), folders) if family.best else None
    case = Case(family, read_family(family, folders) or (), every or ())
    if len(case.sizes) < FEWEST_SIZES:
        raise ValueError(f"{name} has {len(case.sizes)} sizes; a family needs {FEWEST_SIZES}")
    return case


def measure(work: tuple[str, int], folders: tuple[Path, ...]) -> Any:
    """What one axis measures of one family; `None` where the family does not carry it."""
    name, index = work
    return AXES[index].measure(read_case(name, folders))


def list_parts(cases: Sequence[Case], made: Mapping[str, Mapping[int, Any]]) -> list[Part]:
    """The whole page, from what every axis measured of every family."""
    sections = [
        axis.tell({name: found[index] for name, found in made.items() if found[index] is not None})
        for index, axis in enumerate(AXES)
    ]
    findings = [finding for section in sections for finding in section.findings]
    parts: list[Part] = [
        introduce(cases),
        "## The recommendations",
        ON_RECOMMENDATIONS,
        show_recommendations(findings),
        "## Every finding",
        f"{ON_RULES} In brackets: tables, on most of whose families it is so.",
        show_findings(findings),
    ]
    for section in sections:
        parts += [f"## {section.title}", *section.parts]
    return parts


def introduce(cases: Sequence[Case]) -> str:
    """What was done, on what."""
    tables = {case.family.table for case in cases}
    runs = sum(len(case.runs) for case in cases)
    points = sum(len(run.curve) for case in cases for run in case.runs)
    sizes = sum(len(case.sizes) for case in cases)
    return (
        "Choshen, Zhang and Andreas (2025, arXiv 2410.11840) fitted over 1000 scaling laws to 485 models of over 40 "
        "families and drew advice from them. This page asks the same of other models, with this library: "
        f"{number(len(cases), 'family', 'families')} from {number(len(tables), 'table')}, {sizes} sizes, {runs} runs, "
        f"{points} observations."
    )


if __name__ == "__main__":
    main()
