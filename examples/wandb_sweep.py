"""A sweep of W&B over learning rates, in which runs that can no longer win end early.

    pip install 'scaling-callback[lightning,wandb]'
    python examples/wandb_sweep.py            # without an account: the same grid, one run after another, offline
    python examples/wandb_sweep.py --online   # a sweep of your W&B account, whose agent this process is

W&B gives each run of a sweep its point of the grid and an id. The callback does the rest: all runs share one ladder,
each is called after its W&B run, and those of the same size and horizon are rivals, whatever their learning rate is.
Start `wandb agent` on as many machines as you like, as long as the ladder is a folder or URL that all of them see.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
import os
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import wandb
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from scaling_callback import Ladder, ScalingCallback, Target
from scaling_callback.acting import Action
from scaling_callback.stopping import Dominated

BATCH, CONTEXT, VALIDATIONS = 16, 64, 8
TARGET = Target(params=60_000, tokens=640 * BATCH * CONTEXT)

SWEEP: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "parameters": {
        "width": {"values": [8, 16]},
        "lr": {"values": [1e-2, 1e-1, 1e-3, 3e-1]},
    },
}
"""As `wandb.sweep` takes it; its own early termination is not needed."""


class Model(pl.LightningModule):
    """Predicts a byte from the one before it; AdamW on a cosine that ends with the run."""

    def __init__(self, width: int, lr: float, steps: int) -> None:
        super().__init__()
        self.lr, self.steps = lr, steps
        self.layers = nn.Sequential(
            nn.Embedding(256, width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 256)
        )  # fmt: skip

    def loss(self, batch: Any) -> Tensor:
        """Mean cross entropy of ids (batch, CONTEXT)."""
        (ids,) = batch
        return nn.functional.cross_entropy(self.layers(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    def training_step(self, batch: Any) -> Tensor:
        """The loss."""
        return self.loss(batch)

    def validation_step(self, batch: Any) -> None:
        """Log what the callback monitors."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        """The callback finds the peak learning rate here."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(output: Path, steps: int, action: Action, point: dict[str, Any] | None = None) -> None:
    """One run of the sweep; `point` is its place in the grid where no sweep of W&B gives it one."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))  # real text that every machine has
    text = torch.frombuffer(bytearray(b"".join(map(Path.read_bytes, files))), dtype=torch.uint8).long()
    held_out, text = text[: 64 * CONTEXT], text[64 * CONTEXT :]
    with wandb.init(project="ladder", dir=output, config=point) as run:
        config: Any = run.config
        pl.seed_everything(0, verbose=False)
        places = torch.randint(len(text) - CONTEXT, (steps * BATCH, 1))
        training = DataLoader(TensorDataset(text[places + torch.arange(CONTEXT)]), batch_size=BATCH)
        validation = DataLoader(TensorDataset(held_out.view(64, CONTEXT)), batch_size=BATCH)
        callback = ScalingCallback(
            TARGET,
            output / "ladder",
            run=run.id,  # unique, and the name under which the run is found in W&B
            recipe={"data": "stdlib"},  # what every run shares: not what the sweep varies
            rules=[Dominated()],
            action=action,
            refit_budget=None,
            replicates=40,
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            default_root_dir=output,  # where a run that is stopped is saved
            max_steps=steps,
            val_check_interval=steps // VALIDATIONS,
            check_val_every_n_epoch=None,
            callbacks=[callback],
            logger=WandbLogger(experiment=run),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Model(config["width"], config["lr"], steps), training, validation)


def main() -> None:
    """Sweep, and say what was stopped, why, and what that saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/wandb_sweep"), help="default: %(default)s")
    parser.add_argument("--online", action="store_true", help="a sweep of your W&B account")
    parser.add_argument("--action", choices=("stop", "alert", "record"), default="stop", help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    steps = VALIDATIONS * max(1, round(160 * given.scale / VALIDATIONS))
    given.output.mkdir(parents=True, exist_ok=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")

    one_run = functools.partial(train, given.output, steps, given.action)
    if given.online:
        service: Any = wandb  # its types are partial
        service.agent(service.sweep(SWEEP, project="ladder"), one_run)
    else:
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
        names, values = zip(*((name, each["values"]) for name, each in SWEEP["parameters"].items()), strict=True)
        for point in itertools.product(*values):
            one_run(dict(zip(names, point, strict=True)))

    runs = Ladder(given.output / "ladder").runs()
    for run in sorted(runs, key=lambda each: (each.params, each.card.peak_lr or 0.0)):
        loss, call = run.curve[-1].loss, run.stopped
        said = f" ({call.rule}: {call.reason})" if call else ""
        print(f"{run.name}, N {run.params:g}, lr {run.card.peak_lr:g}: {loss:.3f} at {run.progress[-1]:.0%}{said}")
    spent = sum(run.curve[-1].tokens * run.flops_per_token for run in runs)
    saved = 1 - spent / sum(run.planned_flops or 0.0 for run in runs)
    print(
        f"{sum(run.stopped is not None for run in runs)} of {len(runs)} runs stopped, {saved:.0%} of the compute saved"
    )


if __name__ == "__main__":
    main()
