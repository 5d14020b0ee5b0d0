"""Any logger of Lightning or Fabric, through the one method that all of them have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks.base import rename
from scaling_callback.sinks.tensorboard import add_texts


@final
class LoggerSink:
    """Scalars through `log_metrics`; words where the logger can show text (TensorBoard)."""

    def __init__(self, logger: Any, prefix: str = PREFIX) -> None:
        self._logger = logger
        self._prefix = prefix
        self._step = 0

    def describe(self, record: Mapping[str, Any]) -> None:
        """Loggers share no way to hold a configuration beside the user's own: nothing is sent."""

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row."""
        self._step = step
        self._logger.log_metrics({rename(name, self._prefix): value for name, value in values.items()}, step=step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """As text, where the experiment has a place for it."""
        add_texts(getattr(self._logger, "experiment", None), absent, doubts, self._prefix, self._step)

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """Nothing yet."""

    def alert(self, alert: Alert) -> None:
        """Nothing yet."""

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing yet."""
