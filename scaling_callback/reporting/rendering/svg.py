"""From the SVG that matplotlib writes to one that a page can hold inline.

Colours become CSS variables, so that one drawing serves light and dark pages; ids get the figure's name, so
that several drawings share a page; metadata, name spaces and everything that refers elsewhere goes.
"""

from __future__ import annotations

import re
from html import escape

from scaling_callback.reporting.figures.palette import INK, PALETTE

ALONE = '<svg xmlns="http://www.w3.org/2000/svg" style="font-family:sans-serif;background:#fff;color:#1b1f24" '
"""How a drawing begins that is a file of its own, and takes neither letters nor paper from a page."""


def finish_svg(svg: str, name: str, alt: str, *, alone: bool = False) -> str:
    """`svg` as matplotlib wrote it, made fit to stand inside a page, or `alone` in a file.

    Args:
        svg: The whole file.
        name: The figure's name, which every id begins with.
        alt: What a reader who cannot see it is told.
        alone: Whether it is a file of its own, which has no page to take colours and font from.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    opening, rest = body.split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', opening)
    assert box is not None, "matplotlib always writes a viewBox"
    rest = _rename_ids(rest, name).replace("xlink:href", "href")
    for role, (light, _) in PALETTE.items():
        rest = rest.replace(light, f"var(--fig-{role}, {light})")
    rest = rest.replace(INK, "currentColor")
    # the family is the page's, so that a figure looks like the text around it
    rest = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font-size: \1", rest)
    rest = "\n".join(line.strip() for line in rest.splitlines() if line.strip())
    begin = ALONE if alone else "<svg "
    return f'{begin}viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">{rest}'


def _rename_ids(text: str, name: str) -> str:
    """Number the ids in their order and put the figure's name before them, in definitions and references."""
    order = dict.fromkeys(re.findall(r'\bid="([^"]+)"', text))
    new = {old: f"{name}-{index}" for index, old in enumerate(order)}
    text = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{new[found[1]]}"', text)
    text = re.sub(r'href="#([^"]+)"', lambda found: f'href="#{new[found[1]]}"', text)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{new[found[1]]})", text)
