"""A `SummaryWriter` of TensorBoard, and the texts of what has one inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks.base import rename


@final
class WriterSink:
    """Scalars and words through the writer."""

    def __init__(self, writer: Any, prefix: str = PREFIX) -> None:
        self._writer = writer
        self._prefix = prefix
        self._step = 0

    def describe(self, record: Mapping[str, Any]) -> None:
        """A writer holds no configuration: nothing is sent."""

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One scalar each."""
        self._step = step
        for name, value in values.items():
            self._writer.add_scalar(rename(name, self._prefix), value, step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """As text."""
        add_texts(self._writer, absent, doubts, self._prefix, self._step)

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """Nothing yet."""

    def alert(self, alert: Alert) -> None:
        """Nothing yet."""

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing yet."""


def add_texts(writer: Any, absent: Mapping[str, str], doubts: Mapping[str, str], prefix: str, step: int) -> None:
    """Reasons and doubts, where the writer takes text."""
    add_text = getattr(writer, "add_text", None)
    if callable(add_text):
        for name, reason in {**absent, **{f"{PREFIX}/doubts/{k}": v for k, v in doubts.items()}}.items():
            add_text(rename(name, prefix), reason, step)
