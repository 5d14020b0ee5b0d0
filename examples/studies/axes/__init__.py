"""Everything that the study varies: one file each. A new one is one file and one line here."""

from __future__ import annotations

from axes.base import Axis
from axes.earliest import EARLIEST_AXIS
from axes.ends import ENDS_AXIS
from axes.fractions import FRACTIONS_AXIS
from axes.numbers import NUMBERS_AXIS
from axes.sizes import SIZES_AXIS
from axes.ways import WAYS_AXIS

AXES: tuple[Axis, ...] = (WAYS_AXIS, NUMBERS_AXIS, SIZES_AXIS, FRACTIONS_AXIS, EARLIEST_AXIS, ENDS_AXIS)
"""In the order of the page."""
