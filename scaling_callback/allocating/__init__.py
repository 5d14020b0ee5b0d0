"""How a compute budget splits into parameters and tokens."""

from scaling_callback.allocating.allocation import UNIQUE, Allocation, Growth, Valley, allocate
from scaling_callback.allocating.constraints import UNCONSTRAINED, Constraints

__all__ = ["UNCONSTRAINED", "UNIQUE", "Allocation", "Constraints", "Growth", "Valley", "allocate"]
