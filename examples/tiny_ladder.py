"""A real ladder in minutes: byte-level GPTs on the text of Python's own standard library.

Twelve small runs share one ladder folder. After each, the callback refits and forecasts a model more than twice
as large as any of them. Then that model is trained, without its points entering the fit, and the forecast is
held against what it measured.

    python examples/tiny_ladder.py            # or: make demo
    python examples/tiny_ladder.py --online   # log to your W&B account instead of a folder

Everything is written below `runs/demo/`: the ladder, the offline W&B folder, `report.html`, `result.json`.
A later run replaces what an earlier one wrote there, and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import sysconfig
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
import wandb
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from scaling_callback import Ladder, ScalingCallback, Target
from scaling_callback.pipeline import refresh
from scaling_callback.reporting import render_html
from scaling_callback.reporting.units import format_count, format_loss, format_percent, format_value
from scaling_callback.sinks.wandb import group_of
from scaling_callback.snapshot import Config, Snapshot

CONTEXT, BATCH, HEAD = 128, 8, 16
VALIDATION_BATCHES = 32
VALIDATIONS = 8
LONG, SHORT = 1024, 512  # steps of 1024 tokens each; multiples of VALIDATIONS, so that the last step is validated


MARK = ".tiny_ladder"
"""A file in the output folder: whatever of `WRITTEN` stands beside it was written by this demo."""

WRITTEN = ("ladder", "wandb", "report.html", "result.json")

LARGEST_SCALE = 100
"""Beyond it the demo would take hours, and then days: a slip of the keyboard."""


@dataclass(frozen=True)
class Rung:
    """One run: the width of its model and how long it trains."""

    width: int
    steps: int


RUNGS = tuple(Rung(width, steps) for width in (16, 32, 48, 64, 80, 96) for steps in (SHORT, LONG))
HELD_OUT = Rung(144, LONG)


class Text(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches of random windows of `text` (bytes), always the same for one seed."""

    def __init__(self, text: Tensor, batches: int, seed: int) -> None:
        self.text, self.batches, self.seed = text, batches, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        generator = torch.Generator().manual_seed(self.seed)
        offsets = torch.arange(CONTEXT + 1)
        for _ in range(self.batches):
            begin = torch.randint(len(self.text) - CONTEXT - 1, (BATCH, 1), generator=generator)
            window = self.text[begin + offsets].long()
            yield window[:, :-1], window[:, 1:]


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer; half of what attention reads is the byte before.

    That shift lets even one layer learn to continue what it has seen, from the start and at every width. Without
    it deeper models learn so in one sudden step, and a small ladder lands on both sides of it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // HEAD
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        for last in (self.out, self.down):  # each branch begins as the identity
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, context, width) in and out."""
        batch, context, width = x.shape
        here = self.norm_1(x)
        before = functional.pad(here, (0, 0, 1, -1))
        read = torch.cat([here[..., : width // 2], before[..., width // 2 :]], -1)
        mixed = self.mix(read).view(batch, context, 3, self.heads, HEAD)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, context, width))
        return x + self.down(functional.gelu(self.up(self.norm_2(x))))


class GPT(pl.LightningModule):
    """A byte-level GPT with tied embeddings; warmup 3%, constant, linear decay over the last 30%."""

    def __init__(self, rung: Rung) -> None:
        super().__init__()
        self.rung = rung
        self.embed, self.place = nn.Embedding(256, rung.width), nn.Embedding(CONTEXT, rung.width)
        self.block, self.norm = Block(rung.width), nn.LayerNorm(rung.width)
        for table in (self.embed, self.place):
            nn.init.normal_(table.weight, std=0.02)

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean cross entropy in nats per byte."""
        inputs, labels = batch
        hidden = self.block(self.embed(inputs) + self.place.weight[: inputs.shape[1]])
        logits = self.norm(hidden) @ self.embed.weight.T
        return functional.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Log the training loss."""
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Log what the callback monitors."""
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        """AdamW, its rate falling with width, on a schedule that ends with the run.

        The rate is half of what gives the lowest loss: runs that differ in their seed alone then differ by 0.2%
        rather than by 1%, which is what a ladder is for.
        """
        optimizer = torch.optim.AdamW(self.parameters(), lr=1.2e-3 * (24 / self.rung.width) ** 0.7, betas=(0.9, 0.95))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def rate(self, step: int) -> float:
        """Share of the peak rate at `step`."""
        progress = step / self.rung.steps
        return min(1.0, (progress + 1e-3) / 0.03, max(0.0, 1 - progress) / 0.3)


