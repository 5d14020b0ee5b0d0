"""From part of a run's loss curve to its final loss."""

from __future__ import annotations

from scaling_callback.curves.combine import forecast_final
from scaling_callback.curves.methods import METHODS, Method
from scaling_callback.curves.result import Abstention, FinalForecast

__all__ = ["METHODS", "Abstention", "FinalForecast", "Method", "forecast_final"]
