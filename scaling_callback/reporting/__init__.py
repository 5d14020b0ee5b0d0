"""A snapshot as scalars, tables, figures, checklist and report: plain data, and nothing sent anywhere.

Importing this loads neither matplotlib nor jinja2; figures and the report load them when they are asked for.
"""

from __future__ import annotations

from scaling_callback.reporting.canvas import render_png, render_svg
from scaling_callback.reporting.checklist import Item, checklist, checklist_numbers
from scaling_callback.reporting.figures import Figure, plot_figures
from scaling_callback.reporting.plotly import write_plotly
from scaling_callback.reporting.report import render_html
from scaling_callback.reporting.tables import HeldOut, held_out_measurement, list_parameters, list_runs, list_scores

__all__ = [
    "Figure",
    "HeldOut",
    "Item",
    "checklist",
    "checklist_numbers",
    "held_out_measurement",
    "list_parameters",
    "list_runs",
    "list_scores",
    "plot_figures",
    "render_html",
    "render_png",
    "render_svg",
    "write_plotly",
]
