"""A ladder of tiny GPT-2 models with the Trainer of Hugging Face's transformers, and one callback.

    pip install 'scaling-callback[huggingface]'
    python examples/hugging_face.py

Nothing is downloaded: models are made from a configuration, bytes are the tokens, and the text is that of Python's own
standard library. Four models forecast one that is larger. All lies below `runs/hugging_face/`.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from scaling_callback import Target
from scaling_callback.integrations.huggingface import ScalingTrainerCallback

BATCH, CONTEXT, OBSERVATIONS = 8, 64, 8
RUNGS = ((16, 80), (16, 160), (32, 160), (48, 160))
"""Width and steps of each run."""
LARGEST = (96, 320)
"""Those of the model that is forecast, and never trained."""


def make_model(width: int) -> Any:
    """A byte-level GPT-2 of one layer."""
    shape: dict[str, Any] = {
        "vocab_size": 256,
        "n_positions": CONTEXT,
        "n_embd": width,
        "n_layer": 1,
        "n_head": width // 16,
    }
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0))


def main() -> None:
    """Train every rung, and say what the ladder forecasts after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/hugging_face"))
    parser.add_argument("--scale", type=float, default=1.0, help="train this share of the steps (for tests)")
    given = parser.parse_args()
    text = read_text()
    width, steps = LARGEST
    target = Target(params=make_model(width).num_parameters(), tokens=steps * given.scale * BATCH * CONTEXT)
    for width, steps in RUNGS:
        every = max(1, round(steps * given.scale / OBSERVATIONS))
        callback = train(width, every, text, target, given.output)
        made = callback.snapshot.forecast if callback.snapshot is not None else None
        said = "not yet" if made is None else f"{made.median:.3f} [{made.lower:.3f}, {made.upper:.3f}]"
        print(f"after width {width}, {every * OBSERVATIONS} steps: forecast of the target {said}")


def train(width: int, every: int, text: Tensor, target: Target, output: Path) -> ScalingTrainerCallback:
    """Train one rung; the Trainer evaluates after each `every` steps, the last one included."""
    steps = every * OBSERVATIONS
    callback = ScalingTrainerCallback(target, output / "ladder", run=f"width-{width}-{steps}")
    transformers.set_seed(0)
    settings: dict[str, Any] = {
        "max_steps": steps,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "no",
        "learning_rate": 1e-2,
        "lr_scheduler_type": "cosine",
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": 32,
        "include_num_input_tokens_seen": "all",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "log_level": "error",
        "dataloader_pin_memory": False,
    }
    trainer: Any = transformers.Trainer(
        make_model(width),
        transformers.TrainingArguments(str(output / "trainer"), **settings),
        train_dataset=cut(text[128 * CONTEXT :], BATCH * steps),
        eval_dataset=cut(text[: 128 * CONTEXT], 128),  # never trained on
        callbacks=[callback],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return callback


def cut(text: Tensor, windows: int) -> Any:
    """So many windows of the text; the model shifts its labels itself."""
    places = torch.randint(len(text) - CONTEXT, (windows, 1), generator=torch.Generator().manual_seed(0))
    ids = text[places + torch.arange(CONTEXT)]
    return [{"input_ids": window, "labels": window} for window in ids]


def read_text() -> Tensor:
    """The source of the standard library's modules, as bytes."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(path.read_bytes() for path in files)), dtype=torch.uint8).long()


if __name__ == "__main__":
    main()
