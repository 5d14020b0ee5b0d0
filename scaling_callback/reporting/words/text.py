"""Results in words: what a person wants first, then tables in units that people say, then what to be wary of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scaling_callback.reporting.units import (
    format_count,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
    number,
)
from scaling_callback.reporting.words.advice import count_doubts, list_doubts, list_set_aside
from scaling_callback.reporting.words.layout import Answer, Notes, Table, Verdict
from scaling_callback.reporting.words.lines import make_visible, shorten, show_ends

SHOWN_REASONS = 3
"""Reasons for missing forecasts that are listed, the most frequent ones."""

SHOWN_RUNS = 40
"""Runs that are listed: of more the verdict would have left the screen."""

LONGEST_NAME = 40
"""Columns of a run's name."""


def show_source(result: Mapping[str, Any]) -> Answer:
    """`validate` in words."""
    problems, last = result["problems"], result["last"]
    found = number(len(problems), "problem") if problems else "no problems"
    head = f"{number(result['runs'], 'run')}, {number(result['observations'], 'observation')}, {found}"
    reach = [
        (
            name,
            f"{number(len(values), noun)}, {' to '.join(map(format_count, sorted({min(values), max(values)})))}",
        )
        for name, noun in (("params", "size"), ("tokens", "length"))
        if (values := {run[name] for run in last})
    ]
    rows = [
        (
            _cut(str(run["run"])),
            format_count(run["params"]),
            format_count(run["tokens"]),
            format_loss(run["loss"]),
            format_percent(run["progress"]),
        )
        for run in last[:SHOWN_RUNS]
    ]
    more = [f"and {number(len(last) - SHOWN_RUNS, 'more run')}: --json lists all"] if len(last) > SHOWN_RUNS else []
    return [
        Verdict(head, sure=not problems),
        Table(reach, words=(0, 1)),
        Notes("problems:", problems, grave=True),
        Notes("assumed:", result["assumed"]),
        Notes("excluded:", [f"{_cut(name)}: {why}" for name, why in result["excluded"].items()]),
        Table(rows, ("run", "params", "tokens", "loss", "progress")),
        Notes("", more),
    ]


def _cut(name: str) -> str:
    """A run's name as it is shown, and no longer than leaves room for its numbers."""
    return shorten(make_visible(name), LONGEST_NAME)


def show_fit(result: Mapping[str, Any]) -> Answer:
    """`fit` in words."""
    params: Mapping[str, float] = result["params"]
    ends, borrowed = result["intervals"], result["borrowed"]
    names = "|".join(sorted(map(re.escape, params), key=len, reverse=True))
    law = re.sub(rf"\b(?:{names})\b", lambda found: format_value(params[found[0]]), result["equation"])
    sure = result["status"] == "converged"
    said = "" if sure else f"; {result['status'].replace('_', ' ')}"
    columns = ["parameter", "value"]
    if ends:
        columns.append(f"{format_level(result['level'])} interval")
    if borrowed:
        columns.append("held at")
    rows = [
        (
            name,
            format_value(value),
            *([show_ends(ends.get(name), format_value)] if ends else []),
            *([borrowed[name]["source"] if name in borrowed else ""] if borrowed else []),
        )
        for name, value in params.items()
    ]
    proof = result["certificate"]
    agree = f"{proof['agreeing']} of {number(proof['starts'], 'search', 'searches')} agree"
    facts = [
        ("law", result["equation"] + (", of parameters N and tokens D" if "L(N, D" in result["equation"] else "")),
        (
            "fitted to",
            f"{number(result['n_observations'], 'point')} of {number(result['n_runs'], 'run')}",
        ),
        ("search", f"{result['status'].replace('_', ' ')}, {agree}"),
        ("objective", f"{result['objective']:.6g} ({result['minimised']})"),
    ]
    if not ends:
        facts.append(("intervals", "none yet: --bootstrap 1000 gives them"))
    return [
        Verdict(law + said + count_doubts(result["diagnostics"]), sure=sure),
        Table(rows, columns, words=(0, 3)),
        Table(facts, words=(0, 1)),
        list_doubts(f"{name}: {text}" for name, text in result["diagnostics"].items()),
        *list_set_aside(result),
    ]


def show_sensitivity(result: Mapping[str, Any]) -> Answer:
    """The part of `fit --sensitivity` that the fit itself does not say."""
    said: list[str] = []
    for among, words in (("converged", "certified optima"), ("all", "all rows")):
        loss, ratio = (result["spread"][among][name] for name in ("loss", "tokens_per_param"))
        said.append(
            f"{words}: loss {show_ends((loss['lowest'], loss['highest']), format_loss)}, "
            f"tokens per param {show_ends((ratio['lowest'], ratio['highest']), format_value)}"
        )
    bounded = any(row["intervals"] for row in result["rows"])
    interval = [f"{format_level(result['level'])} interval"] if bounded else []
    rows: list[tuple[str, ...]] = []
    for row in result["rows"]:
        over = f"{row['over_optimum']:.3g} x optimum" if row["group"] == "procedure" and row["over_optimum"] else ""
        cells = [row["choice"], str(row["n_observations"])]
        cells += [format_value(row[name]) for name in ("E", "alpha", "beta")]
        for name, form in (("tokens_per_param", format_value), ("loss", format_loss)):
            cells += [form(row[name]), *([show_ends(row["intervals"].get(name), form)] if bounded else [])]
        rows.append((*cells, over or row["status"].replace("_", " ")))
    columns = ("choice", "points", "E", "alpha", "beta", "tokens per param", *interval, "loss", *interval, "objective")
    spare: dict[str, Sequence[int]] = {"points, E, alpha, beta": (1, 2, 3, 4)}
    if bounded:
        spare |= {"intervals of the loss": (8,), "intervals of tokens per param": (6,)}
    return [
        Notes(f"under other choices, at the optimum for {format_flops(result['flops'])} FLOPs:", said),
        Table(rows, columns, words=(0, len(columns) - 1), strong=(0,), spare=spare),
        Notes(
            "published procedures that do not find the optimum here:",
            [f"{row['choice']}: {row['verdict']}" for row in result["rows"] if row["status"] == "stalled"],
        ),
        Notes("choices that these runs do not carry:", [f"{name}: {why}" for name, why in result["skipped"].items()]),
    ]


