"""Who a run is, read from its module and Trainer (of either Lightning namespace)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import nn

from scaling_callback.errors import InputError
from scaling_callback.measuring.sizes import count_params
from scaling_callback.measuring.training import learning_rate, schedule_name
from scaling_callback.records import RunCard
from scaling_callback.reporting.units import format_count


def identify(
    trainer: Any,
    module: nn.Module,
    *,
    name: str | None,
    params: str | float,
    horizon: float | None,
    tokens: float,
    schedule: str | None,
    loss_kind: str,
    recipe: Mapping[str, str],
    held_out: bool,
) -> RunCard:
    """The card of a run that has trained on `tokens`.

    Args:
        trainer: Its Trainer.
        module: What is trained.
        name: Its name; by default the module's class and size.
        params: Which counting of N is primary, or N itself.
        horizon: Tokens that it is planned to train on.
        tokens: Tokens so far.
        schedule: The schedule in words; by default the scheduler's class.
        loss_kind: The monitored metric.
        recipe: What all runs of the ladder must share.
        held_out: Whether it stays out of every fit.

    Raises:
        InputError: The module has no parameters in that counting.
    """
    return describe_module(
        module,
        name=name,
        params=params,
        horizon=horizon,
        schedule=schedule or schedule_name(trainer),
        peak_lr=learning_rate(trainer)[1],
        seed=os.environ.get("PL_GLOBAL_SEED"),
        batch_tokens=tokens / max(trainer.global_step, 1),
        loss_kind=loss_kind,
        recipe=recipe,
        held_out=held_out,
    )


def describe_module(
    module: nn.Module,
    *,
    name: str | None = None,
    params: str | float = "total",
    horizon: float | None = None,
    schedule: str | None = None,
    peak_lr: float | None = None,
    seed: str | None = None,
    batch_tokens: float | None = None,
    loss_kind: str | None = None,
    recipe: Mapping[str, str] | None = None,
    held_out: bool = False,
) -> RunCard:
    """The card of a run that trains `module`; what it means is said of `RunCard`.

    Raises:
        InputError: The module has no parameters in that counting.

    Example:
        >>> describe_module(nn.Linear(4, 2), horizon=1e6).name
        'Linear-10'
    """
    sizes = count_params(module)
    size = sizes.get(params, 0.0) if isinstance(params, str) else float(params)
    if size == 0:
        raise InputError(f"the module has no {params} parameters; pass params=, another counting or N itself")
    kind = type(module)
    return RunCard(
        name=name or f"{kind.__name__}-{format_count(size)}",
        params=size,
        sizes=sizes,
        horizon=horizon,
        schedule=schedule,
        peak_lr=peak_lr,
        seed=seed,
        batch_tokens=batch_tokens,
        loss_kind=loss_kind,
        held_out=held_out,
        recipe=recipe or {},
        extra={"module": f"{kind.__module__}.{kind.__qualname__}", "torch": torch.__version__},
    )


def read_recipe(recipe: Mapping[str, Any] | None) -> dict[str, str]:
    """A recipe as texts, which is how runs are compared.

    Raises:
        InputError: It is no mapping, or holds something else than texts and numbers.

    Example:
        >>> read_recipe({"data": "c4", "layers": 12})
        {'data': 'c4', 'layers': '12'}
    """
    if recipe is not None and not isinstance(cast("Any", recipe), Mapping):
        raise InputError(f"recipe is {recipe!r}; it must be a mapping such as {{'data': 'c4'}}")
    for key, value in (recipe or {}).items():
        if not isinstance(cast("Any", key), str) or not isinstance(value, str | int | float):
            raise InputError(f"recipe holds {key!r}: {value!r}; it must hold names with a text or a number each")
    return {key: str(value) for key, value in (recipe or {}).items()}
