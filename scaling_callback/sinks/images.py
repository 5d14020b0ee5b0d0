"""Figures as pixels, for loggers that take arrays."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.rendering.canvas import render_png


def make_pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as an image, shape (height, width, 3).

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    encoded = render_png(figure)
    from PIL import Image  # matplotlib brings it, and says so where it is missing

    with Image.open(io.BytesIO(encoded)) as image:
        pixels: Any = image.convert("RGB")
        return np.asarray(pixels, dtype=np.uint8)
