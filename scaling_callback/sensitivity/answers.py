"""What every row answers, of one parameter vector or of many: D/N at a budget, and a loss; and the intervals of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scaling_callback.costs import Cost
from scaling_callback.errors import InputError
from scaling_callback.fitting import fewest_replicates
from scaling_callback.fitting.points import log_variables
from scaling_callback.forecasting import take_interval
from scaling_callback.laws import Law
from scaling_callback.laws.muennighoff import heed_repetition
from scaling_callback.records import Array, Target
from scaling_callback.sensitivity.choices import Choice

LOST = 0.1
"""Share of the replicates without a value beyond which there is no interval: the others are not those of the law."""

Ends = tuple[float, float]


@dataclass(frozen=True)
class Aim:
    """What every row answers for: D/N at a budget, and the loss at a place, or at that optimum without one.

    Attributes:
        budget: In FLOPs.
        target: What the loss is forecast for, with N as the runs count it.
        sizes: Its N in other countings, by name.
        known: Values there of further variables of the law.
        level: Nominal coverage of the intervals.
    """

    budget: float
    target: Target | None
    sizes: Mapping[str, float]
    known: Mapping[str, float]
    level: float

    def place(self, counting: str | None) -> Mapping[str, float] | None:
        """Variables of the target, with N in a counting; NaN where that is not known."""
        if self.target is None:
            return None
        params = self.target.params if counting is None else self.sizes.get(counting)
        tokens = self.target.tokens
        if params is None or tokens is None:
            return dict.fromkeys(("params", "tokens", "compute"), math.nan)
        return {"params": params, "tokens": tokens, "compute": 6.0 * params * tokens}


@dataclass(frozen=True)
class Answer:
    """D/N at the budget and the loss, `None` where they cannot be said, and the intervals of everything."""

    tokens_per_param: float | None
    loss: float | None
    intervals: Mapping[str, Ends] = field(default_factory=dict[str, Ends])


def answer(choice: Choice, law: Law, natural: Array, draws: Array, aim: Aim, cost: Cost) -> Answer:
    """What natural parameters (P,) found under a choice say, and the spread of what replicates (R, P) of them say."""
    ratios, losses = _predict(law, np.concatenate([natural[None], draws]), aim, aim.place(choice.counting), cost)
    drawn = {**dict(zip(law.names, draws.T, strict=True)), "tokens_per_param": ratios[1:], "loss": losses[1:]}
    ends = {name: _take(values, aim.level) for name, values in drawn.items()}
    return Answer(_known(ratios[0]), _known(losses[0]), {name: pair for name, pair in ends.items() if pair})


def _predict(law: Law, natural: Array, aim: Aim, place: Mapping[str, float] | None, cost: Cost) -> tuple[Array, Array]:
    """Optimal D/N at the budget, and the loss at the place or at that optimum, each (R,); NaN where there is none."""
    law, natural = heed_repetition(law, natural, aim.known)
    with np.errstate(all="ignore"):  # a stalled search may leave a term beyond a double
        params, tokens = law.optimum(natural, aim.budget, aim.known, cost)
        ratios = tokens / params
        at = place or {"params": params, "tokens": tokens, "compute": aim.budget}
        try:
            x = log_variables({**at, **aim.known}, law.variables)
        except InputError:  # the law has a variable that was not given
            return ratios, np.full(len(natural), math.nan)
        # each parameter vector has a place of its own
        places = np.broadcast_to(x, (len(x), len(natural)))[:, :, None]
        value, _ = law.log_loss(law.working(natural, np.zeros(len(x))), places)
        return ratios, np.exp(value[:, 0])


def _take(draws: Array, level: float) -> Ends | None:
    """The percentile interval of the finite draws; `None` where too many are not, or there are too few at all."""
    usable = draws[np.isfinite(draws)]
    if len(draws) < fewest_replicates(level) or len(usable) < (1 - LOST) * len(draws):
        return None
    return take_interval(usable, level)


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
