"""What can be typed: the commands, their options, and what is said of them."""

from __future__ import annotations

import argparse
import os
from typing import Any, NoReturn

from scaling_callback.arguments import (
    MOST_REPLICATES,
    MOST_SEED,
    count_to,
    read_borrowed,
    read_budget,
    read_fixed,
    read_further,
    read_level,
    read_pair,
    read_project,
    read_shape,
    read_shares,
    read_source,
    read_split,
    read_target,
    read_tokens,
)
from scaling_callback.curves import METHODS
from scaling_callback.fitting import OBJECTIVES
from scaling_callback.forecasting import FORECASTERS, POLICIES
from scaling_callback.import_commands import add_import_commands
from scaling_callback.laws import LAWS
from scaling_callback.laws.published import PUBLISHED
from scaling_callback.replaying import PROTOCOLS
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.terminal import one_line, show, tell


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; `command` of what it reads is the command's name."""
    parser = _Parser(
        prog="scaling-callback", description="Forecast the loss of a large model from a ladder of small runs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "validate", "Say what a table or ladder holds, and what is odd about it.")
    _example(command, "validate ladder.csv", "12 runs, 144 observations, no problems")

    command = _command(commands, "fit", "Fit a scaling law and say how far it can be trusted.")
    _example(command, "fit ladder.csv --bootstrap 1000", "E, A, B, alpha, beta with 90% intervals")
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
        "--sensitivity", action="store_true", help="refit under every other choice, and show the spread"
    )
    command.add_argument(
        "--flops",
        type=read_budget,
        metavar="C",
        help="budget of its D/N (default: ten times the largest run's compute)",
    )

    command = _command(commands, "forecast", "Forecast the loss of a target.")
    _example(command, "forecast ladder/ --target params=7e9,tokens=4e12", "the loss of 7B parameters on 4T tokens")
    _add_target(command)

    command = _command(commands, "allocate", "Split a compute budget into parameters and tokens.")
    _example(command, "allocate ladder.csv --flops 5.88e23", "optimal N and D, or why they cannot be told")
    command.add_argument("--flops", type=read_budget, required=True, metavar="C", help="the budget in FLOPs")
    _add_constraints(command)

    command = _command(commands, "compare", "Say which of two recipes is better at a target.", sources=("A", "B"))
    _example(
        command, "compare ladder/ other/ --target params=7e9,tokens=4e12", "the better one, by how much, how surely"
    )
    _add_target(command, budget=False)
    for side in ("a", "b"):
        command.add_argument(
            f"--where-{side}",
            action="append",
            type=read_pair,
            default=[],
            metavar="COLUMN=VALUE",
            help=f"keep these rows of {side.upper()} alone, beside what --where keeps of both",
        )

    command = _command(commands, "plan", "Propose the runs to train next for a compute budget.")
    _example(
        command, "plan ladder/ --target params=7e9,tokens=4e12 --flops 1e21", "N and D of each, and what it brings"
    )
    _add_target(command)
    command.add_argument("--flops", type=read_budget, required=True, metavar="C", help="budget of all runs together")

    command = _command(commands, "replay", "Walk a finished ladder as if it were happening, and score every forecast.")
    _example(command, "replay ladder.csv --largest 1", "the errors after 25, 50, 75 and 100% of the compute")
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

    command = _command(commands, "report", "Write a report that a person can open.")
    _example(
        command,
        "report ladder/ --target params=7e9,tokens=4e12 --output report.html",
        "one file of HTML, Markdown or JSON",
    )
    _add_target(command)
    command.add_argument(
        "--flops", type=read_budget, metavar="C", help="the budget that is split (default: the target's compute)"
    )
    _add_constraints(command)
    command.add_argument(
        "--output", required=True, metavar="FILE", help="where to write it: FILE.html, FILE.md or FILE.json"
    )
    command.add_argument(
        "--card",
        metavar="FILE.yaml",
        help="answers to the checklist's questions (default: the ladder's card.yaml); if missing, written as a form",
    )

    _add_dashboard(commands)
    add_import_commands(commands)
    return parser