class RungBar(TQDMProgressBar):
    """A progress bar that shows the rung and what the ladder forecasts at the moment."""

    latest = "after 3 runs"  # of all rungs: a new one has nothing to say before its first validation

    def __init__(self, title: str, callback: ScalingCallback) -> None:
        super().__init__(refresh_rate=32)
        self.title, self.callback = title, callback

    def init_validation_tqdm(self) -> Any:
        """Validations are short: no bar of their own."""
        return Tqdm(disable=True)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Keep the title; the bar's own is the epoch."""
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(self.title)  # pyright: ignore[reportUnknownMemberType]

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The forecast, once there is one."""
        snapshot = self.callback.snapshot
        if snapshot is not None and snapshot.forecast is not None:
            made = snapshot.forecast
            RungBar.latest = f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        return {"forecast": RungBar.latest}


def read_text() -> tuple[Tensor, Tensor]:
    """The standard library's own source as bytes, for training and validation; files are split by their hash."""
    root = Path(sysconfig.get_paths()["stdlib"])
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if not {"site-packages", "dist-packages", "test", "tests", "idle_test"} & set(inside.parts):
            held = hashlib.sha256(inside.as_posix().encode()).digest()[0] < 9  # 9 of 256
            parts[held].append(path.read_bytes())
    train, held_out = (torch.frombuffer(bytearray(b"".join(parts[held])), dtype=torch.uint8) for held in (False, True))
    return train, held_out


