"""From the SVG that matplotlib writes to one that a page can hold inline.

Colours become CSS variables, so that one drawing serves light and dark pages; ids get the figure's name, so
that several drawings share a page; metadata, name spaces and everything that refers elsewhere goes.
"""

from __future__ import annotations

import re
from html import escape

INK = "#010203"
"""Drawn in this colour, text and frames take the colour of the page's own text."""

SIZES_LIGHT = (
    "#63cb5f",
    "#3aba76",
    "#22a785",
    "#20938c",
    "#27808e",
    "#2f6c8e",
    "#39568c",
    "#423f85",
    "#482576",
    "#46085c",
)
SIZES_DARK = (
    "#26828e",
    "#21918c",
    "#1f9f88",
    "#26ad81",
    "#3bbb75",
    "#58c765",
    "#7ad151",
    "#a2da37",
    "#cae11f",
    "#f1e51d",
)

PALETTE: dict[str, tuple[str, str]] = {
    "grid": ("#d8dde3", "#333b44"),
    "curve": ("#a9b8c6", "#566675"),
    "final": ("#0072b2", "#58b4ec"),
    "out": ("#77818c", "#93a0ad"),
    "guess": ("#00856a", "#35c9a4"),
    "held": ("#d55e00", "#ff9a4d"),
    "target": ("#a3337f", "#f08cc8"),
    **{f"size-{i}": pair for i, pair in enumerate(zip(SIZES_LIGHT, SIZES_DARK, strict=True))},
}
"""Each colour by its role, for light and for dark pages: Okabe and Ito's for roles, viridis for sizes.

Both are told apart with any colour vision, and viridis also in grey; markers and dashes differ besides.
"""


def pick_colour(role: str) -> str:
    """The colour to draw with for this role; `finish_svg` makes it follow the page."""
    return PALETTE[role][0]


def pick_size_colour(rank: int, sizes: int) -> str:
    """The colour of the size with this rank among `sizes`: the larger, the further along the palette.

    Example:
        >>> pick_size_colour(0, 4), pick_size_colour(3, 4)
        ('#63cb5f', '#46085c')
    """
    last = len(SIZES_LIGHT) - 1
    return SIZES_LIGHT[round(rank * last / max(sizes - 1, 1))]


def write_variables(*, dark: bool) -> str:
    """The palette as CSS declarations.

    Example:
        >>> write_variables(dark=True).split("; ")[0]
        '--fig-grid: #333b44'
    """
    return "; ".join(f"--fig-{role}: {pair[dark]}" for role, pair in PALETTE.items())


def finish_svg(svg: str, name: str, alt: str) -> str:
    """`svg` as matplotlib wrote it, made fit to stand inside a page.

    Args:
        svg: The whole file.
        name: The figure's name, which every id begins with.
        alt: What a reader who cannot see it is told.
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
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(alt)}">{rest}'


def _rename_ids(text: str, name: str) -> str:
    """Number the ids in their order and put the figure's name before them, in definitions and references."""
    order = dict.fromkeys(re.findall(r'\bid="([^"]+)"', text))
    new = {old: f"{name}-{index}" for index, old in enumerate(order)}
    text = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{new[found[1]]}"', text)
    text = re.sub(r'href="#([^"]+)"', lambda found: f'href="#{new[found[1]]}"', text)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{new[found[1]]})", text)
