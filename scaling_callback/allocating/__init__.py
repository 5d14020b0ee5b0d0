"""How a compute budget splits into parameters and tokens."""

from scaling_callback.allocating.allocation import Allocation, allocate
from scaling_callback.allocating.approaches import estimate_frontiers
from scaling_callback.allocating.frontier import Frontier, find_disagreement

__all__ = ["Allocation", "Frontier", "allocate", "estimate_frontiers", "find_disagreement"]
