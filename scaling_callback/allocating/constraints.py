"""What is asked of a budget beside its size: what else it must pay for, and what is fixed beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scaling_callback.costs import SIX_ND, Cost, attention_cost, measured_cost
from scaling_callback.errors import InputError
from scaling_callback.records import Run, is_count

Counting = Literal["measured", "6nd"]


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What a split must heed.

    Attributes:
        counting: How FLOPs are counted: `measured` as the runs measured them, where all did, else and with `6nd` as
            6 N D.
        shape: Layers, width and context of one model of the family, whose attention is then counted beside 6 N D,
            whatever the runs measured.
        inference_tokens: Tokens that the model will serve, which the budget pays for as well.
        fixed_params: N, where only D is to be chosen.
        fixed_tokens: D, where only N is.

    Raises:
        InputError: A value is no positive count, or two of them contradict each other.
    """

    counting: Counting = "measured"
    shape: tuple[float, float, float] | None = None
    inference_tokens: float | None = None
    fixed_params: float | None = None
    fixed_tokens: float | None = None

    def __post_init__(self) -> None:
        if self.counting not in ("measured", "6nd"):
            raise InputError(f"counting is {self.counting!r}; it must be 'measured' or '6nd'")
        for name in ("inference_tokens", "fixed_params", "fixed_tokens"):
            value = getattr(self, name)
            if value is not None and not is_count(value):
                raise InputError(f"{name} is {value!r}; it must be a positive, finite count")
        if self.fixed_params is not None and self.fixed_tokens is not None:
            raise InputError(
                "params and tokens are both fixed, and nothing is left to choose; fix one, or forecast that target"
            )
        if self.shape is not None:
            attention_cost(*self.shape)

    def cost(self, runs: Sequence[Run]) -> Cost:
        """What models of these runs' recipe cost; of those held out nothing is known.

        Example:
            >>> from scaling_callback.testing import planted_ladder
            >>> Constraints(shape=(24, 2048, 4096)).cost(planted_ladder()).source
            '6 N D and attention over 4096 tokens'
        """
        cost = SIX_ND
        runs = [run for run in runs if not run.card.held_out]
        figures = [run.card.flops_per_token for run in runs]
        if self.shape is not None:
            cost = attention_cost(*self.shape)
        elif self.counting == "measured" and runs and all(figure is not None for figure in figures):
            cost = measured_cost(
                np.array([run.params for run in runs]), np.array([run.flops_per_token for run in runs])
            )
        return replace(cost, inference_tokens=self.inference_tokens or 0.0)


UNCONSTRAINED = Constraints()
