"""Fit a law to weighted points, and say how far the answer can be trusted."""

from __future__ import annotations

from scaling_callback.fitting.bootstrap import Progress, fewest_replicates
from scaling_callback.fitting.borrowing import Borrowed
from scaling_callback.fitting.fit import MIN_RUNS, fit
from scaling_callback.fitting.noise import SEED_NOISE, seed_noise
from scaling_callback.fitting.objective import OBJECTIVES, Objective, get_objective
from scaling_callback.fitting.points import OWN_COLUMNS, Points, log_variables
from scaling_callback.fitting.procedures import (
    GRID,
    PROCEDURE_REPLICATES,
    PROCEDURES,
    Outcome,
    Procedure,
    bootstrap_search,
    search,
)
from scaling_callback.fitting.result import Certificate, Fit, Status

__all__ = [
    "GRID",
    "MIN_RUNS",
    "OBJECTIVES",
    "OWN_COLUMNS",
    "PROCEDURES",
    "PROCEDURE_REPLICATES",
    "SEED_NOISE",
    "Borrowed",
    "Certificate",
    "Fit",
    "Objective",
    "Outcome",
    "Points",
    "Procedure",
    "Progress",
    "Status",
    "bootstrap_search",
    "fewest_replicates",
    "fit",
    "get_objective",
    "log_variables",
    "search",
    "seed_noise",
]
