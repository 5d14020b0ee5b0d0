"""Two defects of the released analysis: a spread over starts for a standard error, and no bootstrap of the fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from page import table

from choices.measuring import LEVEL, NAMES, Measured, Starts, list_grid
from choices.optimisers import BEST
from choices.published import BUDGET, PUBLISHED, Published, differs
from choices.showing import show, show_exact, show_over
from scaling_callback.fitting import PROCEDURES
from scaling_callback.laws import get_law
from scaling_callback.records import Array, BoolArray
from scaling_callback.reporting.units import format_percent

REACHED = 1e-3
"""A search that ends within this fraction of the optimum's objective has found it."""

DRAWN = 40
"""Starts that are drawn at random, as in a published analysis."""

DRAWS = 1000
"""How often."""

RANDOM = 100
"""Starts of another published analysis, drawn at random."""

SINGLE = "one start"
"""How choices are called that search from one start of the grid."""


def table_starts(measured: Sequence[Measured]) -> str:
    """Of each ladder and parameter: the optimum, what resampled runs make of it, and where searches from starts end."""
    rows: list[Sequence[str]] = []
    for each in measured:
        starts = each.starts
        pairs = {name: (starts.draws[:, place], starts.ends[:, place]) for place, name in enumerate(NAMES)}
        optimum = dict(zip(NAMES, starts.optimum.tolist(), strict=True))
        for name in ("E", "alpha", "beta"):
            drawn, ended = pairs[name]
            rows.append(
                (
                    each.ladder.name if name == "E" else "",
                    name,
                    show_exact(optimum[name]),
                    _show_ends(drawn),
                    show_exact(float(np.std(drawn))),
                    _show_ends(ended),
                    show_exact(float(np.std(ended))),
                )
            )
    percent = f"{100 * LEVEL:g}%"
    head = ("ladder", "parameter", "optimum", f"bootstrap, {percent}", "its sd", f"over starts, {percent}", "their sd")
    return table(head, rows, text=2)


def _show_ends(values: Array) -> str:
    low, high = np.quantile(values[np.isfinite(values)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return f"{show_exact(float(low))} to {show_exact(float(high))}"


def tell_starts(measured: Measured) -> str:
    """What becomes of a search from a start of the grid, and of the best of a few drawn at random."""
    starts = measured.starts
    reached = float(np.mean(starts.over <= 1 + REACHED))
    low, high = draw_starts(measured)
    return (
        f"**{measured.ladder.name}**: of searches from each of the {len(starts.over)} starts of the grid, "
        f"{format_percent(float(starts.success.mean()))} report success and {format_percent(reached)} end within "
        f"{format_percent(REACHED)} of the optimum; the median ends at {show(float(np.median(starts.over)))} times its "
        f"objective. The lowest end of {DRAWN} starts drawn at random, {DRAWS} times, has a D/N of {show(low)} to "
        f"{show(high)} (10% to 90%); the optimum has {show(measured.panel.rows[0].tokens_per_param)}."
    )


def draw_starts(measured: Measured) -> tuple[float, float]:
    """The 10th and 90th percentile of D/N at the lowest end of a few starts drawn at random."""
    starts = measured.starts
    ratios = starts.ratios[draw_winners(starts.over)]
    low, high = np.quantile(ratios[np.isfinite(ratios)], [0.1, 0.9])
    return float(low), float(high)


def draw_winners(over: Array, count: int = DRAWN) -> NDArray[np.intp]:
    """Which start has the lowest end among a few drawn at random, of each draw."""
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.choice(len(over), min(count, len(over)), replace=False) for _ in range(DRAWS)])
    return drawn[np.arange(DRAWS), np.argmin(over[drawn], axis=1)]


def find_there(starts: Starts, published: Published) -> BoolArray:
    """From which starts a search ends at the published values."""
    return np.array(
        [
            not differs(published, {**dict(zip(NAMES, end, strict=True)), "tokens_per_param": ratio})
            for end, ratio in zip(starts.ends.tolist(), starts.ratios.tolist(), strict=True)
        ]
    )


def tell_ends(measured: Measured, published: Published) -> str:
    """How many starts of the grid, and how many draws of a few of them, end at the published values."""
    there = find_there(measured.starts, published)
    share = float(there[draw_winners(measured.starts.over)].mean())
    return (
        f"Of single searches from the {len(there)} starts of the grid {there.sum()} end at the published values; of "
        f"{DRAWN} starts drawn at random the lowest end is there in {format_percent(share)} of {DRAWS} draws"
    )


def find_chosen(measured: Measured) -> dict[str, tuple[Published, BoolArray]]:
    """Of each published row that is met by one start of the grid, from which starts a search ends at its values."""
    found: dict[str, tuple[Published, BoolArray]] = {}
    for published in PUBLISHED.get(measured.ladder.table, ()):
        how = published.choice.removeprefix(SINGLE)
        starts = measured.starts if not how else measured.variants.get(how.removeprefix(", "))
        if published.choice.startswith(SINGLE) and starts is not None:
            found[published.choice] = published, find_there(starts, published)
    return found


