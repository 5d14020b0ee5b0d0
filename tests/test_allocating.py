"""An allocation is an answer with an interval, or named reasons why there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scaling_callback import allocate, read_table
from scaling_callback.errors import InputError
from scaling_callback.snapshot import Config
from scaling_callback.testing import TRUTH, planted_ladder

GOOD = {"sizes": (1e7, 3e7, 1e8, 3e8, 1e9), "ratios": (2.0, 10.0, 50.0, 250.0)}


def test_the_published_optimum_of_the_chinchilla_table(chinchilla_table: Path) -> None:
    # Besiroglu et al. 2024: 17.9 tokens per parameter at 5.88e23 FLOPs, 80% interval 10.6 to 30.1
    config = Config(evidence="finals", prior=False, replicates=1000, level=0.8)
    split = allocate(read_table(chinchilla_table), 5.88e23, config)
    assert split.identified
    assert split.tokens_per_param == pytest.approx(17.9, abs=0.3)
    lower, upper = split.intervals["tokens_per_param"]
    assert lower == pytest.approx(10.6, rel=0.15)
    assert upper == pytest.approx(30.1, rel=0.15)


def test_a_wide_ladder_finds_the_planted_optimum() -> None:
    split = allocate(planted_ladder(**GOOD), 1e21)
    exponent = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    g = (TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])) ** (1 / (TRUTH["alpha"] + TRUTH["beta"]))
    lower, upper = split.intervals["params"]
    assert lower < g * (1e21 / 6) ** exponent < upper
    assert split.params is not None
    assert split.tokens is not None
    assert 6 * split.params * split.tokens == pytest.approx(1e21)


@pytest.mark.parametrize(
    ("ladder", "flops", "reason"),
    [
        ({"sizes": (1e8,), "ratios": (2.0, 10.0, 50.0, 250.0)}, 1e20, "one_size"),
        ({"sizes": (1e7, 3e7, 1e8, 3e8, 1e9), "ratios": (20.0,)}, 1e20, "narrow_ratio"),
        (GOOD, 1e26, "far_budget"),
        ({"sizes": GOOD["sizes"], "ratios": (200.0, 800.0, 3200.0)}, 1e21, "outside_ratios"),
        ({"sizes": (1e7, 2e7), "ratios": (5.0, 20.0), "noise": 0.02}, 1e18, "wide_interval"),
    ],
)
def test_a_split_that_the_data_do_not_hold_is_refused_by_name(
    ladder: dict[str, tuple[float, ...]], flops: float, reason: str
) -> None:
    split = allocate(planted_ladder(**ladder), flops)
    assert not split.identified
    assert reason in split.reasons
    assert split.params is None
    assert split.intervals == {}


def test_without_a_bootstrap_there_is_no_recommendation() -> None:
    assert "no_interval" in allocate(planted_ladder(**GOOD), 1e21, Config(replicates=0)).reasons


@pytest.mark.parametrize("flops", [0.0, -1e20, np.inf, np.nan])
def test_a_budget_is_a_positive_number(flops: float) -> None:
    with pytest.raises(InputError, match=r"flops is .*; a budget must be"):
        allocate(planted_ladder(), flops)
