"""What a sink is: somewhere that scalars and words can be sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

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


def rename(name: str, prefix: str) -> str:
    """The name of a metric under another prefix.

    Example:
        >>> rename("scaling/target_loss", "scaling-val_code")
        'scaling-val_code/target_loss'
    """
    return prefix + name.removeprefix(PREFIX)
