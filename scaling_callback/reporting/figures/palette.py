"""The colours of figures, by what they stand for, for light and for dark pages."""

from __future__ import annotations

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


def pick_colour(role: str, *, dark: bool = False) -> str:
    """The colour of a role; that of a role that the palette lacks is the text's.

    Example:
        >>> pick_colour("final"), pick_colour("final", dark=True), pick_colour("ink")
        ('#0072b2', '#58b4ec', '#010203')
    """
    return PALETTE[role][dark] if role in PALETTE else INK


def name_size(rank: int, sizes: int) -> str:
    """The role of the size with this rank among `sizes`: the larger, the further along the palette.

    Example:
        >>> name_size(0, 4), name_size(3, 4)
        ('size-0', 'size-9')
    """
    return f"size-{round(rank * (len(SIZES_LIGHT) - 1) / max(sizes - 1, 1))}"


def write_variables(*, dark: bool) -> str:
    """The palette as CSS declarations.

    Example:
        >>> write_variables(dark=True).split("; ")[0]
        '--fig-grid: #333b44'
    """
    return "; ".join(f"--fig-{role}: {pair[dark]}" for role, pair in PALETTE.items())
