"""The rungs of a ladder as tasks of a Ray cluster: they train side by side, all into one ladder.

    pip install 'scaling-callback[ray]'
    python examples/ladder_on_ray.py

Each task is an ordinary Lightning training with one callback. Nothing else joins them: a ladder on a folder that
all machines see, or on an object store (`--ladder s3://bucket/ladder`), is all that they share. Tasks finish in any
order, each sees what the others have recorded so far, and the forecast is asked of the ladder at the end.
"""

from __future__ import annotations

import argparse
import logging
import sysconfig
from pathlib import Path
from typing import Any

from scaling_callback import Ladder, Target, forecast

BATCH, CONTEXT = 16, 64
RUNGS = ((8, 160), (8, 320), (16, 160), (16, 320), (32, 160), (32, 320))
"""Width and steps of each run."""
TARGET = Target(params=60_000, tokens=640 * BATCH * CONTEXT)


def train(width: int, steps: int, ladder: str) -> str:
    """Train one rung on whichever worker it lands; the name of its run."""
    import lightning.pytorch as pl
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from scaling_callback import ScalingCallback

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Model(pl.LightningModule):
        """Predicts a byte from the one before it."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Embedding(256, width), torch.nn.Linear(width, 2 * width), torch.nn.GELU(),
                torch.nn.Linear(2 * width, 256),
            )  # fmt: skip

        def loss(self, batch: Any) -> torch.Tensor:
            """Mean cross entropy of ids (batch, context)."""
            (ids,) = batch
            return torch.nn.functional.cross_entropy(self.layers(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

        def training_step(self, batch: Any) -> torch.Tensor:
            """The loss."""
            return self.loss(batch)

        def validation_step(self, batch: Any) -> None:
            """Log what the callback monitors."""
            self.log("val_loss", self.loss(batch))

        def configure_optimizers(self) -> Any:
            """AdamW on a cosine that ends with the run."""
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))  # real text that every machine has
    text = torch.frombuffer(bytearray(b"".join(map(Path.read_bytes, files))), dtype=torch.uint8).long()
    held_out, text = text[: 16 * BATCH * CONTEXT], text[16 * BATCH * CONTEXT :]

    def sample(ids: torch.Tensor, count: int) -> DataLoader[Any]:
        places = torch.randint(len(ids) - CONTEXT, (count,), generator=torch.Generator().manual_seed(0))
        windows = ids[places[:, None] + torch.arange(CONTEXT)]
        return DataLoader(TensorDataset(windows), batch_size=BATCH)

    pl.seed_everything(0, verbose=False)
    callback = ScalingCallback(TARGET, ladder, run=f"width-{width}-{steps}", refit_budget=None)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        val_check_interval=steps // 8,
        check_val_every_n_epoch=None,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), sample(text, steps * BATCH), sample(held_out, 16 * BATCH))
    return str(callback.run)


def main() -> None:
    """Start a cluster of two workers on this machine, train all rungs, ask the ladder."""
    import ray

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ladder", default="runs/ladder_on_ray/ladder", help="a folder or URL that all workers see")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    # workers begin elsewhere: a folder must be named in full
    ladder = given.ladder if "://" in given.ladder else str(Path(given.ladder).resolve())
    cluster: Any = ray
    cluster.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        task = cluster.remote(num_cpus=1)(train)
        pending = [task.remote(width, 8 * max(1, round(steps * given.scale / 8)), ladder) for width, steps in RUNGS]
        while pending:
            done, pending = cluster.wait(pending)
            print(f"{cluster.get(done[0])} has ended; {len(pending)} to go")
    finally:
        cluster.shutdown()
    runs = Ladder(ladder).runs()
    if len(runs) < 3:
        raise SystemExit(f"{len(runs)} runs are too few for a forecast")
    made = forecast(runs, TARGET)
    print(f"forecast of the target: {made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]")


if __name__ == "__main__":
    main()
