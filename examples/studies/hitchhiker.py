"""The Hitchhiker's Guide to Scaling Law Estimation, on every family at hand: each finding, and whether it holds.

    python examples/studies/hitchhiker.py
    python examples/studies/hitchhiker.py --data my/tables --only "OLMo ladder" --output runs/mine

Choshen, Zhang, Andreas 2025 (arXiv 2410.11840). Tables are looked for in the folders that are named, else beside the
repository and in `examples/data`. A family of your own is one line in `families.py`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from axes import AXES
from axes.tally import ON_TALLIES
from cases import Case
from families import FAMILIES, FOLDERS, find_table, read_family
from page import ON_RULES, Finding, Part, Section, Verdict, show_findings, write_page
from recommending import ON_RECOMMENDATIONS, show_recommendations
from work import add_options, choose_folder, read_folders, run, share

from scaling_callback.reporting.units import number

NAME, TITLE = "hitchhiker", "A Hitchhiker's Guide to Scaling Law Estimation, on other families"
FAMILIES_NAME, FAMILIES_TITLE = "hitchhiker-families", "The Hitchhiker's Guide, family by family"

VERDICTS: Mapping[Verdict, str] = {"holds": "hold", "depends": "depend", "fails": "fail", "no data": "cannot be seen"}

ON_METHOD = (
    "Where this differs from the study: what is forecast is the final of the largest model, not its checkpoints "
    "from 70% of its training on (both are compared under *Finals or checkpoints*); what is left out as the "
    "beginning is a tenth of a run, not 10B tokens, which most of these runs do not reach; curves were thinned to "
    "200 points; most of its families, OPT, Pythia, Gopher, T5 and OLMo 7B among them, are not at hand. A *final* "
    "is the loss at the end of a run, a *horizon* the tokens that it was planned for, the *ladder* of a family "
    "all its models but the largest, and a *certified optimum* the lowest of many searches, whose gradient is "
    "checked. Errors are shares of the measured loss."
)
"""Words, and what is not as it was."""


def main() -> None:
    """Measure every axis on every family, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--only", action="append", metavar="FAMILY", help="one family, by name (may be repeated)")
    options = parser.parse_args()
    known = {family.name: family for family in FAMILIES}
    if wrong := [name for name in options.only or () if name not in known]:
        parser.error(f"there is no family {wrong[0]!r}; choose from: {', '.join(known)}")
    wanted = list(dict.fromkeys(options.only or known))
    folders = read_folders(options)
    folder = choose_folder(options, [known[name].table for name in wanted], whole=not options.only)
    names = [name for name in wanted if find_table(known[name].table, folders) is not None]
    if not names:
        parser.error(f"none of the tables is in {' or '.join(map(str, folders))}; name a folder with --data")
    cases = [read_case(name, folders) for name in names]  # what cannot be read is said before minutes of work
    found = share(partial(measure, folders=folders), names, options.workers, "families")
    sections = [
        axis.tell({name: made[index] for name, made in zip(names, found, strict=True) if made[index] is not None})
        for index, axis in enumerate(AXES)
    ]
    write_page(FAMILIES_NAME, FAMILIES_TITLE, list_families(sections), folder)
    print(write_page(NAME, TITLE, list_parts(cases, sections), folder))


@cache
def read_case(name: str, folders: tuple[Path, ...] = FOLDERS) -> Case:
    """The family of that name, whose table is at hand.

    Raises:
        InputError: Its table cannot be read, or has too few sizes of it.
    """
    family = next(family for family in FAMILIES if family.name == name)
    every = read_family(replace(family, best=False), folders) if family.best else None
    return Case(family, read_family(family, folders) or (), every or ())


def measure(name: str, folders: tuple[Path, ...]) -> list[Any]:
    """What every axis measures of one family; `None` where the family does not carry it."""
    return [axis.measure(read_case(name, folders)) for axis in AXES]


def list_parts(cases: Sequence[Case], sections: Sequence[Section]) -> list[Part]:
    """The page, from what every axis says."""
    findings = [finding for section in sections for finding in section.findings]
    study = [finding for finding in findings if finding.of == "study"]
    others = [finding for finding in findings if finding.of != "study"]
    parts: list[Part] = [
        introduce(cases),
        *(section.summary for section in sections if section.summary),
        summarise(study),
        ON_METHOD,
        "## The recommendations",
        ON_RECOMMENDATIONS,
        show_recommendations(study),
        "## Every finding of the study",
        f"{ON_RULES} {ON_TALLIES}",
        show_findings(study),
        "## Beside them",
        "What this library claims, and what makes sense of a finding.",
        show_findings(others),
    ]
    for section in sections:
        parts += [f"## {section.title}", *section.parts]
        if section.families:
            parts.append(f"Every family: [{FAMILIES_TITLE}]({FAMILIES_NAME}.md).")
    return parts


def list_families(sections: Sequence[Section]) -> list[Part]:
    """The page of every family."""
    parts: list[Part] = [f"What stands behind the medians of [{TITLE}]({NAME}.md): the tables of every family."]
    for section in sections:
        if section.families:
            parts += [f"## {section.title}", *section.families]
    return parts


def summarise(findings: Sequence[Finding]) -> str:
    """How many of the study's findings hold here."""
    counts = Counter(finding.verdict for finding in findings)
    told = [f"{counts[verdict]} {words}" for verdict, words in VERDICTS.items() if counts[verdict]]
    return f"Of {number(len(findings), 'finding')} of the study {', '.join(told)}."


def introduce(cases: Sequence[Case]) -> str:
    """What was done, on what."""
    tables = {case.family.table for case in cases}
    runs = sum(len(case.runs) for case in cases)
    points = sum(len(run.curve) for case in cases for run in case.runs)
    sizes = sum(len(case.sizes) for case in cases)
    missing = [family.name for family in FAMILIES if family.name not in {case.family.name for case in cases}]
    beside = f" Not at hand, or not asked for: {'; '.join(missing)}." if missing else ""
    return (
        "Choshen, Zhang and Andreas (2025, arXiv 2410.11840) fitted over 1000 scaling laws to 485 models of over 40 "
        "families and drew advice from them. This page asks the same of other models, with this library: "
        f"{number(len(cases), 'family', 'families')} from {number(len(tables), 'table')}, {sizes} sizes, {runs} runs, "
        f"{points} observations.{beside}"
    )


if __name__ == "__main__":
    run(main)
