"""The command line: read, refresh, print. No logic lives here.

`scaling-callback` and `python -m scaling_callback` are the same program. Exit 0 on success, 2 on bad usage or
bad input with one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from scaling_callback import pipeline
from scaling_callback.arguments import (
    MOST_REPLICATES,
    MOST_SEED,
    check_output,
    check_replicates,
    count_to,
    fewest_replicates,
    read_borrowed,
    read_budget,
    read_further,
    read_level,
    read_pair,
    read_shares,
    read_source,
    read_split,
    read_target,
)
from scaling_callback.curves import METHODS
from scaling_callback.errors import InputError, NotEnoughData, ScalingError, ScalingWarning
from scaling_callback.fitting import OBJECTIVES
from scaling_callback.forecasting import FORECASTERS, POLICIES, best_runs
from scaling_callback.ladder import Ladder
from scaling_callback.laws import LAWS
from scaling_callback.laws.published import PUBLISHED
from scaling_callback.records import IssuedForecast, Run
from scaling_callback.replaying import FRACTIONS, OWN_FRACTIONS, PROTOCOLS, Goal, hold_out, replay, replay_own
from scaling_callback.reporting import results, text
from scaling_callback.snapshot import Config
from scaling_callback.tables import check_table, is_table, read_table, read_targets
from scaling_callback.terminal import Progress, one_line, show, tell

LONGEST_REASON = 200
"""Of a library's own message a person reads no more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = argparse.Namespace(source="")
    try:
        options = _parser().parse_args(arguments)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            output, words = options.command(options)
        for warning in caught:
            if issubclass(warning.category, ScalingWarning):
                tell(f"warning: {one_line(warning.message)}")
        show(_json(output) if options.json else words)
    except NotEnoughData as error:
        return _refuse(f"{options.source}: {error}")
    except (ScalingError, OSError) as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        tell("scaling-callback: interrupted")
        return 130
    return 0


def _refuse(words: str) -> int:
    tell(f"scaling-callback: {one_line(words)}")
    return 2


def _json(output: dict[str, Any]) -> str:
    """One JSON object in ASCII without control characters: of those `json` leaves DEL as it is."""
    return json.dumps(results.to_json_values(output), allow_nan=False).replace("\x7f", "\\u007f")


