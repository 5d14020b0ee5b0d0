"""The rungs of a ladder as tasks of a Ray cluster: they train side by side, all into one ladder.

    pip install 'scaling-callback[ray]'
    python examples/ladder_on_ray.py

Each task is an ordinary Lightning training with one callback. Nothing else joins them: a folder that all machines see,
or an object store (`--ladder s3://bucket/ladder`), is all that they share. Tasks end in any order, each sees what the
others have recorded so far, and the forecast is asked of the ladder at the end. All lies below `runs/ladder_on_ray/`.
"""

from __future__ import annotations

import argparse
import logging
import os
import sysconfig
import warnings
from pathlib import Path
from typing import Any

from scaling_callback import Ladder, Target, forecast

BATCH, CONTEXT, OBSERVATIONS = 16, 64, 8
RUNGS = ((4, 160), (4, 320), (8, 320), (16, 320))
"""Width and steps of each run."""
TARGET = Target(params=45_440, tokens=640 * BATCH * CONTEXT)
"""Width 32, 640 steps."""


def train(width: int, every: int, ladder: str) -> str:
    """Train one rung on whichever worker it lands, validate after each `every` steps; the name of its run."""
    import lightning.pytorch as pl
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from scaling_callback import ScalingCallback

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")

    class Model(pl.LightningModule):
        """Predicts a byte from the one before it."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(
                nn.Embedding(256, width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 256)
            )

        def loss(self, ids: Tensor) -> Tensor:
            """Mean cross entropy of ids (batch, context), in nats per byte."""
            return nn.functional.cross_entropy(self.layers(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

        def training_step(self, ids: Tensor) -> Tensor:
            """The loss."""
            return self.loss(ids)

        def validation_step(self, ids: Tensor) -> None:
            """Log what the callback monitors."""
            self.log("val_loss", self.loss(ids))

        def configure_optimizers(self) -> Any:
            """AdamW on a cosine that ends with the run."""
            optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, every * OBSERVATIONS)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    pl.seed_everything(0, verbose=False)
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))  # real text that every machine has
    text = torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()
    windows: Any = text[: len(text) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    callback = ScalingCallback(TARGET, ladder, run=f"width-{width}-{every * OBSERVATIONS}")
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=every * OBSERVATIONS,
        val_check_interval=every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Model(),
        DataLoader(windows[128:], batch_size=BATCH, shuffle=True),
        DataLoader(windows[:128], batch_size=64),
    )
    return str(callback.run)


def main() -> None:
    """Start a cluster of two workers on this machine, train all rungs, ask the ladder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/ladder_on_ray"))
    parser.add_argument("--ladder", help="a folder or URL that all workers see; by default OUTPUT/ladder")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    # workers begin elsewhere: a folder must be named in full
    ladder = given.ladder or str((given.output / "ladder").resolve())

    import ray

    cluster: Any = ray
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        task = cluster.remote(num_cpus=1)(train)
        # the longest begin first
        pending = [
            task.remote(width, max(1, round(steps * given.scale / OBSERVATIONS)), ladder)
            for width, steps in RUNGS[::-1]
        ]
        while pending:
            (done, *_), pending = cluster.wait(pending)
            print(f"{cluster.get(done)} has ended; {len(pending)} to go")
    finally:
        cluster.shutdown()
    made = forecast(Ladder(ladder).runs(), TARGET)
    print(f"forecast of the target {made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]")


if __name__ == "__main__":
    main()
