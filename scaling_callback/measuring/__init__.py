"""Parameters, tokens, schedule and identity of a live training."""

from __future__ import annotations

from scaling_callback.measuring.beginning import Beginning, find_beginning
from scaling_callback.measuring.identity import describe_module, identify, read_recipe
from scaling_callback.measuring.sizes import COUNTINGS, count_params
from scaling_callback.measuring.tally import Tally, batch_copies
from scaling_callback.measuring.tokens import count_tokens
from scaling_callback.measuring.training import is_completed, is_promised, learning_rate, planned_batches
from scaling_callback.measuring.wanted import Wanted, check_name

__all__ = [
    "COUNTINGS",
    "Beginning",
    "Tally",
    "Wanted",
    "batch_copies",
    "check_name",
    "count_params",
    "count_tokens",
    "describe_module",
    "find_beginning",
    "identify",
    "is_completed",
    "is_promised",
    "learning_rate",
    "planned_batches",
    "read_recipe",
]
