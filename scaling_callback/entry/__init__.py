"""The entry point that Lightning asks in every training for callbacks: none, unless the environment opts in.

::

    SCALING_CALLBACK_LADDER=ladder/ SCALING_CALLBACK_TARGET=params=7B,tokens=4T python train.py

Nothing is imported before one of them is set: this runs in every training of the Python that it is installed in.
"""

from __future__ import annotations

import os
from typing import Any

LADDER, TARGET, MONITOR = "SCALING_CALLBACK_LADDER", "SCALING_CALLBACK_TARGET", "SCALING_CALLBACK_MONITOR"
"""Variables of the environment: where the ladder is, what the forecast is for, and the metrics that are losses.

Several metrics are parted by commas.
"""


def make_callbacks() -> list[Any]:
    """The callback that the environment asks for, in a list; an empty one if it asks for none.

    A value that cannot be used is one warning, and no callback.

    Example:
        >>> make_callbacks()
        []
    """
    ladder, target = (os.environ.get(name, "").strip() for name in (LADDER, TARGET))
    if not (ladder or target):
        return []
    from scaling_callback.errors import WarnOnce

    try:
        return [_make(ladder, target, os.environ.get(MONITOR, "").strip())]
    except Exception as error:  # noqa: BLE001 - what the environment says must never cost a training
        WarnOnce("ScalingCallback")(f"the environment asks for one that cannot be made: {error}")
        return []


def _make(ladder: str, target: str, monitor: str) -> Any:
    """The callback of these values.

    Raises:
        InputError: A value is missing or cannot be used.
    """
    from argparse import ArgumentTypeError

    from scaling_callback.arguments import read_target
    from scaling_callback.entry.environment import EnvironmentCallback
    from scaling_callback.errors import InputError

    for name, value in {LADDER: ladder, TARGET: target}.items():
        if not value:
            raise InputError(f"{name} is not set; set both {LADDER} and {TARGET}, or neither")
    try:
        wanted = read_target(target)
    except ArgumentTypeError as error:
        raise InputError(f"{TARGET}: {error}") from None
    return EnvironmentCallback(wanted, ladder, *([[name.strip() for name in monitor.split(",")]] if monitor else []))
