"""A family with its largest models held out, and the ways to forecast them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, Protocol, TypeAlias

import numpy as np
from families import Family
from protocol import FIRST_PART, Array, fit_published, gather_checkpoints

from scaling_callback import Config, Run, Target, forecast
from scaling_callback.errors import NotEnoughData
from scaling_callback.forecasting import FORECASTERS, baselines
from scaling_callback.pipeline import forecast_by
from scaling_callback.replaying import Goal, hold_out

DEFAULTS = Config(replicates=2, splits=False, past=False)
"""The default forecaster; its medians do not depend on the replicates, and nothing else of it is looked at here."""

Schedule: TypeAlias = Literal["annealed", "constant", "unfinished or unknown"]

OTHER: Schedule = "unfinished or unknown"

SCHEDULES: tuple[Schedule, ...] = ("annealed", "constant", OTHER)


@dataclass(frozen=True)
class Case:
    """A family of finished models.

    Attributes:
        family: Which.
        runs: All of its runs.
        swept: Every run that finished, where `runs` holds only the best of each size and horizon.
    """

    family: Family
    runs: tuple[Run, ...]
    swept: tuple[Run, ...] = ()

    @cached_property
    def sizes(self) -> tuple[float, ...]:
        """Its sizes, increasing."""
        return tuple(sorted({run.params for run in self.runs}))

    @cached_property
    def ladder(self) -> tuple[Run, ...]:
        """Every run but those of the largest size."""
        return hold_out(self.runs, largest=1)[0]

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """The finals of the largest size."""
        return hold_out(self.runs, largest=1)[1]

    @cached_property
    def largest(self) -> tuple[Run, ...]:
        """The runs of the largest size."""
        return tuple(run for run in self.runs if run.params == self.sizes[-1])

    @cached_property
    def has_curves(self) -> bool:
        """Whether its runs have checkpoints."""
        return float(np.median([len(run.curve) for run in self.runs])) >= 5

    @cached_property
    def schedule(self) -> Schedule:
        """What the learning rate of most of its runs does before they end."""
        for kind in () if self.family.unfinished else SCHEDULES[:2]:
            if 2 * sum(run.phase == kind for run in self.runs) > len(self.runs):
                return kind
        return OTHER


Way = Callable[[Sequence[Run], Sequence[Goal]], "Sequence[float] | None"]
"""From runs and goals to a loss for each goal; `None` where nothing can be said."""


def ask_published(runs: Sequence[Run], goals: Sequence[Goal], beyond: float = FIRST_PART) -> Sequence[float] | None:
    """The published protocol."""
    points = gather_checkpoints(runs, beyond)
    law = None if points is None else fit_published(points)
    return None if law is None else law.predict(*list_places(goals)).tolist()


def ask_forecaster(name: str) -> Way:
    """One law on one kind of evidence, at its certified optimum."""

    def ask(runs: Sequence[Run], goals: Sequence[Goal]) -> Sequence[float] | None:
        try:
            places = [(goal.params, goal.tokens) for goal in goals]
            return forecast_by(FORECASTERS[name], runs, places).tolist()
        except NotEnoughData:
            return None

    return ask


def ask_default(runs: Sequence[Run], goals: Sequence[Goal]) -> Sequence[float] | None:
    """What a user of the library gets."""
    places = dict.fromkeys((goal.params, goal.tokens) for goal in goals)  # seeds share one
    try:
        said = {(n, d): forecast(runs, Target(params=n, tokens=d), DEFAULTS).median for n, d in places}
        return [said[goal.params, goal.tokens] for goal in goals]
    except NotEnoughData:
        return None


def ask_baseline(name: str) -> Way:
    """A guess that needs no law."""

    def ask(runs: Sequence[Run], goals: Sequence[Goal]) -> Sequence[float] | None:
        known = baselines(runs)
        return [known[name]] * len(goals) if name in known else None

    return ask


PROTOCOL, DEFAULT = "published protocol", "default"

WAYS: Mapping[str, Way] = {
    PROTOCOL: ask_published,
    "checkpoints, converged": ask_forecaster("intermediate"),
    "finals": ask_forecaster("final-only"),
    DEFAULT: ask_default,
    "best loss": ask_baseline("best_loss"),
    "most compute": ask_baseline("most_compute"),
}
"""Every way that is compared, by name. A new one is one line."""


def score(answers: Sequence[float] | None, goals: Sequence[Goal]) -> float | None:
    """Mean absolute relative error, as a fraction; `None` without answers.

    Example:
        >>> score([3.0, 2.0], [Goal(1e9, 1e10, 2.0), Goal(1e9, 2e10, 2.0)])
        0.25
    """
    if answers is None or not np.isfinite(answers).all():
        return None
    return float(np.mean([abs(said / goal.loss - 1) for said, goal in zip(answers, goals, strict=True)]))


class Predicts(Protocol):
    """A fitted law."""

    def predict(self, params: Array, tokens: Array, /) -> Array:
        """Losses of m places, shape (m,)."""
        ...


def miss(law: Predicts | None, goals: Sequence[Goal]) -> float | None:
    """The error of a law; `None` without one."""
    return None if law is None else score(law.predict(*list_places(goals)).tolist(), goals)


def list_places(goals: Sequence[Goal]) -> tuple[Array, Array]:
    """N and D of the goals, each (m,)."""
    return np.array([goal.params for goal in goals]), np.array([goal.tokens for goal in goals])


def cut(run: Run, share: float) -> Run:
    """A run as it stood after that share of its training; the whole run where its horizon is not known."""
    return run if run.horizon is None else run.until(share * run.horizon)


def ask(way: str, runs: Sequence[Run], goals: Sequence[Goal]) -> float | None:
    """The error of one way, from these runs."""
    return _ask(way, tuple(runs), tuple(goals))


@lru_cache(maxsize=512)  # several axes ask the same of the whole ladder
def _ask(way: str, runs: tuple[Run, ...], goals: tuple[Goal, ...]) -> float | None:
    return score(WAYS[way](runs, goals), goals)
