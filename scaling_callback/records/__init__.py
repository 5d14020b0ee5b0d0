"""What is recorded: runs, their observations, targets, and the forecasts that were issued for them.

Units throughout: parameters, tokens and FLOPs are plain counts; losses are nats per token unless the user
names another unit; times are seconds since the epoch. A value that is not known is `None` in a scalar field
and NaN in a column.
"""

from __future__ import annotations

from scaling_callback.records.calls import StopCall, bound_evidence, bound_words
from scaling_callback.records.counts import SAME_COUNT, as_count, is_count, same_count
from scaling_callback.records.curve import Array, BoolArray, Curve, Observation
from scaling_callback.records.groups import compete, group_runs
from scaling_callback.records.runs import ANNEALED_BELOW, FINAL_PROGRESS, Phase, Run, RunCard
from scaling_callback.records.targets import IssuedForecast, Target

__all__ = [
    "ANNEALED_BELOW",
    "FINAL_PROGRESS",
    "SAME_COUNT",
    "SCHEMA_VERSION",
    "Array",
    "BoolArray",
    "Curve",
    "IssuedForecast",
    "Observation",
    "Phase",
    "Run",
    "RunCard",
    "StopCall",
    "Target",
    "as_count",
    "bound_evidence",
    "bound_words",
    "compete",
    "group_runs",
    "is_count",
    "same_count",
]

SCHEMA_VERSION = 1
"""Version of everything written to disk; readers accept this version and every older one."""
