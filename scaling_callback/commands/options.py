"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
from dataclasses import replace

from scaling_callback.allocating import Constraints
from scaling_callback.arguments import (
    MOST_SEED,
    count_to,
    read_constraints,
    read_fixed,
    read_further,
    read_level,
    read_pair,
    read_shape,
    read_source,
    read_target,
    read_tokens,
)
from scaling_callback.fitting import fewest_replicates
from scaling_callback.laws import LAWS
from scaling_callback.laws.muennighoff import UNIQUE
from scaling_callback.snapshot import Config


def add_sources(command: argparse.ArgumentParser, sources: tuple[str, ...] = ("SOURCE",)) -> None:
    """What a command reads, which of it, and how: the options of every command that asks a ladder."""
    for place, metavar in zip(("source", "other"), sources, strict=False):
        command.add_argument(
            place, type=read_source, metavar=metavar, help="an observation table, or a ladder folder or URL"
        )
    add_where(command)
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


def add_where(command: argparse.ArgumentParser) -> None:
    """Which rows are read."""
    command.add_argument(
        "--where",
        action="append",
        type=read_pair,
        default=[],
        metavar="COLUMN=VALUE",
        help="keep these rows; several columns are AND, one column repeated is OR",
    )


def add_target(command: argparse.ArgumentParser, *, budget: bool = True, required: bool = True) -> None:
    """What the forecast is for."""
    command.add_argument(
        "--target",
        type=read_target,
        required=required,
        metavar="params=N,tokens=D",
        help="what the forecast is for: params=7e9,tokens=4e12" + (", or flops=5.9e23" if budget else ""),
    )


def add_constraints(command: argparse.ArgumentParser) -> None:
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
    add_counting(command, shape=True)


def add_counting(command: argparse.ArgumentParser, *, shape: bool = False) -> None:
    """How FLOPs are counted; `None` where it is not said. With `shape`, also by a model of the family."""
    counted = command.add_mutually_exclusive_group()
    if shape:
        counted.add_argument(
            "--shape",
            type=read_shape,
            metavar="layers=L,width=W,context=T",
            help="one model of the family: attention is counted beside 6 N D",
        )
    counted.add_argument(
        "--counting",
        choices=("measured", "6nd"),
        help=f"FLOPs as the runs measured them, where all did, or 6 N D (default: {Constraints.counting})",
    )


def read_config(options: argparse.Namespace) -> Config:
    """What is asked, as far as it is the same for every command."""
    return Config(
        law=options.law,
        runs=options.runs,
        level=options.level,
        replicates=max(Config.replicates, fewest_replicates(options.level)),
        seed=options.seed,
        further=dict(options.further),
    )


def constrain(config: Config, options: argparse.Namespace) -> Config:
    """The same with what a split must heed."""
    unique = {UNIQUE: options.unique_tokens} if options.unique_tokens else {}
    return replace(config, further={**config.further, **unique}, constraints=read_constraints(options))
