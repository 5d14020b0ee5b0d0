"""Results for a terminal: what a person wants first, in units that people say."""

from __future__ import annotations

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
    name_cost,
)
from scaling_callback.tables import list_names

WIDTH = 18

SHOWN_REASONS = 3
"""Reasons for missing forecasts that are listed, the most frequent ones."""


def make_visible(text: str) -> str:
    r"""Text on one line, with escapes for what a terminal would obey rather than show, and for separators of lines.

    A name in a table may hold anything: a sequence that clears the screen, a mark that reverses what follows.

    Example:
        >>> print(make_visible("caf\u00e9 \x1b[31m \u202e a\nb"))
        café \x1b[31m \u202e a\nb
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
    return _join([head, *(f"  {problem}" for problem in problems), *assumed, "", *_columns(rows)])


def show_fit(result: Mapping[str, Any]) -> str:
    """`fit` in words."""
    lines = [f"{result['equation']}, fitted to {result['n_observations']} points of {result['n_runs']} run(s)", ""]
    for name, value in result["params"].items():
        ends = result["intervals"].get(name)
        interval = f"   {format_level(result['level'])} {_ends(ends, format_value)}" if ends else ""
        held = f"   from {lent['source']}" if (lent := result["borrowed"].get(name)) else ""
        lines.append(_line(name, format_value(value) + (held or interval)))
    lines += [
        _line("objective", f"{result['objective']:.6g}"),
        _line("status", f"{result['status']}, {result['certificate']['agreeing']} of "
              f"{result['certificate']['starts']} searches agree"),
    ]  # fmt: skip
    return _join(
        lines + _doubts(f"{name}: {text}" for name, text in result["diagnostics"].items()) + _set_aside(result)
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
    lines = ["", f"under other choices, at the optimum for {format_flops(result['flops'])} FLOPs:", *_columns(rows)]
    for among, words in (("converged", "certified optima"), ("all", "all rows")):
        loss, ratio = (result["spread"][among][name] for name in ("loss", "tokens_per_param"))
        lines.append(
            f"{words}: loss {_ends((loss['lowest'], loss['highest']), format_loss)}, "
            f"D/N {_ends((ratio['lowest'], ratio['highest']), format_value)}"
        )
    stalled = [f"  {row['choice']}: {row['verdict']}" for row in result["rows"] if row["status"] == "stalled"]
    if stalled:
        lines += ["", "published procedures that do not find the optimum here:", *stalled]
    skipped = [f"  {name}: {why}" for name, why in result["skipped"].items()]
    return _join([*lines, *(["", "choices that these runs do not carry:", *skipped] if skipped else [])])


def show_forecast(result: Mapping[str, Any]) -> str:
    """`forecast` in words."""
    target, interval, record = result["target"], result["interval"], result["track_record"]
    lines = [
        f"{format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens",
        "",
        _line("forecast loss", format_loss(result["median"])),
        _line(
            f"{format_level(interval['level'])} interval",
            _ends((interval["lower"], interval["upper"]), format_loss),
        ),
        _line("best loss so far", format_loss(result["baselines"].get("best_loss"))),
        _line("most compute", format_loss(result["baselines"].get("most_compute"))),
    ]
    if record["forecasts"]:
        said = f"{record['forecasts']} earlier forecasts missed by {format_percent(record['are'])} on average"
        lines.append(_line("track record", f"{said}; {format_percent(record['coverage'])} within their interval"))
    for index, (name, part) in enumerate(result["combines"].items()):
        said = f"{format_loss(part['median'])} by {make_visible(name)}, weight {part['weight']:.2f}"
        if (past := record["members"].get(name)) and past["forecasts"]:
            said += f"; missed by {format_percent(past['are'])} on average"
        lines.append(_line("combines" if index == 0 else "", said))
    return _join(lines + _doubts(result["warnings"]) + _set_aside(result))


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
    return _join([*_columns([*errors, *held, answered]), *([""] if unsaid else []), *unsaid])


def _error(cell: Mapping[str, Any]) -> str:
    return "none" if cell["are"] is None else f"{100 * cell['are']:.2f}"


def _share(cell: Mapping[str, Any]) -> str:
    return "none" if cell["coverage"] is None else f"{100 * cell['coverage']:.0f}%"


def show_allocation(result: Mapping[str, Any]) -> str:
    """`allocate` in words."""
    spent, cost = result["inference_flops"], result["cost"]
    served = f", {format_percent(spent / result['flops'])} of them for inference" if spent else ""
    head = f"{format_flops(result['flops'])} FLOPs ({name_cost(cost['source'], cost['inference_tokens'])})" + served
    if not result["identified"]:
        what = "the loss there" if result["fixed"] else "the optimal split"
        lines = [f"{head}: these runs do not determine {what}", ""]
        return _join([*lines, *(f"  {reason}" for reason in result["reasons"]), *_beside(result), *_set_aside(result)])
    shown = {"params": format_count, "tokens": format_count, "tokens_per_param": format_value, "loss": format_loss}
    level = format_level(result["level"])
    lines = [head, ""]
    for name, form in shown.items():
        ends = result["intervals"].get(name)
        interval = f"   {level} {_ends(ends, form)}" if ends else "   as given" if name == result["fixed"] else ""
        lines.append(_line(name.replace("_", " "), f"{form(result[name])}{interval}"))
    if result["excess_loss"] is not None:
        lines.append(_line("above the optimum", f"{format_percent(result['excess_loss'])} of the loss"))
    for name, grown in result["growth"].items():
        interval = f"{level} {grown['lower']:.3f} to {grown['upper']:.3f}"
        lines.append(_line(f"{name} grow as", f"C^{grown['exponent']:.3f}   {interval}"))
    return _join([*lines, *_valleys(result), *_budgets(result), *_beside(result), *_set_aside(result)])


def _beside(result: Mapping[str, Any]) -> list[str]:
    """What other approaches say, and what is to be known of all of them."""
    level = format_level(result["level"])
    rows: list[tuple[str, ...]] = [("approach", "N grows as", level, "tokens per param", level, "over the law's own")]
    notes: list[str] = []
    for found in result["approaches"]:
        if found["reason"]:
            rows.append((found["name"], "not known", *([""] * 4)))
            notes.append(f"{found['name']}: {found['reason']}")
            continue
        ends = found["intervals"]
        exponents = ends.get("exponent")
        rows.append(
            (
                found["name"],
                f"C^{found['exponent']:.3f}",
                f"{exponents[0]:.3f} to {exponents[1]:.3f}" if exponents else "",
                format_value(found["tokens_per_param"]),
                _ends(ends.get("tokens_per_param"), format_value),
                "" if found["bias"] is None else format_value(found["bias"]),
            )
        )
        notes += [f"{found['name']}: {note}" for note in found["notes"]]
    table = ["", *_columns(rows)] if result["approaches"] else []
    return [*table, *_doubts([*result["doubts"], *notes])]


def _valleys(result: Mapping[str, Any]) -> list[str]:
    """Where the loss is nearly as low: with less of one there is more of the other."""
    rows = [("a loss higher by less than", "params", "on tokens", "params, surely")]
    for valley in result["valleys"]:
        least, most = valley["tokens"]
        rows.append(
            (
                format_percent(valley["excess"]),
                _ends(valley["params"], format_count),
                _ends((most, least), format_count),
                _ends(valley["sure"], format_count) or "none",
            )
        )
    return ["", *_columns(rows)] if result["valleys"] else []


def _budgets(result: Mapping[str, Any]) -> list[str]:
    if not result["budgets"]:
        return []
    level = format_level(result["level"])
    rows: list[tuple[str, ...]] = [("FLOPs", "params", "tokens", "tokens per param", level, "loss", level)]
    for other in result["budgets"]:
        if other["identified"]:
            rows.append(
                (
                    format_flops(other["flops"]),
                    format_count(other["params"]),
                    format_count(other["tokens"]),
                    format_value(other["tokens_per_param"]),
                    _ends(other["intervals"]["tokens_per_param"], format_value),
                    format_loss(other["loss"]),
                    _ends(other["intervals"]["loss"], format_loss),
                )
            )
        else:
            names = [reason.partition(":")[0] for reason in other["reasons"]]
            rows.append((format_flops(other["flops"]), "not known:", *names[:1], *([""] * 4)))
    return ["", *_columns(rows)]


def show_comparison(result: Mapping[str, Any]) -> str:
    """`compare` in words: the verdict first."""
    target, interval, better = result["target"], result["interval"], result["better"]
    place = f"at {format_count(target['params'])} on {format_count(target['tokens'])}"
    level = format_level(interval["level"])
    basis = f"from {result['pairs']} pairs" if result["method"] == "paired" else "from two independent forecasts"
    values: tuple[float, ...] = (result["difference"], interval["lower"], interval["upper"])
    likelier = better or ("A" if result["probability"] > 1 / 2 else "B")
    chance = _chance(result["probability"] if likelier == "A" else 1 - result["probability"])
    if better is None:
        by, least, most = (format_percent(value, signed=True) for value in values)
        verdict = f"no difference can be told {place}: the loss of A is {by} off that of B"
        chance += f" that {likelier} is better"
    else:
        # by how much its loss is lower, relative to the other's
        gains = [-value if better == "A" else value / (1 + value) for value in values]
        by, least, most = (format_percent(gain) for gain in (gains[0], min(gains[1:]), max(gains[1:])))
        verdict = f"{better} is better {place} by {by}"
    lines = [f"{verdict} ({level}: {least} to {most}), probability {chance}, {basis}", ""]
    for name, side in (("A by itself", result["a"]), ("B by itself", result["b"])):
        ends = _ends((side["lower"], side["upper"]), format_loss)
        lines.append(_line(name, f"{format_loss(side['median'])}   {level} {ends}   {side['source']}"))
    return _join(lines + _doubts(result["warnings"]))


def _chance(probability: float) -> str:
    """A probability, of which no more than two digits mean anything."""
    return f"{probability:.2f}" if probability < 0.995 else "above 0.99"


def show_plan(result: Mapping[str, Any]) -> str:
    """`plan` in words: the runs, and how wide the target's interval should be after each."""
    target, now = result["target"], result["interval_width"]
    head = f"to forecast {format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens"
    width = "none yet" if now is None else format_loss(now)
    lines = [head, "", _line("width now", f"{width} ({format_level(result['level'])} interval of the loss)"), ""]
    rows: list[tuple[str, ...]] = [("params", "tokens", "D/N", "FLOPs", "width after it", "of the loss", "why")]
    rows += [
        (
            format_count(run["params"]),
            format_count(run["tokens"]),
            format_value(run["tokens"] / run["params"]),
            format_flops(run["flops"]),
            format_loss(run["expected_interval_width"]),
            format_percent(run["expected_relative_width"]),
            run["reason"],
        )
        for run in result["runs"]
    ]
    spent = f"{format_flops(result['flops'])} of {format_flops(result['budget'])} FLOPs; plan again after each run"
    notes = [f"  {note}" for note in result["notes"]]
    return _join(lines + (_columns(rows) if result["runs"] else []) + ["", spent, *(["", *notes] if notes else [])])


