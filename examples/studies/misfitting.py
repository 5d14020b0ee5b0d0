"""(Mis)Fitting: how the choices of an analysis move a scaling law, on the study's ladder, Chinchilla's and OLMo's.

    python examples/studies/misfitting.py
    python examples/studies/misfitting.py --data my/tables --output runs/mine

Li, Kudugunta, Zettlemoyer 2025 (arXiv 2502.18969). Tables are looked for in the folders that are named, else beside the
repository and in `examples/data`; a table that is not there leaves its part out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from choices.checking import CARDS, Told, ask_default, count_items, table_checklist, tell_default
from choices.claims import DEFAULT, list_claims, list_procedures, table_kinds
from choices.commands import compare_command, run_command, run_report, show_commands, show_report
from choices.ladders import LADDERS, read_ladder
from choices.measuring import JOBS, LEVEL, MORE, REPLICATES, Measured, collect, work_on
from choices.moves import tell_moves
from choices.published import BUDGET, PUBLISHED, RULE
from choices.rows import (
    CHOSEN,
    MET,
    count_met,
    explain_diagnostics,
    judge_rows,
    list_differing,
    table_intervals,
    table_procedures,
    table_published,
    tell_isoflop,
    tell_task,
)
from choices.selecting import Selected, show_selections, tell_selections, try_selections
from choices.starts import table_optimisers, table_starts, tell_chosen, tell_optimisers, tell_shared, tell_starts
from families import find_table
from page import ON_RULES, Part, show_findings, write_page
from work import add_options, choose_folder, read_folders, run, share

from scaling_callback.fitting import PROCEDURE_REPLICATES
from scaling_callback.reporting import plot_choices
from scaling_callback.reporting.units import format_flops, format_level

NAME, TITLE = "misfitting", "(Mis)Fitting: how choices move a scaling law"

OWN, REBUILT = "misfitting", "chinchilla_epoch"
"""The tables of the study's ladder and of the reconstruction."""

WEAK_PRIOR = (
    "The rows above are the study's objective alone. The default adds a weak prior on the exponents, so that it gives "
    "other values of E, alpha and D/N for the same runs than the row *as asked*, the more so the less the runs say; "
    "and a forecast of it is a mean of two laws, which are fitted to checkpoints too."
)
"""Why the default's answers differ from the rows."""

ALONE = ("selections", "report")
"""Pieces of work on the study's own ladder only."""

ALL_JOBS = (*JOBS, *MORE, *ALONE, "default", "command")


