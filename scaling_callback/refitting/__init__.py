"""Refits of a live ladder: what one is, when there is time for one, and where it runs."""

from __future__ import annotations

from scaling_callback.refitting.budget import RefitBudget
from scaling_callback.refitting.issuing import issue
from scaling_callback.refitting.refit import Ask, Refit
from scaling_callback.refitting.refits import Refits, Where

__all__ = ["Ask", "Refit", "RefitBudget", "Refits", "Where", "issue"]
