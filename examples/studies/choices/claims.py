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

CHINCHILLA = 20.0
"""Tokens per parameter that Hoffmann et al. 2022 are read as advising."""


@dataclass(frozen=True)
class Moved:
    """How far one kind of choice moves the answers, what was asked among them.

    Attributes:
        kind: What is chosen.
        choices: How many.
        ratio: D/N at the budget.
        loss: The forecast loss of the largest model.
    """

    kind: str
    choices: int
    ratio: Spread
    loss: Spread


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
        if not own:
            continue
        losses = [row.loss for row in ahead if KINDS.get(row.group) == kind]
        moved.append(
            Moved(
                kind,
                len(own),
                Spread.of([rows[0].tokens_per_param, *(row.tokens_per_param for row in own)]),
                Spread.of([ahead[0].loss, *losses]),
            )
        )
    return sorted(moved, key=lambda each: -(each.ratio.ratio or 0.0))


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
                    f"{show_exact(moved.loss.lowest)} to {show_exact(moved.loss.highest)}",
                    format_percent((moved.loss.ratio or math.nan) - 1),
                )
            )
    head = ("ladder", "found here", "place said", "choices", "D/N", "factor", "forecast", "range / lowest")
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
    return [replace(claim, looked=True) for claim in (*claims, _claim_failures(measured))]


def _claim_order(measured: Measured) -> Finding:
    right, pairs = judge_order(measured)
    return Finding(
        "Choices move D/N in the order non-convergence and data range, tying, learning rate, counting, loss, delta: "
        f"on the {measured.ladder.name}",
        judge(right / pairs if pairs else math.nan),
        f"{right} of {pairs} pairs are in this order; found: "
        + ", ".join(moved.kind for moved in spread_kinds(measured) if moved.kind in MOVES),
        "80% of the pairs are in this order; it fails at 20%",
    )


def spread_converged(measured: Measured) -> tuple[Spread, Spread]:
    """D/N, and the forecast loss of the largest model, over all certified optima."""
    return (
        measured.panel.spread("tokens_per_param", converged=True),
        measured.ahead.spread("loss", converged=True),
    )


def _claim_steady(measured: Measured) -> Finding:
    ratio, loss = (spread.ratio or math.nan for spread in spread_converged(measured))
    share = math.log(loss) / math.log(ratio)
    return Finding(
        f"The forecast loss is far steadier than D/N: on the {measured.ladder.name}",
        "no data" if math.isnan(share) else "holds" if share < STEADY else "fails",
        f"over certified optima D/N spreads over a factor of {show(ratio)}, the forecast of the largest model over "
        f"{format_percent(loss - 1)}",
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
    grid = find_row(measured, "best 40 of a grid of starts")
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
    rates = [row for row in measured.panel.rows if row.choice.startswith("learning rate ")]
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


def _claim_failures(measured: Mapping[str, Measured]) -> Finding:
    rows = [row for each in measured.values() for row in each.panel.rows if row.group == "procedure"]
    stalled = [row for row in rows if row.status == "stalled"]
    silent = [row for row in stalled if "reports success" in row.verdict]
    missing = [row for row in stalled if "misses_optimum" in row.diagnostics]
    overs = sorted(row.over_optimum for row in stalled if row.over_optimum is not None)
    ends = f", at {overs[0]:.3g} to {overs[-1]:.3g} times the optimum" if overs else ""
    return Finding(
        "Published procedures stop short of the optimum, and their optimisers report success",
        judge(len(silent) / len(stalled) if stalled else math.nan),
        f"{len(stalled)} of {len(rows)} stall{ends}; {len(silent)} of these report success, and the interval of "
        f"{len(missing)} does not hold the optimum",
        "80% of those that stall report success; it fails at 20%",
    )
