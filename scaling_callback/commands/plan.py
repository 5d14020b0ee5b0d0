"""`plan`: propose the runs to train next for a compute budget."""

from __future__ import annotations

import argparse

from scaling_callback import pipeline
from scaling_callback.arguments import read_budget
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources, add_target, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.reporting import results
from scaling_callback.reporting.words import verdicts
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    add_target(command)
    command.add_argument("--flops", type=read_budget, required=True, metavar="C", help="budget of all runs together")


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    runs, _ = read_runs(options, some=False, new=True)
    with Progress("plan") as progress:
        made = pipeline.plan(runs, options.target, options.flops, read_config(options), progress)
    output = results.describe_plan(made)
    if not runs:
        output["notes"].insert(0, f"no_ladder: {options.source} holds no run yet: this is a first ladder")
    return output, verdicts.show_plan(output)


PLAN = Command(
    "plan",
    "Propose the runs to train next for a compute budget.",
    "plan ladder/ --target params=7e9,tokens=4e12 --flops 1e21",
    "N and D of each, and what it brings",
    add_options,
    run,
)
