"""Evidence policies, forecasts with intervals, baselines, and the track record."""

from __future__ import annotations

from scaling_callback.forecasting.evidence import (
    POLICIES,
    ClusterOf,
    Evidence,
    Policy,
    best_runs,
    checkpoints_beyond,
    finals,
    find_twins,
    get_policy,
    trunks,
)
from scaling_callback.forecasting.forecast import Forecast, baselines, forecast_target, spread_around, take_interval
from scaling_callback.forecasting.record import backtest, score_issued
from scaling_callback.forecasting.scores import Score, TrackRecord
from scaling_callback.forecasting.variables import further_variables

__all__ = [
    "POLICIES",
    "ClusterOf",
    "Evidence",
    "Forecast",
    "Policy",
    "Score",
    "TrackRecord",
    "backtest",
    "baselines",
    "best_runs",
    "checkpoints_beyond",
    "finals",
    "find_twins",
    "forecast_target",
    "further_variables",
    "get_policy",
    "score_issued",
    "spread_around",
    "take_interval",
    "trunks",
]
