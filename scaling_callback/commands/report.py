"""`report`: write a report that a person can open."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from scaling_callback import pipeline
from scaling_callback.arguments import check_output, check_suffix, read_budget
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.forms import check_apart, find_answers, name_form
from scaling_callback.commands.options import add_constraints, add_sources, add_target, constrain, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.errors import InputError
from scaling_callback.reporting.words import text
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    add_target(command)
    command.add_argument(
        "--flops", type=read_budget, metavar="C", help="the budget that is split (default: the target's compute)"
    )
    add_constraints(command)
    command.add_argument(
        "--output", required=True, metavar="FILE", help="where to write it: FILE.html, FILE.md or FILE.json"
    )
    command.add_argument(
        "--card",
        metavar="FILE.yaml",
        help="answers to the checklist's questions (default: the ladder's card.yaml); if missing, written as a form",
    )


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    from scaling_callback.reporting import WRITERS, checklist_numbers, gather

    path = Path(options.output)
    check_output(path, options.source)
    write = WRITERS[check_suffix(path, WRITERS)]
    check_apart(path, name_form(options.source, options.card))
    runs, issued = read_runs(options)
    answers, form = find_answers(options.source, options.card)
    with Progress("report") as progress:
        config = constrain(read_config(options), options)
        config = replace(config, target=options.target, flops=options.flops, sensitivity=True)
        snapshot = pipeline.refresh(runs, issued, config, progress)
    try:
        page = write(gather(snapshot, answers, form=form))
    except (ValueError, ArithmeticError) as error:  # axes of counts that no training has overflow in many places
        raise InputError(
            f"{options.source}: no figure can be drawn of such numbers ({error}); are params and tokens plain counts?"
        ) from None
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give --output a path that can") from None
    output = {"output": str(path), "checklist": checklist_numbers(snapshot, answers), "card": form}
    return output, text.show_report(output)


REPORT = Command(
    "report",
    "Write a report that a person can open.",
    "report ladder/ --target params=7e9,tokens=4e12 --output report.html",
    "one file of HTML, Markdown or JSON",
    add_options,
    run,
)
