"""Where a training begins: at nothing, or after tokens that were counted before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scaling_callback.measuring.tally import Tally

LATE_STEPS = 2
"""Steps that a checkpoint's counters may lie behind it: two optimisers make two in one batch."""


class Beginning(NamedTuple):
    """What was counted before a training, and the run that it continues.

    Attributes:
        tokens: Tokens of all ranks.
        batches: Micro-batches of a rank.
        continues: What is known of the runs, their names among it, by the loss that each records, if any was recorded.
        lost: Why the tokens are not known; `None` if they are.
    """

    tokens: float = 0.0
    batches: int = 0
    continues: Mapping[str, Mapping[str, Any]] | None = None
    lost: str | None = None


def find_beginning(
    trainer: Any, loaded: Mapping[str, Any] | None, tally: Tally, runs: Mapping[str, Mapping[str, Any]], *, again: bool
) -> Beginning:
    """Where the training that `trainer` starts begins.

    Args:
        trainer: The Trainer.
        loaded: Counters of the checkpoint that was loaded last.
        tally: What was counted in the last training of this process.
        runs: What is known of the runs that it recorded, by the loss that each records.
        again: Whether it trained the same module.
    """
    loaded, step = loaded or {}, trainer.global_step
    # a checkpoint may also have been loaded to be validated: its counters belong to no training then; one that
    # another callback wrote may lack the last batch
    behind = step - int(loaded.get("step", -LATE_STEPS - 1))
    if trainer.ckpt_path is not None and 0 <= behind <= LATE_STEPS:
        counted = float(loaded.get("tokens", 0.0)), int(loaded.get("batches", 0))
        return Beginning(*counted, loaded.get("runs"), loaded.get("lost"))
    if step == 0 and again and tally.batches:
        return Beginning(
            lost="this module was trained before and its steps begin at 0 again; train a new one, or resume from a "
            "checkpoint"
        )
    if step == 0:
        return Beginning()
    if runs:
        return Beginning(tally.tokens, tally.batches, runs, tally.lost)
    return Beginning(
        lost=f"training starts at step {step} and the tokens before it were not counted; resume from a checkpoint that "
        "was written with this callback"
    )
