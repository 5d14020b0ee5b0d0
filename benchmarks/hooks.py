"""What the callback costs a training: microseconds to count a micro-batch, and the share of a fit inside its hooks.

Both are paired in one process: each count in turn with the kernel that it cannot do without, and the hooks with the
rest of the fit that they are part of. Refits have a budget of their own and are taken off. Run with OMP_NUM_THREADS=1.

    python benchmarks/hooks.py
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import logging
import pstats
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from scaling_callback import ScalingCallback, Target
from scaling_callback.measuring import Tally, count_params, count_tokens
from scaling_callback.refitting import Refits

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import tiny_ladder

FROM_SHAPES, WITH_LABELS, HOOKS = 3.0, 10.0, 0.01  # at most: microseconds, microseconds beside the kernel, share
ROUNDS, REPEAT = 300, 100
WIDTH, STEPS, VALIDATIONS = 80, 1024, 8  # the demo's model of about 100k parameters

HOOK_NAMES = (
    "setup", "on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_train_batch_end",
    "on_validation_end", "on_train_epoch_end", "on_train_end", "teardown",
)  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What the callback costs a training.")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the training whose hooks are timed")
    parser.add_argument("--profile", action="store_true", help="show where the time inside the hooks goes")
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    show_counting()
    show_hooks(options.steps, profile=options.profile)


def show_counting() -> None:
    """Microseconds of `Tally.add`, and beside the counting kernel where labels are looked at."""
    ids = torch.zeros(8, 128, dtype=torch.long)
    labels = torch.cat([ids[:, :100], torch.full((8, 28), -100)], 1)
    batches: dict[str, tuple[Any, Tensor | None]] = {
        "a tensor": (ids, None),
        "{input_ids}": ({"input_ids": ids}, None),
        "images": ((torch.zeros(8, 3, 8, 8), torch.zeros(8, dtype=torch.long)), None),
        "(ids, labels)": ((ids, labels), labels),
        "{input_ids, labels}": ({"input_ids": ids, "labels": labels}, labels),
        "{input_ids, attention_mask}": ({"input_ids": ids, "attention_mask": (labels >= 0).long()}, labels),
    }
    print(f"{'a micro-batch (8, 128), us':32}{'add':>8}{'kernel':>8}{'beside':>8}{'at most':>9}")
    for name, (batch, counted) in batches.items():
        whole, kernel, beside = clock(batch, counted)
        limit = FROM_SHAPES if counted is None else WITH_LABELS
        print(f"{name:32}{whole:>8.2f}{kernel:>8.2f}{beside:>8.2f}{limit:>9.0f}  {verdict(beside <= limit)}")
    print()


def clock(batch: Any, labels: Tensor | None) -> tuple[float, float, float]:
    """Medians of microseconds: of adding a batch, of the kernel alone, and of their difference in each round."""
    tally = Tally(count_tokens)

    def add() -> None:
        tally.add(batch)

    def count() -> Tensor | None:
        return None if labels is None else (labels != -100).sum()

    rounds = [(microseconds(add), microseconds(count)) for _ in range(ROUNDS)]
    return (
        median(whole for whole, _ in rounds),
        median(kernel for _, kernel in rounds),
        median(whole - kernel for whole, kernel in rounds),
    )


def microseconds(work: Callable[[], object]) -> float:
    """Microseconds of one call."""
    began = time.perf_counter()
    for _ in range(REPEAT):
        work()
    return (time.perf_counter() - began) / REPEAT * 1e6


class Clock:
    """Seconds spent inside a callback's hooks, by hook, and in refits among them."""

    def __init__(self, callback: Any, profile: cProfile.Profile | None) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.refits = 0.0
        self._profile = profile
        for name in HOOK_NAMES:
            setattr(callback, name, self._timed(name, getattr(callback, name)))

    def _timed(self, name: str, hook: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self._profile or contextlib.nullcontext():
                began = time.perf_counter()
                try:
                    return hook(*args, **kwargs)
                finally:
                    self.seconds.setdefault(name, []).append(time.perf_counter() - began)

        return timed

    def watch_refits(self) -> Callable[[], None]:
        """Time what refits take; gives what undoes it."""
        originals = {name: getattr(Refits, name) for name in ("ask", "take", "last")}

        def timed(original: Callable[..., Any]) -> Callable[..., Any]:
            def watched(*args: Any, **kwargs: Any) -> Any:
                began = time.perf_counter()
                try:
                    return original(*args, **kwargs)
                finally:
                    self.refits += time.perf_counter() - began

            return watched

        for name, original in originals.items():
            setattr(Refits, name, timed(original))
        return lambda: [setattr(Refits, name, original) for name, original in originals.items()] and None


def show_hooks(steps: int, *, profile: bool) -> None:
    """The share of a fit that is spent inside the hooks, on the demo's model of 100k parameters."""
    text = tiny_ladder.read_text()
    rung = tiny_ladder.Rung(WIDTH, steps)
    profiler = cProfile.Profile() if profile else None
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_ladder.GPT(rung)
        callback = ScalingCallback(Target(params=1e6, tokens=1e7), Path(folder) / "ladder")
        watch = Clock(callback, profiler)
        undo = watch.watch_refits()
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=steps, val_check_interval=steps // VALIDATIONS, check_val_every_n_epoch=None,
            num_sanity_val_steps=0, logger=False, callbacks=[callback], enable_checkpointing=False,
            enable_model_summary=False, enable_progress_bar=False, default_root_dir=folder,
        )  # fmt: skip
        train, held_out = (
            DataLoader(tiny_ladder.Text(part, batches, 0), batch_size=None)
            for part, batches in zip(text, (steps, tiny_ladder.VALIDATION_BATCHES), strict=True)
        )
        began = time.perf_counter()
        trainer.fit(model, train, held_out)
        whole = time.perf_counter() - began
        undo()
        size = count_params(model)["total"]

    print(f"{f'hooks, {size:.0f} parameters':32}{'seconds':>9}{'calls':>8}{'median us':>11}{'of the fit':>12}")
    for name, seconds in sorted(watch.seconds.items(), key=lambda item: -sum(item[1])):
        print(f"{name:32}{sum(seconds):>9.4f}{len(seconds):>8}{median(seconds) * 1e6:>11.1f}", end="")
        print(f"{sum(seconds) / whole:>12.3%}")
    inside = sum(map(sum, watch.seconds.values()))
    print(f"{'refits among them':32}{watch.refits:>9.4f}{'':19}{watch.refits / whole:>12.3%}")
    share = (inside - watch.refits) / whole
    print(f"{'all hooks without refits':32}{inside - watch.refits:>9.4f}{'':19}{share:>12.3%}  ", end="")
    print(f"{verdict(share <= HOOKS)} at most {HOOKS:.0%} of {whole:.1f} s")
    if profiler is not None:
        out = io.StringIO()
        pstats.Stats(profiler, stream=out).sort_stats("cumulative").print_stats(25)
        print(out.getvalue())


def verdict(holds: bool) -> str:
    """Whether a line holds."""
    return "holds" if holds else "FALLS SHORT"


if __name__ == "__main__":
    main()
