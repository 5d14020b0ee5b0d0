"""What came of runs that rules called for the end of: compute saved, good models lost.

Runs that share params and horizon are a group: one of them is wanted, the best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scaling_callback.forecasting import included
from scaling_callback.records import FINAL_PROGRESS, Run, StopCall, group_runs
from scaling_callback.replaying.visible import last_tokens

FALSE_STOP = 0.002
"""A stop is false where its run would have ended lower than the best kept one of its group by more than this share."""


@dataclass(frozen=True)
class ScoredCall:
    """A run that a rule called for the end of, and what was measured of it in the end.

    Attributes:
        run: Its name.
        call: What was said of it.
        progress: Share of its horizon that it had trained.
        saved_flops: Compute in FLOPs of what was recorded of it after that.
        final: Its own measured final; `None` where there is none.
        best_kept: The lowest final of the runs of its group that nothing called for the end of; likewise.
    """

    run: str
    call: StopCall
    progress: float
    saved_flops: float
    final: float | None
    best_kept: float | None

    @property
    def false(self) -> bool | None:
        """Whether it would have beaten the best kept one by more than `FALSE_STOP`; `None` where that is not known."""
        if self.final is None or self.best_kept is None:
            return None
        return self.final < self.best_kept * (1 - FALSE_STOP)


@dataclass(frozen=True)
class StopGroup:
    """Runs that share params and horizon.

    Attributes:
        runs: Their names, in order.
        params: N of the first.
        horizon: Planned tokens of the first; `None` if unknown.
        flops: Compute of all of them in FLOPs.
        calls: Those of them that rules called for the end of, in the order in which that was.
        best: The lowest final of all of them; `None` where none was measured.
        best_kept: The lowest final of those that nothing called for the end of; likewise.
    """

    runs: tuple[str, ...]
    params: float
    horizon: float | None
    flops: float
    calls: tuple[ScoredCall, ...]
    best: float | None
    best_kept: float | None

    @property
    def saved(self) -> float:
        """Share of its compute that the stops save."""
        return math.fsum(call.saved_flops for call in self.calls) / self.flops if self.flops else 0.0

    @property
    def emptied(self) -> bool:
        """Whether it is lost: no run of it was kept, or of those that finished none was."""
        return len(self.calls) == len(self.runs) or (self.best is not None and self.best_kept is None)

    @property
    def regret(self) -> float | None:
        """Best kept final over the best of all, - 1; `None` where no kept run has one."""
        return None if self.best_kept is None or self.best is None else self.best_kept / self.best - 1


@dataclass(frozen=True)
class StopAudit:
    """What rules would have done to a ladder.

    Attributes:
        groups: Runs that share params and horizon, by planned compute.
    """

    groups: tuple[StopGroup, ...]

    @property
    def runs(self) -> int:
        """Runs that took part."""
        return sum(len(group.runs) for group in self.groups)

    @property
    def calls(self) -> tuple[ScoredCall, ...]:
        """One a stopped run, group after group."""
        return tuple(call for group in self.groups for call in group.calls)

    @property
    def stopped(self) -> int:
        """Runs that were stopped."""
        return len(self.calls)

    @property
    def compute_saved(self) -> float:
        """Share of all compute that is saved, in [0, 1]."""
        whole = math.fsum(group.flops for group in self.groups)
        return math.fsum(call.saved_flops for call in self.calls) / whole if whole else 0.0

    @property
    def compute_saved_by_group(self) -> float:
        """Mean over groups of the share that is saved in each."""
        return _mean([group.saved for group in self.groups]) or 0.0

    @property
    def regret(self) -> float | None:
        """Mean over `regret_groups` of best kept over best, - 1; `None` where no group keeps a run with a final."""
        return _mean([group.regret for group in self.groups if group.regret is not None])

    @property
    def regret_groups(self) -> int:
        """How many groups keep a run with a final: of the others the regret says nothing."""
        return sum(group.regret is not None for group in self.groups)

    @property
    def false_stops(self) -> int:
        """Stopped runs that would have beaten the best kept one by more than `FALSE_STOP`."""
        return sum(call.false is True for call in self.calls)

    @property
    def scored(self) -> int:
        """Stopped runs of which it is known whether that was false."""
        return sum(call.false is not None for call in self.calls)

    @property
    def emptied(self) -> tuple[StopGroup, ...]:
        """Groups of which no finished run was kept: they count in neither regret nor false stops."""
        return tuple(group for group in self.groups if group.emptied)


def score_calls(runs: Sequence[Run]) -> StopAudit:
    """What would have come of a ladder's runs, had each ended where a rule first called for that.

    Args:
        runs: Runs with the calls that were recorded of them. A run that was in fact stopped has no final, and neither
            has one under way: theirs is not known to be false or right.

    Example:
        >>> from dataclasses import replace
        >>> from scaling_callback.testing import planted_ladder
        >>> run = planted_ladder()[-1]
        >>> call = StopCall(rule="budget", reason="spent", tokens=run.horizon / 4)
        >>> made = score_calls([replace(run, calls=(call,))])
        >>> made.stopped, made.scored, round(made.compute_saved, 2), made.regret
        (1, 0, 0.75, None)
    """
    taking_part = take_part(runs)
    return score(group_runs(taking_part), {run.name: run.calls[0] for run in taking_part if run.calls})


def score(groups: Iterable[Sequence[Run]], calls: Mapping[str, StopCall]) -> StopAudit:
    """The same, for groups of whole runs and the call that ends each that has one."""
    return StopAudit(tuple(_score(group, calls) for group in groups))


def take_part(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The runs that compete: observed, not held out, not excluded."""
    return tuple(run for run in included(runs) if len(run.curve) and not run.card.held_out)


def last_token(run: Run) -> float:
    """Where a run's record ends: at its plan, or before it where what was recorded does."""
    recorded = last_tokens(run)
    return run.horizon if run.horizon is not None and recorded >= FINAL_PROGRESS * run.horizon else recorded


def spend(run: Run) -> float:
    """Compute of a run in FLOPs: of its plan, or of what was recorded where that ends before."""
    return run.flops_per_token * last_token(run)


def _score(group: Sequence[Run], calls: Mapping[str, StopCall]) -> StopGroup:
    best_kept = _lowest(run for run in group if run.name not in calls)
    return StopGroup(
        runs=tuple(run.name for run in group),
        params=group[0].params,
        horizon=group[0].horizon,
        flops=math.fsum(map(spend, group)),
        calls=tuple(
            _score_call(run, calls[run.name], best_kept)
            for run in sorted(group, key=lambda run: calls[run.name].tokens if run.name in calls else math.inf)
            if run.name in calls
        ),
        best=_lowest(group),
        best_kept=best_kept,
    )


def _score_call(run: Run, call: StopCall, best_kept: float | None) -> ScoredCall:
    return ScoredCall(
        run=run.name,
        call=call,
        progress=math.nan if run.horizon is None else min(call.tokens / run.horizon, 1.0),
        saved_flops=run.flops_per_token * max(last_token(run) - call.tokens, 0.0),
        final=None if run.final is None else run.final.loss,
        best_kept=best_kept,
    )


def _lowest(runs: Iterable[Run]) -> float | None:
    return min((run.final.loss for run in runs if run.final is not None), default=None)


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
