"""Parameters and tokens of a live training."""

from __future__ import annotations

from scaling_callback.measuring.sizes import count_params
from scaling_callback.measuring.tokens import count_tokens

__all__ = ["count_params", "count_tokens"]
