"""What a live run does about its stopping rules: what they say is recorded; it may alert, or end the training.

A rule that is watched only must change nothing in a training: nothing in here draws a random number or holds a tensor.
"""

from __future__ import annotations

from scaling_callback.acting.calls import Action, check_action, describe_call
from scaling_callback.acting.present import Present
from scaling_callback.acting.turns import Turns
from scaling_callback.acting.watching import Watched, Watcher

__all__ = ["Action", "Present", "Turns", "Watched", "Watcher", "check_action", "describe_call"]
