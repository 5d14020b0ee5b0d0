"""A report as a file: one page of HTML without scripts, that fetches nothing; or the same as Markdown, or as JSON."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from html import escape
from importlib import resources

from scaling_callback.errors import MissingDependency
from scaling_callback.reporting.figures.palette import write_variables
from scaling_callback.reporting.pages.blocks import Report
from scaling_callback.reporting.pages.contents import gather
from scaling_callback.reporting.pages.markdown import write_markdown
from scaling_callback.reporting.pages.plain import write_json
from scaling_callback.reporting.rendering.canvas import render_svg
from scaling_callback.snapshot import Snapshot

TEMPLATE = "report.html.j2"


def render_html(snapshot: Snapshot, *, answers: Mapping[str, str] | None = None, title: str | None = None) -> str:
    """The report as one self-contained page.

    Args:
        snapshot: What is reported.
        answers: What the form of the ladder says, by key (`form.read_form`).
        title: The page's heading.

    Raises:
        MissingDependency: matplotlib or jinja2 is not installed.
    """
    return write_html(gather(snapshot, answers, title=title))


def write_html(report: Report) -> str:
    """The same from what was gathered.

    Raises:
        MissingDependency: matplotlib or jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependency(
            "the report needs jinja2, which is not installed: pip install 'scaling-callback[plotting]'"
        ) from error
    # everything that comes from outside (names, notes, recipes) is escaped by default
    environment = Environment(
        loader=FunctionLoader(_read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"equation": write_equation, "svg": render_svg}
    environment.tests["of"] = lambda block, kind: type(block).__name__ == kind
    page = environment.get_template(TEMPLATE).render(
        report=report, light=write_variables(dark=False), dark=write_variables(dark=True)
    )
    # a name read from JSON may hold half of a surrogate pair, which no file can
    return page.encode("utf-8", "replace").decode("utf-8")


def write_equation(equation: str) -> str:
    """A law's equation as HTML: exponents raised, Greek letters for their names.

    Example:
        >>> write_equation("L(N) = A / N^alpha < 3")
        'L(N) = A / N<sup>α</sup> &lt; 3'
    """
    text = re.sub(r"\^(\w+)", r"<sup>\1</sup>", escape(equation))
    for name in ("alpha", "beta", "gamma", "delta", "kappa"):
        text = re.sub(rf"\b{name}\b", unicodedata.lookup(f"GREEK SMALL LETTER {name.upper()}"), text)
    return text


def _read_template(name: str) -> str:
    return resources.files("scaling_callback.reporting.pages").joinpath(name).read_text(encoding="utf-8")


WRITERS: dict[str, Callable[[Report], str]] = {
    ".html": write_html,
    ".md": write_markdown,
    ".json": write_json,
}
"""How a report is written, by the suffix of its file."""
