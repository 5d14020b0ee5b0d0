"""Evidence policies, forecasts with intervals, baselines, and the track record."""

from __future__ import annotations

from scaling_callback.forecasting.combine import combine
from scaling_callback.forecasting.cooling import cool_down
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
    included,
    name_excluded,
    name_phase,
    others_of,
    trunks,
)
from scaling_callback.forecasting.forecast import (
    FAR,
    SHARE_OF_RUN,
    Forecast,
    Part,
    baselines,
    find_doubts,
    forecast_target,
    spread_around,
    take_interval,
)
from scaling_callback.forecasting.forecasters import DEFAULT, FORECASTERS, MEMBERS, Forecaster, get_forecaster
from scaling_callback.forecasting.past import PastForecast, place_issued, recompute_past
from scaling_callback.forecasting.record import Backtest, backtest, fit_runs, score_issued
from scaling_callback.forecasting.scores import Score, TrackRecord
from scaling_callback.forecasting.variables import doubt_repetition, further_variables, heed_repetition

__all__ = [
    "DEFAULT",
    "FAR",
    "FORECASTERS",
    "MEMBERS",
    "POLICIES",
    "SHARE_OF_RUN",
    "Backtest",
    "ClusterOf",
    "Evidence",
    "Forecast",
    "Forecaster",
    "Part",
    "PastForecast",
    "Policy",
    "Score",
    "TrackRecord",
    "backtest",
    "baselines",
    "best_runs",
    "checkpoints_beyond",
    "combine",
    "cool_down",
    "doubt_repetition",
    "finals",
    "find_doubts",
    "find_twins",
    "fit_runs",
    "forecast_target",
    "further_variables",
    "get_forecaster",
    "get_policy",
    "heed_repetition",
    "included",
    "name_excluded",
    "name_phase",
    "others_of",
    "place_issued",
    "recompute_past",
    "score_issued",
    "spread_around",
    "take_interval",
    "trunks",
]
