"""A ladder of tiny models with LightningCLI: the callback stands in the YAML file, and the model knows nothing of it.

    python examples/lightning_cli.py                                                          # all rungs, one by one
    python examples/lightning_cli.py fit --config examples/lightning_cli.yaml --model.width 16         # one of them

Four byte-level models on the text of Python's own standard library share the ladder of `lightning_cli.yaml`, and
forecast the larger model that stands there. All lies below `runs/lightning_cli/`.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

CONTEXT, OBSERVATIONS = 64, 8
RUNGS = ((4, 160), (4, 320), (8, 160), (8, 320), (16, 320))
"""Width and steps of each run."""


class Model(pl.LightningModule):
    """Predicts a byte from the one before it."""

    def __init__(self, width: int = 8, lr: float = 1e-2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Embedding(256, width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 256)
        )
        self.lr = lr

    def loss(self, ids: Tensor) -> Tensor:
        """Mean cross entropy of ids (batch, context), in nats per byte."""
        return functional.cross_entropy(self.layers(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    def training_step(self, ids: Tensor) -> Tensor:
        """The loss."""
        return self.loss(ids)

    def validation_step(self, ids: Tensor) -> None:
        """Log what the callback monitors."""
        self.log("val_loss", self.loss(ids))

    def configure_optimizers(self) -> Any:
        """AdamW on a cosine that ends with the run."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class Text(pl.LightningDataModule):
    """Windows of the source of the standard library's modules, as bytes."""

    def __init__(self, batch: int = 16) -> None:
        super().__init__()
        self.batch = batch
        files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
        text = torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()
        windows: Any = text[: len(text) // CONTEXT * CONTEXT].view(-1, CONTEXT)
        self.held_out, self.training = windows[:128], windows[128:]

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled."""
        return DataLoader(self.training, batch_size=self.batch, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """The same windows for every run."""
        return DataLoader(self.held_out, batch_size=64)


def main() -> None:
    """With arguments, what they say; without, every rung, and what the ladder forecasts after each."""
    if sys.argv[1:2] == ["fit"]:
        LightningCLI(Model, Text, save_config_callback=None)
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/lightning_cli"))
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    config = Path(__file__).with_suffix(".yaml")
    for width, steps in RUNGS:
        every = max(1, round(steps * given.scale / OBSERVATIONS))
        sys.argv[1:] = [
            "fit", f"--config={config}", f"--model.width={width}", f"--trainer.max_steps={every * OBSERVATIONS}",
            f"--trainer.val_check_interval={every}", f"--trainer.callbacks.ladder={given.output / 'ladder'}",
        ]  # fmt: skip
        trained: Any = LightningCLI(Model, Text, save_config_callback=None)
        (callback,) = (other for other in trained.trainer.callbacks if type(other).__name__ == "ScalingCallback")
        snapshot: Any = callback.snapshot
        made = snapshot.forecast if snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"after width {width}, {every * OBSERVATIONS} steps: forecast of the target {said}")


if __name__ == "__main__":
    main()
