"""`validate`: say what a table or ladder holds, and what is odd about it."""

from __future__ import annotations

import argparse
import warnings

from scaling_callback.allocating import UNCONSTRAINED
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources
from scaling_callback.commands.sources import no_runs, read_runs
from scaling_callback.errors import InputError, ScalingWarning
from scaling_callback.reporting import results
from scaling_callback.reporting.words import text
from scaling_callback.tables import check_table, is_table


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    if is_table(options.source):
        runs, problems = check_table(options.source, where=options.where, params=options.params)
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            runs, _ = read_runs(options, some=False)
        problems = [str(w.message) for w in caught if issubclass(w.category, ScalingWarning)]
        if not (runs or problems):
            raise no_runs(options.source)
    try:
        problems = [*problems, *UNCONSTRAINED.doubt_cost(runs).values()]
    except InputError as odd:
        problems = [*problems, str(odd)]
    output = results.describe_source(runs, problems)
    return output, text.show_source(output)


VALIDATE = Command(
    "validate",
    "Say what a table or ladder holds, and what is odd about it.",
    "validate ladder.csv",
    "12 runs, 144 observations, no problems",
    add_options,
    run,
)
