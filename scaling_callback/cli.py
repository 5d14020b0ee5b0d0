"""The command line: read, refresh, print. No logic lives here.

`scaling-callback` and `python -m scaling_callback` are the same program. Exit 0 on success, 2 on bad usage or
bad input with one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling_callback import pipeline
from scaling_callback.allocating import UNCONSTRAINED
from scaling_callback.arguments import (
    check_output,
    check_replicates,
    check_suffix,
    read_constraints,
)
from scaling_callback.commands import make_parser
from scaling_callback.errors import EmptyTable, InputError, NotEnoughData, ScalingError, ScalingWarning
from scaling_callback.fitting import fewest_replicates
from scaling_callback.forecasting import best_runs, included
from scaling_callback.forms import find_answers
from scaling_callback.ladder import Ladder
from scaling_callback.laws.muennighoff import UNIQUE
from scaling_callback.records import IssuedForecast, Run
from scaling_callback.replaying import FRACTIONS, OWN_FRACTIONS, PROTOCOLS, Goal, hold_out, replay, replay_own
from scaling_callback.reporting import results, text, verdicts
from scaling_callback.reporting.layout import Answer, Verdict
from scaling_callback.snapshot import Config
from scaling_callback.tables import check_table, is_table, read_table, read_targets
from scaling_callback.terminal import Progress, one_line, show, tell

SPLIT_REPLICATES = 1000
"""The ends of an interval of D/N from fewer move by a tenth with the seed."""

LONGEST_REASON = 200
"""Of a library's own message a person reads no more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = argparse.Namespace(source="")
    try:
        options = make_parser().parse_args(arguments)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            output, words = COMMANDS[options.command](options)
        for warning in caught:
            if issubclass(warning.category, ScalingWarning):
                tell(f"warning: {one_line(warning.message)}", grave=True)
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
    tell(f"scaling-callback: {one_line(words)}", grave=True)
    return 2


def _json(output: dict[str, Any]) -> str:
    """One JSON object in ASCII without control characters: of those `json` leaves DEL as it is."""
    return json.dumps(results.to_json_values(output), allow_nan=False).replace("\x7f", "\\u007f")