def main() -> None:
    """Measure every ladder at hand, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    options = parser.parse_args()
    folders = read_folders(options)
    folder = choose_folder(options, [ladder.table for ladder in LADDERS])
    tables = [ladder.table for ladder in LADDERS if find_table(ladder.table, folders) is not None]
    if not tables:
        parser.error(f"none of the tables is in {' or '.join(map(str, folders))}; name a folder with --data")
    work = [
        (table, job)
        for job in ALL_JOBS
        for table in tables
        if (job not in ALONE or table == OWN) and (job not in MORE or table in PUBLISHED)
    ]
    found = share(partial(do, folders=folders), work, options.workers, "choices")
    made = {
        table: {job: piece for (own, job), piece in zip(work, found, strict=True) if own == table} for table in tables
    }
    ladders = {ladder.table: ladder for ladder in LADDERS if ladder.table in tables}
    measured = {
        table: collect(
            ladder,
            read_ladder(ladder, folders),
            {job: made[table][job] for job in (*JOBS, *MORE) if job in made[table]},
        )
        for table, ladder in ladders.items()
    }
    print(write_page(NAME, TITLE, list_parts(measured, made), folder))


def do(work: tuple[str, str], folders: tuple[Path, ...]) -> Any:
    """One piece of work."""
    table, job = work
    if job == "command":
        return run_command(table, folders)
    if job == "report":
        return run_report(table, folders)
    if job not in ("selections", "default"):
        return work_on(work, folders)
    ladder = next(ladder for ladder in LADDERS if ladder.table == table)
    runs = read_ladder(ladder, folders)
    return try_selections(ladder, runs) if job == "selections" else ask_default(ladder, runs)


def list_parts(measured: Mapping[str, Measured], made: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """The whole page, from what was measured of each ladder at hand and what the library and its commands say of it."""
    every = list(measured.values())
    missing = [ladder.name for ladder in LADDERS if ladder.table not in measured]
    parts: list[Part] = [tell_found(measured)]
    if missing:
        parts.append(f"Not at hand, and left out: {', '.join(missing)}.")
    parts += [explain(), "## What was said, and what is found", ON_RULES, show_findings(list_claims(measured))]
    for each in every:
        parts += show_ladder(each, made[each.ladder.table].get("selections"))
        if each.ladder.table == REBUILT and (shared := tell_shared(measured)):
            place = parts.index(tell_chosen(each)) + 1
            parts.insert(place, shared)
    parts += [
        "## Which choices move the answer",
        (
            "Each kind of choice with what was asked: the lowest and the highest answer. *Place said* is the "
            "published order of how far they move D/N. *Intervals apart* counts the choices whose interval of D/N does "
            "not overlap that of what was asked, of those that have one: a rough test, for the rows share runs. A "
            "range grows with the number of choices, and its ends can be no more than noise. A kind that a ladder does "
            "not vary is left out. The OLMo ladder is none of the study's."
        ),
        table_kinds(every),
        *show_optimisers(every),
        "## A spread over starts is no standard error",
        (
            "The released analysis of the study took the spread of the fitted parameters over starting points for "
            "their standard error, and has no bootstrap of its parametric fits. A spread over starts says how often a "
            "search fails; it is there without any noise, and stays however many runs are added. Beside it is the "
            "bootstrap over runs of the certified optimum."
        ),
        table_starts(every),
        *(tell_starts(each) for each in every),
        "## What this library would have said",
        (
            "Nothing is chosen here but the runs and the budget: the default forecast of the largest model from the "
            "smaller sizes, and the default split. " + WEAK_PRIOR
        ),
        *(tell_default(each.ladder.name, made[each.ladder.table]["default"]) for each in every),
        *show_card(made),
        "## The same from the command line",
        (
            "With `--sensitivity` a command gives the rows of the whole ladder, else one row; the run that "
            "wrote this page ran them, too."
        ),
        show_commands([compare_command(measured[table], made[table]["command"]) for table in measured]),
        *(show_report(table, made[table]["default"].items, made[table]["report"]) for table in made if table == OWN),
        "## Names of diagnostics",
        explain_diagnostics(every),
    ]
    return parts


def tell_found(measured: Mapping[str, Measured]) -> str:
    """What was found, in a few sentences."""
    sentences: list[str] = []
    counts = count_met(measured)
    if of := counts.total():
        other = [
            published.words
            for each in measured.values()
            for published, _, wrong in judge_rows(each)
            if wrong and published.counted
        ]
        named = f" ({', '.join(other)}), and why is told below" if other else ""
        sentences.append(
            f"Of {of} published rows of how choices move a fit {counts[MET]} are met as described, {counts[CHOSEN]} by "
            "a start or a selection of checkpoints that was looked for because it meets them, "
            f"{of - counts[MET] - counts[CHOSEN]} differ{named}."
        )
    sentences += [tell_moves(each) for each in measured.values()]
    default, others = list_procedures(measured)
    stalled = [row for row in others if row.status == "stalled"]
    sentences.append(
        f"The study's own default, the {DEFAULT} with the default tolerance, reaches the optimum on "
        f"{sum(row.status == 'reached' for row in default)} of {len(default)} ladders; of {len(others)} searches with "
        f"one start, a loose tolerance or the mean loss {len(stalled)} stop short, and "
        f"{sum(bool(row.success) for row in stalled)} of these report success."
    )
    return "\n".join(f"- {sentence}" for sentence in sentences)


def explain() -> str:
    """How the tables are to be read."""
    return (
        "Every row changes one thing in what was asked: the law E + A / N^alpha + B / D^beta, fitted to finals by the "
        f"log-Huber loss to its certified optimum. D/N is the optimum for C = 6 N D at {format_flops(BUDGET)} FLOPs. "
        f"Below a value stands its {format_level(LEVEL)} bootstrap interval: {REPLICATES} replicates of the runs, and "
        f"{PROCEDURE_REPLICATES} of a published procedure, which is searched again in "
        "each as it is. A verdict on a published row follows from this rule: " + RULE + "."
    )


def show_optimisers(measured: Sequence[Measured]) -> list[Part]:
    """Other optimisers and starts, on the ladders of which something was published."""
    if all(each.others is None for each in measured):
        return []
    return [
        "## Other optimisers and starts",
        (
            "The other variants of the released analysis on the same objective. *Best* starts are those of the grid "
            "with the lowest objective; the row shows the lowest end. *Mean for sum* minimises the mean of the losses; "
            "its objective here is the sum again. The least-squares search has the analytic Jacobian."
        ),
        table_optimisers(measured),
        tell_optimisers(measured),
    ]


def show_ladder(measured: Measured, selected: Sequence[Selected] | None) -> list[Part]:
    """Everything about one ladder."""
    parts: list[Part] = [
        f"## {measured.ladder.name}",
        f"{measured.ladder.source[:1].upper()}{measured.ladder.source[1:]}.",
    ]
    if measured.ladder.table in PUBLISHED:
        parts += ["### Beside the published values", "What is not met is bold.", table_published(measured)]
    if differing := list_differing(measured):
        parts += ["Where a row differs:", differing]
    if chosen := tell_chosen(measured):
        parts.append(chosen)
    if selected:
        parts += ["### Which checkpoints", tell_selections(selected), show_selections(selected)]
    parts += [
        "### Every choice with its interval",
        tell_task(measured),
        table_intervals(measured),
        tell_isoflop(measured),
    ]
    for figure in (plot_choices(measured.panel), plot_choices(measured.ahead, "loss")):
        if figure is not None:
            parts.append(replace(figure, name=f"{measured.ladder.table}-{figure.name}"))
    parts += [
        "### Published procedures",
        (
            "A search by finite differences that believes its optimiser; a single start is searched over nine orders "
            "of the rows, and the median end is shown. Its interval is of searches in one order, and need not hold "
            "that end: *without it* stands where it does not. *Stalled* is more than 0.1% above the certified optimum. "
            "The forecast is of a search of its own, on the smaller sizes, and that may stall where the one on the "
            "whole ladder does not."
        ),
        table_procedures(measured),
    ]
    return parts


def show_card(made: Mapping[str, Mapping[str, Any]]) -> list[Part]:
    """The checklist of the study's own ladder, or of the first at hand."""
    table = OWN if OWN in made else next(iter(made))
    told: Told = made[table]["default"]
    name = next(ladder.name for ladder in LADDERS if ladder.table == table)
    return [
        "## The checklist of the study",
        (
            f"Filled in for the {name} by the library"
            + ", and from a form with what its sources say" * (table in CARDS)
            + f": of {len(told.items)} items {count_items(told.items)}. "
            + WEAK_PRIOR
        ),
        table_checklist(told.items),
    ]


if __name__ == "__main__":
    run(main)
