"""How the answer moves with choices that no data make: loss, width, law, filters, counting, and optimiser."""

from __future__ import annotations

from scaling_callback.sensitivity.choices import ANALYSIS, Choice, as_asked, cap_ratio, cap_size, list_choices
from scaling_callback.sensitivity.panel import compare_choices, fit_analyses
from scaling_callback.sensitivity.result import Panel, Row, Spread

__all__ = [
    "ANALYSIS",
    "Choice",
    "Panel",
    "Row",
    "Spread",
    "as_asked",
    "cap_ratio",
    "cap_size",
    "compare_choices",
    "fit_analyses",
    "list_choices",
]
