"""What the figures show, as plain numbers: everything is computed here and nothing while drawing.

Compute is 6 N D throughout, also for runs that carry a measured figure: the law knows N and D only, and a
curve and the law through it must lie on one axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scaling_callback.fitting import Fit
from scaling_callback.records import Array, Curve, Run, same_count
from scaling_callback.reporting.tables import Role, ScoreRow, list_held_out, list_runs, list_scores
from scaling_callback.snapshot import Snapshot

POINTS = 80
"""Points along a line of the law: smooth at any size of the page."""

MOST_POINTS = 4000
"""Points that all curves of a figure have together: more are not seen, and would make a page or a dashboard slow."""

ROUNDING = 1e-9
"""Of ln D: a loss that stands where one is wanted is the one."""

LEAST_REACH = 1.5
"""Lines of the law run on by this factor beyond the data, where nothing else says how far."""


@dataclass(frozen=True, eq=False)
class RunSeries:
    """The curve of one run and its end.

    Attributes:
        name: The run's name.
        params: Its N.
        size: Rank of its size among the ladder's sizes, from 0.
        role: What became of it in the fit.
        tokens: Tokens of its finite losses, shape (n,); of a long ladder some of them, spread evenly in ln D.
        loss: Those losses, shape (n,).
        final: Tokens and loss of its final.
        guess: Tokens, loss and interval of its forecast final, where it is unfinished.
    """

    name: str
    params: float
    size: int
    role: Role
    tokens: Array
    loss: Array
    final: tuple[float, float] | None
    guess: tuple[float, float, float, float] | None

    @property
    def compute(self) -> Array:
        """6 N D of each loss, shape (n,)."""
        return 6.0 * self.params * self.tokens


@dataclass(frozen=True, eq=False)
class LawLine:
    """The fitted law along a path.

    Attributes:
        params: N along it, shape (m,).
        tokens: D along it, shape (m,).
        loss: The fitted loss, shape (m,).
        reach: The largest value of what the path runs over (compute or tokens) that the evidence covers.
        kind: `frontier` is the compute-optimal split, `ladder` the ladder's own mean split, `size` one size.
        size: Rank of the size, for `size`; -1 is the target's.
    """

    params: Array
    tokens: Array
    loss: Array
    reach: float
    kind: Literal["frontier", "ladder", "size"]
    size: int = -1

    @property
    def compute(self) -> Array:
        """6 N D along it, shape (m,)."""
        return 6.0 * self.params * self.tokens


@dataclass(frozen=True)
class TargetMark:
    """The forecast of the target; `lower` and `upper` are NaN without a bootstrap."""

    params: float
    tokens: float
    loss: float
    lower: float
    upper: float

    @property
    def compute(self) -> float:
        """6 N D."""
        return 6.0 * self.params * self.tokens


@dataclass(frozen=True)
class ErrorRow:
    """A forecast against its measurement, in percent of the measured loss.

    Attributes:
        params: N of what was forecast.
        tokens: D of what was forecast.
        error: Forecast minus measured.
        lower: Lower end of the interval minus measured; NaN without an interval.
        upper: Upper end of the interval minus measured.
        kind: `recomputed` from the finals, `issued` while training, or the `target` itself.
    """

    params: float
    tokens: float
    error: float
    lower: float
    upper: float
    kind: Literal["recomputed", "issued", "target"]


@dataclass(frozen=True)
class ResidualMark:
    """A final against the fitted law: `percent` is positive where the run ended above it."""

    name: str
    size: int
    role: Role
    compute: float
    percent: float


def rank_sizes(runs: Sequence[Run]) -> tuple[float, ...]:
    """The distinct sizes of `runs`, increasing; sizes within 2% are one.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> rank_sizes(planted_ladder(sizes=(1e8, 1e7, 1.01e7, 3e7)))
        (10000000.0, 30000000.0, 100000000.0)
    """
    sizes: list[float] = []
    for params in sorted(run.params for run in runs):
        if not sizes or not same_count(sizes[-1], params):
            sizes.append(params)
    return tuple(sizes)


def collect_runs(snapshot: Snapshot) -> tuple[RunSeries, ...]:
    """Every run's curve, by size."""
    sizes = rank_sizes(snapshot.runs)
    rows = {row.name: row for row in list_runs(snapshot)}
    series: list[RunSeries] = []
    share = max(MOST_POINTS // max(len(snapshot.runs), 1), 2)
    for run in sorted(snapshot.runs, key=lambda run: run.params):
        row, final = rows[run.name], run.final
        curve = thin(run.curve.take(np.isfinite(run.curve.loss) & (run.curve.loss > 0)), share)
        guess = None
        if row.forecast is not None and row.lower is not None and row.upper is not None and row.horizon:
            guess = (row.horizon, row.forecast, row.lower, row.upper)
        series.append(
            RunSeries(
                name=run.name,
                params=run.params,
                size=_rank(sizes, run.params),
                role=row.role,
                tokens=curve.tokens,
                loss=curve.loss,
                final=(final.tokens, final.loss) if final else None,
                guess=guess,
            )
        )
    return tuple(series)


def find_target(snapshot: Snapshot) -> TargetMark | None:
    """The forecast of the target, if there is one."""
    made = snapshot.forecast
    return None if made is None else TargetMark(made.params, made.tokens, made.median, made.lower, made.upper)


def trace_compute(snapshot: Snapshot) -> LawLine | None:
    """The fitted law against compute, from the smallest evidence to the target.

    Along the compute-optimal split where the allocation is identified. Where it is not, along the ladder's own
    (ln N as a line in ln C through the evidence), and from the evidence's end straight to the target.
    """
    fit, target = snapshot.fit, find_target(snapshot)
    if fit is None or not can_trace(snapshot, fit):
        return None
    evidence = 6.0 * fit.points.params * fit.points.tokens
    reach = float(evidence.max())
    end = max(reach * LEAST_REACH, target.compute if target else 0.0)
    compute = np.geomspace(float(evidence.min()), end, POINTS)
    if snapshot.allocation is not None and snapshot.allocation.identified:
        further, cost = snapshot.config.further, snapshot.allocation.cost
        splits = np.array([fit.optimum(float(c), further, cost) for c in compute])
        params, tokens = splits[np.isfinite(splits).all(1) & (splits > 0).all(1)].T
        kind = "frontier"
    else:
        x = np.log(evidence)
        slope = float(np.polyfit(x, np.log(fit.points.params), 1)[0]) if np.ptp(x) > 0 else 0.0
        along = np.log(fit.points.params).mean() + slope * (np.log(compute) - x.mean())
        if target is not None and target.compute > reach:
            at_reach = np.log(fit.points.params).mean() + slope * (np.log(reach) - x.mean())
            ends = np.log([reach, target.compute]), [at_reach, np.log(target.params)]
            along = np.where(compute > reach, np.interp(np.log(compute), *ends), along)
        params, kind = np.exp(along), "ladder"
        tokens = compute / (6.0 * params)
    return LawLine(params, tokens, fit.predict(params, tokens, **snapshot.config.further), reach, kind)


def trace_sizes(snapshot: Snapshot) -> tuple[LawLine, ...]:
    """The fitted law against tokens, one line for each size of the ladder and one for the target's size."""
    fit, target = snapshot.fit, find_target(snapshot)
    if fit is None or not can_trace(snapshot, fit):
        return ()
    reach = float(fit.points.tokens.max())
    begin = float(fit.points.tokens.min())
    lines: list[LawLine] = []
    sizes = rank_sizes(snapshot.runs)
    for rank, params in enumerate(sizes):
        if any(same_count(params, float(n)) for n in fit.points.params):
            tokens = np.geomspace(begin, reach * LEAST_REACH, POINTS)
            lines.append(_trace_size(snapshot, params, tokens, reach, rank))
    if target is not None:
        tokens = np.geomspace(begin, max(target.tokens, reach), POINTS)
        lines.append(_trace_size(snapshot, target.params, tokens, reach, -1))
    return tuple(lines)


def collect_errors(snapshot: Snapshot) -> tuple[ErrorRow, ...]:
    """Every scored forecast, by compute, with the target's own measurements last."""
    rows = [_error_row(score, "recomputed") for score in list_scores(snapshot, snapshot.record)]
    rows += [_error_row(score, "issued") for score in list_scores(snapshot, snapshot.live_record)]
    rows.sort(key=lambda row: row.params * row.tokens)
    for held in list_held_out(snapshot):
        score = ScoreRow(
            held.run, held.params, held.tokens, held.forecast, held.lower, held.upper, held.measured, held.error, True
        )
        rows.append(_error_row(score, "target"))
    return tuple(rows)


def collect_residuals(snapshot: Snapshot) -> tuple[ResidualMark, ...]:
    """Every final against the law, by size; empty without a fit."""
    sizes = rank_sizes(snapshot.runs)
    finals = {run.name: run.final for run in snapshot.runs}
    marks: list[ResidualMark] = []
    for row in list_runs(snapshot):
        final = finals.get(row.name)  # none of an excluded run
        if final is not None and row.residual is not None:
            compute = 6.0 * row.params * final.tokens
            marks.append(ResidualMark(row.name, _rank(sizes, row.params), row.role, compute, 100.0 * row.residual))
    return tuple(marks)


def thin(curve: Curve, most: int) -> Curve:
    """At most so many of the losses of a curve, the first and the last among them, spread evenly in ln D.

    Example:
        >>> from scaling_callback.records import Observation
        >>> curve = Curve.of([Observation(2.0**i, 3.0) for i in range(9)])
        >>> thin(curve, 3).tokens.tolist()
        [1.0, 16.0, 256.0]
    """
    if len(curve) <= most:
        return curve
    along = np.log(curve.tokens)
    first, last = float(along[0]), float(along[-1])
    nearest = np.searchsorted(along, first + (last - first) * np.arange(most) / (most - 1) - ROUNDING)
    chosen = np.zeros(len(curve), dtype=np.bool_)
    chosen[np.minimum(nearest, len(curve) - 1)] = True
    return curve.take(chosen | curve.is_final)


def can_trace(snapshot: Snapshot, fit: Fit) -> bool:
    """Whether every variable of the law is known along a line of params and tokens."""
    return {*fit.law.variables} <= {"params", "tokens", "compute", *snapshot.config.further}


def _trace_size(snapshot: Snapshot, params: float, tokens: Array, reach: float, rank: int) -> LawLine:
    assert snapshot.fit is not None
    along = np.full(len(tokens), params)
    return LawLine(along, tokens, snapshot.fit.predict(along, tokens, **snapshot.config.further), reach, "size", rank)


def _error_row(score: ScoreRow, kind: Literal["recomputed", "issued", "target"]) -> ErrorRow:
    ends = [
        100.0 * (end / score.measured - 1) if end is not None else float("nan") for end in (score.lower, score.upper)
    ]
    return ErrorRow(score.params, score.tokens, 100.0 * score.error, ends[0], ends[1], kind)


def _rank(sizes: Sequence[float], params: float) -> int:
    return max(rank for rank, size in enumerate(sizes) if size <= params)
