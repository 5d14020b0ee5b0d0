"""`replay`: walk a finished ladder as if it were happening, and score every forecast."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from scaling_callback.arguments import count_to, read_shares, read_split
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.curves import METHODS
from scaling_callback.forecasting import FORECASTERS, best_runs, included
from scaling_callback.records import Run
from scaling_callback.replaying import FRACTIONS, OWN_FRACTIONS, PROTOCOLS, Goal, hold_out, replay, replay_own
from scaling_callback.reporting import results
from scaling_callback.reporting.words import text
from scaling_callback.tables import read_targets
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    held = command.add_mutually_exclusive_group(required=True)
    held.add_argument(
        "--targets", metavar="TABLE", help="losses to forecast, one a row; the runs it names are left out"
    )
    held.add_argument("--largest", type=count_to(10**6), metavar="K", help="hold out every run of the K largest sizes")
    held.add_argument(
        "--split",
        type=read_split,
        metavar="A,B",
        help="by params * tokens: the runs below share A forecast those from B",
    )
    held.add_argument("--own", action="store_true", help="forecast each run's own final loss from its prefix")
    command.add_argument(
        "--at",
        type=read_shares,
        metavar="Q,...",
        help="shares of the compute (default: 0.25,0.5,0.75,1), with --own of the run (0.1,0.2,0.3,0.5,0.7)",
    )
    command.add_argument(
        "--order",
        choices=("planned", "as-recorded"),
        default="planned",
        help="by planned compute, or by wall_time (default: %(default)s)",
    )
    command.add_argument(
        "--forecaster",
        action="append",
        choices=tuple(sorted({*FORECASTERS, *METHODS} - {*PROTOCOLS})),
        default=[],
        metavar="NAME",
        help=f"a further forecaster beside: {', '.join(sorted({*FORECASTERS} - {*PROTOCOLS}))}; with --own also "
        f"{', '.join(METHODS)}",
    )
    command.add_argument(
        "--workers",
        type=count_to(1024),
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    runs, _ = read_runs(options)
    typed = options.at or tuple((f"{share:g}", share) for share in (OWN_FRACTIONS if options.own else FRACTIONS))
    config = replace(read_config(options), target=None)
    shares = [share for _, share in typed]
    with Progress("replay") as progress:
        asked: dict[str, Any] = {
            "forecasters": (*PROTOCOLS, *options.forecaster),
            "order": options.order,
            "workers": options.workers,
            "progress": progress,
        }
        if options.own:
            made = replay_own(runs, shares, config, **asked)
        else:
            ladder, goals = _hold_out(options, runs)
            made = replay(ladder, goals, shares, config, **asked)
    output = results.describe_replay(made, dict(typed))
    return output, text.show_replay(output, options.level, own=options.own)


def _hold_out(options: argparse.Namespace, runs: Sequence[Run]) -> tuple[Sequence[Run], Sequence[Goal]]:
    """The ladder and the goals, by the one of three options that was given."""
    chosen = best_runs(runs) if options.runs == "best" else runs
    if options.targets is None:
        return hold_out(chosen, largest=options.largest or 0, split=options.split)
    held = read_targets(options.targets, where=options.where, params=options.params)
    names = {run.name for run in held}
    goals = [
        Goal(run.params, seen.tokens, seen.loss, run.name)
        for run in included(held)
        for seen in run.curve
        if math.isfinite(seen.loss)
    ]
    return [run for run in chosen if run.name not in names], goals


REPLAY = Command(
    "replay",
    "Walk a finished ladder as if it were happening, and score every forecast.",
    "replay ladder.csv --largest 1",
    "the errors after 25, 50, 75 and 100% of the compute",
    add_options,
    run,
)
