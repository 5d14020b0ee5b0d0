"""A ladder of tiny models in a training loop of one's own: no framework, one recorder.

    python examples/plain_pytorch.py

Four byte-level models on the text of Python's own standard library forecast one that is larger. The loop saves a
checkpoint at every observation and, started again, goes on where it was interrupted; its ladder lies in
runs/plain_pytorch.
"""

from __future__ import annotations

import argparse
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from scaling_callback import ScalingRecorder, Target
from scaling_callback.measuring import describe_module

BATCH, CONTEXT = 16, 64
RUNGS = ((8, 160), (8, 320), (16, 160), (16, 320), (32, 320))
"""Width and steps of each run."""
TARGET = (64, 640)


class Model(nn.Module):
    """Predicts a byte from the two before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.layers = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, 256))

    def forward(self, ids: Tensor) -> Tensor:
        """The loss on ids (batch, context), in nats per byte."""
        seen = self.embed(ids[:, :-1])
        logits: Tensor = self.layers(torch.cat([seen[:, :-1], seen[:, 1:]], -1))
        return functional.cross_entropy(logits.flatten(0, 1), ids[:, 2:].flatten())


def main() -> None:
    """Train every rung, and say what the ladder forecasts after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/plain_pytorch"))
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    text = read_text()
    width, steps = TARGET
    target = Target(params=sum(p.numel() for p in Model(width).parameters()), tokens=steps * BATCH * CONTEXT)
    for width, steps in RUNGS:
        recorder = train(width, 8 * max(1, round(steps * given.scale / 8)), text, target, given.output)
        made = recorder.snapshot.forecast if recorder.snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"{recorder.run}: forecast of the target {said}")


def train(width: int, steps: int, text: Tensor, target: Target, output: Path) -> ScalingRecorder:
    """Train one rung, or the rest of it."""
    torch.default_generator.manual_seed(0)
    model = Model(width)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = output / f"{width}-{steps}.pt"
    saved: dict[str, Any] = torch.load(checkpoint) if checkpoint.exists() else {"step": 0, "run": None}
    for name, part in parts.items():
        if name in saved:
            part.load_state_dict(saved[name])

    recorder = ScalingRecorder(
        target,
        output / "ladder",
        describe_module(model, name=f"width-{width}-{steps}", horizon=steps * BATCH * CONTEXT, schedule="cosine"),
        continues=saved["run"],
        resumed_after=saved["step"],
    )
    stopped = False
    for step, ids in enumerate(batches(text, steps), start=1):
        if step <= saved["step"] or stopped:
            continue
        loss = model(ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        schedule.step()
        if step % (steps // 8) == 0:
            rate = schedule.get_last_lr()[0]
            stopped = recorder.observe(
                evaluate(model, text), tokens=step * BATCH * CONTEXT, step=step, lr=float(rate)
            ).stop
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**state, "step": step, "run": recorder.run}, checkpoint)
    recorder.finish(completed=not stopped)
    return recorder


@torch.no_grad()
def evaluate(model: Model, text: Tensor) -> float:
    """Mean loss on text that is never trained on."""
    held_out = text[: 64 * CONTEXT].view(64, CONTEXT)
    return float(model(held_out))


def batches(text: Tensor, steps: int) -> Iterator[Tensor]:
    """Ids (batch, context) of each step, the same ones whenever they are asked for."""
    chance = torch.Generator().manual_seed(0)
    for _ in range(steps):
        places = torch.randint(64 * CONTEXT, len(text) - CONTEXT, (BATCH,), generator=chance)
        yield text[places[:, None] + torch.arange(CONTEXT)]


def read_text() -> Tensor:
    """Half a megabyte of the standard library's source, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(path.read_bytes() for path in files)[: 2**19]
    return torch.frombuffer(bytearray(text), dtype=torch.uint8).long()


if __name__ == "__main__":
    main()
