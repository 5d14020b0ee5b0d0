"""The figures of a snapshot as plain data: one file each. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from scaling_callback.reporting.figures.choices import plot_choices, plot_panel
from scaling_callback.reporting.figures.compute import plot_compute
from scaling_callback.reporting.figures.drawing import Area, Axis, Band, Bars, Figure, Layer, Line, Marks, Rule
from scaling_callback.reporting.figures.isoflop import plot_isoflop
from scaling_callback.reporting.figures.parameters import plot_parameters
from scaling_callback.reporting.figures.past import plot_past
from scaling_callback.reporting.figures.record import plot_record
from scaling_callback.reporting.figures.residuals import plot_residuals
from scaling_callback.reporting.figures.tokens import plot_tokens
from scaling_callback.snapshot import Snapshot

FIGURES: tuple[Callable[[Snapshot], Figure | None], ...] = (
    plot_compute,
    plot_past,
    plot_tokens,
    plot_isoflop,
    plot_record,
    plot_residuals,
    plot_parameters,
    plot_panel,
)
"""What makes each figure, or `None` where the snapshot has no data for it."""


def plot_figures(snapshot: Snapshot) -> tuple[Figure, ...]:
    """Every figure for which the snapshot has data.

    Example:
        >>> from scaling_callback import Config, Target
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> made = refresh(planted_ladder(), (), Config(target=Target(params=1e9, tokens=2e10)))
        >>> [figure.name for figure in plot_figures(made)]
        ['compute', 'forecast', 'tokens', 'isoflop', 'record', 'residuals', 'parameters']
    """
    made = (plot(snapshot) for plot in FIGURES)
    return tuple(figure for figure in made if figure is not None)


__all__ = [
    "FIGURES",
    "Area",
    "Axis",
    "Band",
    "Bars",
    "Figure",
    "Layer",
    "Line",
    "Marks",
    "Rule",
    "plot_choices",
    "plot_figures",
]
