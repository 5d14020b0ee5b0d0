"""Splits, plans and comparisons in words: what a person decides by."""

from __future__ import annotations

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
    number,
)
from scaling_callback.reporting.words.advice import count_doubts, list_doubts, list_set_aside
from scaling_callback.reporting.words.layout import Answer, Block, Notes, Table, Verdict
from scaling_callback.reporting.words.lines import show_ends

FORMS = {"params": format_count, "tokens": format_count, "tokens_per_param": format_value, "loss": format_loss}
"""How each value of a split is said."""


def show_allocation(result: Mapping[str, Any]) -> Answer:
    """`allocate` in words."""
    spent, cost, level = result["inference_flops"], result["cost"], format_level(result["level"])
    served = f", {format_percent(spent / result['flops'])} of them for inference" if spent else ""
    budget = f"{format_flops(result['flops'])} FLOPs ({name_cost(cost['source'], cost['inference_tokens'])}{served})"
    if not result["identified"]:
        reasons = list_doubts(result["reasons"], "why:")
        given = (
            f"the loss of a model of the {result['fixed']} that are given, for"
            if result["fixed"]
            else "the optimal split of"
        )
        refusal = Verdict(f"these runs do not determine {given} {budget}", sure=False)
        return [refusal, reasons, *_show_beside(result), *list_set_aside(result)]
    ends = result["intervals"]
    sides = [
        f"{format_count(result[name])} {words}"
        + (f" ({level} interval {show_ends(ends[name], format_count)})" if name in ends else " as given")
        for name, words in (("params", "parameters"), ("tokens", "tokens"))
    ]
    rows = [
        (name.replace("_", " "), form(result[name]), show_ends(ends.get(name), form) or "as given")
        for name, form in FORMS.items()
    ]
    rows += [
        (f"{name} grow as", f"C^{grown['exponent']:.3f}", f"{grown['lower']:.3f} to {grown['upper']:.3f}")
        for name, grown in result["growth"].items()
    ]
    above = result["excess_loss"]
    return [
        Verdict(f"{' on '.join(sides)} for {budget}"),
        Table(rows, ("", "optimum" if result["fixed"] is None else "split", f"{level} interval")),
        Notes("", [] if above is None else [f"its loss is {format_percent(above)} above that of the optimal split"]),
        *_show_valleys(result),
        *_show_budgets(result),
        *_show_beside(result),
        *list_set_aside(result),
    ]


def _show_beside(result: Mapping[str, Any]) -> list[Block]:
    """What other approaches say, and what is to be known of all of them."""
    level = format_level(result["level"])
    rows: list[tuple[str, ...]] = []
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
    header = ("approach", "N grows as", f"{level} interval", "tokens per param", f"{level} interval", "its bias")
    return [Table(rows, header), list_doubts([*result["doubts"], *notes])]


def _show_valleys(result: Mapping[str, Any]) -> list[Block]:
    """Where the loss is nearly as low: with less of one there is more of the other."""
    level = format_level(result["level"])
    rows = [
        (
            format_percent(valley["excess"]),
            show_ends(valley["params"], format_count),
            show_ends(valley["tokens"], format_count),
            show_ends(valley["sure"], format_count) or "none",
        )
        for valley in result["valleys"]
    ]
    return [
        Table(rows, ("loss higher by less than", "params", "each on its tokens", f"params in {level} of replicates"))
    ]


def _show_budgets(result: Mapping[str, Any]) -> list[Block]:
    level = format_level(result["level"])
    rows: list[tuple[str, ...]] = []
    asked: list[int] = []
    for other in result["budgets"]:
        if other["flops"] == result["flops"]:
            asked.append(len(rows))
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
            rows.append((format_flops(other["flops"]), "not known", *names[:1], *([""] * (5 - len(names[:1])))))
    header = ("FLOPs", "params", "tokens", "tokens per param", f"{level} interval", "loss", f"{level} interval")
    return [Table(rows, header, strong=asked)]


