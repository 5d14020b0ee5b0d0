"""The command line: read, refresh, print. No logic lives here.

`scaling-callback` and `python -m scaling_callback` are the same program. Exit 0 on success, 2 on bad usage or
bad input with one line on standard error.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import Any

from scaling_callback.commands import COMMANDS, make_parser
from scaling_callback.errors import NotEnoughData, ScalingError, ScalingWarning
from scaling_callback.reporting import results
from scaling_callback.terminal import one_line, show, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = argparse.Namespace(source="")
    try:
        options = make_parser().parse_args(arguments)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ScalingWarning)
            output, words = COMMANDS[options.command].run(options)
        for warning in caught:
            if issubclass(warning.category, ScalingWarning):
                tell(f"warning: {one_line(warning.message)}", grave=True)
        show(_json(output) if options.json else words)
    except NotEnoughData as error:
        return _refuse(f"{options.source}: {error}")
    except ScalingError as error:
        return _refuse(str(error))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        return _refuse(f"{what}; check that the path exists and that you may use it")
    except KeyboardInterrupt:
        tell("scaling-callback: interrupted")
        return 130
    return 0


def _refuse(words: str) -> int:
    tell(f"scaling-callback: {one_line(words)}", grave=True)
    return 2


def _json(output: dict[str, Any]) -> str:
    """One JSON object in ASCII without control characters: of those `json` leaves DEL as it is."""
    return json.dumps(results.to_json_values(output), allow_nan=False).replace("\x7f", "\\u007f")
