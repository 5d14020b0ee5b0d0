"""The callback that the environment asks for, beside those that a script has of its own."""

from __future__ import annotations

from typing import Any

from scaling_callback.callback import ScalingCallback


class EnvironmentCallback(ScalingCallback):
    """Steps aside where the training has a `ScalingCallback` of its own.

    Its `state_key` begins with its own class: a Trainer refuses two callbacks whose keys are the same, and does so
    before it asks anyone to step aside.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """The Trainer's callbacks are complete by now, those of the module included."""
        if any(isinstance(other, ScalingCallback) and other is not self for other in trainer.callbacks):
            # a new list: the Trainer is walking along the old one
            trainer.callbacks = [other for other in trainer.callbacks if other is not self]
