"""Tokens, plans and losses in every kind of training that Lightning runs, each against a count by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from support import only
from support_training import TARGET, Bytes, Stream, Tiny, train
from torch import Tensor
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset

from scaling_callback import ScalingCallback
from scaling_callback.errors import ScalingWarning
from scaling_callback.measuring.training import is_completed, planned_batches


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


# batches of every kind -------------------------------------------------------------------------------------------


@dataclass
class Window:
    """A batch that is an object."""

    input_ids: Tensor
    labels: Tensor


class Samples(Dataset[Any]):
    """Batches of any kind, made from those of `Bytes`: each is its own batch of four."""

    def __init__(self, make: Callable[[Tensor, Tensor], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        ids, labels = (torch.stack(part) for part in zip(*(Bytes(1, padding=3)[index] for _ in range(4)), strict=True))
        return self.make(ids, labels)


@pytest.mark.parametrize(
    ("make", "tokens"),
    [
        (lambda *both: both, 20),
        (lambda ids, labels: {"input_ids": ids, "labels": labels}, 20),
        (Window, 20),
        (lambda ids, _: ids, 32),
        (lambda ids, labels: {"input_ids": ids, "attention_mask": labels != -100}, 20),
        (lambda ids, _: (torch.zeros(4, 3, 8, 8), ids[:, 0]), 4),
        (lambda *_: {"features": torch.zeros(4, 7)}, 4),
    ],
    ids=["tuple", "dict", "object", "tensor", "mask", "images", "table"],
)
def test_a_batch_of_any_kind_is_counted(ladder: Path, make: Callable[[Tensor, Tensor], Any], tokens: int) -> None:
    class Any4(Tiny):
        def step(self, batch: Any) -> Tensor:
            return self.head.bias.square().sum() + 1

    pl.seed_everything(0, verbose=False)
    trainer = _trainer([ScalingCallback(TARGET, ladder)], max_steps=12, val_check_interval=4)
    loader = DataLoader(Samples(make), batch_size=None, collate_fn=lambda batch: batch)
    trainer.fit(Any4(), loader, DataLoader(Samples(make), batch_size=None))
    assert only(ladder).curve.tokens.tolist() == [4 * tokens, 8 * tokens, 12 * tokens]


def _trainer(callbacks: list[Any], **options: Any) -> pl.Trainer:
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    settings = {"check_val_every_n_epoch": None, "limit_val_batches": 1, **dict.fromkeys(quiet, False)}
    return pl.Trainer(accelerator="cpu", callbacks=callbacks, **settings | options)


def test_of_several_validation_loaders_one_is_monitored_by_its_own_name(ladder: Path) -> None:
    class Several(Tiny):
        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            self.log("val_loss", torch.tensor(2.0 + dataloader_idx))

    loader, validation = DataLoader(Bytes(64), 4), [DataLoader(Bytes(8), 8)] * 2
    first = ScalingCallback(TARGET, ladder, monitor="val_loss/dataloader_idx_1")
    _trainer([first], max_steps=8, val_check_interval=4).fit(Several(), loader, validation)
    assert only(ladder).curve.loss.tolist() == [3.0, 3.0]
    known = "monitor= one of those that were: .*val_loss/dataloader_idx_0, .*val_loss/dataloader_idx_1"
    with pytest.warns(ScalingWarning, match=known):
        _trainer([ScalingCallback(TARGET, ladder / "other")], max_steps=8, val_check_interval=4).fit(
            Several(), loader, validation
        )


def test_limits_on_validation_and_training_leave_the_count_of_what_was_trained_on(ladder: Path) -> None:
    options = {"max_steps": -1, "max_epochs": 2, "check_val_every_n_epoch": 1, "val_check_interval": None}
    train(ScalingCallback(TARGET, ladder), limit_train_batches=0.25, limit_val_batches=1, **options)
    assert only(ladder).curve.tokens.tolist() == [128, 256]


class Frozen(Tiny):
    """Nothing is optimised: the steps say so."""

    def training_step(self, batch: Any) -> None:
        return None


class Without(Frozen):
    """There is no optimiser at all."""

    def configure_optimizers(self) -> Any:
        return None


@pytest.mark.parametrize("model", [Frozen, Without])
@pytest.mark.filterwarnings("ignore:.*configure_optimizers.*returned `None`:UserWarning")
@pytest.mark.filterwarnings("ignore:`training_step` returned `None`:UserWarning")
def test_a_training_without_gradients_is_counted(ladder: Path, model: type[Tiny]) -> None:
    train(ScalingCallback(TARGET, ladder), model=model(), max_steps=-1, max_epochs=1)
    assert only(ladder).curve.tokens.tolist() == [128, 256, 384, 512]
    assert only(ladder).horizon == 512


# the plan --------------------------------------------------------------------------------------------------------


class Plans(pl.Callback):
    """What is planned after each micro-batch, and how many there were."""

    def __init__(self) -> None:
        self.seen: list[float | None] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.seen.append(planned_batches(trainer, len(self.seen) + 1))


class TwoOptimisers(Tiny):
    """Both are stepped after each batch, and their schedulers once."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any) -> None:
        self.step(batch).backward()
        for optimizer in self.optimizers():
            optimizer.step()
        for scheduler in self.lr_schedulers() or []:
            scheduler.step()

    def configure_optimizers(self) -> Any:
        optimizers = [torch.optim.SGD(layer.parameters(), 0.1) for layer in (self.embed, self.head)]
        return optimizers, [lr_scheduler.CosineAnnealingLR(optimizer, 9) for optimizer in optimizers]


