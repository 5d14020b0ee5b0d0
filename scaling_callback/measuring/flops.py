"""Training FLOPs a token, in each convention of counting them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils import flop_counter

from scaling_callback.costs import attention_cost
from scaling_callback.errors import InputError
from scaling_callback.records import is_count

SIX_N = "6n"
WITH_ATTENTION = "6n+attention"
MEASURED = "measured"

CONVENTIONS = (SIX_N, WITH_ATTENTION, MEASURED)
"""Conventions of counting the FLOPs of a token."""


def count_flops(
    module: nn.Module, params: float, *, context: float | None = None, measured: float | None = None
) -> dict[str, float]:
    """Training FLOPs a token by convention, as far as they are known.

    - `6n`: 6 N, of the primary counting of N (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
    - `6n+attention`: and 12 L W T for attention scores over T tokens (Chowdhery et al. 2022, arXiv 2204.02311, appendix
      B), where a configuration in the module tells its layers L and its width W, as those of Hugging Face do.
    - `measured`: as `FlopMeter` measured them.

    Args:
        module: The model.
        params: N.
        context: T, the length of its sequences in tokens; by default attention is not counted.
        measured: What was measured.

    Example:
        >>> count_flops(nn.Linear(2, 2), 6.0)
        {'6n': 36.0}
    """
    known = {SIX_N: 6.0 * params}
    shape = _read_shape(module)
    if shape is not None and context is not None:
        known[WITH_ATTENTION] = flops_with_attention(params, *shape, context)
    if measured is not None:
        known[MEASURED] = measured
    return known


def flops_with_attention(params: float, layers: float, width: float, context: float) -> float:
    """6 N + 12 L W T, the training FLOPs of a token with those of attention scores, the causal mask not counted off.

    Args:
        params: N.
        layers: L, layers with attention.
        width: W, the size of all heads of a layer together.
        context: T, the length of a sequence in tokens.

    Raises:
        InputError: A value is no positive count.

    Example:
        >>> flops_with_attention(124e6, 12, 768, 1024)
        857246208.0
    """
    shape = attention_cost(layers, width, context)
    return 6.0 * params + 6.0 * shape.at * shape.overhead


def choose_flops(known: Mapping[str, float], wanted: str | float | None) -> float | None:
    """The primary FLOPs a token: a number as it is given, or a convention; `None` for 6 N, which N alone tells.

    Raises:
        InputError: The convention is unknown, or not known of this model.

    Example:
        >>> choose_flops({"6n": 36.0, "measured": 40.0}, "measured"), choose_flops({"6n": 36.0}, None)
        (40.0, None)
    """
    if wanted is None or wanted == SIX_N:
        return None
    if not isinstance(wanted, str):
        return float(wanted)
    if wanted in known:
        return known[wanted]
    need = {
        WITH_ATTENTION: "the module has no configuration with num_hidden_layers and hidden_size, or the length of its "
        "sequences is not known; pass flops_with_attention(params, layers, width, context)",
        MEASURED: "they were not measured; pass what FlopMeter gives",
    }
    if wanted not in need:
        raise InputError(f"flops_per_token is {wanted!r}; use {', '.join(CONVENTIONS)}, or a number")
    raise InputError(f"flops_per_token is {wanted!r}, but {need[wanted]}")


class FlopMeter:
    """Counts the FLOPs of one training micro-batch while it is trained on, with torch's own counter.

    Nothing is run twice: what is counted is the forward and backward pass that would run anyway, and the optimiser's
    step where one follows. It counts multiplications of matrices, convolutions and attention, a multiplication and
    an addition as two; the causal mask is not counted off. What is computed again counts again: activations of a
    checkpoint, and the scores of fused attention in its backward pass. Kernels of other packages are not counted.
    Under the counter compiled code would run uncompiled, and round otherwise: a compiled module is not measured.

    Attributes:
        reason: Why the last count gave nothing; `None` where it gave something.

    Example:
        >>> meter, layer = FlopMeter(), nn.Linear(4, 8)
        >>> meter.start(layer)
        >>> layer(torch.ones(3, 4, requires_grad=True)).sum().backward()
        >>> meter.stop(3)  # 2 x 32 forward, and twice that backward
        192.0
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._counter: flop_counter.FlopCounterMode | None = None

    def start(self, module: nn.Module | None = None) -> None:
        """Count from here on, unless the module is compiled."""
        self.cancel()
        self.reason = None
        if module is not None and any(_is_compiled(part) for part in module.modules()):
            self.reason = "the module is compiled, and would run uncompiled while it is counted"
            return
        counter = flop_counter.FlopCounterMode(display=False)
        counter.flop_registry = {name: self._guard(name, f) for name, f in _with_attention_on_cpu(counter).items()}
        counter.__enter__()
        self._counter = counter

    def stop(self, tokens: float | Tensor) -> float | None:
        """FLOPs of each of the micro-batch's tokens since `start`; `None` where there is no count.

        Waits for the device if the tokens are a tensor.
        """
        counter = self._counter
        if counter is None:
            self.reason = self.reason or "counting was not started"
            return None
        self.cancel()
        flops, number = counter.get_total_flops(), float(tokens)
        if self.reason is None and not flops:
            self.reason = "torch counted no FLOPs in the micro-batch"
        elif self.reason is None and not number > 0:
            self.reason = f"the micro-batch has {number:g} tokens"
        return None if self.reason else flops / number

    def cancel(self) -> None:
        """Stop counting, as where the micro-batch failed; does nothing where nothing is counted."""
        counter, self._counter = self._counter, None
        if counter is not None:
            cast("Any", counter).__exit__(None, None, None)

    def _guard(self, name: Any, count: Callable[..., int]) -> Callable[..., int]:
        """A formula that cannot fail: it runs in the midst of the training."""

        def guarded(*args: Any, **kwargs: Any) -> int:
            try:
                return count(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - a kernel used in a way that torch has no formula for
                self.reason = f"torch could not count {name} ({type(error).__name__}: {error})"
                return 0

        return guarded


def _is_compiled(part: nn.Module) -> bool:
    """Whether its code is compiled: by `torch.compile`, in place, or as Lightning unwraps it."""
    marks = ("_orig_mod", "_compiled_call_impl", "_compiler_ctx")
    return any(getattr(part, mark, None) is not None for mark in marks)


def _with_attention_on_cpu(counter: flop_counter.FlopCounterMode) -> dict[Any, Callable[..., int]]:
    """Torch's formulas, with attention's kernels on the CPU, which it leaves out, counted as those on other devices."""
    formulas: dict[Any, Callable[..., int]] = cast("Any", counter).flop_registry
    flash = "_scaled_dot_product_flash_attention"
    for here, there in ((f"{flash}_for_cpu", flash), (f"{flash}_for_cpu_backward", f"{flash}_backward")):
        formulas.setdefault(getattr(torch.ops.aten, here), formulas[getattr(torch.ops.aten, there)])
    return formulas


def _read_shape(module: nn.Module) -> tuple[float, float] | None:
    """Layers, and the width of all heads of a layer, of the first configuration that tells them."""
    for part in module.modules():
        config: Any = getattr(part, "config", None)
        config = getattr(config, "text_config", None) or config  # of a model that reads images too
        layers, width, heads, size = (
            cast("Any", getattr(config, name, None))
            for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "head_dim")
        )
        if is_count(layers) and is_count(width) and not getattr(config, "is_encoder_decoder", False):
            return float(layers), float(heads * size if is_count(heads) and is_count(size) else width)
    return None