def show_report(result: Mapping[str, Any]) -> str:
    """`report` in words."""
    lists = result["checklist"]
    return make_visible(
        f"wrote {result['output']}; of the 26 questions a reviewer asks, {len(lists['answered'])} are answered, "
        f"{len(lists['asked'])} wait for you, {len(lists['unanswered'])} are open"
    )


def _join(lines: Sequence[str]) -> str:
    return "\n".join(make_visible(line) for line in lines)


def _line(name: str, value: str) -> str:
    return f"  {name:<{WIDTH}}{value}"


def _ends(ends: Sequence[float] | None, form: Any) -> str:
    return f"{form(ends[0])} to {form(ends[1])}" if ends else ""


def _doubts(doubts: Any) -> list[str]:
    found = [f"  {doubt}" for doubt in doubts]
    return ["", "doubts:", *found] if found else []


def _set_aside(result: Mapping[str, Any]) -> list[str]:
    """Runs that are no evidence, by reason, and what was odd about the records of the others."""
    reasons: dict[str, list[str]] = {}
    for run, reason in result["left_out"].items():
        reasons.setdefault(reason, []).append(run)
    left = [f"  {len(runs)} run(s) ({list_names(runs, most=3)}): {reason}" for reason, runs in reasons.items()]
    notes = [f"  {note}" for note in result["notes"]]
    return [*(["", "left out:", *left] if left else []), *(["", "noted:", *notes] if notes else [])]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
