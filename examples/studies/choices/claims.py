"""What was said of the choices as a whole: which move the answer most, and what stays steady."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from page import Finding, judge, table

from choices.measuring import Measured
from choices.published import BUDGET, FORECAST_LOSS, INTERVAL, MOVES, PUBLISHED
from choices.rows import find_row
from choices.showing import show, show_exact
from scaling_callback.reporting.units import format_flops, format_percent
from scaling_callback.sensitivity import Row, Spread

KINDS = {
    "procedure": "non-convergence",
    "size cap": "data range",
    "ratio cap": "data range",
    "outliers": "data range",
    "early cut": "checkpoints",
    "law": "tying",
    "learning rate": "learning rate",
    "counting": "counting",
    "loss": "loss",
    "delta": "delta",
}
"""What the groups of the panel are called in the study."""

STEADY = 0.1
"""The forecast loss is far steadier where it spreads, in ln, over less than this share of what D/N does."""

SAME_ENDS = 0.1
"""An interval is met where each end is within this share."""

RATIO, RATE = "tokens_per_param", "learning rate "

CHINCHILLA = 20.0
"""Tokens per parameter that Hoffmann et al. 2022 are read as advising."""

DEFAULT = "best 40 of a grid of starts"
"""The procedure that is the default of the study's released analysis."""


@dataclass(frozen=True)
class Moved:
    """How far one kind of choice moves the answers, what was asked among them.

    Attributes:
        kind: What is chosen.
        choices: How many.
        ratio: D/N at the budget.
        loss: The forecast loss of the largest model.
        apart: How many have an interval of D/N that misses that of what was asked.
        bounded: How many have one.
    """

    kind: str
    choices: int
    ratio: Spread
    loss: Spread
    apart: int
    bounded: int


def spread_kinds(measured: Measured) -> list[Moved]:
    """Each kind of choice that this ladder carries, the one that moves D/N most first."""
    rows, ahead = list(measured.panel.rows), list(measured.ahead.rows)
    if measured.beside.measured is not None:
        rows.append(measured.beside.measured)
    moved: list[Moved] = []
    for kind in dict.fromkeys(KINDS.values()):
        own = [
            row
            for row in rows
            if KINDS.get(row.group) == kind or (row.choice == "C as it was measured" and kind == "counting")
        ]
        # where no rate is swept, the best of each size and horizon are the same runs but for repeats
        if not own or (kind == "learning rate" and not any(row.choice.startswith(RATE) for row in own)):
            continue
        losses = [row.loss for row in ahead if KINDS.get(row.group) == kind]
        moved.append(
            Moved(
                kind,
                len(own),
                Spread.of([rows[0].tokens_per_param, *(row.tokens_per_param for row in own)]),
                Spread.of([ahead[0].loss, *losses]),
                sum(misses(row, rows[0]) for row in own),
                sum(RATIO in row.intervals for row in own),
            )
        )
    return sorted(moved, key=lambda each: -(each.ratio.ratio or 0.0))


def misses(row: Row, base: Row) -> bool:
    """Whether both have an interval of D/N, and neither reaches into the other."""
    if RATIO not in row.intervals or RATIO not in base.intervals:
        return False
    (low, high), (lowest, highest) = row.intervals[RATIO], base.intervals[RATIO]
    return low > highest or high < lowest


def table_kinds(measured: Sequence[Measured]) -> str:
    """How far each kind of choice moves D/N and the forecast, by ladder."""
    rows: list[Sequence[str]] = []
    for each in measured:
        for place, moved in enumerate(spread_kinds(each), start=1):
            rows.append(
                (
                    each.ladder.name if place == 1 else "",
                    f"{place}. {moved.kind}",
                    f"{MOVES[moved.kind]}" if moved.kind in MOVES else "–",
                    f"{moved.choices}",
                    f"{show(moved.ratio.lowest)} to {show(moved.ratio.highest)}",
                    show(moved.ratio.ratio),
                    f"{moved.apart} of {moved.bounded}" if moved.bounded else "–",
                    f"{show_exact(moved.loss.lowest)} to {show_exact(moved.loss.highest)}",
                    format_percent((moved.loss.ratio or math.nan) - 1),
                )
            )
    head = (
        "ladder",
        "found here",
        "place said",
        "choices",
        "D/N",
        "factor",
        "intervals apart",
        "forecast",
        "range / lowest",
    )
    return table(head, rows, text=2)