def _validate(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    if is_table(options.source):
        runs, problems = check_table(options.source, where=options.where, params=options.params)
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            runs, _ = _read(options, some=False)
        problems = [str(w.message) for w in caught if issubclass(w.category, ScalingWarning)]
        if not (runs or problems):
            raise _no_runs(options.source)
    try:
        problems = [*problems, *UNCONSTRAINED.doubt_cost(runs).values()]
    except InputError as odd:
        problems = [*problems, str(odd)]
    output = results.describe_source(runs, problems)
    return output, text.show_source(output)


def _fit(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
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
    return output, [*text.show_fit(output), *text.show_sensitivity(output["sensitivity"])]


def _forecast(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    runs, issued = _read(options)
    with Progress("bootstrap") as progress:
        snapshot = pipeline.refresh(
            runs,
            issued,
            replace(_config(options), target=options.target, splits=False, past=False),
            progress,
        )
    if snapshot.forecast is None:
        raise NotEnoughData(snapshot.absent["forecast"])
    if not math.isfinite(snapshot.forecast.median):
        raise InputError(f"{options.source}: the forecast is no finite number; are params and tokens plain counts?")
    output = results.describe_forecast(snapshot)
    return output, text.show_forecast(output)


def _allocate(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    runs, _ = _read(options)
    config = _constrain(_config(options), options)
    config = replace(config, replicates=max(config.replicates, SPLIT_REPLICATES))
    with Progress("bootstrap") as progress:
        output = results.describe_allocation(pipeline.allocate(runs, options.flops, config, progress))
    output |= results.describe_evidence(pipeline.gather(runs, config), runs)
    return output, verdicts.show_allocation(output)


def _compare(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    sources = ((options.source, options.where_a), (options.other, options.where_b))
    names = [" ".join([source, *(f"{column}={value}" for column, value in own)]) for source, own in sources]
    one, other = (
        _read(argparse.Namespace(**{**vars(options), "source": source, "where": [*options.where, *own]}))[0]
        for source, own in sources
    )
    try:
        made = pipeline.compare(one, other, options.target, _config(options), names=(names[0], names[1]))
    except NotEnoughData as error:  # it names the one of the two
        raise InputError(str(error)) from None
    output = results.describe_comparison(made, (names[0], names[1]))
    return output, verdicts.show_comparison(output)


def _plan(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    runs, _ = _read(options, some=False, new=True)
    with Progress("plan") as progress:
        made = pipeline.plan(runs, options.target, options.flops, _config(options), progress)
    output = results.describe_plan(made)
    if not runs:
        output["notes"].insert(0, f"no_ladder: {options.source} holds no run yet: this is a first ladder")
    return output, verdicts.show_plan(output)


def _replay(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
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


def _report(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    from scaling_callback.reporting import WRITERS, checklist_numbers, gather

    path = Path(options.output)
    write = WRITERS[check_suffix(path, WRITERS)]
    check_output(path, options.source)
    runs, issued = _read(options)
    answers = find_answers(options.source, options.card)
    with Progress("report") as progress:
        config = _constrain(_config(options), options)
        config = replace(config, target=options.target, flops=options.flops, sensitivity=True)
        snapshot = pipeline.refresh(runs, issued, config, progress)
    try:
        page = write(gather(snapshot, answers))
    except (ValueError, ArithmeticError) as error:  # axes of counts that no training has overflow in many places
        raise InputError(
            f"{options.source}: no figure can be drawn of such numbers ({error}); are params and tokens plain counts?"
        ) from None
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); give --output a path that can") from None
    output = {"output": str(path), "checklist": checklist_numbers(snapshot, answers)}
    return output, text.show_report(output)


def _dashboard(options: argparse.Namespace) -> tuple[dict[str, Any], Answer]:
    from scaling_callback.sinks.workspace import build_workspace, describe_workspace, save_workspace

    entity, project = options.project
    workspace = build_workspace(project, entity, prefix=options.prefix, ladder=options.ladder)
    if options.json:
        return describe_workspace(workspace), []
    return {}, [Verdict(f"saved: {save_workspace(workspace)}")]


def _read(
    options: argparse.Namespace, *, some: bool = True, new: bool = False
) -> tuple[tuple[Run, ...], tuple[IssuedForecast, ...]]:
    """Runs (at least one, if there must be `some`) and issued forecasts of a table or a ladder.

    With `new` a table may be empty, and the folder of a ladder need not exist yet.
    """
    if is_table(options.source):
        try:
            return read_table(options.source, where=options.where, params=options.params), ()
        except EmptyTable:
            if new:
                return (), ()
            raise
    # the plugin behind a URL raises what it likes
    failures = Exception if ":" in options.source else OSError
    try:
        ladder = Ladder(options.source)
        if not ladder.exists():
            if new and not Path(options.source).exists():
                return (), ()
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


def _constrain(config: Config, options: argparse.Namespace) -> Config:
    """The same with what a split must heed."""
    unique = {UNIQUE: options.unique_tokens} if options.unique_tokens else {}
    return replace(config, further={**config.further, **unique}, constraints=read_constraints(options))


def _config(options: argparse.Namespace) -> Config:
    return Config(
        law=options.law,
        runs=options.runs,
        level=options.level,
        replicates=max(Config.replicates, fewest_replicates(options.level)),
        seed=options.seed,
        further=dict(options.further),
    )


COMMANDS: dict[str, Callable[[argparse.Namespace], tuple[dict[str, Any], Answer]]] = {
    "validate": _validate,
    "fit": _fit,
    "forecast": _forecast,
    "allocate": _allocate,
    "compare": _compare,
    "plan": _plan,
    "replay": _replay,
    "report": _report,
    "dashboard": _dashboard,
}
"""What each command does: its answer as data, and in words."""
