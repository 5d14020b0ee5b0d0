"""`audit-stops`: what stopping rules would have done to a ladder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import get_args

from scaling_callback.arguments import read_pair, read_shares
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources, add_target, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.errors import InputError
from scaling_callback.replaying import LOOKS, GroupOrder, audit_stops
from scaling_callback.reporting.stops import describe_audit
from scaling_callback.reporting.words.stops import show_audit
from scaling_callback.stopping import RULES, Rule, make_rule
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    command.add_argument(
        "--rule",
        action="append",
        choices=tuple(RULES),
        required=True,
        metavar="NAME",
        help=f"one of: {', '.join(RULES)}; of several any one ends a run",
    )
    command.add_argument(
        "--set",
        action="append",
        type=read_pair,
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the rule, as listed below, such as patience=2; of one of several rules: RULE.KEY=VALUE",
    )
    add_target(command, required=False)
    command.add_argument(
        "--at",
        type=read_shares,
        metavar="Q,...",
        help="shares of its horizon at which a run is looked at (default: 40, from 0.01 to 0.975)",
    )
    command.add_argument(
        "--acting",
        action="store_true",
        help="see earlier runs as the rule left them, as where it acts; by default whole, as in shadow mode",
    )
    command.add_argument(
        "--order",
        choices=get_args(GroupOrder),
        default="together",
        help="whether runs of one size and horizon train side by side, or one after another (default: %(default)s)",
    )
    command.add_argument_group(
        "settings of the rules, and their defaults", "\n".join(map(_list_settings, RULES.values()))
    )


def _list_settings(kind: type[Rule]) -> str:
    said = (
        (each.name.replace("_", "-"), "none" if each.default is None else f"{each.default:g}") for each in fields(kind)
    )
    return f"{kind.name}: " + ", ".join(f"{name}={default}" for name, default in said)


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    rules = _make_rules(options.rule, options.set)
    for rule in rules:
        if options.target is None and rule.needs_target:
            raise InputError(
                f"{rule.name} looks at a forecast, and none is asked for; give --target params=7B,tokens=4T"
            )
    looks = tuple(share for _, share in options.at) if options.at else LOOKS
    runs, _ = read_runs(options)
    config = replace(read_config(options), target=options.target)
    with Progress("audit-stops") as progress:
        made = audit_stops(
            runs, rules, config, looks=looks, acting=options.acting, order=options.order, progress=progress
        )
    output = describe_audit(made, rules, order=options.order)
    return output, show_audit(output)


def _make_rules(names: Sequence[str], typed: Sequence[tuple[str, str]]) -> list[Rule]:
    """The rules, each with the settings that it has.

    Raises:
        InputError: A rule or setting is given twice, no rule has a setting, or it does not take a value.
    """
    settings: dict[str, dict[str, str]] = {name: {} for name in names}
    if len(settings) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"--rule {twice} is given twice; give each rule once")
    for typed_key, value in typed:
        rule, _, key = typed_key.rpartition(".")
        if rule and rule not in settings:
            raise InputError(f"--set {typed_key}: {rule!r} is none of the rules; they are: {', '.join(settings)}")
        # a single rule says itself which settings it has
        takers = [rule] if rule else [*settings] if len(settings) == 1 else _takers(key, names)
        for taker in takers:
            if settings[taker].setdefault(key, value) != value:
                raise InputError(f"--set {typed_key} is given twice; give it once")
    return [make_rule(name, settings[name]) for name in settings]


def _takers(key: str, names: Sequence[str]) -> list[str]:
    takers = [name for name in names if key.replace("-", "_") in {each.name for each in fields(RULES[name])}]
    if not takers:
        raise InputError(f"none of {', '.join(names)} has a setting {key!r}; give --set RULE.KEY=VALUE")
    return takers


AUDIT_STOPS = Command(
    "audit-stops",
    "Replay a finished ladder with stopping rules: what they save, and what they cost.",
    "audit-stops ladder.csv --rule dominated --set probability=0.99",
    "runs stopped, the compute saved, false stops, the regret",
    add_options,
    run,
)
