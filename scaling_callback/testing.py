"""Public test doubles: planted ladders whose truth is known, and a sink that remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
"""Parameters of the planted law, close to the refitted Chinchilla ones."""


def planted_loss(params: float, tokens: float, truth: Mapping[str, float] = TRUTH) -> float:
    """The planted loss E + A / N^alpha + B / D^beta.

    Example:
        >>> round(planted_loss(70e9, 1.4e12), 4)
        1.9441
    """
    finite_size = truth["A"] / params ** truth["alpha"]
    finite_data = truth["B"] / tokens ** truth["beta"]
    return truth["E"] + finite_size + finite_data


def planted_ladder(
    *,
    sizes: Sequence[float] = (1e7, 3e7, 1e8, 3e8),
    ratios: Sequence[float] = (5.0, 20.0, 80.0),
    points: int = 12,
    noise: float = 0.002,
    seed: int = 0,
    truth: Mapping[str, float] = TRUTH,
) -> tuple[Run, ...]:
    """Runs of a cosine schedule whose finals lie on a planted law, times log-normal noise.

    Args:
        sizes: N of the runs.
        ratios: D/N of the runs; each size is trained at each ratio.
        points: Observations per run.
        noise: Standard deviation of ln L between runs.
        seed: Seed of the noise.
        truth: Parameters of the law.

    Returns:
        One run for each size and ratio, by size. Before its end a run lies above the law by a gap that closes
        with progress, as under a decaying learning rate. The same arguments give the same runs, read-only, so that
        what was worked out of them is known the next time.

    Example:
        >>> planted_ladder(seed=1)[0] is planted_ladder(seed=1)[0]
        True
    """
    return _plant_ladder(tuple(sizes), tuple(ratios), points, noise, seed, tuple(truth.items()))


@lru_cache(maxsize=64)
def _plant_ladder(
    sizes: tuple[float, ...],
    ratios: tuple[float, ...],
    points: int,
    noise: float,
    seed: int,
    parameters: tuple[tuple[str, float], ...],
) -> tuple[Run, ...]:
    rng, truth = np.random.default_rng(seed), dict(parameters)
    runs: list[Run] = []
    for params in sizes:
        for ratio in ratios:
            horizon = params * ratio
            own = float(rng.normal(0.0, noise))
            seen: list[Observation] = []
            for index in range(1, points + 1):
                progress = index / points
                loss = planted_loss(params, horizon * progress, truth) + 0.08 * (1 - progress)
                rate = 1e-3 * (0.55 + 0.45 * float(np.cos(np.pi * progress)))
                seen.append(Observation(horizon * progress, loss * float(np.exp(own)), step=100.0 * index, lr=rate))
            card = RunCard(
                name=f"n{params:.0e}-r{ratio:g}", params=params, horizon=horizon, schedule="cosine", peak_lr=1e-3
            )
            curve = Curve.of(seen)
            for column in vars(curve).values():
                column.setflags(write=False)
            runs.append(Run(card, curve, completed=True))
    return tuple(runs)


def planted_isoflop(
    *,
    budgets: Sequence[float] = (1e19, 3e19, 1e20, 3e20, 1e21),
    sizes: int = 9,
    spread: float = 4.0,
    off_centre: float = 1.0,
    noise: float = 0.002,
    seed: int = 0,
    truth: Mapping[str, float] = TRUTH,
) -> tuple[Run, ...]:
    """Finished runs on IsoFLOP lines, whose finals lie on a planted law, times log-normal noise.

    Args:
        budgets: C = 6 N D of the lines.
        sizes: Runs on each line.
        spread: The largest and the smallest size are so many times larger and smaller than the middle one.
        off_centre: The middle size over the optimal one.
        noise: Standard deviation of ln L between runs.
        seed: Seed of the noise.
        truth: Parameters of the law.

    Example:
        >>> {f"{6 * run.params * run.horizon:.2g}" for run in planted_isoflop(budgets=(1e19,))}
        {'1e+19'}
    """
    rng = np.random.default_rng(seed)
    runs: list[Run] = []
    for budget in budgets:
        middle = off_centre * planted_optimum(budget, truth)
        for params in np.geomspace(middle / spread, middle * spread, sizes).tolist():
            tokens = budget / (6.0 * params)
            loss = planted_loss(params, tokens, truth) * float(np.exp(rng.normal(0.0, noise)))
            card = RunCard(name=f"c{budget:.0e}-n{params:.3e}", params=params, horizon=tokens, schedule="cosine")
            runs.append(Run(card, Curve.of([Observation(tokens, loss)]), completed=True))
    return tuple(runs)


def planted_optimum(flops: float, truth: Mapping[str, float] = TRUTH) -> float:
    """The N that minimises the planted loss for C = 6 N D.

    Example:
        >>> round(planted_optimum(1e21) / 1e9, 2)
        2.94
    """
    both = truth["alpha"] + truth["beta"]
    scale = (truth["alpha"] * truth["A"] / (truth["beta"] * truth["B"])) ** (1.0 / both)
    return float(scale * (flops / 6.0) ** (truth["beta"] / both))


@dataclass
class RecordingSink:
    """A sink that keeps what it is given, in order."""

    scalars: list[tuple[int, dict[str, float]]] = field(default_factory=list[tuple[int, dict[str, float]]])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    doubts: dict[str, str] = field(default_factory=dict[str, str])
    record: dict[str, Any] = field(default_factory=dict[str, Any])
    drawn: list[tuple[int, tuple[Figure, ...]]] = field(default_factory=list[tuple[int, tuple[Figure, ...]]])
    alerts: list[Alert] = field(default_factory=list[Alert])
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    rows: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def describe(self, record: Mapping[str, Any]) -> None:
        """Keep the configuration."""
        self.record.update(record)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Keep scalars."""
        self.scalars.append((step, dict(values)))

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Keep the reasons for what is absent now, and the doubts."""
        self.reasons, self.doubts = dict(absent), dict(doubts)

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """Keep figures."""
        self.drawn.append((step, tuple(figures)))

    def alert(self, alert: Alert) -> None:
        """Keep an alert."""
        self.alerts.append(alert)

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what is said at the end."""
        self.answers, self.rows = dict(answers), list(rows)
