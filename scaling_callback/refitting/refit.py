"""One refit: read the ladder, and say what it says."""

from __future__ import annotations

import time
from typing import NamedTuple

from scaling_callback.ladder import Ladder
from scaling_callback.pipeline import refresh
from scaling_callback.records import Observation
from scaling_callback.snapshot import Config, Snapshot


class Ask(NamedTuple):
    """What a refit is asked.

    Attributes:
        config: What is asked of the ladder.
        run: The run that asks.
        loss_kind: The loss that it records; of a ladder with several kinds this one is read.
    """

    config: Config
    run: str
    loss_kind: str | None


class Refit(NamedTuple):
    """What a refit said.

    Attributes:
        snapshot: What the ladder says.
        latest: The last observation of the run that asked, as the refit saw it.
        seconds: Wall time that reading and fitting took.
    """

    snapshot: Snapshot
    latest: Observation | None
    seconds: float


def refit(ladder: Ladder, ask: Ask) -> Refit:
    """Read what is new in the ladder, and refit on everything in it."""
    began = time.monotonic()
    runs = ladder.runs(where=[("loss_kind", ask.loss_kind)] if ask.loss_kind else ())
    issued = [forecast for forecast in ladder.issued() if forecast.loss_kind == ask.loss_kind]
    snapshot = refresh(runs, issued, ask.config)
    own = next((run.curve for run in runs if run.name == ask.run and len(run.curve)), None)
    return Refit(snapshot, None if own is None else own[len(own) - 1], time.monotonic() - began)
