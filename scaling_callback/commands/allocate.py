"""`allocate`: split a compute budget into parameters and tokens."""

from __future__ import annotations

import argparse
from dataclasses import replace

from scaling_callback import pipeline
from scaling_callback.arguments import read_budget
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_constraints, add_sources, constrain, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.reporting import results
from scaling_callback.reporting.words import verdicts
from scaling_callback.terminal import Progress

SPLIT_REPLICATES = 1000
"""The ends of an interval of D/N from fewer move by a tenth with the seed."""


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    command.add_argument("--flops", type=read_budget, required=True, metavar="C", help="the budget in FLOPs")
    add_constraints(command)


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    runs, _ = read_runs(options)
    config = constrain(read_config(options), options)
    config = replace(config, replicates=max(config.replicates, SPLIT_REPLICATES))
    with Progress("bootstrap") as progress:
        output = results.describe_allocation(pipeline.allocate(runs, options.flops, config, progress))
    output |= results.describe_evidence(pipeline.gather(runs, config), runs)
    return output, verdicts.show_allocation(output)


ALLOCATE = Command(
    "allocate",
    "Split a compute budget into parameters and tokens.",
    "allocate ladder.csv --flops 5.88e23",
    "optimal N and D, or why they cannot be told",
    add_options,
    run,
)
