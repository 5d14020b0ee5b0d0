"""Importing the package costs next to nothing, and its public names are few."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import scaling_callback

HEAVY = ("torch", "lightning", "pytorch_lightning", "wandb", "matplotlib", "pandas", "plotly", "jinja2", "transformers")
HERE = Path(__file__).parent.parent


def loaded(code: str, among: tuple[str, ...]) -> str:
    """Which of these modules a fresh process has loaded after `code`."""
    code = f"import sys; {code}; print(*[m for m in {among} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "code", ["import scaling_callback", "from scaling_callback.entry import make_callbacks as m; m()"]
)
def test_what_every_training_imports_loads_nothing_of_what_the_names_need(code: str) -> None:
    assert loaded(code, ("numpy", "scipy", "fsspec", "argparse", *HEAVY)) == ""


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded("import scaling_callback.cli", HEAVY) == ""


def test_the_public_names_are_at_most_a_dozen_and_all_exist() -> None:
    assert scaling_callback.__all__ == sorted(scaling_callback.__all__)
    assert len(scaling_callback.__all__) <= 12
    assert {*scaling_callback.__all__, "__version__"} <= {*dir(scaling_callback)}
    for name in scaling_callback.__all__:
        assert getattr(scaling_callback, name).__doc__


def test_a_name_that_is_not_public_is_refused_like_that_of_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'scaling_callback' has no attribute 'Snapshot'"):
        getattr(scaling_callback, "Snapshot")  # noqa: B009 - a checker would refuse it written out


def test_both_lightning_namespaces_find_the_entry_point() -> None:
    declared = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    groups = ("lightning.pytorch.callbacks_factory", "pytorch_lightning.callbacks_factory")
    assert declared == {group: {"scaling-callback": "scaling_callback.entry:make_callbacks"} for group in groups}
