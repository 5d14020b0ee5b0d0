"""A snapshot as scalars, tables, figures, checklist and report: plain data, and nothing sent anywhere.

Importing this loads neither matplotlib nor jinja2; figures and the report load them when they are asked for.
"""

from __future__ import annotations

from scaling_callback.reporting.audit.checklist import Item, checklist, checklist_numbers
from scaling_callback.reporting.audit.form import read_form, write_form
from scaling_callback.reporting.audit.recommendations import Recommendation, check_recommendations
from scaling_callback.reporting.figures import Figure, plot_choices, plot_figures
from scaling_callback.reporting.pages.blocks import Report
from scaling_callback.reporting.pages.contents import gather
from scaling_callback.reporting.pages.html import WRITERS, render_html, write_html
from scaling_callback.reporting.pages.markdown import write_markdown
from scaling_callback.reporting.pages.plain import write_json
from scaling_callback.reporting.rendering.canvas import render_png, render_svg
from scaling_callback.reporting.rendering.plotly import write_plotly
from scaling_callback.reporting.tables import HeldOut, held_out_measurement, list_parameters, list_runs, list_scores

__all__ = [
    "WRITERS",
    "Figure",
    "HeldOut",
    "Item",
    "Recommendation",
    "Report",
    "check_recommendations",
    "checklist",
    "checklist_numbers",
    "gather",
    "held_out_measurement",
    "list_parameters",
    "list_runs",
    "list_scores",
    "plot_choices",
    "plot_figures",
    "read_form",
    "render_html",
    "render_png",
    "render_svg",
    "write_form",
    "write_html",
    "write_json",
    "write_markdown",
    "write_plotly",
]
