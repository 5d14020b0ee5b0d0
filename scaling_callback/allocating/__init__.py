"""How a compute budget splits into parameters and tokens."""

from scaling_callback.allocating.allocation import Allocation, allocate

__all__ = ["Allocation", "allocate"]
