"""Everything that is computed of a ladder under other choices, in pieces of plain data that processes share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from choices.explaining import explain
from choices.ladders import LADDERS, Ladder, Task, base_choice, base_points, hold_out, more_choices, read_ladder
from choices.optimisers import Ended, search_by_each, start_costs
from choices.published import BUDGET, PUBLISHED, differs
from scaling_callback import Run
from scaling_callback.allocating import Constraints, Frontier, estimate_isoflop
from scaling_callback.fitting import GRID, Points, Procedure, fit, search
from scaling_callback.records import Array, Target
from scaling_callback.sensitivity import Panel, Row, compare_choices, list_choices

LEVEL = 0.9
"""Nominal coverage of the intervals."""

REPLICATES = 200
"""Bootstrap replicates of each row."""

PERCENTILES = 0.8
"""Coverage of the 10th to 90th percentile, as one interval was published."""

MANY = 1000
"""Replicates behind that one."""

PARTS = 4
"""Pieces that the starts of the grid are searched in."""

NAMES = ("E", "A", "B", "alpha", "beta")


@dataclass(frozen=True)
class Beside:
    """What is asked of a ladder beside its panel.

    Attributes:
        isoflop: The IsoFLOP profiles of its finals.
        measured: The row with C as the runs counted it; `None` where they count it as 6 N D.
        percentiles: The 10th to 90th percentile of D/N.
        reasons: Of each published row that is not met, what the objective says of the published values, by its place.
    """

    isoflop: Frontier
    measured: Row | None
    percentiles: tuple[float, float] | None
    reasons: Mapping[int, str]


@dataclass(frozen=True)
class Starts:
    """Where searches from every start of the grid ended.

    Attributes:
        ends: (E, A, B, alpha, beta) of each, shape (S, 5).
        ratios: D/N of each, shape (S,).
        over: The objective of each over that of the optimum, shape (S,).
        success: Whether the optimiser was content, shape (S,).
        draws: (E, A, B, alpha, beta) of the bootstrap replicates of the optimum, shape (R, 5).
        optimum: Those of the optimum, shape (5,).
        best: The objective of the optimum.
    """

    ends: Array
    ratios: Array
    over: Array
    success: Array
    draws: Array
    optimum: Array
    best: float


@dataclass(frozen=True)
class Others:
    """What the other optimisers of the study give.

    Attributes:
        ends: Where each ended from the best starts.
        costs: The objective at each start of the grid, in the order of `Starts`, shape (S,).
    """

    ends: tuple[Ended, ...]
    costs: Array


@dataclass(frozen=True)
class Measured:
    """Everything that is computed of one ladder.

    Attributes:
        ladder: Which.
        panel: Every choice on the whole ladder.
        ahead: Every choice on all sizes but the largest, with the forecast of the largest.
        task: What was forecast, and what came of it.
        beside: What is not in a panel.
        starts: Where searches end.
        variants: Where they end otherwise, by how: another tolerance, the mean for the sum.
        others: What other optimisers give; `None` where nothing was published of the ladder.
    """

    ladder: Ladder
    panel: Panel
    ahead: Panel
    task: Task
    beside: Beside
    starts: Starts
    variants: Mapping[str, Starts] = field(default_factory=dict[str, Starts])
    others: Others | None = None


VARIANTS: dict[str, Procedure] = {
    **{f"tolerance 1e-{digits}": Procedure((), tolerance=10.0**-digits) for digits in (4, 6, 8)},
    "mean for sum": Procedure((), mean=True),
}
"""How searches from every start are ended otherwise."""

PIECES = tuple(f"starts {part}" for part in range(PARTS))

JOBS = ("panel", "ahead", "beside", *PIECES)
"""The pieces of work on a ladder, the longest first."""

MORE = (*VARIANTS, "others")
"""Those on a ladder of which something was published."""


def work_on(work: tuple[str, str], folders: tuple[Path, ...]) -> Panel | Beside | Starts | Others:
    """One piece of work on the ladder of one table."""
    table, job = work
    ladder = next(ladder for ladder in LADDERS if ladder.table == table)
    runs = read_ladder(ladder, folders)
    if job == "panel":
        return vary(ladder, runs)
    if job == "ahead":
        task = hold_out(runs, base_choice(ladder).select)
        return vary(ladder, task.runs, target=task.target, target_sizes=task.sizes)
    if job == "beside":
        return look_beside(ladder, runs)
    points = base_points(ladder, runs)
    if job == "others":
        costs = start_costs(points)
        return Others(search_by_each(points), np.concatenate([costs[part::PARTS] for part in range(PARTS)]))
    if job in VARIANTS:
        return search_starts(points, list_grid(), VARIANTS[job], replicates=0)
    return search_starts(points, GRID[int(job.split()[1]) :: PARTS])


def list_grid() -> list[tuple[float, ...]]:
    """The starts of the grid in the order in which `Starts` has them: by pieces."""
    return [start for part in range(PARTS) for start in GRID[part::PARTS]]


def collect(ladder: Ladder, runs: Sequence[Run], made: Mapping[str, Panel | Beside | Starts | Others]) -> Measured:
    """The pieces of work on a ladder as one."""
    pieces = [piece for job in PIECES if isinstance(piece := made[job], Starts)]
    columns = ("ends", "ratios", "over", "success")
    starts = replace(
        pieces[0],
        **{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in columns},
    )
    panel, ahead, beside = made["panel"], made["ahead"], made["beside"]
    if not (isinstance(panel, Panel) and isinstance(ahead, Panel) and isinstance(beside, Beside)):
        got = ", ".join(f"{job}: {type(piece).__name__}" for job, piece in made.items())
        raise TypeError(f"pieces of work are mixed up ({got}); give what `work_on` made of each of JOBS by its name")
    variants = {job: piece for job in VARIANTS if isinstance(piece := made.get(job), Starts)}
    others = made.get("others")
    task = hold_out(runs, base_choice(ladder).select)
    return Measured(
        ladder, panel, ahead, task, beside, starts, variants, others if isinstance(others, Others) else None
    )


def vary(
    ladder: Ladder,
    runs: Sequence[Run],
    *,
    target: Target | None = None,
    target_sizes: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
) -> Panel:
    """Every choice on these runs of the ladder, with intervals."""
    return compare_choices(
        runs,
        base_choice(ladder),
        flops=BUDGET,
        target=target,
        target_sizes=target_sizes,
        also=more_choices(ladder),
        replicates=replicates,
        level=LEVEL,
    )


def look_beside(ladder: Ladder, runs: Sequence[Run]) -> Beside:
    """What is not in a panel: IsoFLOP profiles, another counting of C, percentiles, and why rows differ."""
    base = base_choice(ladder)
    alone = partial(compare_choices, runs, base, flops=BUDGET, groups=())
    measured = Constraints(counting="measured").cost
    counted = None
    if measured(base.select(runs)).source != Constraints(counting="6nd").cost(runs).source:
        counted = replace(
            alone(cost=measured, replicates=REPLICATES, level=LEVEL).rows[0], choice="C as it was measured"
        )
    percentiles = alone(replicates=MANY, level=PERCENTILES).rows[0].intervals.get("tokens_per_param")
    panel = vary(ladder, runs, replicates=0)
    found = {row.choice: row for row in panel.rows}
    choices = {choice.name: choice for choice in (*list_choices(base, runs), *more_choices(ladder))}
    reasons = {
        place: explain(published, choices[published.choice], runs)
        for place, published in enumerate(PUBLISHED.get(ladder.table, ()))
        if published.choice in found and differs(published, read_values(found[published.choice]))
    }
    isoflop = estimate_isoflop(base.select(runs), BUDGET, level=LEVEL, replicates=REPLICATES)
    return Beside(isoflop, counted, percentiles, reasons)


def read_values(row: Row) -> dict[str, float]:
    """E, alpha, beta and D/N of a row; a tied exponent stands for both, and what cannot be said is not there."""
    values = {**row.params, "tokens_per_param": row.tokens_per_param}
    values.setdefault("beta", row.params.get("alpha"))
    return {name: value for name, value in values.items() if value is not None}


def search_starts(
    points: Points,
    starts: Sequence[tuple[float, ...]],
    procedure: Procedure = Procedure(()),  # noqa: B008 (frozen)
    replicates: int = REPLICATES,
) -> Starts:
    """A search from each start alone, ended as `procedure` says, and the bootstrap of the optimum."""
    best = fit(points, replicates=replicates)
    found = [search(points, replace(procedure, starts=(start,)), orders=1) for start in starts]
    ends = np.stack([outcome.natural for outcome in found])
    with np.errstate(all="ignore"):  # a search may end where a term is beyond a double
        params, tokens = best.law.optimum(ends, BUDGET)
        ratios = tokens / params
    return Starts(
        ends=ends,
        ratios=ratios,
        over=np.array([outcome.objective for outcome in found]) / best.objective,
        success=np.array([float(outcome.success) for outcome in found]),
        draws=best.natural_draws,
        optimum=np.array([best.params[name] for name in NAMES]),
        best=best.objective,
    )


def error_of(row: Row, task: Task) -> float:
    """(Forecast - measured) / measured; NaN where there is no forecast."""
    return math.nan if row.loss is None else row.loss / task.measured - 1
