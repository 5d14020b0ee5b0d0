"""Parameters, tokens and schedule of a live training."""

from __future__ import annotations

from scaling_callback.measuring.sizes import COUNTINGS, count_params
from scaling_callback.measuring.tokens import count_tokens
from scaling_callback.measuring.training import is_completed, learning_rate, planned_tokens, schedule_name

__all__ = [
    "COUNTINGS",
    "count_params",
    "count_tokens",
    "is_completed",
    "learning_rate",
    "planned_tokens",
    "schedule_name",
]
