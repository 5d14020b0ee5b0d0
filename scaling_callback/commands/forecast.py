"""`forecast`: forecast the loss of a target."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

from scaling_callback import pipeline
from scaling_callback.commands.base import Command, Output
from scaling_callback.commands.options import add_sources, add_target, read_config
from scaling_callback.commands.sources import read_runs
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.reporting import results
from scaling_callback.reporting.words import text
from scaling_callback.terminal import Progress


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be typed."""
    add_sources(command)
    add_target(command)


def run(options: argparse.Namespace) -> Output:
    """Do it."""
    runs, issued = read_runs(options)
    with Progress("bootstrap") as progress:
        snapshot = pipeline.refresh(
            runs,
            issued,
            replace(read_config(options), target=options.target, splits=False, past=False),
            progress,
        )
    if snapshot.forecast is None:
        raise NotEnoughData(snapshot.absent["forecast"])
    if not math.isfinite(snapshot.forecast.median):
        raise InputError(f"{options.source}: the forecast is no finite number; are params and tokens plain counts?")
    output = results.describe_forecast(snapshot)
    return output, text.show_forecast(output)


FORECAST = Command(
    "forecast",
    "Forecast the loss of a target.",
    "forecast ladder/ --target params=7e9,tokens=4e12",
    "the loss of 7B parameters on 4T tokens",
    add_options,
    run,
)
