"""Forecast the loss of a large model while its ladder of small runs is still training.

The names below are the whole public interface. Importing this package loads none of what they need: each is loaded
when it is first asked for, since an entry point imports the package in every training of the environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scaling_callback.callback import ScalingCallback
    from scaling_callback.ladder import Ladder
    from scaling_callback.pipeline import allocate, fit, forecast, refresh
    from scaling_callback.recorder import ScalingRecorder
    from scaling_callback.records import Run, Target
    from scaling_callback.replaying import replay
    from scaling_callback.snapshot import Config
    from scaling_callback.tables import read_table

__version__ = "0.1.0"

_HOMES = {
    "Config": "snapshot",
    "Ladder": "ladder",
    "Run": "records",
    "ScalingCallback": "callback",
    "ScalingRecorder": "recorder",
    "Target": "records",
    "allocate": "pipeline",
    "fit": "pipeline",
    "forecast": "pipeline",
    "read_table": "tables",
    "refresh": "pipeline",
    "replay": "replaying",
}

__all__ = [
    "Config",
    "Ladder",
    "Run",
    "ScalingCallback",
    "ScalingRecorder",
    "Target",
    "allocate",
    "fit",
    "forecast",
    "read_table",
    "refresh",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # found there from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