def judge_order(measured: Measured) -> tuple[int, int]:
    """Pairs of kinds that move D/N in the order that was said, of those that were set apart."""
    found = [moved.kind for moved in spread_kinds(measured) if moved.kind in MOVES]
    pairs = [(one, other) for one, other in combinations(found, 2) if MOVES[one] != MOVES[other]]
    return sum(MOVES[one] < MOVES[other] for one, other in pairs), len(pairs)


def list_claims(measured: Mapping[str, Measured]) -> list[Finding]:
    """What was said of the choices as a whole, and what became of it."""
    claims = [_claim_order(each) for each in measured.values()]
    claims += [_claim_steady(each) for each in measured.values()]
    if (fit := measured.get("chinchilla_epoch")) is not None:
        claims += [_claim_loss(fit), _claim_percentiles(fit), _claim_stuck(fit)]
    if (swept := measured.get("misfitting")) is not None:
        claims.append(_claim_agreement(swept))
    # what each row gives was known from earlier refits of these points before the rules were written
    claims += [_claim_failures(measured), _claim_default(measured)]
    return [replace(claim, looked=True) for claim in claims]


def _claim_order(measured: Measured) -> Finding:
    right, pairs = judge_order(measured)
    return Finding(
        "Choices move D/N in the order non-convergence and data range, tying, learning rate, counting, loss, delta: "
        f"on the {measured.ladder.name}",
        judge(right / pairs if pairs else math.nan),
        f"{right} of {pairs} pairs are in this order; found: "
        + ", ".join(moved.kind for moved in spread_kinds(measured) if moved.kind in MOVES)
        + "; this ladder is none of the study's" * (measured.ladder.table not in PUBLISHED),
        "80% of the pairs are in this order; it fails at 20%",
    )


def spread_converged(measured: Measured) -> tuple[Spread, Spread]:
    """D/N, and the forecast loss of the largest model, over all certified optima."""
    return (
        measured.panel.spread(RATIO, converged=True),
        measured.ahead.spread("loss", converged=True),
    )


def _claim_steady(measured: Measured) -> Finding:
    ratio, ahead = (spread.ratio or math.nan for spread in spread_converged(measured))
    loss = measured.panel.spread("loss", converged=True).ratio or math.nan
    share = math.log(loss) / math.log(ratio)
    return Finding(
        f"The forecast loss is far steadier than D/N: on the {measured.ladder.name}",
        "no data" if math.isnan(share) else "holds" if share < STEADY else "fails",
        f"over certified optima D/N at {format_flops(BUDGET)} FLOPs spreads over a factor of {show(ratio)}, the loss "
        f"there over {format_percent(loss - 1)}, in ln {format_percent(share)} of it; the loss of the largest model, "
        f"at {show(measured.task.reach)} times the compute of the largest run fitted, over {format_percent(ahead - 1)}",
        f"in ln the loss spreads over less than {format_percent(STEADY)} of what D/N does",
    )


def _claim_loss(measured: Measured) -> Finding:
    analyses = [published.choice for published in PUBLISHED["chinchilla_epoch"]]
    rows = [row for row in measured.panel.rows if row.choice in analyses and row.status == "converged"]
    kept = Spread.of([row.loss for row in rows if row.points == measured.panel.rows[0].points])
    every = measured.panel.spread("loss", converged=True)
    low, high = FORECAST_LOSS
    met = _rounds(kept.lowest, low, 2) and _rounds(kept.highest, high, 3)
    return Finding(
        f"{measured.ladder.name}: the loss at the optimum of {format_flops(BUDGET)} FLOPs is {low} to {high} over "
        "converged choices",
        "holds" if met else "fails",
        f"{show_exact(kept.lowest)} to {show_exact(kept.highest)} over the published losses and the tied law on the "
        f"same points; {show_exact(every.lowest)} to {show_exact(every.highest)} over all certified optima, caps among "
        "them",
        "both ends round to the published digits over the published choices that keep the points",
    )


def _rounds(value: float | None, published: float, places: int) -> bool:
    return value is not None and abs(value - published) <= 0.5 * 10.0**-places + 1e-12


