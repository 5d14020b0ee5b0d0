"""Hyperparameters that Lightning's loggers write beside their metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from scaling_callback.importing.record import flatten

FILE = "hparams.yaml"


def read_hparams(folder: Path) -> dict[str, Any]:
    """What stands in a folder's `hparams.yaml`, by flat names; nothing where there is none, or it is no plain YAML.

    A file that holds Python objects is not read: nothing is ever unpickled.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    import yaml

    try:
        found: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return flatten(cast("Mapping[str, Any]", found)) if isinstance(found, Mapping) else {}
