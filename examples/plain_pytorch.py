"""A ladder of tiny models in a training loop of one's own: no framework, one recorder.

    python examples/plain_pytorch.py

Four byte-level models on the text of Python's own standard library forecast one that is larger. The loop writes a
checkpoint with every observation: interrupted and started again, it goes on where it was. All lies below
`runs/plain_pytorch/`.
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
from scaling_callback.records import RunCard

BATCH, CONTEXT, OBSERVATIONS = 16, 64, 8
RUNGS = ((4, 160), (4, 320), (8, 320), (16, 320))
"""Width and steps of each run."""
LARGEST = (32, 640)
"""Those of the model that is forecast, and never trained."""


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
    width, steps = LARGEST
    target = Target(params=size(Model(width)), tokens=steps * given.scale * BATCH * CONTEXT)
    for width, steps in RUNGS:
        every = max(1, round(steps * given.scale / OBSERVATIONS))
        recorder = train(width, every, text, target, given.output)
        made = recorder.snapshot.forecast if recorder.snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"after width {width}, {every * OBSERVATIONS} steps: forecast of the target {said}")


def train(width: int, every: int, text: Tensor, target: Target, output: Path) -> ScalingRecorder:
    """Train one rung, or what is left of it; observe after each `every` steps."""
    steps = every * OBSERVATIONS
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    model = Model(width)
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}

    checkpoint = output / f"width-{width}-{steps}.pt"
    saved: dict[str, Any] = torch.load(checkpoint) if checkpoint.exists() else {"step": 0, "run": None}
    for name, part in parts.items():
        if name in saved:
            part.load_state_dict(saved[name])

    card = RunCard(
        name=f"width-{width}-{steps}",
        params=size(model),
        horizon=steps * BATCH * CONTEXT,
        schedule="cosine",
        peak_lr=1e-2,
    )
    recorder = ScalingRecorder(target, output / "ladder", card, continues=saved["run"], resumed_after=saved["step"])
    for step, ids in enumerate(batches(text, steps), start=1):
        if step <= saved["step"]:
            continue
        loss = model(ids)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % every == 0:
            lr = schedule.get_last_lr()[0]
            decision = recorder.observe(evaluate(model, text), tokens=step * BATCH * CONTEXT, step=step, lr=float(lr))
            state = {name: part.state_dict() for name, part in parts.items()}
            unfinished = checkpoint.with_suffix(".new")
            torch.save({**state, "step": step, "run": recorder.run}, unfinished)
            unfinished.replace(checkpoint)  # whole, whenever the loop is interrupted
            if decision.stop:  # by a rule, had the recorder been given rules=
                recorder.finish(completed=step == steps)
                return recorder
    recorder.finish()
    return recorder


@torch.no_grad()
def evaluate(model: Model, text: Tensor) -> float:
    """Mean loss on text that is never trained on."""
    return float(model(text[: 128 * CONTEXT].view(128, CONTEXT)))


def batches(text: Tensor, steps: int) -> Iterator[Tensor]:
    """Ids (batch, context) of each step, the same ones whenever they are asked for."""
    chance = torch.Generator().manual_seed(0)
    for _ in range(steps):
        places = torch.randint(128 * CONTEXT, len(text) - CONTEXT, (BATCH, 1), generator=chance)
        yield text[places + torch.arange(CONTEXT)]


def read_text() -> Tensor:
    """The source of the standard library's modules, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()


def size(model: nn.Module) -> int:
    """N."""
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