class Scheduled(Tiny):
    """Under a cosine, `every` so many ticks, of epochs or steps."""

    def __init__(self, interval: str = "step", every: int = 1, end: int = 6) -> None:
        super().__init__()
        self.config, self.end = {"interval": interval, "frequency": every}, end

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), 0.1)
        schedule = lr_scheduler.CosineAnnealingLR(optimizer, self.end)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, **self.config}}


class Held(Tiny):
    """Without a schedule."""

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


ENDLESS = {"max_steps": -1, "max_epochs": -1}
"""No limits of the Trainer's own."""


@pytest.mark.parametrize(
    ("options", "unknown"),
    [
        ({"accumulate_grad_batches": 3, "max_steps": 5}, 0),
        # epochs of 5 batches: a step each, then steps of 2, 2 and 1, then one of 5; ends in the fourth epoch
        (
            {
                "data": Bytes(20),
                "max_steps": 9,
                "callbacks": [lambda: GradientAccumulationScheduler({0: 1, 1: 2, 2: 5})],
            },
            0,
        ),
        ({"data": Bytes(20), "max_epochs": 3, "max_steps": 100}, 0),
        ({"data": Bytes(20), "max_epochs": 100, "max_steps": 12}, 0),
        ({"limit_train_batches": 5, "max_epochs": 2, "max_steps": -1}, 0),
        ({"limit_train_batches": 0.5, "max_epochs": 2, "max_steps": -1}, 0),
        ({"data": Stream(), "max_steps": 7}, 0),
        ({"data": Stream(), "accumulate_grad_batches": 3, "max_steps": 4}, 0),
        ({"data": Stream(), "limit_train_batches": 6, "max_epochs": 2, "max_steps": -1}, 0),
        ({"max_steps": 7, "max_time": "00:01:00:00"}, 0),
        ({"model": TwoOptimisers, "max_steps": 24}, 0),
        # how long the stream is, is known once it has ended: with the sixth batch
        ({"model": Held, "data": Stream(24), "max_epochs": 3, "max_steps": -1}, 5),
    ],
    ids=[
        *("accumulation", "its scheduler", "epochs first", "steps first", "limit", "share", "stream"),
        *("accumulated stream", "limited stream", "time beside steps", "two optimisers", "epochs of a stream"),
    ],
)
def test_the_plan_is_what_the_training_then_takes(options: dict[str, Any], unknown: int) -> None:
    plans = Plans()
    callbacks = [make() for make in options.get("callbacks", [])]
    model = options.get("model", Tiny)()
    train(None, **options | {"callbacks": [plans, *callbacks], "model": model, "val_check_interval": None})
    assert plans.seen == [None] * unknown + [len(plans.seen)] * (len(plans.seen) - unknown)


@pytest.mark.parametrize(
    ("model", "options", "planned"),
    [
        (Scheduled, {"data": Stream()}, [6] * 3),
        (lambda: Scheduled(every=2), {"data": Stream(), "accumulate_grad_batches": 3}, [36] * 3),
        # epochs of 5 batches are 3 steps
        (Scheduled, {"data": Bytes(20), "accumulate_grad_batches": 2}, [10] * 3),
        (lambda: Scheduled("epoch", every=2), {"data": Bytes(20)}, [60] * 3),
        (lambda: Scheduled("epoch"), {"data": Stream()}, [None] * 3),
        (TwoOptimisers, {"data": Stream()}, [9] * 3),
    ],
    ids=["steps", "every sixth batch", "forced steps", "epochs", "epochs of a stream", "by hand"],
)
def test_where_the_trainer_has_no_limits_the_schedule_tells_the_plan(
    model: Callable[[], Tiny], options: dict[str, Any], planned: list[float | None]
) -> None:
    plans = Plans()
    train(None, model=model(), callbacks=[plans, _StopAfter(3)], val_check_interval=None, **options | ENDLESS)
    assert plans.seen[:3] == planned


class _StopAfter(pl.Callback):
    """Ends a training from outside, as a time limit does."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.batches -= 1
        trainer.should_stop = self.batches <= 0


def test_a_training_that_time_ends_at_the_end_of_its_schedule_has_a_final(ladder: Path) -> None:
    stop = _StopAfter(12)  # the model's schedule has ended by then
    train(ScalingCallback(TARGET, ladder), data=Stream(), callbacks=[stop], **ENDLESS)
    run = only(ladder)
    assert (run.horizon, run.card.schedule) == (384, "linear")
    assert run.final is not None


def test_a_stream_that_ends_is_a_plan_that_was_completed(ladder: Path) -> None:
    trainer = train(ScalingCallback(TARGET, ladder), data=Stream(48), max_steps=-1, max_epochs=1)
    assert is_completed(trainer)
    assert only(ladder).horizon == 384
    assert only(ladder).final is not None


def test_where_nobody_tells_the_plan_the_callback_asks_for_it(ladder: Path) -> None:
    options = {"data": Stream(), "max_time": "00:01:00:00", **ENDLESS}
    with pytest.warns(ScalingWarning, match="cannot be worked out from this Trainer: pass horizon= "):
        train(ScalingCallback(TARGET, ladder), model=Held(), callbacks=[_StopAfter(8)], **options)
    assert only(ladder).horizon is None
    train(ScalingCallback(TARGET, ladder / "told", horizon=256), model=Held(), callbacks=[_StopAfter(8)], **options)
    assert only(ladder / "told").horizon == 256
    assert only(ladder / "told").final is not None
