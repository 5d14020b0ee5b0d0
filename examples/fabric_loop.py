"""A ladder in a loop of Lightning Fabric, on two processes: every one calls the recorder, the first one writes.

    python examples/fabric_loop.py

The ladder lies in runs/fabric_loop.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.csv_logs import CSVLogger
from torch import Tensor, nn
from torch.nn import functional

from scaling_callback import ScalingRecorder, Target
from scaling_callback.measuring import describe_module
from scaling_callback.ranks import Ranks

BATCH, CONTEXT = 8, 64
RUNGS = ((8, 160), (8, 320), (16, 160), (16, 320), (32, 320))
"""Width and steps of each run."""
TARGET = Target(params=60_000, tokens=640 * 2 * BATCH * CONTEXT)


def main() -> None:
    """Train every rung on both processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/fabric_loop"))
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp", loggers=CSVLogger(given.output / "logs"))
    fabric.launch()
    text = read_text()
    for width, steps in RUNGS:
        train(fabric, width, 8 * max(1, round(steps * given.scale / 8)), text, given.output / "ladder")


def train(fabric: Fabric, width: int, steps: int, text: Tensor, ladder: Path) -> None:
    """Train one rung, all processes together."""
    fabric.seed_everything(0, verbose=False)
    module = nn.Sequential(nn.Embedding(256, width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 256))
    model, optimizer = fabric.setup(module, torch.optim.AdamW(module.parameters(), lr=1e-2))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    recorder = ScalingRecorder(
        TARGET,
        ladder,
        describe_module(
            module,
            name=f"width-{width}-{steps}",
            horizon=steps * fabric.world_size * BATCH * CONTEXT,
            schedule="cosine",
        ),
        loggers=fabric.loggers,
        ranks=Ranks(fabric.is_global_zero, fabric.broadcast),
    )

    def loss(ids: Tensor) -> Tensor:
        return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    chance = torch.Generator().manual_seed(fabric.global_rank)
    held_out, tokens = text[: 64 * CONTEXT].view(64, CONTEXT), torch.tensor(0)
    for step in range(1, steps + 1):
        places = torch.randint(64 * CONTEXT, len(text) - CONTEXT, (BATCH,), generator=chance)
        ids = text[places[:, None] + torch.arange(CONTEXT)]
        optimizer.zero_grad()
        fabric.backward(loss(ids))
        optimizer.step()
        schedule.step()
        tokens += ids.numel()  # of this process
        if step % (steps // 8) == 0:
            with torch.no_grad():
                measured = float(loss(held_out))
            everybody = cast("Any", fabric).all_reduce(tokens.clone(), reduce_op="sum")  # in place
            rate = float(schedule.get_last_lr()[0])
            if recorder.observe(measured, tokens=int(everybody), step=step, lr=rate).stop:
                break
    recorder.finish()
    made = recorder.snapshot.forecast if recorder.snapshot is not None else None
    if fabric.is_global_zero:
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"{recorder.run}: forecast of the target {said}")


def read_text() -> Tensor:
    """Half a megabyte of the standard library's source, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(path.read_bytes() for path in files)[: 2**19]
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).long()


if __name__ == "__main__":
    main()
