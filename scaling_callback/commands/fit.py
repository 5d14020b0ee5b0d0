"""`fit`: fit a scaling law and say how far it can be trusted."""

from __future__ import annotations

import argparse
from dataclasses import replace

from scaling_callback import pipeline
from scaling_callback.allocating import Constraints
from scaling_callback.arguments import MOST_REPLICATES, check_replicates, count_to, read_borrowed, read_budget
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_counting, add_sources, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.errors import InputError
from scaling_callback.fitting import OBJECTIVES
from scaling_callback.forecasting import POLICIES
from scaling_callback.laws.published import PUBLISHED
from scaling_callback.reporting import results
from scaling_callback.reporting.words import text
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    command.add_argument(
        "--bootstrap",
        type=count_to(MOST_REPLICATES),
        default=0,
        metavar="N",
        help="bootstrap replicates (default: none)",
    )
    command.add_argument(
        "--evidence", choices=tuple(POLICIES), default="finals", help="points to fit (default: %(default)s)"
    )
    command.add_argument(
        "--objective", choices=tuple(OBJECTIVES), default="log-huber", help="what is minimised (default: %(default)s)"
    )
    command.add_argument("--prior", action="store_true", help="steady the exponents with the weak prior")
    command.add_argument("--ridges", action="store_true", help="tie A to alpha and B to beta as in published fits")
    command.add_argument(
        "--borrow",
        type=read_borrowed,
        metavar="STUDY[:NAME,...]",
        help=f"hold parameters at published values, such as besiroglu:A,alpha ({', '.join(PUBLISHED)})",
    )
    command.add_argument("--cluster", metavar="COLUMN", help="bootstrap by this column (default: by run)")
    command.add_argument(
        "--sensitivity",
        action="store_true",
        help="refit under every other choice, and show the spread; with --bootstrap an interval of each",
    )
    command.add_argument(
        "--flops",
        type=read_budget,
        metavar="C",
        help="with --sensitivity: budget of the D/N (default: ten times what the largest run takes)",
    )
    add_counting(command)


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    check_replicates(options.bootstrap, options.level)
    _check_budget(options)
    runs, _ = read_runs(options)
    config = replace(
        read_config(options),
        evidence=options.evidence,
        objective=options.objective,
        prior=options.prior,
        ridges=options.ridges,
        borrowed=options.borrow,
        replicates=options.bootstrap,
        cluster=options.cluster,
    )
    with Progress("bootstrap") as progress:
        output = results.describe_fit(pipeline.fit(runs, config, progress), options.level)
    output |= results.describe_evidence(pipeline.gather(runs, config), runs)
    if not options.sensitivity:
        return output, text.show_fit(output)
    with Progress("choices") as progress:
        constraints = Constraints(counting=options.counting or Constraints.counting)
        panel = pipeline.vary_choices(runs, replace(config, flops=options.flops, constraints=constraints), progress)
    output["sensitivity"] = results.describe_sensitivity(panel)
    return output, [*text.show_fit(output), *text.show_sensitivity(output["sensitivity"])]


def _check_budget(options: argparse.Namespace) -> None:
    """Refuse a budget that nothing would be split for.

    Raises:
        InputError: One is given, or how it counts, without --sensitivity.
    """
    for name, given in (("--flops", options.flops), ("--counting", options.counting)):
        if given is not None and not options.sensitivity:
            value = f"{given:g}" if isinstance(given, float) else given
            raise InputError(
                f"{name} {value} says for what budget --sensitivity splits, and that is not asked for; add "
                "--sensitivity, or ask allocate"
            )


FIT = Command(
    "fit",
    "Fit a scaling law and say how far it can be trusted.",
    "fit ladder.csv --bootstrap 1000",
    "E, A, B, alpha, beta with 90% intervals",
    add_options,
    run,
)
