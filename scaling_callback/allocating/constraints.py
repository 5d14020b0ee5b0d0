"""What is asked of a budget beside its size: what else it must pay for, and what is fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from scaling_callback.costs import MEASURED, SIX_ND, Cost, attention_cost, measured_cost
from scaling_callback.errors import InputError
from scaling_callback.records import Run, is_count

Counting = Literal["measured", "6nd"]

ODD = 10.0
"""Measured FLOPs that differ from 6 N D by this factor are odd; heads and attention of small models make few times."""

SCATTERED = 1.5
"""Factor between measured FLOPs and their trend over sizes above which they are odd."""


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
            if len(self.shape) != 3:
                raise InputError(f"shape is {self.shape!r}; give layers, width and context")
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

    def doubt_cost(self, runs: Sequence[Run]) -> dict[str, str]:
        """Signs that the FLOPs which the runs measured are no FLOPs of their training, by name with a sentence."""
        runs = [run for run in runs if not run.card.held_out]
        cost = self.cost(runs)
        if cost.source != MEASURED:
            return {}
        params = np.array([run.params for run in runs])
        flops = np.array([run.flops_per_token for run in runs])
        over = float(np.median(flops / (6.0 * params)))
        off = float(np.quantile(np.abs(np.log(flops) - cost.log_per_token(np.log(params))), 0.9))
        if not 1 / ODD < over < ODD:
            odd = f"are {over:.3g} times 6 N D"
        elif off > math.log(SCATTERED):
            odd = f"differ by a factor of {math.exp(off):.3g} from what sizes explain"
        else:
            return {}
        return {"odd_flops": f"the measured FLOPs of the runs {odd}; check them, or count 6 N D (--counting 6nd)"}


UNCONSTRAINED = Constraints()
