"""`dashboard`: a workspace in W&B that shows a ladder. It reads no ladder: it only says how W&B shows one."""

from __future__ import annotations

import argparse

from scaling_callback.arguments import read_project
from scaling_callback.commands.base import Command, Output
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.reporting.words.layout import Verdict


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    command.add_argument("project", type=read_project, metavar="PROJECT", help="PROJECT or ENTITY/PROJECT")
    command.add_argument(
        "--ladder", metavar="LADDER", help="show the runs of this ladder alone, as the callback has it"
    )
    command.add_argument("--prefix", default=PREFIX, help="what the names of metrics begin with (default: %(default)s)")


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    from scaling_callback.sinks.workspace import build_workspace, describe_workspace, save_workspace

    entity, project = options.project
    workspace = build_workspace(project, entity, prefix=options.prefix, ladder=options.ladder)
    if options.json:
        return describe_workspace(workspace), []
    return {}, [Verdict(f"saved: {save_workspace(workspace)}")]


DASHBOARD = Command(
    "dashboard",
    "Save a workspace in W&B that shows a ladder, or print it with --json.",
    "dashboard my-team/ladder",
    "the address of the workspace",
    add_options,
    run,
)