def train(rung: Rung, title: str, callback: ScalingCallback, text: tuple[Tensor, Tensor], options: Options) -> None:
    """Train one rung with its own Trainer and W&B run."""
    model = GPT(rung)
    logger = WandbLogger(
        project="tiny-ladder",
        name=title,
        offline=not options.online,
        save_dir=str(options.output),
        **group_of(options.output / "ladder", held_out=rung.width == HELD_OUT.width),
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=rung.steps,
        val_check_interval=rung.steps // VALIDATIONS,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=logger,
        callbacks=[callback, RungBar(title, callback)],
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    training = Text(text[0], rung.steps, options.seed)
    validation = Text(text[1], math.ceil(VALIDATION_BATCHES * options.scale), 0)  # the same windows for every run
    trainer.fit(model, DataLoader(training, batch_size=None), DataLoader(validation, batch_size=None))
    wandb.finish()


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    output: Path
    seed: int
    online: bool
    scale: float


def main() -> None:
    """Climb the ladder, forecast, train the held-out rung, compare."""
    options = parse()
    began = time.monotonic()
    text = read_text()
    held_out = scaled(HELD_OUT, options)
    target = Target(params=size(held_out), tokens=held_out.steps * BATCH * CONTEXT)
    ladder = options.output / "ladder"
    print(f"text: {len(text[0]) / 1e6:.1f} MB to train on, {len(text[1]) / 1e6:.2f} MB held out")
    print(f"target: {format_count(target.params)} parameters on {format_count(target.tokens)} tokens\n")

    for number, rung in enumerate([*RUNGS, HELD_OUT], start=1):
        run = scaled(rung, options)
        last = rung is HELD_OUT
        title = (
            f"held out {format_count(size(run))}" if last else f"rung {number}/{len(RUNGS)} {format_count(size(run))}"
        )
        callback = ScalingCallback(
            target=target,
            ladder=ladder,
            run=f"{format_count(size(run))}-{run.steps}",
            schedule="warmup-stable-decay",
            recipe={"data": "python standard library", "tokenizer": "bytes", "optimizer": "AdamW"},
            held_out=last,
            refit_budget=None,  # every observation, so that the same seed shows the same numbers
        )
        pl.seed_everything(options.seed, workers=True, verbose=False)
        train(run, title, callback, text, options)

    store = Ladder(ladder)
    snapshot = refresh(store.runs(), store.issued(), Config(target=target))
    conclude(snapshot, options, time.monotonic() - began)


def conclude(snapshot: Snapshot, options: Options, seconds: float) -> None:
    """Print forecast and truth side by side; write the report and the result."""
    forecast, allocation = snapshot.forecast, snapshot.allocation
    held_out = next(run for run in snapshot.runs if run.card.held_out)
    if forecast is None or allocation is None or held_out.final is None:
        raise SystemExit(f"no forecast: {snapshot.absent}")
    measured = held_out.final.loss
    error = forecast.median / measured - 1

    print(f"\n{'':24}{'loss':>8}   {'off by':>7}")
    print(f"{'forecast':24}{format_loss(forecast.median):>8}   {format_percent(error, signed=True):>7}", end="")
    print(f"   90% interval {format_loss(forecast.lower)} to {format_loss(forecast.upper)}")
    print(f"{'measured':24}{format_loss(measured):>8}")
    for name, loss in forecast.baselines.items():
        words = {"best_loss": "best loss of the ladder", "most_compute": "run with most compute"}[name]
        print(f"{words:24}{format_loss(loss):>8}   {format_percent(loss / measured - 1, signed=True):>7}")
    print(f"\noptimal split of the same budget ({allocation.flops:.2e} FLOPs):")
    if allocation.identified:
        ends = allocation.intervals["tokens_per_param"]
        print(f"  {format_count(allocation.params)} parameters on {format_count(allocation.tokens)} tokens, ", end="")
        print(f"{format_value(allocation.tokens_per_param)} tokens per parameter, ", end="")
        print(f"90% interval {format_value(ends[0])} to {format_value(ends[1])}")
    for reason in allocation.reasons.values():
        print(f"  cannot be said: {reason}")

    report = options.output / "report.html"
    report.write_text(render_html(snapshot, title="A tiny ladder"), encoding="utf-8")
    result = {
        "forecast": forecast.median,
        "lower": forecast.lower,
        "upper": forecast.upper,
        "measured": measured,
        "relative_error": error,
        "baselines": dict(forecast.baselines),
        "rungs": [{"run": r.name, "params": r.params, "tokens": r.horizon} for r in snapshot.runs if r is not held_out],
        "seconds": seconds,
        "seed": options.seed,
    }
    (options.output / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    print(f"\n{seconds:.0f} seconds; open {report}")


def scaled(rung: Rung, options: Options) -> Rung:
    """The rung with its steps scaled as asked, validated at its last step."""
    return Rung(rung.width, math.ceil(rung.steps * options.scale / VALIDATIONS) * VALIDATIONS)


def size(rung: Rung) -> int:
    """Parameters of the rung's model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in GPT(rung).parameters())


def prepare(options: Options) -> None:
    """An empty place for the output, a W&B that writes nowhere else, and quiet libraries.

    Raises:
        OSError: The place cannot be written.
        ValueError: It holds something that no earlier run of this demo wrote.
    """
    clear(options.output)
    kept = (options.output / "wandb").resolve()
    places = {
        "WANDB_CACHE_DIR": kept / "cache",  # logs of its service, and artifacts
        "WANDB_DATA_DIR": kept / "data",  # artifacts on their way
        "WANDB_ARTIFACT_DIR": kept / "artifacts",
    }
    if not options.online:  # online the user's own settings say which server
        places["WANDB_CONFIG_DIR"] = kept / "config"
    os.environ |= {name: str(place) for name, place in places.items()}
    os.environ.setdefault("WANDB_SILENT", "true")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    # the loader reads from memory: worker processes would only cost
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # raised inside torch by Lightning's own use of it
    warnings.filterwarnings("ignore", category=FutureWarning, module="lightning|torch")
    # at these sizes a second thread gains a third on an idle machine and loses tenfold on a busy one
    torch.set_num_threads(1)


def clear(output: Path) -> None:
    """Delete what an earlier run wrote to `output`, and claim the folder for this one.

    The mark is written before anything else: an interrupted run leaves it too.

    Raises:
        OSError: The folder cannot be made, or something in it not deleted.
        ValueError: It is no folder, or holds, without the mark, something by a name that would be replaced.
    """
    if os.path.lexists(output) and not output.is_dir():
        raise ValueError(f"--output {output} is no folder; give one, or a name that is free")
    mark = output / MARK
    found = [output / name for name in WRITTEN if os.path.lexists(output / name)]
    if found and not mark.is_file():
        raise ValueError(f"{found[0]} is not of an earlier demo; move it, or give --output another folder")
    output.mkdir(parents=True, exist_ok=True)
    mark.write_text(f"examples/tiny_ladder.py replaces here: {', '.join(WRITTEN)}\n", encoding="utf-8")
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:  # of a link only the link: what it leads to is not of this demo
            path.unlink()


class Parser(argparse.ArgumentParser):
    """Bad usage is one line on standard error, and exit status 2."""

    def error(self, message: str) -> NoReturn:
        """As the command line of the package has it."""
        print(f"{self.prog}: {' '.join(message.split())}; see --help", file=sys.stderr)
        raise SystemExit(2)


def read_seed(value: str) -> int:
    """A seed that every generator takes."""
    if not (value.isdecimal() and int(value) < 2**32):
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number from 0 to {2**32 - 1}")
    return int(value)


def read_scale(value: str) -> float:
    """A share of the steps."""
    try:
        scale = float(value)
    except ValueError:
        scale = math.nan
    if not 0 < scale <= LARGEST_SCALE:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number above 0 and at most {LARGEST_SCALE}, such as 0.1")
    return scale


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line, and make the place that it names ready."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/demo"), help="default: %(default)s")
    parser.add_argument("--seed", type=read_seed, default=0, help="default: %(default)s")
    parser.add_argument("--online", action="store_true", help="log to W&B's servers instead of a folder")
    parser.add_argument("--scale", type=read_scale, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args(arguments)
    options = Options(given.output, given.seed, given.online, given.scale)
    try:
        prepare(options)
    except OSError as error:
        parser.error(f"--output {options.output} cannot be written ({error.strerror}); give a folder that can")
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    main()
