"""A run as observed by now, among what the last refit knew."""

from __future__ import annotations

from dataclasses import replace

from scaling_callback.pipeline import glance
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.snapshot import Config, Snapshot


class Present:
    """Brings what the last refit said of the ladder up to date with what one run has observed since.

    Args:
        config: What is asked of the ladder.

    Example:
        >>> present, card = Present(Config()), RunCard(name="own", params=1e6)
        >>> present.observe(Observation(1e6, 3.0))
        >>> [len(run.curve) for run in present.glance(card).runs]
        [1]
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: Snapshot | None = None
        self._since: list[Observation] = []  # what the last refit did not know

    def observe(self, seen: Observation) -> None:
        """The run has come so far."""
        self._since.append(seen)

    def take(self, snapshot: Snapshot, card: RunCard) -> Snapshot:
        """What a refit says, with what it did not know of the run yet: it may be one from beside the training."""
        self._known = snapshot
        own = next((run for run in snapshot.runs if run.name == card.name), None)
        if own is not None and len(own.curve):
            self._since = [seen for seen in self._since if seen.tokens > own.curve.tokens[-1]]
        return replace(snapshot, runs=self._update(snapshot, card)) if self._since else snapshot

    def glance(self, card: RunCard) -> Snapshot:
        """What is known between two refits: the ladder is not read for it, and nothing is fitted."""
        return glance(self._update(self._known, card), self._config)

    def _update(self, snapshot: Snapshot | None, card: RunCard) -> tuple[Run, ...]:
        runs = snapshot.runs if snapshot is not None else ()
        if snapshot is not None and any(run.name == card.name for run in (*snapshot.excluded, *snapshot.set_aside)):
            return runs  # somebody, or `Config.runs`, wants nothing to be said of it
        if all(run.name != card.name for run in runs):
            return (*runs, Run(card, Curve.of(self._since)))
        return tuple(self._extend(run, card) if run.name == card.name else run for run in runs)

    def _extend(self, run: Run, card: RunCard) -> Run:
        if not self._since:
            return run
        known = replace(run.card, horizon=card.horizon or run.card.horizon)
        return replace(run, card=known, curve=Curve.of([*run.curve, *self._since]))