def _claim_percentiles(measured: Measured) -> Finding:
    published = INTERVAL["chinchilla_epoch"]
    found = measured.beside.percentiles
    off = max((abs(a / b - 1) for a, b in zip(found, published, strict=True)), default=math.nan) if found else math.nan
    return Finding(
        f"{measured.ladder.name}: the bootstrap's 10th to 90th percentile of D/N is {published[0]} to {published[1]}",
        "no data" if found is None else "holds" if off <= SAME_ENDS else "fails",
        "–"
        if found is None
        else f"{show(found[0])} to {show(found[1])}; the farther end is off by {format_percent(off)}",
        f"each end is within {format_percent(SAME_ENDS)}",
    )


def _claim_stuck(measured: Measured) -> Finding:
    row = find_row(measured, "start at Chinchilla's values")
    grid = find_row(measured, DEFAULT)
    stuck = row is not None and row.status == "stalled" and grid is not None and grid.status == "reached"
    return Finding(
        f"{measured.ladder.name}: a search from Hoffmann's values stays there, although a grid of starts finds a lower "
        "objective",
        "no data" if row is None else "holds" if stuck else "fails",
        "–"
        if row is None or grid is None
        else f"{show_exact(row.over_optimum)} times the optimum from Hoffmann's values, "
        f"{show_exact(grid.over_optimum)} from the best 40 of the grid",
        "the first stalls, and the second reaches the optimum",
    )


def _claim_agreement(measured: Measured) -> Finding:
    rates = [row for row in measured.panel.rows if row.choice.startswith(RATE)]
    best = measured.panel.rows[0]
    nearest = min(rates, key=_distance, default=None)
    if nearest is None:
        return Finding("a fixed learning rate can agree with Chinchilla better", "no data", "–", "–")
    return Finding(
        f"{measured.ladder.name}: a fixed learning rate can agree with Chinchilla's D/N of {CHINCHILLA:g} better than "
        "the best of each size and horizon, so that agreement proves nothing",
        "holds" if _distance(nearest) < _distance(best) else "fails",
        f"{nearest.choice}: D/N {show(nearest.tokens_per_param)}; the best rates: {show(best.tokens_per_param)}",
        f"the D/N of some fixed rate is nearer to {CHINCHILLA:g} in ln",
    )


def _distance(row: Row) -> float:
    return abs(math.log((row.tokens_per_param or math.nan) / CHINCHILLA))


def list_procedures(measured: Mapping[str, Measured]) -> tuple[list[Row], list[Row]]:
    """The rows of the study's own default, and those of all other published procedures."""
    rows = [row for each in measured.values() for row in each.panel.rows if row.group == "procedure"]
    return [row for row in rows if row.choice == DEFAULT], [row for row in rows if row.choice != DEFAULT]


def _claim_failures(measured: Mapping[str, Measured]) -> Finding:
    _, rows = list_procedures(measured)
    stalled = [row for row in rows if row.status == "stalled"]
    silent = [row for row in stalled if row.success]
    missing = [row for row in stalled if "misses_optimum" in row.diagnostics]
    overs = sorted(row.over_optimum for row in stalled if row.over_optimum is not None)
    ends = f", at {overs[0]:.3g} to {overs[-1]:.3g} times the optimum" if overs else ""
    shares = [len(stalled) / len(rows) if rows else math.nan, len(silent) / len(stalled) if stalled else math.nan]
    return Finding(
        "Searches from one start, to a loose tolerance or of the mean loss stop short of the optimum, and their "
        "optimisers report success",
        judge(math.nan if math.isnan(shares[0]) else min(share for share in shares if not math.isnan(share))),
        f"{len(stalled)} of {len(rows)} stop short{ends}; {len(silent)} of these {len(stalled)} report success, and "
        f"the interval of {len(missing)} does not hold the optimum; three procedures start in a trap of one ladder",
        "80% of them stop short, and 80% of those that do report success; it fails where either is 20% or less",
    )


def _claim_default(measured: Mapping[str, Measured]) -> Finding:
    rows, _ = list_procedures(measured)
    reached = [row for row in rows if row.status == "reached"]
    ahead = [row for each in measured.values() for row in each.ahead.rows if row.choice == DEFAULT]
    short = [row for row in ahead if row.status == "stalled"]
    return Finding(
        f"(Beside) the study's own default, the {DEFAULT} with the default tolerance, reaches the optimum",
        judge(len(reached) / len(rows) if rows else math.nan),
        f"on {len(reached)} of {len(rows)} whole ladders; of the smaller sizes alone, which the largest model is "
        f"forecast from, on {len(ahead) - len(short)} of {len(ahead)}",
        "it ends within 0.1% of the certified optimum on 80% of the whole ladders; it fails at 20%",
        of="beside",
    )
