"""Walk a finished ladder as if it were happening, and score every forecast."""

from __future__ import annotations

from scaling_callback.replaying.goals import Goal, hold_out, make_goals
from scaling_callback.replaying.result import Replay, Row, Summary
from scaling_callback.replaying.stop_scores import FALSE_STOP, ScoredCall, StopAudit, StopGroup, score_calls
from scaling_callback.replaying.stops import LOOKS, GroupOrder, audit_stops
from scaling_callback.replaying.visible import Order, see, sort_runs
from scaling_callback.replaying.walk import FRACTIONS, OWN_FRACTIONS, PROTOCOLS, replay, replay_own

__all__ = [
    "FALSE_STOP",
    "FRACTIONS",
    "LOOKS",
    "OWN_FRACTIONS",
    "PROTOCOLS",
    "Goal",
    "GroupOrder",
    "Order",
    "Replay",
    "Row",
    "ScoredCall",
    "StopAudit",
    "StopGroup",
    "Summary",
    "audit_stops",
    "hold_out",
    "make_goals",
    "replay",
    "replay_own",
    "score_calls",
    "see",
    "sort_runs",
]
