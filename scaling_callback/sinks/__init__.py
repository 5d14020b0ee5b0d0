"""The only code that sends anything anywhere. A new sink is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scaling_callback.errors import InputError
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks.base import Sink
from scaling_callback.sinks.loggers import LoggerSink
from scaling_callback.sinks.publishing import Publisher
from scaling_callback.sinks.tensorboard import WriterSink
from scaling_callback.sinks.wandb import WandbSink

SINKS: dict[str, Callable[[Any, str], Sink]] = {
    "WandbLogger": lambda logger, prefix: WandbSink(lambda: logger.experiment, prefix, step="trainer/global_step"),
    "wandb_run.Run": lambda run, prefix: WandbSink(lambda: run, prefix),
    "TensorBoardLogger": lambda logger, prefix: WriterSink(lambda: logger.experiment, logger.log_metrics, prefix),
    "SummaryWriter": lambda writer, prefix: WriterSink(lambda: writer, prefix=prefix),
}
"""Sinks by the class of what they send to, its name or its module's last name and its name."""


def get_sink(logger: Any, prefix: str = PREFIX) -> Sink:
    """The sink for a logger of Lightning or Fabric, a W&B run, a TensorBoard writer; a sink is its own.

    Args:
        logger: Where to send.
        prefix: What the names of metrics begin with.

    Raises:
        InputError: It is nothing that scalars can be sent to.

    Example:
        >>> get_sink(print)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        scaling_callback.errors.InputError: a builtin_function_or_method takes no scalars; give ...
    """
    if isinstance(logger, Sink):
        return logger
    for base in type(logger).__mro__:
        short = f"{base.__module__.rpartition('.')[2]}.{base.__name__}"
        known = SINKS.get(short) or SINKS.get(base.__name__)
        if known is not None:
            return known(logger, prefix)
    if not callable(getattr(logger, "log_metrics", None)):
        raise InputError(
            f"a {type(logger).__name__} takes no scalars; give a logger with log_metrics(values, step), a W&B run, a "
            "SummaryWriter or a Sink"
        )
    return LoggerSink(logger, prefix)


__all__ = ["SINKS", "LoggerSink", "Publisher", "Sink", "WandbSink", "WriterSink", "get_sink"]