def show_comparison(result: Mapping[str, Any]) -> Answer:
    """`compare` in words: the verdict first."""
    target, interval, better = result["target"], result["interval"], result["better"]
    place = f"at {format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens"
    level = format_level(interval["level"])
    basis = (
        f"from {number(result['pairs'], 'pair')}" if result["method"] == "paired" else "from two independent forecasts"
    )
    values: tuple[float, ...] = (result["difference"], interval["lower"], interval["upper"])
    likelier = better or ("A" if result["probability"] > 1 / 2 else "B")
    chance = _say_chance(result["probability"] if likelier == "A" else 1 - result["probability"])
    if better is None:
        by, least, most = (format_percent(value, signed=True) for value in values)
        verdict = f"no difference can be told {place}: the loss of A over that of B is {by}"
        chance += f" that {likelier} is better"
    else:
        # by how much its loss is lower, relative to the other's
        gains = [-value if better == "A" else value / (1 + value) for value in values]
        by, least, most = (format_percent(gain) for gain in (gains[0], min(gains[1:]), max(gains[1:])))
        verdict = f"{better} is better {place} by {by} of the loss"
    sides = [
        (
            name,
            format_loss(side["median"]),
            show_ends((side["lower"], side["upper"]), format_loss),
            side["source"],
        )
        for name, side in (("A by itself", result["a"]), ("B by itself", result["b"]))
    ]
    return [
        Verdict(
            f"{verdict} ({level} interval {least} to {most}), probability {chance}, {basis}"
            + count_doubts(result["warnings"]),
            sure=better is not None,
        ),
        Table(sides, ("", "loss", f"{level} interval", "source"), words=(0, 3)),
        list_doubts(result["warnings"]),
    ]


def _say_chance(probability: float) -> str:
    """A probability, of which no more than two digits mean anything."""
    return f"{probability:.2f}" if probability < 0.995 else "above 0.99"


def show_plan(result: Mapping[str, Any]) -> Answer:
    """`plan` in words: the runs, and how wide the target's interval should be after each."""
    target, now, runs = result["target"], result["interval_width"], result["runs"]
    what = f"{format_count(target['params'])} parameters on {format_count(target['tokens'])} tokens"
    interval = f"the {format_level(result['level'])} interval of the loss of {what}"
    if runs:
        after = format_loss(runs[-1]["expected_interval_width"])
        change = f"should be {after} wide after them" if now is None else f"narrows from {format_loss(now)} to {after}"
        verdict = f"train {_say_runs(runs)} ({_say_spent(result)}): {interval} {change}"
    else:
        wide = "" if now is None else f", which is {format_loss(now)} wide"
        verdict = f"no run is worth its FLOPs: none narrows {interval}{wide}"
    rows = [
        (
            format_count(run["params"]),
            format_count(run["tokens"]),
            format_value(run["tokens"] / run["params"]),
            format_flops(run["flops"]),
            format_loss(run["expected_interval_width"]),
            format_percent(run["expected_relative_width"]),
            run["reason"],
        )
        for run in runs
    ]
    header = ("params", "tokens", "tokens per param", "FLOPs", "width after it", "of the loss", "why")
    return [
        Verdict(verdict, sure=bool(runs)),
        Table(rows, header, words=(6,)),
        Notes("then:", ["plan again after each run: what it shows may change the rest"] if runs else []),
        list_doubts(result["notes"]),
    ]


def _say_runs(runs: Sequence[Mapping[str, Any]]) -> str:
    """What to train, the first by its size."""
    first = f"{format_count(runs[0]['params'])} parameters on {format_count(runs[0]['tokens'])} tokens"
    return first if len(runs) == 1 else f"these {len(runs)} runs, {first} first"


def _say_spent(result: Mapping[str, Any]) -> str:
    return f"{format_flops(result['flops'])} of {format_flops(result['budget'])} FLOPs"
