"""A ladder of tiny GPT-2 models in the Trainer of Hugging Face's transformers; nothing is downloaded.

    pip install 'scaling-callback[huggingface]'
    python examples/hugging_face.py

Started again it goes on from the Trainer's own checkpoints. The ladder lies in runs/hugging_face.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint  # pyright: ignore[reportUnknownVariableType]

from scaling_callback import Target
from scaling_callback.integrations.huggingface import ScalingTrainerCallback

BATCH, CONTEXT = 8, 32
RUNGS = ((8, 80), (8, 160), (16, 80), (16, 160), (32, 160))
"""Width and steps of each run."""
TARGET = Target(params=60_000, tokens=320 * BATCH * CONTEXT)


class Windows(Dataset[dict[str, Any]]):
    """Windows of bytes, with the ids as labels."""

    def __init__(self, text: bytes, count: int) -> None:
        ids = torch.frombuffer(bytearray(text), dtype=torch.uint8).long()
        places = torch.randint(len(ids) - CONTEXT, (count,), generator=torch.Generator().manual_seed(0))
        self.windows = ids[places[:, None] + torch.arange(CONTEXT)]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.windows[index], "labels": self.windows[index]}


def main() -> None:
    """Train every rung, and say what the ladder forecasts after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/hugging_face"))
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = b"".join(path.read_bytes() for path in files)[: 2**19]
    for width, steps in RUNGS:
        callback = train(width, 8 * max(1, round(steps * given.scale / 8)), text, given.output)
        made = callback.snapshot.forecast if callback.snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"{callback.run}: forecast of the target {said}")


def train(width: int, steps: int, text: bytes, output: Path) -> ScalingTrainerCallback:
    """Train one rung, or the rest of it."""
    config = GPT2Config(vocab_size=256, n_positions=CONTEXT, n_embd=width, n_layer=1, n_head=2)
    callback = ScalingTrainerCallback(TARGET, output / "ladder", run=f"width-{width}-{steps}")
    checkpoints = output / f"width-{width}-{steps}"
    trainer: Any = Trainer(
        GPT2LMHeadModel(config),
        TrainingArguments(
            output_dir=str(checkpoints),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=3e-3,
            lr_scheduler_type="cosine",
            eval_strategy="steps",
            eval_steps=steps // 8,
            save_steps=steps // 8,
            save_total_limit=1,
            include_num_input_tokens_seen="all",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            dataloader_pin_memory=False,
        ),
        train_dataset=Windows(text[2**14 :], steps * BATCH),
        eval_dataset=Windows(text[: 2**14], 64),
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(checkpoints)) if checkpoints.exists() else None)
    return callback


if __name__ == "__main__":
    main()