def _validate(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if is_table(options.source):
        runs, problems = check_table(options.source, where=options.where, params=options.params)
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            runs, _ = _read(options, some=False)
        problems = [str(w.message) for w in caught if issubclass(w.category, ScalingWarning)]
        if not (runs or problems):
            raise _no_runs(options.source)
    output = results.describe_source(runs, problems)
    return output, text.show_source(output)


def _fit(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    check_replicates(options.bootstrap, options.level)
    runs, _ = _read(options)
    config = replace(
        _config(options),
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
        panel = pipeline.vary_choices(runs, replace(config, flops=options.flops), progress)
    output["sensitivity"] = results.describe_sensitivity(panel)
    return output, text.show_fit(output) + "\n" + text.show_sensitivity(output["sensitivity"])


def _forecast(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    runs, issued = _read(options)
    with Progress("bootstrap") as progress:
        snapshot = pipeline.refresh(runs, issued, replace(_config(options), target=options.target), progress)
    if snapshot.forecast is None:
        raise NotEnoughData(snapshot.absent["forecast"])
    if not math.isfinite(snapshot.forecast.median):
        raise InputError(f"{options.source}: the forecast is no finite number; are params and tokens plain counts?")
    output = results.describe_forecast(snapshot)
    return output, text.show_forecast(output)


def _allocate(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    runs, _ = _read(options)
    config = _config(options)
    if options.unique_tokens is not None:
        config = replace(config, further={**config.further, "unique_tokens": options.unique_tokens})
    with Progress("bootstrap") as progress:
        output = results.describe_allocation(pipeline.allocate(runs, options.flops, config, progress))
    output |= results.describe_evidence(pipeline.gather(runs, config), runs)
    return output, text.show_allocation(output)


def _replay(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    runs, _ = _read(options)
    typed = options.at or tuple((f"{share:g}", share) for share in (OWN_FRACTIONS if options.own else FRACTIONS))
    config = replace(_config(options), target=None)
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
    return output, text.show_replay(output)


def _hold_out(options: argparse.Namespace, runs: Sequence[Run]) -> tuple[Sequence[Run], Sequence[Goal]]:
    """The ladder and the goals, by the one of three options that was given."""
    chosen = best_runs(runs) if options.runs == "best" else runs
    if options.targets is None:
        return hold_out(chosen, largest=options.largest or 0, split=options.split)
    held = read_targets(options.targets, where=options.where, params=options.params)
    names = {run.name for run in held}
    goals = [
        Goal(run.params, seen.tokens, seen.loss, run.name)
        for run in held
        for seen in run.curve
        if math.isfinite(seen.loss)
    ]
    return [run for run in chosen if run.name not in names], goals


def _report(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from scaling_callback.reporting import checklist_numbers, render_html

    path = Path(options.output)
    check_output(path, options.source)
    runs, issued = _read(options)
    with Progress("bootstrap") as progress:
        config = replace(_config(options), target=options.target, sensitivity=True)
        snapshot = pipeline.refresh(runs, issued, config, progress)
    try:
        page = render_html(snapshot)
    except (ValueError, ArithmeticError) as error:  # axes of counts that no training has overflow in many places
        raise InputError(
            f"{options.source}: no figure can be drawn of such numbers ({error}); are params and tokens plain counts?"
        ) from None
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give --output a path that can") from None
    output = {"output": str(path), "checklist": checklist_numbers(snapshot)}
    return output, text.show_report(output)


def _read(options: argparse.Namespace, *, some: bool = True) -> tuple[tuple[Run, ...], tuple[IssuedForecast, ...]]:
    """Runs (at least one, if there must be `some`) and issued forecasts of a table or a ladder."""
    if is_table(options.source):
        return read_table(options.source, where=options.where, params=options.params), ()
    # the plugin behind a URL raises what it likes
    failures = Exception if ":" in options.source else OSError
    try:
        ladder = Ladder(options.source)
        if not ladder.exists():
            raise InputError(
                f"{options.source} does not exist; give a table (.csv, .jsonl, .parquet) or a ladder folder"
            )
        runs, issued = ladder.runs(where=options.where, params=options.params), ladder.issued()
    except ScalingError:
        raise
    except failures as error:
        reason = (one_line(error) or type(error).__name__)[:LONGEST_REASON]
        raise InputError(
            f"{options.source} cannot be read as a ladder ({reason}); check its name, and that you may open it"
        ) from None
    if some and not runs:
        raise _no_runs(options.source)
    return runs, issued


def _no_runs(source: str) -> InputError:
    return InputError(f"{source} holds no run that can be read; give the folder that the callback was given")


def _config(options: argparse.Namespace) -> Config:
    return Config(
        law=options.law,
        runs=options.runs,
        level=options.level,
        replicates=max(Config.replicates, fewest_replicates(options.level)),
        seed=options.seed,
        further=dict(options.further),
    )


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="scaling-callback", description="Forecast the loss of a large model from a ladder of small runs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _command(commands, "validate", _validate, "Say what a table or ladder holds, and what is odd about it.")
    _example(command, "validate ladder.csv", "12 runs, 144 observations, no problems")

    command = _command(commands, "fit", _fit, "Fit a scaling law and say how far it can be trusted.")
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

    command = _command(commands, "forecast", _forecast, "Forecast the loss of a target.")
    _example(command, "forecast ladder/ --target params=7e9,tokens=4e12", "the loss of 7B parameters on 4T tokens")
    _add_target(command)

    command = _command(commands, "allocate", _allocate, "Split a compute budget into parameters and tokens.")
    _example(command, "allocate ladder.csv --flops 5.88e23", "optimal N and D, or why they cannot be told")
    command.add_argument("--flops", type=read_budget, required=True, metavar="C", help="budget, C = 6 N D")
    command.add_argument(
        "--unique-tokens", type=read_budget, metavar="U", help="unique tokens there are, for a law that counts them"
    )

    command = _command(
        commands, "replay", _replay, "Walk a finished ladder as if it were happening: how right, how early."
    )
    _example(
        command, "replay ladder.csv --largest 1", "errors of every forecaster at 25, 50, 75 and 100% of the compute"
    )
    held = command.add_mutually_exclusive_group(required=True)
    held.add_argument("--targets", metavar="TABLE", help="measurements to forecast; runs in it are left out of SOURCE")
    held.add_argument("--largest", type=count_to(10**6), metavar="K", help="hold out every run of the K largest sizes")
    held.add_argument(
        "--split",
        type=read_split,
        metavar="A,B",
        help="by params * tokens: the runs below share A forecast those from B",
    )
    held.add_argument("--own", action="store_true", help="forecast each run's own final loss from its prefix")
    command.add_argument(
        "--at", type=read_shares, metavar="Q,...", help="shares of the compute (with --own: of the run) to ask at"
    )
    command.add_argument(
        "--order", choices=("planned", "as-recorded"), default="planned", help="how runs follow (default: %(default)s)"
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

    command = _command(commands, "report", _report, "Write a report that a person can open.")
    _example(command, "report ladder/ --target params=7e9,tokens=4e12 --output report.html", "one HTML file")
    _add_target(command)
    command.add_argument("--output", required=True, metavar="FILE.html", help="where to write it")
    return parser


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], tuple[dict[str, Any], str]], summary: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.set_defaults(command=function)
    command.add_argument(
        "source", type=read_source, metavar="SOURCE", help="an observation table, or a ladder folder or URL"
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


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--target",
        type=read_target,
        required=True,
        metavar="params=N,tokens=D",
        help="what the forecast is for: params=7e9,tokens=4e12, or flops=5.9e23",
    )


class _Parser(argparse.ArgumentParser):
    """One line on standard error, as for every other mistake."""

    def error(self, message: str) -> NoReturn:
        tell(f"{self.prog}: {one_line(message)}; see {self.prog} --help")
        raise SystemExit(2)

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002  (argparse's own signature)
        """Print as every other answer is printed."""
        show(self.format_help().rstrip("\n"))
