"""Everything that the study varies: one file each. A new one is one file and one line here."""

from __future__ import annotations

from axes.base import Axis
from axes.borrowing import BORROWING_AXIS
from axes.components import COMPONENTS_AXIS
from axes.downwards import DOWNWARDS_AXIS
from axes.earliest import EARLIEST_AXIS
from axes.ends import ENDS_AXIS
from axes.fewer import FEWER_AXIS
from axes.fractions import FRACTIONS_AXIS
from axes.numbers import NUMBERS_AXIS
from axes.pruning import PRUNING_AXIS
from axes.seeding import SEEDING_AXIS
from axes.seeds import SEEDS_AXIS
from axes.sizes import SIZES_AXIS
from axes.thirds import THIRDS_AXIS
from axes.ways import WAYS_AXIS

AXES: tuple[Axis, ...] = (
    WAYS_AXIS,
    NUMBERS_AXIS,
    SEEDING_AXIS,
    SIZES_AXIS,
    FRACTIONS_AXIS,
    EARLIEST_AXIS,
    ENDS_AXIS,
    SEEDS_AXIS,
    THIRDS_AXIS,
    BORROWING_AXIS,
    DOWNWARDS_AXIS,
    PRUNING_AXIS,
    COMPONENTS_AXIS,
    FEWER_AXIS,
)
"""In the order of the page."""
