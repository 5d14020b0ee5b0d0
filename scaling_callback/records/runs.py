"""Who a run is, and what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from scaling_callback.records.calls import StopCall
from scaling_callback.records.counts import is_count
from scaling_callback.records.curve import Array, Curve, Observation

Phase: TypeAlias = Literal["annealed", "constant", "unknown"]

FINAL_PROGRESS = 0.97
"""From this share of its horizon on, the last observation of a run counts as its final (DESIGN 4.1)."""

ANNEALED_BELOW = 0.5
"""A run whose last learning rate is below this share of its peak has been annealed."""


@dataclass(frozen=True, kw_only=True)
class RunCard:
    """Who a run is: what is known of it without its losses.

    Attributes:
        name: Its name, unique in its ladder.
        params: N in the primary counting convention.
        sizes: N in every counting convention that is known, by name.
        horizon: The tokens it is planned to train on; `None` if unknown.
        schedule: The learning-rate schedule in words.
        peak_lr: The highest learning rate of the schedule.
        seed: The seed of its initialisation and data order.
        parent: The run that this one branched from.
        parent_step: The step of the parent at which it did.
        batch_tokens: Tokens in one optimiser step.
        flops_per_token: Training FLOPs per token; 6 N where not measured.
        loss_kind: What the loss is: the monitored metric, the data set.
        held_out: Recorded to be compared with the forecast, and never part of the evidence.
        excluded: Why it is left out of everything that is asked of the ladder; `None` where it is not.
        note: Anything that a reader should know of it.
        recipe: What all runs of a ladder must share (architecture, data, tokenizer, metric).
        created: When it began, in seconds since the epoch.
        extra: Anything else worth keeping (software versions, hardware).
    """

    name: str
    params: float
    sizes: Mapping[str, float] = field(default_factory=dict[str, float])
    horizon: float | None = None
    schedule: str | None = None
    peak_lr: float | None = None
    seed: str | None = None
    parent: str | None = None
    parent_step: int | None = None
    batch_tokens: float | None = None
    flops_per_token: float | None = None
    loss_kind: str | None = None
    held_out: bool = False
    excluded: str | None = None
    note: str | None = None
    recipe: Mapping[str, str] = field(default_factory=dict[str, str])
    created: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: its card, its curve, and what was odd about its record.

    Attributes:
        card: Who it is.
        curve: What was measured.
        notes: Sentences on what was left out or repaired while reading it.
        completed: Whether the training said that it reached the end of its plan.
        calls: What stopping rules said of it, in that order.

    Example:
        >>> card = RunCard(name="a", params=1e6, horizon=2e6)
        >>> run = Run(card, Curve.of([Observation(1e6, 4.0), Observation(2e6, 3.1)]))
        >>> run.progress.tolist(), run.final.loss
        ([0.5, 1.0], 3.1)
    """

    card: RunCard
    curve: Curve
    notes: tuple[str, ...] = ()
    completed: bool = False
    calls: tuple[StopCall, ...] = ()

    def until(self, tokens: float) -> Run:
        """The run as it stood after `tokens`: what was observed later is unknown, and so is that it completed."""
        calls = tuple(call for call in self.calls if call.tokens <= tokens)
        return Run(self.card, self.curve.take(self.curve.tokens <= tokens), self.notes, calls=calls)

    @property
    def stopped(self) -> StopCall | None:
        """What it was stopped for, early and for good; `None` where it was not, or went on after all."""
        acted = [call for call in self.calls if call.acted]
        went_on = not acted or (len(self.curve) and self.curve.tokens[-1] > acted[-1].tokens * (1 + 1e-9))
        return None if went_on or self.completed else acted[-1]

    @property
    def name(self) -> str:
        """The run's name."""
        return self.card.name

    @property
    def params(self) -> float:
        """N in the primary counting convention."""
        return self.card.params

    @cached_property
    def horizon(self) -> float | None:
        """Planned tokens; those trained on where the plan is unknown and the run completed."""
        if self.card.horizon is None and self.completed and len(self.curve):
            return float(self.curve.tokens[-1])
        return self.card.horizon

    @cached_property
    def progress(self) -> Array:
        """Share of the horizon at each observation, in (0, 1]; NaN where no horizon is known."""
        if self.horizon is None:
            return np.full(len(self.curve), np.nan)
        return np.minimum(self.curve.tokens / self.horizon, 1.0)

    @cached_property
    def final(self) -> Observation | None:
        """The observation that ends the run's schedule, or `None` if it has not ended.

        The last flagged observation, else the last one at progress 0.97 or more. A final whose loss is
        no positive, finite number is none.
        """
        candidates = np.flatnonzero(self.curve.is_final)
        if not len(candidates):
            candidates = np.flatnonzero(self.progress >= FINAL_PROGRESS)
        if not len(candidates):
            return None
        last = self.curve[int(candidates[-1])]
        return last if is_count(last.loss) else None

    @cached_property
    def phase(self) -> Phase:
        """Whether the run's schedule anneals the learning rate, holds it, or is unknown.

        Decided from the recorded learning rates where there are any, else from the words of the schedule.
        """
        rates = self.curve.lr[np.isfinite(self.curve.lr)]
        peak = max([*rates, self.card.peak_lr or 0.0], default=0.0)
        if self.final is not None and math.isfinite(self.final.lr) and peak > 0:
            return "annealed" if self.final.lr < ANNEALED_BELOW * peak else "constant"
        words = (self.card.schedule or "").lower()
        if "const" in words and "cool" not in words and "anneal" not in words:
            return "constant"
        return "annealed" if words and "unknown" not in words else "unknown"

    @property
    def flops_per_token(self) -> float:
        """Training FLOPs per token: measured where the card has it, else 6 N."""
        return self.card.flops_per_token or 6.0 * self.params

    @property
    def planned_flops(self) -> float | None:
        """Compute of the whole run in FLOPs, or `None` while its horizon is unknown."""
        return None if self.horizon is None else self.flops_per_token * self.horizon

    @property
    def cluster(self) -> str:
        """The trunk of a branch, else the run itself: what a bootstrap resamples as one."""
        return self.card.parent or self.name
