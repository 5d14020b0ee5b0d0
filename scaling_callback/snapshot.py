"""The types that pass between deciding and showing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Literal, cast

from scaling_callback.allocating import UNCONSTRAINED, Allocation, Constraints
from scaling_callback.costs import check_budget
from scaling_callback.curves import Abstention, FinalForecast
from scaling_callback.errors import InputError
from scaling_callback.fitting import Borrowed, Fit, Objective, get_objective
from scaling_callback.forecasting import DEFAULT, Evidence, Forecast, Forecaster, PastForecast, TrackRecord, get_policy
from scaling_callback.laws import Law, get_law
from scaling_callback.laws.muennighoff import UNIQUE
from scaling_callback.records import Run, StopCall, Target, is_count
from scaling_callback.sensitivity import Panel

ASKED = (
    "target",
    "flops",
    "constraints",
    "starts",
    "further",
    "replicates",
    "runs",
    "cluster",
    "level",
    "seed",
    "splits",
    "past",
    "fits",
    "sensitivity",
)
"""Fields of `Config` that say what is asked, and not how it is answered."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is asked of a ladder.

    Attributes:
        target: What the forecast is for.
        flops: Budget of the allocation; by default the target's compute.
        constraints: What the budget must pay for beside training, how it is counted, and what is fixed.
        law: Name of the law, or a law.
        objective: Name of what the fit minimises, or an objective.
        evidence: Name of the evidence policy.
        prior: Whether the weak prior steadies the exponents.
        ridges: Whether the lines of published fits tie coefficients to their exponents.
        borrowed: Parameters held at values from elsewhere.
        starts: Natural parameters to start further searches from.
        further: Values of further variables of the law at the target or budget, such as `unique_tokens`.
        replicates: Bootstrap replicates.
        runs: `best` keeps, of runs that share params and horizon, the one with the lowest final.
        cluster: Column of the run card by which the bootstrap resamples; by default trunks of branches, else runs.
        level: Nominal coverage of intervals.
        seed: Seed of everything random.
        splits: Whether the budget is split, which takes a fraction of a second.
        past: Whether it is recomputed what was forecast while the ladder was smaller, which takes a few fits more.
        fits: Whether a law is fitted at all; without one only the finals of running runs are forecast, in a
            fraction of the time.
        sensitivity: Whether the answers under other choices and of other approaches are computed beside, which takes
            seconds.

    Raises:
        InputError: A value is out of its range.
    """

    target: Target | None = None
    flops: float | None = None
    constraints: Constraints = UNCONSTRAINED
    law: str | Law = "chinchilla"
    objective: str | Objective = "log-huber"
    evidence: str = "default"
    prior: bool = True
    ridges: bool = False
    borrowed: Borrowed | None = None
    starts: Sequence[Mapping[str, float]] = ()
    further: Mapping[str, float] = field(default_factory=dict[str, float])
    replicates: int = 200
    runs: Literal["all", "best"] = "all"
    cluster: str | None = None
    level: float = 0.9
    seed: int = 0
    splits: bool = True
    past: bool = True
    fits: bool = True
    sensitivity: bool = False

    @property
    def budget(self) -> float | None:
        """The compute that is split."""
        return self.flops or (self.target.compute if self.target else None)

    @property
    def combines(self) -> bool:
        """Whether nothing was chosen of how to forecast, so that the default combination answers.

        Its laws know nothing of repeated tokens: with unique tokens given, the fit that is shown answers.
        """
        usual = get_law(self.law) is get_law(Config.law) and get_objective(self.objective) == get_objective(
            Config.objective
        )
        asked = {name: getattr(self, name) for name in (*ASKED, "law", "objective")}
        return usual and UNIQUE not in self.further and self == replace(Config(), **asked)

    @property
    def forecaster(self) -> str:
        """Name of who forecasts."""
        return DEFAULT if self.combines else self._name

    @property
    def fitted(self) -> Forecaster:
        """The evidence, law, objective and priors of the fit that is shown and that splits budgets."""
        return Forecaster(
            name=self._name,
            evidence=self.evidence,
            law=self.law,
            objective=self.objective,
            prior=self.prior,
            ridges=self.ridges,
            borrowed=self.borrowed,
            starts=tuple(self.starts),
        )

    @property
    def _name(self) -> str:
        words = [self.evidence, get_law(self.law).name]
        if (objective := get_objective(self.objective).name) != Config.objective:
            words.append(objective)
        weak = self.prior and any(parameter.prior for parameter in get_law(self.law).parameters)
        words.append("with the weak prior" if weak else "without prior")
        if self.ridges:
            words.append("with ridges")
        if self.borrowed is not None:
            words.append(f"with borrowed {', '.join(self.borrowed.names)}")
        return " ".join(words)

    def __post_init__(self) -> None:
        for name, kind, wanted in _TYPES:
            if not isinstance(getattr(self, name), kind):
                raise InputError(f"{name} is {getattr(self, name)!r}; it must be {wanted}")
        get_law(self.law)
        get_objective(self.objective)
        get_policy(self.evidence)
        if not (isinstance(cast("Any", self.level), Real) and 0.0 < self.level < 1.0):
            raise InputError(f"level is {self.level!r}; it must lie between 0 and 1, such as 0.9")
        if not _is_whole(self.replicates):
            raise InputError(f"replicates is {self.replicates!r}; it must be 0 (no bootstrap) or a positive count")
        if self.flops is not None:
            check_budget(self.flops)
        for name, value in self.further.items():
            if not is_count(value):
                raise InputError(f"{name} is {value!r}; it must be a positive, finite number")
        if self.runs not in ("all", "best"):
            raise InputError(f"runs is {self.runs!r}; it must be 'all' or 'best'")
        if not _is_whole(self.seed):
            raise InputError(f"seed is {self.seed!r}; it must be 0 or a positive integer")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(cast("Any", value), bool) and int(value) >= 0


_TYPES: list[tuple[str, Any, str]] = [
    *((name, bool, "True or False") for name in ("prior", "ridges", "splits", "past", "fits", "sensitivity")),
    ("constraints", Constraints, "Constraints(...)"),
    ("target", Target | None, "Target(params=..., tokens=...)"),
    ("borrowed", Borrowed | None, "Borrowed.published(...), the `lend` of another fit, or None"),
    ("starts", Sequence, "a list of mappings from parameters to values"),
    ("further", Mapping, "a mapping from variables to values"),
    ("cluster", str | None, "the name of a column"),
]
"""What fields must be, beyond what the checks of their values say."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Everything that can be said of a ladder at one moment: data, no behaviour.

    Attributes:
        config: What was asked.
        runs: The runs that were looked at, after `config.runs`.
        evidence: What the fit saw, and what became of each run.
        fit: The fit; `None` with a reason in `absent`.
        forecast: The forecast of the target; likewise.
        allocation: The split of the budget; likewise (an allocation may itself carry reasons).
        finals: For each unfinished run its forecast final, or why there is none.
        record: The record of the forecaster, recomputed from the runs that are visible.
        member_records: The same of each forecaster that it combines, by name.
        live_record: Forecasts issued while training, scored.
        members: The fits that the forecast combines, by forecaster; empty where another fit, or none, made it.
        absent: What could not be said (`fit`, `forecast`, `track_record`), each with its reason.
        sensitivity: The answers under other choices; `None` where they were not asked for, or there is no fit.
        excluded: Runs that a line in their card excludes, and that nothing above looked at.
        set_aside: Runs that `config.runs` leaves out for another that ended at a lower loss, likewise.
        past: The forecasts of the target while the ladder was smaller: recomputed ones, then issued ones.
    """

    config: Config
    runs: tuple[Run, ...]
    evidence: Evidence
    fit: Fit | None
    forecast: Forecast | None
    allocation: Allocation | None
    finals: Mapping[str, FinalForecast | Abstention]
    record: TrackRecord
    live_record: TrackRecord
    absent: Mapping[str, str]
    member_records: Mapping[str, TrackRecord] = field(default_factory=dict[str, TrackRecord])
    members: Mapping[str, Fit] = field(default_factory=dict[str, Fit])
    sensitivity: Panel | None = None
    excluded: tuple[Run, ...] = ()
    set_aside: tuple[Run, ...] = ()
    past: tuple[PastForecast, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Whether a run goes on.

    Attributes:
        stop: Whether it should stop.
        calls: What the rules that call for its end say; with `stop` false they only watch.
        alert: Whether people are to be told at once that it should stop, though it goes on.

    Example:
        >>> from scaling_callback.records import StopCall
        >>> Decision(stop=True, calls=(StopCall(rule="budget", reason="its compute is spent", tokens=1e9),)).reason
        'its compute is spent'
    """

    stop: bool = False
    calls: tuple[StopCall, ...] = ()
    alert: bool = False

    @property
    def reason(self) -> str | None:
        """Why it stops, or would, in words; `None` where no rule calls for it."""
        return self.calls[0].reason if self.calls else None
