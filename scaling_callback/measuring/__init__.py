"""Parameters, tokens, schedule and identity of a live training."""

from __future__ import annotations

from scaling_callback.measuring.beginning import Beginning, find_beginning
from scaling_callback.measuring.ending import StopSaver, find_ending, validate_once_more
from scaling_callback.measuring.flops import FlopMeter, choose_flops, count_flops, flops_with_attention
from scaling_callback.measuring.identity import describe_module, identify, read_recipe
from scaling_callback.measuring.monitors import Monitors, read_monitors
from scaling_callback.measuring.sizes import COUNTINGS, count_params
from scaling_callback.measuring.tally import Tally, batch_copies
from scaling_callback.measuring.tokens import count_tokens, sequence_length
from scaling_callback.measuring.training import (
    averaging,
    describe_schedule,
    is_completed,
    learning_rate,
    planned_batches,
)
from scaling_callback.measuring.wanted import Wanted

__all__ = [
    "COUNTINGS",
    "Beginning",
    "FlopMeter",
    "Monitors",
    "StopSaver",
    "Tally",
    "Wanted",
    "averaging",
    "batch_copies",
    "choose_flops",
    "count_flops",
    "count_params",
    "count_tokens",
    "describe_module",
    "describe_schedule",
    "find_beginning",
    "find_ending",
    "flops_with_attention",
    "identify",
    "is_completed",
    "learning_rate",
    "planned_batches",
    "read_monitors",
    "read_recipe",
    "sequence_length",
    "validate_once_more",
]
