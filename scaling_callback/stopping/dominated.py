"""A run that can no longer be the best of its size and horizon, or better than a loss that is given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, NamedTuple

import numpy as np

from scaling_callback.curves import FinalForecast
from scaling_callback.curves.combine import SHARPNESS
from scaling_callback.curves.rivals import Standing, seen_level, stand
from scaling_callback.errors import InputError
from scaling_callback.records import Run, compete, group_runs, is_count
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict, check_share

LEAST_LEAD = -0.005
"""Lowest margin: a run that would win by more than half a percent is worth its compute; seeds differ by .1 to .3%."""

ABREAST = 0.9
"""Share of a run's progress that a rival must have come to, to be compared with it at the same progress."""


@dataclass(frozen=True, kw_only=True)
class Dominated(Rule):
    """Ends a run that with a probability ends worse than the best of its size and horizon, by more than a margin.

    Rivals are the runs that share its params and horizon, finished or under way, but for those that were stopped
    themselves. Two forecasts of the difference of both finals are weighed by how well each claims to know it: that of
    finished groups of rivals at the same progress (`curves.rivals`), and that of the two forecast finals, as if their
    errors were independent (they hardly are, which errs on the side of going on). Of two rivals at most the one that is
    expected to end higher is dominated, so that one of them always goes on.

    **How often it is wrong.** The probability is a posterior one: of the runs that are stopped at `probability` p, no
    more than 1 - p would have won by more than the margin, however often it is looked at, if the posterior is right
    (stopping does not change a posterior). That it may be too sure is met by three things: spreads are scaled by the
    worst error of the record up to this progress, Student's t stands for what little is known of that, and `patience`
    asks twice. What it comes to on measured sweeps, with other probabilities too, stands in docs/accuracy.md, section
    "Stopping".

    Attributes:
        probability: With which it must end worse, in [0.5, 1).
        margin: By how much, as a share of the better one's loss. The default says that a run which would win by at most
            .2%, as seeds do, need not go on; 0 that it must end worse; 0.01 that it must end worse by more than 1%.
        against: A loss to be compared with instead of the rivals.
        min_progress: Share of its horizon that a run must have trained.
        patience: Refits in a row.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> from dataclasses import replace
        >>> from scaling_callback import Config, refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> *others, run = planted_ladder(noise=0.0)
        >>> worse = replace(run.until(run.horizon / 2), card=replace(run.card, name="worse"))
        >>> worse = replace(worse, curve=replace(worse.curve, loss=worse.curve.loss * 1.2))
        >>> runs = [*others, run, worse]
        >>> Dominated()(refresh(runs, (), Config(fits=False)), "worse").evidence["probability"] > 0.99
        True
    """

    probability: float = 0.95
    margin: float = -0.002
    against: float | None = None
    min_progress: float = 0.02
    patience: int = 2

    name: ClassVar[str] = "dominated"
    needs: ClassVar[Needs] = "finals"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "probability", at_least=0.5, below=1.0)
        check_share(self, "margin", at_least=LEAST_LEAD, below=1.0)
        if self.against is not None and not is_count(self.against):
            raise InputError(f"dominated: against is {self.against!r}; it must be a loss, or None for the other runs")

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        """Why a run under way should end, or `None`."""
        if self.against is not None:
            return self._judge_against(snapshot, run, self.against)
        rivals = [other for other in snapshot.runs if _is_rival(run, other)]
        standing, places = _stand(run, rivals, snapshot)
        odds = {other: _compare(snapshot, run, other, self.margin, standing, places) for other in rivals}
        # of two that are expected to end alike the first by name goes on
        behind = [other for other, said in odds.items() if (said.difference, run.name) > (0.0, other.name)]
        best = max(behind, key=lambda other: odds[other].probability, default=None)
        if best is None or odds[best].probability < self.probability:
            return None
        return self._conclude(odds[best], f"{best.name}, which {_describe_end(best, snapshot)}")

    def _judge_against(self, snapshot: Snapshot, run: Run, loss: float) -> Verdict | None:
        made = _forecast_log(snapshot, run)
        if made is None:
            return None
        said = _exceed(made[0] - math.log(loss), made[1], self.margin)
        return None if said.probability < self.probability else self._conclude(said, f"the given {loss:.4g}")

    def _conclude(self, said: _Odds, beside: str) -> Verdict:
        """That it ends worse than what it stands beside."""
        if self.margin < 0:
            worse = f"will not beat {beside}, by more than {-self.margin:.1%}"
        else:
            worse = f"ends above {beside}" + (f", by more than {self.margin:.1%}" if self.margin else "")
        return Verdict(
            f"with probability {said.probability:.1%} it {worse}: its final is expected "
            f"{math.expm1(said.difference):+.2%} from that",
            {"probability": said.probability, "difference": math.expm1(said.difference), "spread": said.spread},
        )


