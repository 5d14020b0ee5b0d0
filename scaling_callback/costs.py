"""What a model costs: the FLOPs of training it, and of serving it.

Training takes 6 N (1 + h) FLOPs a token, where the overhead h is what 6 N leaves out: attention, whose share falls
with size, and whatever a measurement counts. Serving takes a third of that, for it needs no backward pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.records import SAME_COUNT, Array, is_count

ALIKE = 0.005
"""FLOPs that differ from 6 N D by no more than this are 6 N D: counts are rounded."""

MEASURED = "measured FLOPs of the runs"
"""What a cost that runs measured is called."""

LEAST = 1e-3
"""FLOPs over 6 N D below which they are counted in another unit."""

STEEPEST = 1.0
"""Fastest that an overhead falls with N: that of a cost which does not depend on size."""

SERVING = 3.0
"""A token that is trained on costs as much as three that are generated: forward and twice that backward."""


@dataclass(frozen=True)
class Cost:
    """FLOPs of a model of N parameters on D tokens: 6 N (1 + h(N)) (D + D_inf / 3), with h(N) = h_0 (N / N_0)^-g.

    With h = 0 it is 6 N D + 2 N D_inf (Sardana et al. 2024, arXiv 2401.00448, equation 2).

    Attributes:
        overhead: h_0, the FLOPs of a token over 6 N, less 1.
        fall: g, how fast the overhead falls with size.
        at: N_0, the size at which it is h_0.
        inference_tokens: D_inf, tokens that the model will read and write after its training.
        source: Where the overhead comes from, in words.

    Example:
        >>> f"{Cost().flops(1e9, 2e10):.3g}", f"{Cost(inference_tokens=3e10).flops(1e9, 2e10):.3g}"
        ('1.2e+20', '1.8e+20')
    """

    overhead: float = 0.0
    fall: float = 0.0
    at: float = 1.0
    inference_tokens: float = 0.0
    source: str = "6 N D"

    def __post_init__(self) -> None:
        if not self.overhead > -1.0 or not math.isfinite(self.overhead):
            raise InputError(f"overhead is {self.overhead!r}; a token must take more than no FLOPs: give it above -1")
        if self.inference_tokens and not is_count(self.inference_tokens):
            raise InputError(f"inference_tokens is {self.inference_tokens!r}; it must be a positive, finite count")

    @property
    def factor(self) -> float | None:
        """FLOPs over 6 N D where that is one number for every model; else `None`."""
        if self.inference_tokens or (self.overhead and self.fall):
            return None
        return 1.0 + self.overhead

    def training_flops(self, params: float, tokens: float) -> float:
        """FLOPs of the training."""
        return 6.0 * params * (1.0 + float(self._overhead(np.array(math.log(params))))) * tokens

    def log_per_token(self, log_params: Array) -> Array:
        """Ln of the training FLOPs of a token, 6 N (1 + h), at ln N of any shape."""
        return np.log(6.0) + log_params + np.log1p(self._overhead(log_params))

    def inference_flops(self, params: float) -> float:
        """FLOPs of all tokens that the model will read and write."""
        return self.training_flops(params, self.inference_tokens) / SERVING

    def flops(self, params: float, tokens: float) -> float:
        """FLOPs of both."""
        return self.training_flops(params, tokens) + self.inference_flops(params)

    def tokens(self, params: float, flops: float) -> float:
        """Tokens on which a model of `params` can be trained for `flops` in all; not positive where there are none."""
        return flops / self.training_flops(params, 1.0) - self.inference_tokens / SERVING

    def params(self, tokens: float, flops: float) -> float:
        """The size that can be trained on `tokens` for `flops` in all."""
        log_params, _ = self.log_params(np.array([math.log(tokens)]), flops)
        return math.exp(min(float(log_params[0]), 700.0))  # beyond that a double overflows

    def log_params(self, log_tokens: Array, flops: float) -> tuple[Array, Array]:
        """Ln N of what `flops` train on given ln D, and its derivative by ln D; shapes as given.

        As a function of D it is smooth and loses no digits, however much of the budget inference takes.
        """
        tokens = np.exp(log_tokens)
        served = tokens + self.inference_tokens / SERVING
        wanted = math.log(flops / 6.0) - np.log(served)  # ln of N (1 + h)
        log_params = wanted.copy()
        steepness = np.ones_like(wanted)
        if self.overhead:
            for _ in range(NEWTON_STEPS):
                over = self._overhead(log_params)
                steepness = 1.0 - self.fall * over / (1.0 + over)
                off = (log_params + np.log1p(over) - wanted) / steepness
                log_params = log_params - off
                if np.abs(off).max() <= EXACT:
                    break
        return log_params, -tokens / served / steepness

    def _overhead(self, log_params: Array) -> Array:
        """The overhead h at ln N; no more than e^50 far below the sizes that it was measured at."""
        grown = np.minimum(-self.fall * (log_params - math.log(self.at)), FARTHEST)
        return np.asarray(self.overhead * np.exp(grown), dtype=np.float64)


NEWTON_STEPS = 40
"""Most steps to the size of a given cost: the function is convex or concave, with a slope between 0 and 1."""

EXACT = 1e-13
"""A step in ln N below this changes nothing."""

FARTHEST = 50.0
"""Most that the log of an overhead may have grown below the sizes that it was measured at."""

SIX_ND = Cost()


def attention_cost(layers: float, width: float, context: float) -> Cost:
    """6 N and attention, for models of one family: 12 layers width context FLOPs a token beside 6 N.

    Attention scores and their sums take 12 L W T FLOPs a token forward and backward (Chowdhery et al. 2022, arXiv
    2204.02311, appendix B), the causal mask not counted off. Of a family of one shape, N = 12 L W^2 and L / W stay in
    proportion, so L W grows with N^(2/3) and the overhead T / (6 W) falls with N^(1/3).

    Args:
        layers: L of one model of the family.
        width: W of the same, the size of its residual stream.
        context: T, the length of a sequence in tokens.

    Raises:
        InputError: One of them is no positive count.

    Example:
        >>> cost = attention_cost(32, 4096, 4096)
        >>> round(cost.flops(12 * 32 * 4096**2, 1.0) / (6 * 12 * 32 * 4096**2), 4)
        1.1667
    """
    for name, value in (("layers", layers), ("width", width), ("context", context)):
        if not is_count(value):
            raise InputError(f"{name} is {value!r}; a shape is of positive counts, such as layers=32,width=4096")
    params, overhead = 12.0 * layers * width * width, context / (6.0 * width)
    if not (1.0 <= params < math.inf and overhead < math.inf):
        raise InputError(
            f"layers={layers:g},width={width:g},context={context:g} is a model of {params:.3g} parameters; give the "
            "shape of one model of the family"
        )
    return Cost(overhead, 1.0 / 3.0, params, source=f"6 N D and attention over {context:g} tokens")


def measured_cost(params: Array, flops_per_token: Array) -> Cost:
    """The cost of models whose training FLOPs a token were measured: n sizes and figures, each (n,).

    The overhead over 6 N is a power law in N, falling or level: the median of the slopes between sizes (Theil 1950,
    Sen 1968), for one run whose count is broken is no measurement of the others. Where N counts parameters that take
    no FLOPs it is negative, and that of the largest size is taken for all: a power law would fall to nothing at small
    sizes.

    Raises:
        InputError: The figures are hardly any of 6 N: they are no FLOPs a token.

    Example:
        >>> sizes = np.array([1e7, 1e8, 1e9])
        >>> cost = measured_cost(sizes, 6 * sizes * (1 + 0.4 * (sizes / 1e7) ** -0.5))
        >>> round(cost.overhead * cost.at**cost.fall / 1e7**0.5, 6), round(cost.fall, 6)
        (0.4, 0.5)
    """
    over = flops_per_token / (6.0 * params) - 1.0
    if np.median(np.abs(over)) <= ALIKE:
        return SIX_ND
    sizes = np.unique(params)
    middle = np.array([np.median(over[params == size]) for size in sizes])
    if 1.0 + np.median(over) < LEAST:
        raise InputError(
            f"the measured FLOPs of these runs are {1.0 + float(np.median(over)):.2g} times 6 N D; give plain FLOPs of "
            "the whole training, or count 6 N D (--counting 6nd)"
        )
    x = np.log(sizes)
    if (middle > 0).mean() <= 0.5 or np.ptp(x) < math.log(1 + SAME_COUNT):
        return Cost(max(float(middle[-1]), LEAST - 1.0), source=MEASURED)
    x, middle = x[middle > 0], middle[middle > 0]
    y, left, right = np.log(middle), *np.triu_indices(len(x), 1)
    slopes = (y[right] - y[left]) / (x[right] - x[left])
    fall = float(np.clip(-np.median(slopes), 0.0, STEEPEST)) if len(slopes) else 0.0
    centre = float(x.mean())
    return Cost(math.exp(float(np.median(y + fall * (x - centre)))), fall, math.exp(centre), source=MEASURED)


def check_budget(flops: float) -> None:
    """See that a budget is one.

    Raises:
        InputError: It is not a positive, finite number.
    """
    if not is_count(flops):
        raise InputError(f"flops is {flops}; a budget must be a positive, finite number of FLOPs")
