"""Tokens, plans and losses in every kind of training that Lightning runs, each against a count by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support import only
from support_training import TARGET, Bytes, Stream, Tiny, train
from torch import Tensor

from scaling_callback import ScalingCallback


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


# counting, against a count by hand -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [4 * 32, 8 * 32, 12 * 32]),
        ({"batch": 2}, [4 * 16, 8 * 16, 12 * 16]),
        ({"data": Bytes(64, padding=3)}, [4 * 20, 8 * 20, 12 * 20]),
        ({"data": Stream()}, [4 * 32, 8 * 32, 12 * 32]),
        # validation every 4 micro-batches, two of which make a step
        ({"accumulate_grad_batches": 2, "max_steps": 4}, [4 * 32, 8 * 32]),
        # 10 windows in batches of 4: the last one of an epoch holds 2; 3 batches an epoch
        ({"data": Bytes(10), "max_steps": -1, "max_epochs": 2, "val_check_interval": 3}, [80, 160]),
        # the end of an epoch forces a step: 3 micro-batches are 2 steps of 2
        ({"data": Bytes(12), "accumulate_grad_batches": 2, "max_steps": 4, "val_check_interval": 3}, [96, 192]),
        ({"limit_train_batches": 5, "max_steps": -1, "max_epochs": 2, "val_check_interval": 5}, [160, 320]),
        ({"max_steps": -1, "max_epochs": 2, "check_val_every_n_epoch": 1, "val_check_interval": None}, [512, 1024]),
    ],
    ids=["plain", "batch size", "padding", "iterable", "accumulation", "ragged", "forced step", "limit", "epochs"],
)
def test_tokens_are_those_counted_by_hand(ladder: Path, options: dict[str, Any], expected: list[int]) -> None:
    train(ScalingCallback(TARGET, ladder), **options)
    run = only(ladder)
    assert run.curve.tokens.tolist() == expected
    if "data" not in options or not isinstance(options["data"], Stream):
        assert run.horizon == pytest.approx(expected[-1], rel=0.02)
    assert run.final is not None


def test_a_counter_of_the_users_own_is_used(ladder: Path) -> None:
    train(ScalingCallback(TARGET, ladder, tokens_per_batch=lambda _: 7))
    assert only(ladder).curve.tokens.tolist() == [28, 56, 84]


def test_a_metric_that_only_the_training_logs_is_observed_at_the_end_of_each_epoch(ladder: Path) -> None:
    # a validation in the middle of the epoch, when it is not yet to be seen, warns of nothing
    train(ScalingCallback(TARGET, ladder, monitor="train_loss"), max_steps=-1, max_epochs=2, val_check_interval=5)
    assert only(ladder).curve.tokens.tolist() == [512, 1024]


def test_manual_optimisation_is_counted_by_batches(ladder: Path) -> None:
    class Manual(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: tuple[Tensor, Tensor]) -> None:
            self.step(batch).backward()  # no optimiser of Lightning's ever steps: global_step stays 0

    train(ScalingCallback(TARGET, ladder), model=Manual(), max_steps=-1, max_epochs=1)
    assert only(ladder).curve.tokens.tolist() == [128, 256, 384, 512]


def test_two_optimisers_of_ones_own_do_not_shorten_the_plan(ladder: Path) -> None:
    class Two(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch: tuple[Tensor, Tensor]) -> None:
            self.step(batch).backward()
            for optimizer in self.optimizers():
                optimizer.step()

        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(layer.parameters(), 0.1) for layer in (self.embed, self.head)]

    train(ScalingCallback(TARGET, ladder), model=Two(), max_steps=24)
    run = only(ladder)
    assert run.curve.tokens.tolist() == [128, 256, 384]
    assert run.horizon == 384