class _Odds(NamedTuple):
    """That a run ends worse than a rival by more than the margin; difference of their ln finals, and its spread."""

    probability: float
    difference: float
    spread: float


def _is_rival(run: Run, other: Run) -> bool:
    trains = other.name != run.name and len(other.curve) > 0 and not other.card.held_out and other.stopped is None
    return trains and compete(run, other) and bool(np.isfinite(other.curve.loss[-1]))


def _stand(run: Run, rivals: Sequence[Run], snapshot: Snapshot) -> tuple[Standing | None, dict[str, int]]:
    """What finished groups say of the run and the rivals that are abreast of it, and the place of each in that."""
    progress = float(run.progress[-1])
    reached = [other for other in rivals if float(other.progress[-1]) >= ABREAST * progress]
    members = [member for member in (run, *reached) if seen_level(member, progress) is not None]
    if len(members) < 2 or members[0] is not run:
        return None, {}
    others = [r for r in snapshot.runs if r.final is not None and not r.card.held_out and not compete(r, run)]
    groups = [group for group in group_runs(others) if len(group) > 1]
    return stand(members, groups, progress), {member.name: place for place, member in enumerate(members)}


def _compare(
    snapshot: Snapshot, run: Run, rival: Run, margin: float, standing: Standing | None, places: Mapping[str, int]
) -> _Odds:
    said: list[_Odds] = []
    if standing is not None and rival.name in places:
        said.append(_Odds(*standing.compare(places[run.name], places[rival.name], margin)))
    own, other = _forecast_log(snapshot, run), _forecast_log(snapshot, rival)
    if own is not None and other is not None:
        said.append(_exceed(own[0] - other[0], math.hypot(own[1], other[1]), margin))
    return _weigh(said)


def _forecast_log(snapshot: Snapshot, run: Run) -> tuple[float, float] | None:
    """Median and spread of ln of a run's final; `None` where nothing is said of it."""
    if run.final is not None:
        return math.log(run.final.loss), 0.0
    made = snapshot.finals.get(run.name)
    return (math.log(made.median), made.spread / made.median) if isinstance(made, FinalForecast) else None


def _exceed(difference: float, spread: float, margin: float) -> _Odds:
    """The odds of a normal difference of ln finals."""
    return _Odds(NormalDist().cdf((difference - math.log1p(margin)) / spread), difference, spread)


def _weigh(said: Sequence[_Odds]) -> _Odds:
    """One forecast from several: the sharper one counts nearly alone, as for single finals (`curves.combine`)."""
    if not said:
        return _Odds(0.0, 0.0, math.inf)
    trust = np.array([each.spread**-SHARPNESS for each in said])
    return _Odds(*(float(trust / trust.sum() @ np.array(values)) for values in zip(*said, strict=True)))


def _describe_end(run: Run, snapshot: Snapshot) -> str:
    if run.final is not None:
        return f"ended at {run.final.loss:.4g}"
    made = snapshot.finals.get(run.name)
    return f"is forecast to end at {made.median:.4g}" if isinstance(made, FinalForecast) else "trains beside it"
