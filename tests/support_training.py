"""Data, a model and a Trainer of a few steps, for the tests that train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from scaling_callback import ScalingCallback, Target

TARGET = Target(params=1e6, tokens=1e7)
CONTEXT = 8


class Bytes(Dataset[tuple[Tensor, Tensor]]):
    """`n` windows of ids, and labels of which the first `padding` are padding."""

    def __init__(self, n: int, padding: int = 0) -> None:
        self.n, self.padding = n, padding

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        ids = torch.arange(index, index + CONTEXT) % 16
        labels = ids.clone()
        labels[: self.padding] = -100
        return ids, labels


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """The same without a length."""

    def __init__(self, n: int = 1000) -> None:
        self.n = n

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (Bytes(1)[index] for index in range(self.n))


class Tiny(pl.LightningModule):
    """A bigram model."""

    def __init__(self, width: int = 4, loss: float | None = None) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(16, width), nn.Linear(width, 16)
        self.fixed = loss

    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        ids, labels = batch
        return nn.functional.cross_entropy(self.head(self.embed(ids)).flatten(0, 1), labels.flatten())

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        loss = self.step(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        loss = self.step(batch)
        self.log("val_loss", loss if self.fixed is None else torch.tensor(self.fixed))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 12))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    callback: ScalingCallback | None,
    *,
    model: Tiny | None = None,
    data: Any = None,
    batch: int = 4,
    ckpt_path: Any = None,
    **options: Any,
) -> pl.Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_steps": 12,
        "val_check_interval": 4,
        "check_val_every_n_epoch": None,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks = [*filter(None, [callback]), *options.pop("callbacks", [])]
    trainer = pl.Trainer(**settings | options, callbacks=callbacks)
    pl.seed_everything(0, verbose=False)
    loader = DataLoader(Bytes(64) if data is None else data, batch_size=batch)
    trainer.fit(model or Tiny(), loader, DataLoader(Bytes(8), batch_size=8), ckpt_path=ckpt_path)
    return trainer
