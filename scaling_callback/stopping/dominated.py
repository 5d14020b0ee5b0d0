"""A run that can no longer be the best of its size and horizon, or better than a loss that is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
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

MOST_ENDED = 8
"""Rivals that have ended, the best ones, from which it is learnt how their own group goes."""

SILENT = 10.0
"""Times the usual time between two observations after which a run that said nothing is taken for ended."""


@dataclass(frozen=True, kw_only=True)
class Dominated(Rule):
    """Ends a run that with a probability ends worse than the best of its size and horizon, by more than a margin.

    Rivals are the runs that share its params and horizon, finished or under way, but for those that were stopped
    themselves. Two forecasts of the difference of both finals are weighed by how well each claims to know it: that of
    finished groups of rivals at the same progress (`curves.rivals`), and that of the two forecast finals, as if their
    errors were independent (they hardly are, which errs on the side of going on). A rival under way stops others only
    while none dominates it, so that one of them always goes on; one that has not been heard of for long is none. Seeds
    of one configuration are rivals too; a run that others branch from is stopped by none.

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
        if any(other.card.parent == run.name for other in snapshot.runs):
            return None  # a trunk is trained for its branches
        field = _Field(snapshot, self.margin, self.probability)
        beaten = field.find_better(run)
        # one that is itself about to be stopped is no reason: of three that beat each other all would go
        lasting = [(said, other) for said, other in beaten if other.final is not None or not field.find_better(other)]
        if not lasting:
            return None
        said, best = max(lasting, key=lambda pair: pair[0].probability)
        return self._conclude(said, f"{best.name}, which {_describe_end(best, snapshot)}")

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


@dataclass(frozen=True)
class _Field:
    """The runs of a ladder, as rivals of each other."""

    snapshot: Snapshot
    margin: float
    probability: float

    def find_better(self, run: Run) -> list[tuple[_Odds, Run]]:
        """The rivals that a run under way loses to with enough probability.

        Of two under way that are expected to end alike the first by name is the better one, so that both processes
        say the same, a moment apart.
        """
        rivals = [other for other in self.snapshot.runs if _is_rival(run, other)]
        ended = _best([other for other in rivals if other.final is not None])[:1]  # no other that has ended is better
        rivals = [other for other in rivals if other.final is None or other in ended]
        odds = [(self.compare(run, other), other) for other in rivals]
        return [
            (said, other)
            for said, other in odds
            if said.probability >= self.probability
            and (other.final is not None or _rank(said) > 0 or (_rank(said) == 0 and run.name > other.name))
        ]

    def compare(self, run: Run, rival: Run) -> _Odds:
        """The odds that `run` ends worse than `rival`; of both asked the other way round, the same."""
        said: list[_Odds] = []
        standing, places = self._stand(run, rival)
        if standing is not None and run.name in places and rival.name in places:
            said.append(_Odds(*standing.compare(places[run.name], places[rival.name], self.margin)))
        own, its = _forecast_log(self.snapshot, run), _forecast_log(self.snapshot, rival)
        if own is not None and its is not None:
            said.append(_exceed(own[0] - its[0], math.hypot(own[1], its[1]), self.margin))
        return _weigh(said)

    def _stand(self, run: Run, rival: Run) -> tuple[Standing | None, dict[str, int]]:
        """What finished groups say at the progress that both rivals have come to, and the place of each in that.

        All rivals that have come as far are asked of at once: what is said of two does not depend on the others.
        """
        progress = min(float(member.progress[-1]) for member in (run, rival))
        known = [other for other in self.snapshot.runs if len(other.curve) and not other.card.held_out]
        ended = tuple(other for other in known if other.final is not None)
        groups = tuple(group for group in _group(ended) if len(group) > 1 and not compete(group[0], run))
        field = [r for r in known if compete(r, run) and r.stopped is None and seen_level(r, progress) is not None]
        trains = [r for r in field if r.final is None and float(r.progress[-1]) >= progress]
        members = (*trains, *_best([r for r in field if r.final is not None])[:MOST_ENDED])
        places = {member.name: place for place, member in enumerate(members)}
        return stand(members, groups, progress) if len(members) > 1 else None, places


@lru_cache(maxsize=8)
def _group(runs: tuple[Run, ...]) -> tuple[tuple[Run, ...], ...]:
    """Groups of rivals; the runs that have ended stay the same from look to look."""
    return tuple(group_runs(runs))


def _best(ended: Sequence[Run]) -> list[Run]:
    """Runs that have ended, the lowest first."""
    return sorted(ended, key=lambda run: (run.final.loss if run.final is not None else math.inf, run.name))


def _rank(said: _Odds) -> int:
    """Whether a run is expected to end above its rival (1), below it (-1), or alike as far as can be told (0)."""
    return 0 if abs(said.difference) <= said.spread else int(math.copysign(1, said.difference))


def _is_rival(run: Run, other: Run) -> bool:
    """Whether a run is compared with another: one that has ended, or trains beside it."""
    if other.name == run.name or other.card.held_out or not len(other.curve) or other.stopped is not None:
        return False
    if not compete(run, other) or other.name == run.card.parent or not np.isfinite(other.curve.loss[-1]):
        return False
    return other.final is not None or _is_alive(other, float(run.curve.wall_time[-1]))


def _is_alive(run: Run, now: float) -> bool:
    """Whether a run under way has been heard of lately: one that crashed will never be the better one."""
    times = run.curve.wall_time
    usual = float(np.median(np.diff(times))) if len(times) > 1 else math.nan
    return not (usual > 0 and now - float(times[-1]) > SILENT * usual)  # unknown times are no silence


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