def show_forecast(result: Mapping[str, Any]) -> Answer:
    """`forecast` in words."""
    target, interval, record = result["target"], result["interval"], result["track_record"]
    ends = show_ends((interval["lower"], interval["upper"]), format_loss)
    what = f"{format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens"
    said = f"loss {format_loss(result['median'])} ({format_level(interval['level'])} interval {ends}) for {what}"
    facts = [
        ("best loss so far", format_loss(result["baselines"].get("best_loss"))),
        ("loss at most compute", format_loss(result["baselines"].get("most_compute"))),
    ]
    if record["forecasts"]:
        past = f"{number(record['forecasts'], 'forecast')} of these runs from earlier ones"
        missed = f"missed by {format_percent(record['are'])} on average"
        facts.append(("track record", f"{past} {missed}; {format_percent(record['coverage'])} within their interval"))
    for index, (name, part) in enumerate(result["combines"].items()):
        line = f"{format_loss(part['median'])} by {name}, weight {part['weight']:.2f}"
        if (past := record["members"].get(name)) and past["forecasts"]:
            line += f"; missed by {format_percent(past['are'])} on average"
        facts.append(("combines" if index == 0 else "", line))
    return [
        Verdict(said + count_doubts(result["warnings"])),
        Table(facts, words=(0, 1)),
        list_doubts(result["warnings"]),
        *list_set_aside(result),
    ]


def show_replay(result: Mapping[str, Any], level: float, *, own: bool = False) -> Answer:
    """`replay` in words: by how much the default missed, and how often its intervals of that level held."""
    summary: Mapping[str, Mapping[str, Any]] = result["summary"]
    default = summary["default"]
    shares = [_say_share(fraction) for fraction in default]
    of = "of its run" if own else "of the compute"
    asked = sum(cell["asked"] for cell in default.values())
    answered = sum(cell["answered"] for cell in default.values())
    said = [(share, cell["are"]) for share, cell in zip(shares, default.values(), strict=True) if cell["answered"]]
    if said:
        missed = [f"{format_percent(are)} after {share}" for share, are in dict([said[0], said[-1]]).items()]
        sure, verdict = True, f"the default forecast missed by {' and '.join(missed)} {of}"
        held = [round(cell["coverage"] * cell["answered"]) for cell in default.values() if cell["coverage"] is not None]
        if held:
            losses = number(answered, "measured loss", "measured losses")
            verdict += f"; its {format_level(level)} intervals held {sum(held)} of {losses}"
    else:
        sure, verdict = False, f"none of {number(asked, 'forecast')} could be made, for the reasons below"
    errors = [(name, *(_say_error(cell) for cell in cells.values())) for name, cells in summary.items()]
    checks = [
        (f"intervals of {name} that held", *(_say_held(cell) for cell in cells.values()))
        for name, cells in summary.items()
        if any(cell["coverage"] is not None for cell in cells.values())
    ]
    checks.append(("forecasts of default", *(f"{cell['answered']}/{cell['asked']}" for cell in default.values())))
    reasons = Counter(row["reason"] for row in result["rows"] if row["reason"] and row["forecaster"] == "default")
    return [
        Verdict(verdict, sure=sure),
        Table(errors, ("", *shares), heading=f"mean error, % of the loss, after this share {of}:", strong=(0,)),
        Table(checks, ("", *shares), heading="checks, after the same shares:"),
        Notes(
            "no forecast:",
            [f"{number(count, 'time')}: {reason}" for reason, count in reasons.most_common(SHOWN_REASONS)],
        ),
    ]


def _say_share(fraction: str) -> str:
    """A share as it was typed, in percent."""
    try:
        return format_level(float(fraction))
    except ValueError:  # typed with a suffix
        return fraction


def _say_error(cell: Mapping[str, Any]) -> str:
    return "none" if cell["are"] is None else f"{100 * cell['are']:.2f}"


def _say_held(cell: Mapping[str, Any]) -> str:
    return "none" if cell["coverage"] is None else f"{100 * cell['coverage']:.0f}%"


def show_report(result: Mapping[str, Any]) -> Answer:
    """`report` in words."""
    lists: Mapping[str, Sequence[int]] = result["checklist"]
    where = f" in {result['card']}" if result["card"] else " (--card FILE writes a form for them)"
    return [
        Verdict(
            f"wrote {result['output']}; of the 26 questions a reviewer asks, {len(lists['answered'])} are answered, "
            f"{len(lists['asked'])} wait for you{where}, {len(lists['unanswered'])} are open"
        )
    ]
