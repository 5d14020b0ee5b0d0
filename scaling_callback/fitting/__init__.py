"""Fit a law to weighted points, and say how far the answer can be trusted."""

from __future__ import annotations

from scaling_callback.fitting.bootstrap import Progress
from scaling_callback.fitting.borrowing import Borrowed
from scaling_callback.fitting.fit import MIN_RUNS, fit
from scaling_callback.fitting.noise import SEED_NOISE, noise_degrees, seed_noise
from scaling_callback.fitting.objective import OBJECTIVES, Objective, get_objective
from scaling_callback.fitting.points import Points, log_variables
from scaling_callback.fitting.result import Certificate, Fit, Status

__all__ = [
    "MIN_RUNS",
    "OBJECTIVES",
    "SEED_NOISE",
    "Borrowed",
    "Certificate",
    "Fit",
    "Objective",
    "Points",
    "Progress",
    "Status",
    "fit",
    "get_objective",
    "log_variables",
    "noise_degrees",
    "seed_noise",
]
