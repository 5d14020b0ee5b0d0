"""Weights & Biases: metrics against tokens, reasons and doubts in the summary, the configuration in the config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from scaling_callback.reporting.scalars import METRICS, TOKENS


@final
class WandbSink:
    """A Lightning `WandbLogger`.

    Each metric is defined by its exact name with `scaling/tokens` as its step: globs are matched in undefined
    order, and the logger itself claims `*`.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def describe(self, record: Mapping[str, Any]) -> None:
        """Define the metrics; keep the configuration under `scaling`."""
        run = self._logger.experiment
        run.define_metric(TOKENS)
        for name in METRICS:
            run.define_metric(name, step_metric=TOKENS)
        run.config.update({"scaling": dict(record)}, allow_val_change=True)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row, the step metric in it."""
        self._logger.log_metrics(dict(values), step=step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Into the summary: `scaling/absent`, what is absent now and why, and `scaling/doubts`."""
        self._logger.experiment.summary.update({"scaling/absent": dict(absent), "scaling/doubts": dict(doubts)})
