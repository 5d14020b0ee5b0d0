"""Small real trainings, healthy and with planted faults: a table of their curves, in minutes on one core.

A next-byte model of the sixteen bytes before it (Bengio et al. 2003) on the text of Python's own standard library, at
several widths and horizons. Each faulty run has a healthy twin of the same seed, and shares its first batches.

    python benchmarks/tiny_faults.py OUTPUT.csv
"""

from __future__ import annotations

import csv
import math
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CONTEXT, EMBEDDING, BATCH = 16, 8, 512
WIDTHS, STEPS = (24, 40, 64, 104, 168), (600, 1200)
EVALUATIONS, VALIDATED = 40, 16384
TEXT = 4_000_000  # bytes: enough for any run to see each about once at most
RATE = 2.4e-2  # about the best for the middle width; for others (64 / width)^(1/4) of it
JUDGED = ((104, 600), (168, 600), (104, 1200), (168, 1200))  # those that have a ladder below them
SEEDS = (0, 1, 2)
FAULTS = ("rate times 4", "a tenth repeated", "labels shuffled")
SHUFFLED = 0.6  # share of the run from which labels are
COLUMNS = ("run", "fault", "seed", "params", "total_tokens", "losses")


@dataclass(frozen=True)
class Training:
    """One run: what is trained, and what goes wrong."""

    width: int
    steps: int
    seed: int
    fault: str = ""

    @property
    def name(self) -> str:
        """As it is called in the table."""
        return f"w{self.width}-{self.steps}-s{self.seed}" + (f" {self.fault}" if self.fault else "")


class Model(nn.Module):
    """Embeddings of the context, one hidden layer, logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, EMBEDDING)
        self.hidden, self.out = nn.Linear(CONTEXT * EMBEDDING, width), nn.Linear(width, 256)

    def forward(self, context: Tensor) -> Tensor:
        """From bytes (n, 16) to logits (n, 256)."""
        return self.out(functional.gelu(self.hidden(self.embed(context).flatten(1))))


def main() -> None:
    """Train them all and write the table."""
    torch.set_num_threads(1)
    text = read_text()
    ladder = [Training(width, steps, 0) for width in WIDTHS for steps in STEPS]
    twins = [Training(*place, seed) for place in JUDGED for seed in SEEDS]
    faulty = [Training(*place, seed, fault) for fault in FAULTS for place in JUDGED for seed in SEEDS]
    began = time.process_time()
    with Path(sys.argv[1]).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for training in dict.fromkeys([*ladder, *twins, *faulty]):
            curve = list(train(training, text))
            print(f"{training.name:40}{curve[-1]:8.4f}  {time.process_time() - began:6.0f} CPU seconds", flush=True)
            model = Model(training.width)
            params = sum(parameter.numel() for parameter in model.parameters())
            known = (training.name, training.fault, training.seed, params, training.steps * BATCH)
            table.writerow((*known, " ".join(f"{loss:.4f}" for loss in curve)))


def train(training: Training, text: Tensor) -> Iterator[float]:
    """Validation losses, at equal distances up to the end."""
    torch.manual_seed(training.seed)  # pyright: ignore[reportUnknownMemberType]
    model = Model(training.width)
    rate = RATE * (64 / training.width) ** 0.25 * (4 if training.fault == "rate times 4" else 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95))
    held, rest = text[:200_000], text[200_000:]
    generator = torch.Generator().manual_seed(training.seed)
    every = training.steps // EVALUATIONS
    unique = torch.randint(len(rest) - CONTEXT - 1, (training.steps * BATCH,), generator=generator)
    if training.fault == "a tenth repeated":
        unique = unique[: len(unique) // 10].repeat(10)
    for step in range(training.steps):
        progress = step / training.steps
        share = min((progress + 1e-3) / 0.03, 0.55 + 0.45 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate * share
        context, label = cut(rest, unique[step * BATCH : (step + 1) * BATCH])
        if training.fault == "labels shuffled" and progress >= SHUFFLED:
            label = label[torch.randperm(BATCH, generator=generator)]
        loss = functional.cross_entropy(model(context), label)
        optimizer.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]
        if (step + 1) % every == 0:
            yield validate(model, held)


@torch.no_grad()
def validate(model: Model, held: Tensor) -> float:
    """Mean cross entropy in nats per byte, at the same places for every run."""
    places = torch.arange(VALIDATED) * ((len(held) - CONTEXT - 1) // VALIDATED)
    context, label = cut(held, places)
    return float(functional.cross_entropy(model(context), label))


def cut(text: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The bytes from `places` (n,) on, shape (n, 16), and what follows each, shape (n,)."""
    window = text[places[:, None] + torch.arange(CONTEXT + 1)].long()
    return window[:, :-1], window[:, -1]


def read_text() -> Tensor:
    """The standard library's own source as bytes, the files in the order of their names."""
    root = Path(sysconfig.get_paths()["stdlib"])
    tests = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
    paths = (path for path in sorted(root.rglob("*.py")) if not tests & set(path.relative_to(root).parts))
    kept = [path.read_bytes() for path in paths]
    return torch.frombuffer(bytearray(b"".join(kept))[:TEXT], dtype=torch.uint8)


if __name__ == "__main__":
    main()
