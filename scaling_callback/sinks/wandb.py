"""Weights & Biases: metrics against tokens, reasons and doubts in the summary, the configuration in the config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import METRICS, PREFIX, TOKENS
from scaling_callback.sinks.base import rename


@final
class WandbSink:
    """A W&B run.

    Each metric is defined by its exact name with `scaling/tokens` as its step: globs are matched in undefined
    order, and Lightning's logger itself claims `*`.

    Args:
        run: Gives the run; a logger of Lightning makes it when it is first asked for.
        send: Logs a row and the trainer's step, as Lightning's logger does; a run of W&B's own needs no step.
        prefix: What the names of metrics begin with.
    """

    def __init__(
        self, run: Callable[[], Any], send: Callable[[dict[str, float], int], None], prefix: str = PREFIX
    ) -> None:
        self._run = run
        self._send = send
        self._prefix = prefix

    def describe(self, record: Mapping[str, Any]) -> None:
        """Define the metrics; keep the configuration under `scaling`."""
        run, tokens = self._run(), rename(TOKENS, self._prefix)
        run.define_metric(tokens)
        for name in METRICS:
            run.define_metric(rename(name, self._prefix), step_metric=tokens)
        run.config.update({self._prefix: dict(record)}, allow_val_change=True)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row, the step metric in it."""
        self._send({rename(name, self._prefix): value for name, value in values.items()}, step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Into the summary: `scaling/absent`, what is absent now and why, and `scaling/doubts`."""
        said = {
            "absent": {rename(name, self._prefix): reason for name, reason in absent.items()},
            "doubts": dict(doubts),
        }
        self._run().summary.update({f"{self._prefix}/{name}": reasons for name, reasons in said.items()})

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """Nothing yet."""

    def alert(self, alert: Alert) -> None:
        """Nothing yet."""

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing yet."""
