"""Parameters and tokens of a live training."""

from __future__ import annotations

from scaling_callback.measuring.sizes import COUNTINGS, count_params
from scaling_callback.measuring.tokens import count_tokens

__all__ = ["COUNTINGS", "count_params", "count_tokens"]
