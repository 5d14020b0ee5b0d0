"""Forecast the loss of a large model while its ladder of small runs is still training.

The names below are the whole public interface; importing this package loads none of torch, lightning, wandb,
matplotlib or pandas. `ScalingCallback` is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaling_callback.ladder import Ladder
from scaling_callback.pipeline import allocate, fit, forecast, refresh
from scaling_callback.recorder import ScalingRecorder
from scaling_callback.records import Run, Target
from scaling_callback.replaying import replay
from scaling_callback.snapshot import Config
from scaling_callback.tables import read_table

if TYPE_CHECKING:
    from scaling_callback.callback import ScalingCallback

__version__ = "0.1.0"

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
    if name == "ScalingCallback":
        from scaling_callback.callback import ScalingCallback

        return ScalingCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
