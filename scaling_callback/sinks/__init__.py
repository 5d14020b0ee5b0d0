"""The only code that sends anything anywhere. A new sink is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaling_callback.sinks.base import Sink
from scaling_callback.sinks.loggers import LoggerSink
from scaling_callback.sinks.wandb import WandbSink

SINKS: dict[str, Callable[[Any], Sink]] = {"WandbLogger": WandbSink}
"""Sinks by the name of the logger's class; every other logger gets a `LoggerSink`."""


def get_sink(logger: Any) -> Sink:
    """The sink for a Lightning logger, of either namespace or a subclass of the user's."""
    known = (SINKS[base.__name__] for base in type(logger).__mro__ if base.__name__ in SINKS)
    return next(known, LoggerSink)(logger)


__all__ = ["SINKS", "LoggerSink", "Sink", "WandbSink", "get_sink"]
