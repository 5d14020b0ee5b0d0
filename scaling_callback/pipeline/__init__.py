"""From runs to answers. Callback, command line, replay and notebooks all go through here.

Every function is pure: the same runs and configuration give the same numbers to the last digit.
"""

from __future__ import annotations

from scaling_callback.pipeline.asking import compare, forecast, plan
from scaling_callback.pipeline.fits import (
    DEFAULTS,
    FIT_DEFAULTS,
    allocate,
    fit,
    forecast_by,
    gather,
    vary_choices,
)
from scaling_callback.pipeline.glancing import glance
from scaling_callback.pipeline.refreshing import refresh
from scaling_callback.pipeline.steps import select

__all__ = [
    "DEFAULTS",
    "FIT_DEFAULTS",
    "allocate",
    "compare",
    "fit",
    "forecast",
    "forecast_by",
    "gather",
    "glance",
    "plan",
    "refresh",
    "select",
    "vary_choices",
]
