"""Public test doubles: planted ladders whose truth is known, and a sink that remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scaling_callback.records import Curve, Observation, Run, RunCard

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
        with progress, as under a decaying learning rate.
    """
    rng = np.random.default_rng(seed)
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
            runs.append(Run(card, Curve.of(seen), completed=True))
    return tuple(runs)


@dataclass
class RecordingSink:
    """A sink that keeps what it is given, in order."""

    scalars: list[tuple[int, dict[str, float]]] = field(default_factory=list[tuple[int, dict[str, float]]])
    reasons: dict[str, str] = field(default_factory=dict[str, str])
    doubts: dict[str, str] = field(default_factory=dict[str, str])
    record: dict[str, Any] = field(default_factory=dict[str, Any])

    def describe(self, record: Mapping[str, Any]) -> None:
        """Keep the configuration."""
        self.record.update(record)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Keep scalars."""
        self.scalars.append((step, dict(values)))

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Keep the reasons for what is absent now, and the doubts."""
        self.reasons, self.doubts = dict(absent), dict(doubts)
