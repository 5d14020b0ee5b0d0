"""What a sink is: somewhere that scalars, words and figures can be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import PREFIX


@runtime_checkable
class Sink(Protocol):
    """Receives what a snapshot says. A sink only sends: it computes nothing and decides nothing."""

    def describe(self, record: Mapping[str, Any]) -> None:
        """The configuration, once, before anything else."""
        ...

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Scalars of one refit, with the trainer's global step."""
        ...

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Why metrics are absent, by metric, and the diagnostics of the forecast: whenever they change."""
        ...

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """The figures of one refit: at some refits, and at the end."""
        ...

    def alert(self, alert: Alert) -> None:
        """Something that a person should know at once."""
        ...

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """The run has ended.

        Args:
            answers: Fit, forecast and allocation, as the command line's JSON says them.
            rows: The ladder, as rows of an observation table.
        """
        ...


def rename(name: str, prefix: str) -> str:
    """The name of a metric under another prefix.

    Example:
        >>> rename("scaling/target_loss", "scaling-val_code")
        'scaling-val_code/target_loss'
    """
    return prefix + name.removeprefix(PREFIX)
