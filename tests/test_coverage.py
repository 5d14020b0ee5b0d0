"""A 90% interval holds the truth nine times in ten, of planted ladders in the designs that people train.

A short form of `benchmarks/coverage.py`, whose table stands in `docs/coverage.md`. Ladders come from fixed seeds, so
nothing here is left to chance; the bounds are those of a binomial three standard deviations wide.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ENOUGH = (8, 12, 20, 30)
FEW = (5, 6, 7)
LADDERS = {5: 8, 6: 8, 7: 8, 8: 20, 12: 20, 20: 20, 30: 20}


@cache
def harness() -> Any:
    path = Path(__file__).parents[1] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("benchmarks_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@cache
def outcomes(count: int) -> list[Any]:
    return harness().measure(count, LADDERS[count], harness().PATHS["default"], seed=1)


def share(counts: tuple[int, ...], what: str) -> float:
    return float(np.mean([getattr(outcome, what) for count in counts for outcome in outcomes(count)]))


@pytest.mark.parametrize("what", ["holds_expected", "holds_measured"])
def test_from_eight_runs_on_the_interval_holds_the_loss_nine_times_in_ten(what: str) -> None:
    assert 0.80 <= share(ENOUGH, what) <= 0.97
    assert all(share((count,), what) > 0.7 for count in ENOUGH)


@pytest.mark.parametrize("what", ["holds_expected", "holds_measured"])
def test_fewer_runs_are_named_and_still_covered(what: str) -> None:
    assert share(FEW, "too_few_runs") >= 0.95
    assert share(FEW, what) >= 0.7
    assert share(ENOUGH, "too_few_runs") == 0.0


def test_an_interval_is_worth_having() -> None:
    # a forecast of everything would be right as well: the median width is 3% from 8 runs, and less from 30
    few, many = (float(np.median([outcome.width for outcome in outcomes(count)])) for count in (8, 30))
    assert many < few < 0.03


def test_a_planted_ladder_is_the_same_for_the_same_seed() -> None:
    one, same, other = (harness().plant(8, seed=seed) for seed in (3, 3, 4))
    assert one.expected == same.expected
    assert one.runs[0].curve.loss.tolist() == same.runs[0].curve.loss.tolist()
    assert one.expected != other.expected
