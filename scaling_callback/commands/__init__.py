"""The commands, one file each: options, and read, ask, describe. A new one is one file and one line here.

What they compute lives elsewhere: a command reads runs, asks the pipeline, and gives its answer as data and in words.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from scaling_callback.commands.allocate import ALLOCATE
from scaling_callback.commands.audit_stops import AUDIT_STOPS
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.compare import COMPARE
from scaling_callback.commands.dashboard import DASHBOARD
from scaling_callback.commands.fit import FIT
from scaling_callback.commands.forecast import FORECAST
from scaling_callback.commands.imports import IMPORT_CSV, IMPORT_TENSORBOARD, IMPORT_WANDB
from scaling_callback.commands.plan import PLAN
from scaling_callback.commands.replay import REPLAY
from scaling_callback.commands.report import REPORT
from scaling_callback.commands.validate import VALIDATE
from scaling_callback.terminal import one_line, show, tell

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        VALIDATE,
        FIT,
        FORECAST,
        ALLOCATE,
        COMPARE,
        PLAN,
        REPLAY,
        AUDIT_STOPS,
        REPORT,
        DASHBOARD,
        IMPORT_WANDB,
        IMPORT_TENSORBOARD,
        IMPORT_CSV,
    )
}
"""Every command by its name, in the order of `--help`."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command; `command` of what it reads is the command's name.

    Example:
        >>> make_parser().parse_args(["fit", "ladder.csv"]).command
        'fit'
    """
    parser = _Parser(
        prog="scaling-callback", description="Forecast the loss of a large model from a ladder of small runs."
    )
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        own: argparse.ArgumentParser = parsers.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=f"example:\n  scaling-callback {command.example}\n  -> {command.outcome}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        own.set_defaults(command=command.name, source="")
        own.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
        command.add_options(own)
    return parser


class _Parser(argparse.ArgumentParser):
    """One line on standard error, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        tell(f"{self.prog}: {one_line(message)}; see {self.prog} --help")
        raise SystemExit(2)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002  (argparse's own signature)
        """Print as every other answer is printed."""
        show(self.format_help().rstrip("\n"))


__all__ = ["COMMANDS", "Command", "Output", "make_parser"]
