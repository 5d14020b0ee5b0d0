"""Two recipes at one target: which loss is lower, by how much, and with what probability.

Where both ladders hold finished runs of the same sizes and horizons, the log ratio of each such pair is measured
directly. What a law gets wrong is common to both and cancels, and so does what both sweep alike; the ratios are
extrapolated to the target. Elsewhere each ladder is forecast by itself, and the two forecasts are independent.
"""

from __future__ import annotations

from scaling_callback.comparing.comparison import Comparison, compare
from scaling_callback.comparing.pairs import Pairs, match
from scaling_callback.comparing.trend import Mixture, extrapolate

__all__ = ["Comparison", "Mixture", "Pairs", "compare", "extrapolate", "match"]