def _add_dashboard(commands: Any) -> None:
    """It reads no ladder: it only says how W&B shows one."""
    summary = "Save a workspace in W&B that shows a ladder."
    command: argparse.ArgumentParser = commands.add_parser(
        "dashboard", help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.set_defaults(command="dashboard", source="")
    _example(command, "dashboard my-team/ladder", "the address of the workspace")
    command.add_argument("project", type=read_project, metavar="PROJECT", help="PROJECT or ENTITY/PROJECT")
    command.add_argument(
        "--ladder", metavar="LADDER", help="show the runs of this ladder alone, as the callback has it"
    )
    command.add_argument("--prefix", default=PREFIX, help="what the names of metrics begin with (default: %(default)s)")
    command.add_argument("--json", action="store_true", help="print it and save nothing; needs no login")


def _command(commands: Any, name: str, summary: str, sources: tuple[str, ...] = ("SOURCE",)) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.set_defaults(command=name)
    for place, metavar in zip(("source", "other"), sources, strict=False):
        command.add_argument(
            place, type=read_source, metavar=metavar, help="an observation table, or a ladder folder or URL"
        )
    command.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    command.add_argument(
        "--where",
        action="append",
        type=read_pair,
        default=[],
        metavar="COLUMN=VALUE",
        help="keep these rows; several columns are AND, one column repeated is OR",
    )
    command.add_argument("--params", default="params", metavar="COLUMN", help="the count of N (default: %(default)s)")
    command.add_argument(
        "--runs", choices=("all", "best"), default="all", help="best: per size and horizon the lowest loss"
    )
    command.add_argument(
        "--law", choices=tuple(LAWS), default="chinchilla", help="the law to fit (default: %(default)s)"
    )
    command.add_argument(
        "--further",
        action="append",
        type=read_further,
        default=[],
        metavar="NAME=VALUE",
        help="a further variable of the law at the target or budget, such as unique_tokens=2e11",
    )
    command.add_argument(
        "--level", type=read_level, default=0.9, metavar="L", help="coverage of intervals (default: %(default)s)"
    )
    command.add_argument(
        "--seed", type=count_to(MOST_SEED), default=0, metavar="N", help="seed of the bootstrap (default: %(default)s)"
    )
    return command


def _example(command: argparse.ArgumentParser, line: str, outcome: str) -> None:
    command.epilog = f"example:\n  scaling-callback {line}\n  -> {outcome}"


def _add_target(command: argparse.ArgumentParser, *, budget: bool = True) -> None:
    command.add_argument(
        "--target",
        type=read_target,
        required=True,
        metavar="params=N,tokens=D",
        help="what the forecast is for: params=7e9,tokens=4e12" + (", or flops=5.9e23" if budget else ""),
    )


def _add_constraints(command: argparse.ArgumentParser) -> None:
    """What a split must heed."""
    command.add_argument(
        "--inference-tokens",
        type=read_tokens,
        metavar="T",
        help="tokens that the model will serve, 2 N FLOPs each, which the budget pays for as well",
    )
    command.add_argument(
        "--unique-tokens",
        type=read_tokens,
        metavar="U",
        help="unique tokens there are: more of them repeat, and are worth less",
    )
    command.add_argument(
        "--fix",
        type=read_fixed,
        action="append",
        default=[],
        metavar="params=N|tokens=D",
        help="what is given beforehand: the other follows from the budget",
    )
    counted = command.add_mutually_exclusive_group()
    counted.add_argument(
        "--shape",
        type=read_shape,
        metavar="layers=L,width=W,context=T",
        help="one model of the family: attention is counted beside 6 N D",
    )
    counted.add_argument(
        "--counting",
        choices=("measured", "6nd"),
        default="measured",
        help="FLOPs as the runs measured them, where all did, or 6 N D (default: %(default)s)",
    )


class _Parser(argparse.ArgumentParser):
    """One line on standard error, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        tell(f"{self.prog}: {one_line(message)}; see {self.prog} --help")
        raise SystemExit(2)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002  (argparse's own signature)
        """Print as every other answer is printed."""
        show(self.format_help().rstrip("\n"))
