"""Any Lightning logger, through the one method that all of them have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final


@final
class LoggerSink:
    """Scalars through `log_metrics`; words where the logger can show text (TensorBoard)."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._step = 0

    def describe(self, record: Mapping[str, Any]) -> None:
        """Loggers share no way to hold a configuration beside the user's own: nothing is sent."""

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row."""
        self._step = step
        self._logger.log_metrics(dict(values), step=step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """As text, where the experiment has a place for it."""
        add_text = getattr(self._logger.experiment, "add_text", None)
        if callable(add_text):
            for name, reason in {**absent, **{f"scaling/doubts/{k}": v for k, v in doubts.items()}}.items():
                add_text(name, reason, self._step)
