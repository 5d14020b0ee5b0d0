"""Who a run is, read from its module, and from its Trainer (of either Lightning namespace) where it has one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from scaling_callback.errors import InputError
from scaling_callback.measuring.environment import describe_code, describe_environment
from scaling_callback.measuring.flops import MEASURED, choose_flops, count_flops
from scaling_callback.measuring.sizes import count_params
from scaling_callback.measuring.training import averaging, describe_schedule
from scaling_callback.records import RunCard
from scaling_callback.reporting.units import format_count


def describe_module(
    module: nn.Module,
    *,
    name: str | None = None,
    params: str | float = "total",
    sizes: Mapping[str, float] | None = None,
    flops_per_token: str | float | None = None,
    measured: float | None = None,
    context: float | None = None,
    horizon: float | None = None,
    schedule: str | None = None,
    peak_lr: float | None = None,
    seed: str | int | None = None,
    batch_tokens: float | None = None,
    loss_kind: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    held_out: bool = False,
    extra: Mapping[str, str] | None = None,
) -> RunCard:
    """The card of a run, for a training loop of one's own.

    Args:
        module: What is trained.
        name: The run's name; by default the module's class and size.
        params: Which counting of N is primary (one of `COUNTINGS` or of `sizes`), or N itself.
        sizes: N in countings of your own, such as `{"active": 1.3e9}`; they stand before what is counted.
        flops_per_token: Training FLOPs a token: one of `CONVENTIONS`, or their number; by default 6 N.
        measured: FLOPs a token that a `FlopMeter` measured.
        context: Tokens in a sequence, of which the FLOPs of attention depend.
        horizon: Tokens that the run is planned to train on.
        schedule: The learning-rate schedule in words.
        peak_lr: The highest learning rate of the schedule.
        seed: The seed of initialisation and data order.
        batch_tokens: Tokens in one optimiser step.
        loss_kind: What the loss is.
        recipe: What all runs of the ladder must share.
        held_out: Whether it stays out of every fit.
        extra: Anything else worth keeping.

    Raises:
        InputError: The module has no parameters in that counting, or does not say how many; the convention of FLOPs
            is not known of it.

    Example:
        >>> from scaling_callback import Run, ScalingRecorder, Target
        >>> model = nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 256))
        >>> card = describe_module(model, horizon=2048, sizes={"active": 1000}, loss_kind="val_loss")
        >>> card.name, card.params, dict(card.sizes)["active"]
        ('Sequential-4.4k', 4352.0, 1000.0)
        >>> recorder = ScalingRecorder(Target(params=1e6, tokens=1e7), "memory://describe", card)
        >>> recorder.observe(5.5, tokens=2048).stop
        False
        >>> recorder.finish()
    """
    counted, uncounted = _count(module, params, sizes or {})
    size = counted.get(params, 0.0) if isinstance(params, str) else float(params)
    if size == 0:
        raise InputError(f"the module has no {params} parameters; pass params=, another counting or N itself")
    flops = count_flops(module, size, context=context, measured=measured)
    kind = type(_unwrap(module))
    return RunCard(
        name=name or f"{kind.__name__}-{format_count(size)}",
        params=size,
        sizes=counted,
        horizon=horizon,
        schedule=schedule,
        peak_lr=peak_lr,
        seed=None if seed is None else str(seed),
        batch_tokens=batch_tokens,
        flops_per_token=choose_flops(flops, flops_per_token),
        loss_kind=loss_kind,
        held_out=held_out,
        recipe=read_recipe(recipe),
        extra={
            "module": f"{kind.__module__}.{kind.__qualname__}",
            "torch": torch.__version__,
            "devices": str(_count_devices()),
            **describe_code(_unwrap(module)),
            **{f"flops_{key.replace('+', '_')}": repr(value) for key, value in flops.items()},
            **({"sizes": uncounted} if uncounted else {}),
            **(extra or {}),
        },
    )


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
    sizes: Mapping[str, float] | None = None,
    flops_per_token: str | float | None = None,
    measured: float | None = None,
    context: float | None = None,
    extra: Mapping[str, str] | None = None,
) -> RunCard:
    """The card of a run that has trained on `tokens`.

    Args:
        trainer: Its Trainer.
        module: What is trained.
        name: Its name; by default the module's class and size.
        params: Which counting of N is primary, or N itself.
        horizon: Tokens that it is planned to train on.
        tokens: Tokens so far.
        schedule: The schedule in words; by default its shape is recognised.
        loss_kind: The monitored metric.
        recipe: What all runs of the ladder must share.
        held_out: Whether it stays out of every fit.
        sizes: N in countings of the user's own.
        flops_per_token: Training FLOPs a token: one of `CONVENTIONS`, or their number. They are 6 N where they should
            have been measured and were not.
        measured: FLOPs a token that a `FlopMeter` measured.
        context: Tokens in a sequence.
        extra: Anything else worth keeping.

    Raises:
        InputError: The module has no parameters in that counting, or does not say how many; the convention of FLOPs
            is not known of it.
    """
    unmeasured = flops_per_token == MEASURED and measured is None
    planned = describe_schedule(trainer, tokens / horizon if horizon else None)
    averaged = averaging(trainer)
    noted = {
        "scheduler": " + ".join(planned.schedulers),
        "weight_averaging": averaged,
        "weight_averaging_sought": None if averaged else "No callback of the Trainer is one that averages weights",
        "warmup": None if planned.warmup is None else f"{planned.warmup:.1%} of the planned training",
        **describe_environment(trainer, tokens),
        **(extra or {}),
    }
    return describe_module(
        module,
        name=name,
        params=params,
        sizes=sizes,
        flops_per_token=None if unmeasured else flops_per_token,
        measured=measured,
        context=context,
        horizon=horizon,
        schedule=schedule or planned.shape,
        peak_lr=planned.peak_lr,
        seed=os.environ.get("PL_GLOBAL_SEED"),
        batch_tokens=tokens / max(trainer.global_step, 1),
        loss_kind=loss_kind,
        recipe=recipe,
        held_out=held_out,
        extra={key: text for key, text in noted.items() if text},
    )


def _count(module: nn.Module, params: str | float, given: Mapping[str, float]) -> tuple[dict[str, float], str | None]:
    """N by convention, those given before those counted; why they could not be counted, where N is given.

    Raises:
        InputError: They cannot be counted, and N is not given.
    """
    own = {name: float(size) for name, size in given.items()}
    try:
        return {**count_params(module), **own}, None
    except InputError as error:
        if isinstance(params, str) and params not in own:
            raise
        return own, f"not counted: {error}"


def _unwrap(module: nn.Module) -> nn.Module:
    """The module that a compiled or a data-parallel one was made of."""
    parallel = isinstance(module, DataParallel | DistributedDataParallel)
    inner = cast("nn.Module | None", getattr(module, "module" if parallel else "_orig_mod", None))
    return module if inner is None else _unwrap(inner)


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


def _count_devices() -> int:
    """Devices that train the module: each process has one."""
    started = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if started else 1
