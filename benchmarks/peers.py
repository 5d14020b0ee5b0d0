"""How others stop runs: Optuna's pruners and Lightning's EarlyStopping, walked over a sweep as they are in use.

A step is an observation: the n-th mark of the run of the group that was observed most often, and for the others the
nearest mark. Settings that count steps are given as shares of the horizon and turned into steps of the group.

- side by side: all runs of a group advance together, and are asked for in turn at each step.
- in turn: a run begins when the one before it has ended. Pruners that learn from completed trials alone can stop
  nothing else.

At its last observation a run is over, and is not asked about. Orders of the runs are that of the table and random ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna
import torch
from lightning.pytorch.callbacks import EarlyStopping
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import Trial, TrialState
from sweeps import Group

from scaling_callback.records import Array, Run

ORDERS = 12
"""Orders of the runs of each group: that of the table and random ones, rotated, so that each run comes first."""

Walk: TypeAlias = Literal["side by side", "in turn", "alone"]

Settings: TypeAlias = tuple[tuple[str, float | str], ...]


@dataclass(frozen=True)
class Peer:
    """A method with its settings.

    Attributes:
        method: Its name.
        walk: How the runs of a group are taken.
        settings: By name; a share of the horizon where a count of steps is meant and the name says so.
        default: Whether these are the settings that one gets without asking.
    """

    method: str
    walk: Walk
    settings: Settings = ()
    default: bool = False

    def __str__(self) -> str:
        words = ", ".join(f"{name} {_say(name, value)}" for name, value in self.settings)
        return f"{self.method} {self.walk}" + (f": {words}" if words else "")


STEPS = ("n_warmup_steps", "interval_steps", "min_resource", "max_resource")
"""Settings that count steps: a float is a share of the horizon."""


def _say(name: str, value: float | str) -> str:
    return f"{value:.0%}" if name in STEPS and isinstance(value, float) else str(value)


WARMUPS = (0, 0.1, 0.25, 0.5, 0.75)
STARTUPS = (1, 2, 5)
INTERVALS = (1, 0.1)
PERCENTILES = (25.0, 33.0, 75.0)
RESOURCES = (1, "auto", 0.1, 0.25, 0.5)
FACTORS = (2, 3, 4)


def list_peers() -> Iterator[Peer]:
    """Every method with every setting that is tried, and its defaults both ways.

    Side by side the other settings are left out: pruners that learn from completed trials stop nothing, and those with
    rungs of known resource stop the same as in turn, for at a rung a run is compared with those before it.
    """
    yield Peer("no pruner", "in turn", default=True)
    counts = ("n_startup_trials", "n_warmup_steps", "interval_steps")
    rungs = ("min_resource", "reduction_factor", "min_early_stopping_rate")
    brackets = ("min_resource", "max_resource", "reduction_factor")
    for startup, warmup, interval in product(STARTUPS, WARMUPS, INTERVALS):
        if warmup and interval != 1:
            continue
        waits = (startup, warmup, interval)
        yield from _walked("median", counts, waits, default=(5, 0, 1))
        if interval == 1:
            for percentile in PERCENTILES:
                yield from _walked("percentile", ("percentile", *counts), (percentile, *waits))
    for resource, factor, rate in product(RESOURCES, FACTORS, (0, 1)):
        if (resource, rate) != (0.5, 1):
            yield from _walked("successive halving", rungs, (resource, factor, rate), default=("auto", 4, 0))
    for least, most, factor in product((1, 0.1, 0.25), ("auto", 1.0), FACTORS):
        yield from _walked("hyperband", brackets, (least, most, factor), default=(1, "auto", 3))
    for patience, startup in product((1, 3), STARTUPS):
        yield from _walked("patient median", ("patience", "n_startup_trials"), (patience, startup))
    for patience, delta in product((3, 5, 10), (0.0, 0.001, 0.01)):
        settings = (("patience", patience), ("min_delta", delta))
        yield Peer("EarlyStopping", "alone", settings, (patience, delta) == (3, 0.0))


def _walked(
    method: str, names: Sequence[str], values: Sequence[float | str], default: Sequence[float | str] | None = None
) -> Iterator[Peer]:
    settings = tuple(zip(names, values, strict=True))
    yield Peer(method, "in turn", settings, values == default)
    if values == default:
        yield Peer(method, "side by side", settings, default=True)


def _patient(patience: int, n_startup_trials: int) -> PatientPruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PatientPruner(MedianPruner(n_startup_trials=n_startup_trials), patience=patience)


PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "no pruner": NopPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "successive halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "patient median": _patient,
}


class Track:
    """The runs of a group in steps that they share, and where they were stopped.

    Attributes:
        runs: The group.
        name: Of its studies; random orders and brackets are drawn from it.
        steps: Of each run, the step of each observation, from 1.
        shares: Of each step, the share of the horizon.
    """

    def __init__(self, group: Group, name: str = "sweep") -> None:
        self.runs = group
        self.name = name
        marks = max((run.curve.tokens for run in group), key=len)
        self.steps = [1 + np.abs(run.curve.tokens[:, None] - marks).argmin(1) for run in group]
        self.shares: Array = marks / marks[-1]
        self.found: dict[Any, dict[str, int]] = {}

    def count(self, share: float) -> int:
        """The first step at or beyond that share of the horizon."""
        return 1 + int(np.searchsorted(self.shares, share * (1 - 1e-9)))

    def walk(self, peer: Peer, order: int) -> dict[str, int]:
        """The runs that were stopped, and where. What comes to the same is walked once."""
        settings = {name: self._count(name, value) for name, value in peer.settings}
        if settings.get("n_startup_trials", 0) >= len(self.runs):
            return {}  # no run is asked about once so many of the others have ended
        places = () if peer.walk == "alone" else self.arrange(order)
        # brackets are drawn from the name: other ones for each group and order
        name = f"{self.name}, order {order}" if peer.method == "hyperband" else self.name
        key = (peer.method, peer.walk, *settings.items(), places, name)
        if key not in self.found:
            if peer.walk == "alone":
                self.found[key] = stop_alone(self.runs, **settings)
            else:
                self.found[key] = self._study(PRUNERS[peer.method](**settings), peer.walk, places, name)
        return self.found[key]

    def _count(self, name: str, value: float | str) -> Any:
        return self.count(value) if name in STEPS and isinstance(value, float) else value

    def arrange(self, order: int) -> tuple[int, ...]:
        """The places of the runs in that order of them."""
        round_, shift = divmod(order, len(self.runs))
        places = np.arange(len(self.runs))
        if round_:
            places = np.random.default_rng([round_, *self.name.encode()]).permutation(places)
        return tuple(np.roll(places, -shift).tolist())

    def _study(self, pruner: BasePruner, walk: Walk, places: Sequence[int], name: str) -> dict[str, int]:
        study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0), study_name=name)
        trials = {place: study.ask() for place in places} if walk == "side by side" else {}
        stops: dict[str, int] = {}
        for place, index in self._take(places, walk):
            run = self.runs[place]
            if run.name in stops:
                continue
            trial = trials.get(place) or trials.setdefault(place, study.ask())
            loss = float(run.curve.loss[index])
            if _report(trial, loss, int(self.steps[place][index]), last=index + 1 == len(run.curve)):
                stops[run.name] = index
                study.tell(trial, state=TrialState.PRUNED)
            elif index + 1 == len(run.curve):
                study.tell(trial, loss)
        return stops

    def _take(self, places: Sequence[int], walk: Walk) -> Iterable[tuple[int, int]]:
        """Run and index of each observation, as they come."""
        each = [(place, index) for place in places for index in range(len(self.steps[place]))]
        return each if walk == "in turn" else sorted(each, key=lambda at: int(self.steps[at[0]][at[1]]))


def _report(trial: Trial, loss: float, step: int, *, last: bool) -> bool:
    """Report, and ask, unless the run is over."""
    trial.report(loss, step)
    return not last and trial.should_prune()


def stop_alone(runs: Sequence[Run], **settings: Any) -> dict[str, int]:
    """The runs that Lightning's callback stops, each by its own curve, and where."""
    stops: dict[str, int] = {}
    for run in runs:
        callback = EarlyStopping("loss", **settings)
        # what the callback looks at of a Trainer
        trainer: Any = SimpleNamespace(
            callback_metrics={},
            fast_dev_run=False,
            should_stop=False,
            current_epoch=0,
            strategy=SimpleNamespace(reduce_boolean_decision=lambda decision, **_: decision),
        )
        for index, loss in enumerate(run.curve.loss[:-1]):
            trainer.callback_metrics["loss"] = torch.tensor(loss)
            callback._run_early_stopping_check(trainer)  # noqa: SLF001 (as both of its hooks do)
            if trainer.should_stop:
                stops[run.name] = index
                break
    return stops


def lay_tracks(groups: Sequence[Group]) -> list[Track]:
    """A track for each group."""
    return [Track(group, f"group {place}") for place, group in enumerate(groups)]


def walk_sweep(tracks: Sequence[Track], peer: Peer, orders: int = ORDERS) -> list[dict[str, int]]:
    """The stops in each order of the runs; in one where none sees the others."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return [
        {name: index for track in tracks for name, index in track.walk(peer, order).items()}
        for order in range(1 if peer.walk == "alone" else orders)
    ]