def tell_chosen(measured: Measured) -> str:
    """How many starts end at the published values; empty where no row is met by a start."""
    found = find_chosen(measured)
    if not found:
        return ""
    counts = ", ".join(f"{there.sum()} (*{choice}*)" for choice, (_, there) in found.items())
    return (
        f"*One start* is, of the {len(measured.starts.over)} starts of the grid, one whose search ends where the "
        f"published fit to the (Mis)Fitting ladder ended. So many of them end at the published values here: {counts}. "
        "A row that so few starts meet is found, not reproduced."
    )


def tell_shared(measured: Mapping[str, Measured]) -> str:
    """Of the rows that are met by one start on more than one ladder, from how many starts they all are."""
    found = [find_chosen(each) for each in measured.values() if each.ladder.table in PUBLISHED]
    lines: list[str] = []
    for choice in found[0] if len(found) > 1 else ():
        if all(choice in each for each in found):
            theres = [each[choice][1] for each in found]
            both = [place for place, all_there in enumerate(np.all(theres, axis=0).tolist()) if all_there]
            used = PROCEDURES[choice].starts[0]
            alone = len(both) == 1 and list_grid()[both[0]] == used
            counts = " and ".join(f"{there.sum()}" for there in theres)
            lines.append(
                f"*{choice}*: the rows of both ladders are met from {len(both)} of the {len(theres[0])} starts, that "
                f"of each ladder from {counts}."
                + f" It is {used}: that one start meets both speaks for its being the one that was used."
                * alone
            )
    return " ".join(lines)


def table_optimisers(measured: Sequence[Measured]) -> str:
    """Where other optimisers end, and searches by finite differences from other starts, by ladder."""
    rows: list[Sequence[str]] = []
    for each in measured:
        if each.others is None:
            continue
        listed = [*_list_searches(each), *_list_optimisers(each)]
        rows += [(each.ladder.name if place == 0 else "", *row) for place, row in enumerate(listed)]
    head = ("ladder", "optimiser", "starts", "objective / optimum", "E", "alpha", "beta", "D/N", "optimiser says")
    return table(head, rows, text=3, tail=1)


def tell_optimisers(measured: Sequence[Measured]) -> str:
    """How many of them stop short, and what they say of it."""
    lines: list[str] = []
    for each in measured:
        if each.others is None:
            continue
        rows = [row for row in (*_list_searches(each), *_list_optimisers(each)) if row[-1] != "–"]
        short = [row for row in rows if float(row[2]) > 1 + REACHED]
        said = sum(row[-1] == "success" for row in short)
        silent = sum(row[-1] != "success" for row in rows) - (len(short) - said)
        lines.append(
            f"**{each.ladder.name}**: {len(short)} of {len(rows)} stop more than {format_percent(REACHED)} above the "
            f"optimum, and {said} of these report success; of the {len(rows) - len(short)} others {silent} report none."
        )
    return "\n\n".join(lines)


def _list_searches(measured: Measured) -> list[Sequence[str]]:
    """Searches by finite differences, from several sets of starts and with several tolerances."""
    starts, costs = measured.starts, measured.others.costs if measured.others else np.empty(0)
    order = np.argsort(costs, kind="stable")
    winners = draw_winners(starts.over, RANDOM)
    middle = winners[np.argsort(starts.over[winners], kind="stable")[len(winners) // 2]]
    rows = [
        (
            "default",
            f"best {count:,}" if count < len(order) else f"all {count:,}",
            starts,
            _take_lowest(starts, order[:count]),
        )
        for count in (1, BEST, 1000, len(order))
    ]
    rows.append(("default", f"{RANDOM} drawn at random, the median of {DRAWS} draws", starts, int(middle)))
    for how, variant in measured.variants.items():
        for count in (BEST, len(order)):
            words = f"best {count:,}" if count < len(order) else f"all {count:,}"
            rows.append((how, words, variant, _take_lowest(variant, order[:count])))
    return [
        (
            f"finite differences, {how}",
            words,
            *_show_end(found.over[place], found.ends[place], found.ratios[place]),
            "success" if found.success[place] else "no success",
        )
        for how, words, found, place in rows
    ]


def _take_lowest(starts: Starts, chosen: NDArray[np.intp]) -> int:
    return int(chosen[np.argmin(starts.over[chosen])])


def _list_optimisers(measured: Measured) -> list[Sequence[str]]:
    """The other optimisers, and the best start as it is."""
    others, best = measured.others, measured.starts.best
    if others is None:
        return []
    rows: list[Sequence[str]] = []
    for ended in others.ends:
        end = np.array(ended.natural)
        cells = _show_end(ended.objective / best, end, _find_ratio(end))
        rows.append((ended.optimiser, f"best {BEST}", *cells, "success" if ended.success else "no success"))
    lowest = int(np.argmin(others.costs))
    start = np.array(list_grid()[lowest], dtype=float)
    end = np.array([*np.exp(start[[2, 0, 1]]), *start[3:]])
    rows.append(("none: the grid only", "all", *_show_end(others.costs[lowest] / best, end, _find_ratio(end)), "–"))
    return rows


def _find_ratio(natural: Array) -> float:
    with np.errstate(all="ignore"):  # an exponent may be 0, and then there is no optimum
        params, tokens = get_law("chinchilla").optimum(natural[None], BUDGET)
        return float((tokens / params)[0])


def _show_end(over: float, end: Array, ratio: float) -> tuple[str, ...]:
    named = dict(zip(NAMES, end.tolist(), strict=True))
    return (show_over(over), *(show_exact(named[name]) for name in ("E", "alpha", "beta")), show(ratio))
