"""The commands that write a ladder: existing runs of W&B, TensorBoard and CSV files come into one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import fields

from scaling_callback.arguments import read_mapping
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_where
from scaling_callback.errors import InputError
from scaling_callback.importing import Keys, Record, import_runs, read_csv, read_tensorboard, read_wandb
from scaling_callback.importing.csv import COLUMNS
from scaling_callback.importing.wandb import read_filter
from scaling_callback.ladder import Ladder
from scaling_callback.reporting.audit.form import write_form
from scaling_callback.reporting.words.imports import describe_import, show_import
from scaling_callback.tables import is_table
from scaling_callback.terminal import Progress

OPTIONS = {
    "loss": "the metric that is the loss (default: the one that is called like a validation loss)",
    "tokens": "the metric that counts the tokens seen so far (default: by its name)",
    "tokens-per-step": "tokens of one step, where no metric counts tokens: a number, or a key of the configuration",
    "step": "the metric that counts the steps of the training, where the source has none of its own",
    "lr": "the metric that is the learning rate (default: by its name)",
    "params": "N: a number, or a key of the configuration or summary (default: by its name)",
    "total-tokens": "the tokens that a run is planned to train on: a number or a key (default: by its name)",
    "schedule": "the learning-rate schedule: a key, or its name, such as cosine (default: by its name)",
    "peak-lr": "the highest learning rate: a number or a key (default: by its name)",
    "seed": "the seed: a key (default: by its name)",
}
"""Which key of the source holds what."""


def import_wandb(options: argparse.Namespace) -> Output:
    """`import-wandb`: the runs of a project, as they stand by now."""
    filters = {"$and": [read_filter(text) for text in options.filter]} if options.filter else None
    return _import(options, read_wandb(options.source, filters=filters), f"W&B project {options.source}")


def import_tensorboard(options: argparse.Namespace) -> Output:
    """`import-tensorboard`: each folder of event files is a run."""
    return _import(options, read_tensorboard(options.source), options.source)


def import_csv(options: argparse.Namespace) -> Output:
    """`import-csv`: each name in the column `run`, or each `metrics.csv` of a folder, is a run."""
    others: dict[str, str] = {}
    for name, column in options.map:
        option = name.replace("-", "_")
        if option in {f"{key}".replace("-", "_") for key in OPTIONS}:
            if getattr(options, option) is not None:
                raise InputError(f"{name} is given twice; give --{name.replace('_', '-')} or --map, once")
            setattr(options, option, column)
        elif name in others:
            raise InputError(f"--map {name} is given twice; give it once")
        else:
            others[name] = column
    return _import(options, read_csv(options.source, columns=others, where=options.where), options.source)


def _import(options: argparse.Namespace, records: Iterable[Record], place: str) -> Output:
    if is_table(options.output):
        raise InputError(f"{options.output} is a file, or is called like a table; give --output the folder of a ladder")
    said = {f.name: getattr(options, f.name) for f in fields(Keys) if f.name != "keep"}
    ladder = Ladder(options.output)
    with Progress("runs") as progress:
        made = import_runs(
            records,
            ladder,
            Keys(**said, keep=tuple(options.keep)),
            place=place,
            only=options.only,
            unfinished=options.unfinished,
            progress=progress,
        )
    ladder.leave_form(write_form())
    output = describe_import(made)
    return output, show_import(output)


def _add_filter(command: argparse.ArgumentParser) -> None:
    _add_options(command, "ENTITY/PROJECT")
    command.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="runs that W&B selects, such as state=finished or config.width=512, or JSON in its own language",
    )


def _add_columns(command: argparse.ArgumentParser) -> None:
    _add_options(command, "FILE")
    command.add_argument(
        "--map",
        action="append",
        type=read_mapping,
        default=[],
        metavar="NAME=COLUMN",
        help=f"a column by another name: any of the above, or {', '.join(COLUMNS)}",
    )
    add_where(command)


def _add_options(command: argparse.ArgumentParser, source: str) -> None:
    command.add_argument("source", type=_read_given, metavar=source, help="where the runs are")
    command.add_argument(
        "--output", required=True, type=_read_given, metavar="LADDER", help="the folder or URL of the ladder"
    )
    for option, words in OPTIONS.items():
        command.add_argument(f"--{option}", type=_read_given, metavar="KEY", help=words)
    repeated: Sequence[tuple[str, str, str]] = (
        ("keep", "KEY", "a further key of the configuration to keep, for --where"),
        ("only", "NAME", "import runs of this name alone; * stands for anything"),
        ("unfinished", "NAME", "runs of this name are still training, or were cut; * stands for anything"),
    )
    for option, metavar, words in repeated:
        command.add_argument(f"--{option}", action="append", type=_read_given, default=[], metavar=metavar, help=words)


def _read_given(value: str) -> str:
    """What is typed; an empty one is a variable that was never set."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return value


IMPORT_WANDB = Command(
    "import-wandb",
    "Bring the runs of a W&B project into a ladder.",
    "import-wandb my-team/ladder --tokens-per-step config.batch_tokens --output ladder/",
    "12 runs: 12 added; again later, those that were active are updated",
    _add_filter,
    import_wandb,
)
IMPORT_TENSORBOARD = Command(
    "import-tensorboard",
    "Bring the runs of a folder of TensorBoard's event files into a ladder.",
    "import-tensorboard lightning_logs/ --loss val/loss --params n_params --output ladder/",
    "each folder with event files is a run",
    lambda command: _add_options(command, "DIR"),
    import_tensorboard,
)
IMPORT_CSV = Command(
    "import-csv",
    "Bring the runs of a table, or of a folder of Lightning's CSVLogger, into a ladder.",
    "import-csv metrics.csv --map loss=val/loss --map tokens=seen --params 124M --output ladder/",
    "each name in the column run is a run; without one the file is",
    _add_columns,
    import_csv,
)
