"""Fit a law to weighted points, and say how far the answer can be trusted."""

from __future__ import annotations

from scaling_callback.fitting.bootstrap import Progress
from scaling_callback.fitting.fit import MIN_RUNS, fit
from scaling_callback.fitting.noise import SEED_NOISE, noise_degrees, seed_noise
from scaling_callback.fitting.objective import LogHuber
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.result import Certificate, Fit, Status

__all__ = [
    "MIN_RUNS",
    "SEED_NOISE",
    "Certificate",
    "Fit",
    "LogHuber",
    "Points",
    "Progress",
    "Status",
    "fit",
    "noise_degrees",
    "seed_noise",
]
