"""The processes of one training, through what its framework calls them by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _alone(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Ranks:
    """Who of a training's processes is the first, and how it tells the others something.

    Attributes:
        first: Whether this process is the first rank: the one that writes, fits and decides.
        broadcast: Gives on every rank what the first one passes to it; every rank must call it at the same places.

    Example:
        >>> Ranks().first, Ranks().broadcast(3)
        (True, 3)
        >>> Ranks.distributed()  # of a process that torch.distributed was not started in
        Ranks()
    """

    first: bool = True
    broadcast: Callable[[Any], Any] = _alone

    def __repr__(self) -> str:
        return "Ranks()" if self == Ranks() else f"Ranks(first={self.first}, ...)"

    @classmethod
    def distributed(cls) -> Ranks:
        """Those of `torch.distributed`; one process where it was not started."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()

        def broadcast(value: Any) -> Any:
            held = [value]
            distributed.broadcast_object_list(held, src=0)
            return held[0]

        return cls(distributed.get_rank() == 0, broadcast)
