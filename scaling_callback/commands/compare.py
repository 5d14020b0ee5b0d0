"""`compare`: say which of two recipes is better at a target."""

from __future__ import annotations

import argparse

from scaling_callback import pipeline
from scaling_callback.arguments import read_pair
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources, add_target, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.reporting import results
from scaling_callback.reporting.words import verdicts


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command, ("A", "B"))
    add_target(command, budget=False)
    for side in ("a", "b"):
        command.add_argument(
            f"--where-{side}",
            action="append",
            type=read_pair,
            default=[],
            metavar="COLUMN=VALUE",
            help=f"keep these rows of {side.upper()} alone, beside what --where keeps of both",
        )


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    sources = ((options.source, options.where_a), (options.other, options.where_b))
    names = [" ".join([source, *(f"{column}={value}" for column, value in own)]) for source, own in sources]
    one, other = (
        read_runs(argparse.Namespace(**{**vars(options), "source": source, "where": [*options.where, *own]}))[0]
        for source, own in sources
    )
    try:
        made = pipeline.compare(one, other, options.target, read_config(options), names=(names[0], names[1]))
    except NotEnoughData as error:  # it names the one of the two
        raise InputError(str(error)) from None
    output = results.describe_comparison(made, (names[0], names[1]))
    return output, verdicts.show_comparison(output)


COMPARE = Command(
    "compare",
    "Say which of two recipes is better at a target.",
    "compare ladder/ other/ --target params=7e9,tokens=4e12",
    "the better one, by how much, how surely",
    add_options,
    run,
)
