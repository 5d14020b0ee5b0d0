"""Importing the package costs little, and its public names are few."""

from __future__ import annotations

import subprocess
import sys

import scaling_callback

HEAVY = ("torch", "lightning", "pytorch_lightning", "wandb", "matplotlib", "pandas", "plotly", "jinja2")


def test_importing_the_package_and_its_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, scaling_callback, scaling_callback.cli; print([m for m in {HEAVY} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_the_public_names_are_at_most_a_dozen_and_all_exist() -> None:
    assert scaling_callback.__all__ == sorted(scaling_callback.__all__)
    assert len(scaling_callback.__all__) <= 12
    for name in scaling_callback.__all__:
        assert getattr(scaling_callback, name).__doc__
