"""Whether a run should go on: rules are pure functions of a snapshot."""

from __future__ import annotations

from scaling_callback.stopping.decide import Rule, decide

__all__ = ["Rule", "decide"]
