"""Results for a terminal: what a person wants first, in units that people say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from scaling_callback.reporting.lines import (
    align,
    join_lines,
    list_doubts,
    list_set_aside,
    make_line,
    make_visible,
    show_ends,
)
from scaling_callback.reporting.units import (
    format_count,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
)

SHOWN_REASONS = 3
"""Reasons for missing forecasts that are listed, the most frequent ones."""


def show_source(result: Mapping[str, Any]) -> str:
    """`validate` in words."""
    problems: Sequence[str] = result["problems"]
    rows = [("run", "params", "tokens", "loss", "progress")]
    rows += [
        (
            make_visible(str(last["run"]))[:40],
            format_count(last["params"]),
            format_count(last["tokens"]),
            format_loss(last["loss"]),
            format_percent(last["progress"]),
        )
        for last in result["last"]
    ]
    found = f"{len(problems)} problem(s):" if problems else "no problems"
    head = f"{result['runs']} run(s), {result['observations']} observation(s), {found}"
    assumed = [f"assumed of {words}" for words in result["assumed"]]
    excluded = [
        f"run {make_visible(name)} is excluded: {make_visible(why)}" for name, why in result["excluded"].items()
    ]
    return join_lines([head, *(f"  {problem}" for problem in problems), *assumed, *excluded, "", *align(rows)])


def show_fit(result: Mapping[str, Any]) -> str:
    """`fit` in words."""
    lines = [f"{result['equation']}, fitted to {result['n_observations']} points of {result['n_runs']} run(s)", ""]
    for name, value in result["params"].items():
        ends = result["intervals"].get(name)
        interval = f"   {format_level(result['level'])} {show_ends(ends, format_value)}" if ends else ""
        held = f"   from {lent['source']}" if (lent := result["borrowed"].get(name)) else ""
        lines.append(make_line(name, format_value(value) + (held or interval)))
    lines += [
        make_line("objective", f"{result['objective']:.6g}"),
        make_line("status", f"{result['status']}, {result['certificate']['agreeing']} of "
              f"{result['certificate']['starts']} searches agree"),
    ]  # fmt: skip
    return join_lines(
        lines + list_doubts(f"{name}: {text}" for name, text in result["diagnostics"].items()) + list_set_aside(result)
    )


def show_sensitivity(result: Mapping[str, Any]) -> str:
    """The part of `fit --sensitivity` that the fit itself does not say."""
    rows: list[tuple[str, ...]] = [("choice", "points", "E", "alpha", "beta", "D/N", "loss", "objective")]
    for row in result["rows"]:
        over = f"{row['over_optimum']:.3g} x optimum" if row["group"] == "procedure" and row["over_optimum"] else ""
        answer = [format_value(row[name]) for name in ("E", "alpha", "beta", "tokens_per_param")]
        rows.append(
            (row["choice"], str(row["n_observations"]), *answer, format_loss(row["loss"]), over or row["status"])
        )
    lines = ["", f"under other choices, at the optimum for {format_flops(result['flops'])} FLOPs:", *align(rows)]
    for among, words in (("converged", "certified optima"), ("all", "all rows")):
        loss, ratio = (result["spread"][among][name] for name in ("loss", "tokens_per_param"))
        lines.append(
            f"{words}: loss {show_ends((loss['lowest'], loss['highest']), format_loss)}, "
            f"D/N {show_ends((ratio['lowest'], ratio['highest']), format_value)}"
        )
    stalled = [f"  {row['choice']}: {row['verdict']}" for row in result["rows"] if row["status"] == "stalled"]
    if stalled:
        lines += ["", "published procedures that do not find the optimum here:", *stalled]
    skipped = [f"  {name}: {why}" for name, why in result["skipped"].items()]
    return join_lines([*lines, *(["", "choices that these runs do not carry:", *skipped] if skipped else [])])


def show_forecast(result: Mapping[str, Any]) -> str:
    """`forecast` in words."""
    target, interval, record = result["target"], result["interval"], result["track_record"]
    lines = [
        f"{format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens",
        "",
        make_line("forecast loss", format_loss(result["median"])),
        make_line(
            f"{format_level(interval['level'])} interval",
            show_ends((interval["lower"], interval["upper"]), format_loss),
        ),
        make_line("best loss so far", format_loss(result["baselines"].get("best_loss"))),
        make_line("most compute", format_loss(result["baselines"].get("most_compute"))),
    ]
    if record["forecasts"]:
        said = f"{record['forecasts']} earlier forecasts missed by {format_percent(record['are'])} on average"
        lines.append(make_line("track record", f"{said}; {format_percent(record['coverage'])} within their interval"))
    for index, (name, part) in enumerate(result["combines"].items()):
        said = f"{format_loss(part['median'])} by {make_visible(name)}, weight {part['weight']:.2f}"
        if (past := record["members"].get(name)) and past["forecasts"]:
            said += f"; missed by {format_percent(past['are'])} on average"
        lines.append(make_line("combines" if index == 0 else "", said))
    return join_lines(lines + list_doubts(result["warnings"]) + list_set_aside(result))


def show_replay(result: Mapping[str, Any]) -> str:
    """`replay` in words: the mean error of each forecaster, and how often the intervals held."""
    summary: Mapping[str, Mapping[str, Any]] = result["summary"]
    default = summary["default"]
    fractions = list(default)
    errors = [("mean error, % of the loss, after", *fractions)]
    held: list[tuple[str, ...]] = []
    for name, cells in summary.items():
        errors.append((name, *(_error(cells[fraction]) for fraction in fractions)))
        if any(cells[fraction]["coverage"] is not None for fraction in fractions):
            held.append((f"intervals of {name} that held", *(_share(cells[fraction]) for fraction in fractions)))
    answered = ("forecasts of default", *(f"{cell['answered']}/{cell['asked']}" for cell in default.values()))
    reasons = Counter(row["reason"] for row in result["rows"] if row["reason"] and row["forecaster"] == "default")
    unsaid = [f"no forecast ({count}): {make_visible(reason)}" for reason, count in reasons.most_common(SHOWN_REASONS)]
    return join_lines([*align([*errors, *held, answered]), *([""] if unsaid else []), *unsaid])


def _error(cell: Mapping[str, Any]) -> str:
    return "none" if cell["are"] is None else f"{100 * cell['are']:.2f}"


def _share(cell: Mapping[str, Any]) -> str:
    return "none" if cell["coverage"] is None else f"{100 * cell['coverage']:.0f}%"


def show_report(result: Mapping[str, Any]) -> str:
    """`report` in words."""
    lists = result["checklist"]
    return make_visible(
        f"wrote {result['output']}; of the 26 questions a reviewer asks, {len(lists['answered'])} are answered, "
        f"{len(lists['asked'])} wait for you, {len(lists['unanswered'])} are open"
    )
