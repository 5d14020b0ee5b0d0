"""A ladder of tiny models in a loop of Lightning Fabric, on any number of processes.

    python examples/fabric_loop.py --devices 2

Every process makes the recorder and calls it at the same places; the first one writes, fits and decides. Four
byte-level models on the text of Python's own standard library forecast one that is larger. All lies below
`runs/fabric_loop/`.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers.csv_logs import CSVLogger
from torch import Tensor, nn
from torch.nn import functional

from scaling_callback import ScalingRecorder, Target
from scaling_callback.ranks import Ranks
from scaling_callback.records import RunCard

BATCH, CONTEXT, OBSERVATIONS = 16, 64, 8
RUNGS = ((4, 160), (4, 320), (8, 320), (16, 320))
"""Width and steps of each run."""
LARGEST = (32, 640)
"""Those of the model that is forecast, and never trained."""


def make_model(width: int) -> nn.Module:
    """Predicts a byte from the one before it."""
    return nn.Sequential(nn.Embedding(256, width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, 256))


def main() -> None:
    """Train every rung, and say what the ladder forecasts after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/fabric_loop"))
    parser.add_argument("--devices", type=int, default=1, help="processes")
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    fabric = Fabric(accelerator="cpu", devices=given.devices, loggers=CSVLogger(given.output / "logs"))
    fabric.launch()
    text = read_text()
    width, steps = LARGEST
    target = Target(params=size(make_model(width)), tokens=steps * given.scale * BATCH * CONTEXT * fabric.world_size)
    for width, steps in RUNGS:
        every = max(1, round(steps * given.scale / OBSERVATIONS))
        recorder = train(fabric, width, every, text, target, given.output / "ladder")
        made = recorder.snapshot.forecast if recorder.snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        fabric.print(f"after width {width}, {every * OBSERVATIONS} steps: forecast of the target {said}")


def train(fabric: Any, width: int, every: int, text: Tensor, target: Target, ladder: Path) -> ScalingRecorder:
    """Train one rung on all processes; observe after each `every` steps."""
    steps = every * OBSERVATIONS
    fabric.seed_everything(0, verbose=False)
    plain = make_model(width)
    model: Any
    optimizer: Any
    model, optimizer = fabric.setup(plain, torch.optim.AdamW(plain.parameters(), lr=1e-2))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer.optimizer, steps)
    card = RunCard(
        name=f"width-{width}-{steps}",
        params=size(plain),
        horizon=steps * BATCH * CONTEXT * fabric.world_size,
        schedule="cosine",
        peak_lr=1e-2,
    )
    recorder = ScalingRecorder(
        target,
        ladder,
        card,
        loggers=fabric.loggers,
        ranks=Ranks(fabric.is_global_zero, fabric.broadcast),
    )
    chance = torch.Generator().manual_seed(fabric.global_rank)  # each process has batches of its own
    step = tokens = 0
    for step in range(1, steps + 1):
        places = torch.randint(128 * CONTEXT, len(text) - CONTEXT, (BATCH, 1), generator=chance)
        ids = text[places + torch.arange(CONTEXT)]
        optimizer.zero_grad()
        fabric.backward(get_loss(model, ids))
        optimizer.step()
        schedule.step()
        tokens += ids.numel()
        if step % every == 0:
            with torch.no_grad():
                loss = get_loss(model, text[: 128 * CONTEXT].view(128, CONTEXT))  # never trained on
            everywhere = fabric.all_reduce(torch.tensor(tokens), reduce_op="sum")
            lr = float(schedule.get_last_lr()[0])
            if recorder.observe(
                float(loss), tokens=int(everywhere), step=step, lr=lr
            ).stop:  # the same on every process
                break
    recorder.finish(completed=step == steps)
    return recorder


def get_loss(model: nn.Module, ids: Tensor) -> Tensor:
    """Mean cross entropy of ids (batch, context), in nats per byte."""
    return functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())


def read_text() -> Tensor:
    """The source of the standard library's modules, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()


def size(model: nn.Module) -> int:
    """N."""
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
