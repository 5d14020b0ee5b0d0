"""How a compute budget splits into parameters and tokens."""

from scaling_callback.allocating.allocation import Allocation, Growth, Valley, allocate
from scaling_callback.allocating.approaches import estimate_frontiers, set_beside
from scaling_callback.allocating.constraints import UNCONSTRAINED, Constraints
from scaling_callback.allocating.frontier import Frontier, IsoFlop, find_disagreement
from scaling_callback.allocating.isoflop import estimate_isoflop

__all__ = [
    "UNCONSTRAINED",
    "Allocation",
    "Constraints",
    "Frontier",
    "Growth",
    "IsoFlop",
    "Valley",
    "allocate",
    "estimate_frontiers",
    "estimate_isoflop",
    "find_disagreement",
    "set_beside",
]
