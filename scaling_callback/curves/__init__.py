"""From part of a run's loss curve to its final loss."""

from __future__ import annotations

from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.curves.template import forecast_final

__all__ = ["Abstention", "FinalForecast", "forecast_final"]
