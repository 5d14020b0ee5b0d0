"""Splits, plans and comparisons for a terminal: what a person decides by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling_callback.reporting.lines import align, join_lines, list_doubts, list_set_aside, make_line, show_ends
from scaling_callback.reporting.units import (
    format_count,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
    name_cost,
)


def show_allocation(result: Mapping[str, Any]) -> str:
    """`allocate` in words."""
    spent, cost = result["inference_flops"], result["cost"]
    served = f", {format_percent(spent / result['flops'])} of them for inference" if spent else ""
    head = f"{format_flops(result['flops'])} FLOPs ({name_cost(cost['source'], cost['inference_tokens'])})" + served
    if not result["identified"]:
        what = "the loss there" if result["fixed"] else "the optimal split"
        lines = [f"{head}: these runs do not determine {what}", ""]
        return join_lines(
            [*lines, *(f"  {reason}" for reason in result["reasons"]), *_beside(result), *list_set_aside(result)]
        )
    shown = {"params": format_count, "tokens": format_count, "tokens_per_param": format_value, "loss": format_loss}
    level = format_level(result["level"])
    lines = [head, ""]
    for name, form in shown.items():
        ends = result["intervals"].get(name)
        interval = f"   {level} {show_ends(ends, form)}" if ends else "   as given" if name == result["fixed"] else ""
        lines.append(make_line(name.replace("_", " "), f"{form(result[name])}{interval}"))
    if result["excess_loss"] is not None:
        lines.append(make_line("above the optimum", f"{format_percent(result['excess_loss'])} of the loss"))
    for name, grown in result["growth"].items():
        interval = f"{level} {grown['lower']:.3f} to {grown['upper']:.3f}"
        lines.append(make_line(f"{name} grow as", f"C^{grown['exponent']:.3f}   {interval}"))
    return join_lines([*lines, *_valleys(result), *_budgets(result), *_beside(result), *list_set_aside(result)])


def _beside(result: Mapping[str, Any]) -> list[str]:
    """What other approaches say, and what is to be known of all of them."""
    level = format_level(result["level"])
    rows: list[tuple[str, ...]] = [("approach", "N grows as", level, "tokens per param", level, "its bias")]
    notes: list[str] = []
    for found in result["approaches"]:
        if found["reason"]:
            rows.append((found["name"], "not known", *([""] * 4)))
            if not found["reason"].startswith("refused"):  # its reasons stand above
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
                show_ends(ends.get("tokens_per_param"), format_value),
                "" if found["bias"] is None else format_value(found["bias"]),
            )
        )
        notes += [f"{found['name']}: {note}" for note in found["notes"]]
    table = ["", *align(rows)] if result["approaches"] else []
    return [*table, *list_doubts([*result["doubts"], *notes])]


def _valleys(result: Mapping[str, Any]) -> list[str]:
    """Where the loss is nearly as low: with less of one there is more of the other."""
    level = format_level(result["level"])
    rows = [("loss higher by less than", "params", "each on its tokens", f"params in {level} of replicates")]
    rows += [
        (
            format_percent(valley["excess"]),
            show_ends(valley["params"], format_count),
            show_ends(valley["tokens"], format_count),
            show_ends(valley["sure"], format_count) or "none",
        )
        for valley in result["valleys"]
    ]
    return ["", *align(rows)] if result["valleys"] else []


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
                    show_ends(other["intervals"]["tokens_per_param"], format_value),
                    format_loss(other["loss"]),
                    show_ends(other["intervals"]["loss"], format_loss),
                )
            )
        else:
            names = [reason.partition(":")[0] for reason in other["reasons"]]
            rows.append((format_flops(other["flops"]), "not known:", *names[:1], *([""] * 4)))
    return ["", *align(rows)]


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
        verdict = f"no difference can be told {place}: the loss of A over that of B is {by}"
        chance += f" that {likelier} is better"
    else:
        # by how much its loss is lower, relative to the other's
        gains = [-value if better == "A" else value / (1 + value) for value in values]
        by, least, most = (format_percent(gain) for gain in (gains[0], min(gains[1:]), max(gains[1:])))
        verdict = f"{better} is better {place} by {by}"
    lines = [f"{verdict} ({level}: {least} to {most}), probability {chance}, {basis}", ""]
    for name, side in (("A by itself", result["a"]), ("B by itself", result["b"])):
        ends = show_ends((side["lower"], side["upper"]), format_loss)
        lines.append(make_line(name, f"{format_loss(side['median'])}   {level} {ends}   {side['source']}"))
    return join_lines(lines + list_doubts(result["warnings"]))


def _chance(probability: float) -> str:
    """A probability, of which no more than two digits mean anything."""
    return f"{probability:.2f}" if probability < 0.995 else "above 0.99"


def show_plan(result: Mapping[str, Any]) -> str:
    """`plan` in words: the runs, and how wide the target's interval should be after each."""
    target, now = result["target"], result["interval_width"]
    head = f"to forecast {format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens"
    width = "none yet" if now is None else format_loss(now)
    lines = [head, "", make_line("width now", f"{width} ({format_level(result['level'])} interval of the loss)"), ""]
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
    shown = [*align(rows), "", spent] if result["runs"] else ["no run is worth its FLOPs"]
    return join_lines([*lines, *shown, *list_doubts(result["notes"])])
