"""On what, with what and from which code a training runs: what is certain of it, as texts for the card of its run.

Nothing here may cost a training: what cannot be told is absent.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import math
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from torch import nn, optim
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler

from scaling_callback.measuring.schedules import pick_group

_log = logging.getLogger("scaling_callback")

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

SETTINGS = ("betas", "momentum", "eps", "weight_decay")
"""Settings of an optimiser that are told, where it has them: its learning rate stands in the card."""

LARGEST_SCRIPT = 2**22
"""Bytes beyond which a file is no script."""


def describe_environment(trainer: Any, tokens: float) -> dict[str, str]:
    """What a Trainer says of itself, by the keys of the card's `extra`.

    Args:
        trainer: The Trainer (of either Lightning namespace).
        tokens: Tokens trained on so far.
    """
    asked: Mapping[str, Callable[[], str | None]] = {
        "optimizer_settings": lambda: describe_optimizer(trainer.optimizers),
        "precision": lambda: str(trainer.precision),
        "hardware": lambda: describe_hardware(trainer.strategy.root_device, trainer.world_size),
        "dataset_length": lambda: describe_dataset(trainer.train_dataloader),
        "pass_tokens": lambda: _count_pass(trainer, tokens),
        "validation_batches": lambda: _count_validation(trainer),
    }
    return gather_known(asked)


def describe_code(module: nn.Module) -> dict[str, str]:
    """The code that trains a module, its layers, and the interpreter."""
    return gather_known(
        {
            "layers": lambda: describe_layers(module),
            "embeddings": lambda: describe_embeddings(module),
            "model_type": lambda: getattr(getattr(module, "config", None), "model_type", None),
            "code_version": lambda: describe_version(module),
            "python": platform.python_version,
        }
    )


def gather_known(asked: Mapping[str, Callable[[], Any]]) -> dict[str, str]:
    """What each of these says, without those that say nothing or fail to.

    Example:
        >>> gather_known({"a": lambda: "x", "b": lambda: None, "c": lambda: 1 / 0})
        {'a': 'x'}
    """
    found: dict[str, str] = {}
    for name, ask in asked.items():
        try:
            said = ask()
        except Exception:  # noqa: BLE001 - data, models and trainers are the user's own code
            _log.debug("%s cannot be told", name, exc_info=True)
            continue
        if isinstance(said, str) and said:
            found[name] = said
    return found


def describe_optimizer(optimizers: list[optim.Optimizer]) -> str | None:
    """The optimiser that trains most parameters, with the settings of that group.

    Example:
        >>> import torch
        >>> describe_optimizer([optim.AdamW([nn.Parameter(torch.zeros(2))], lr=1e-3, betas=(0.9, 0.95))])
        'AdamW (betas 0.9, 0.95; eps 1e-08; weight_decay 0.01)'
    """
    found = pick_group(optimizers)
    if found is None:
        return None
    group = found[0].param_groups[found[1]]
    settings = [f"{name} {_show(group[name])}" for name in SETTINGS if name in group]
    return type(found[0]).__name__ + (f" ({'; '.join(settings)})" if settings else "")


def describe_hardware(device: Any, processes: int) -> str:
    """The device of this process, and how many there are.

    Example:
        >>> import torch
        >>> describe_hardware(torch.device("cpu"), 2).partition(" (")[0]
        '2 x CPU'
    """
    import torch

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type == "cpu":
        name = f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
    else:
        name = str(device.type)
    return f"{processes} x {name}"


def describe_layers(module: nn.Module) -> str:
    """How many layers of each kind hold parameters of their own.

    Example:
        >>> describe_layers(nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 256)))
        '2 Linear, 1 Embedding'
    """
    parts = [part for part in module.modules() if next(part.parameters(recurse=False), None) is not None]
    kinds = Counter(type(part).__name__ for part in parts)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def describe_embeddings(module: nn.Module) -> str:
    """Rows and width of each table of embeddings.

    Example:
        >>> describe_embeddings(nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 8)))
        '256 x 8'
    """
    tables = (part for part in module.modules() if isinstance(part, nn.Embedding))
    return " and ".join(dict.fromkeys(f"{table.num_embeddings} x {table.embedding_dim}" for table in tables))


def describe_dataset(loader: Any) -> str | None:
    """How many samples a training's data set has; `None` for several, and for data without a length."""
    data = _as_loader(loader)
    if data is None:
        return None
    return f"{len(cast('Any', data.dataset))} samples"


def _count_pass(trainer: Any, tokens: float) -> str | None:
    """Tokens in one pass over the data set: only where each pass sees every sample once."""
    data = _as_loader(trainer.train_dataloader)
    whole = isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches == 1.0
    if data is None or not whole or not math.isfinite(trainer.num_training_batches):
        return None
    sampler: Any = cast("Any", data).sampler
    inner = getattr(sampler, "sampler", sampler)  # of one that Lightning has spread over ranks
    once = isinstance(inner, SequentialSampler | DistributedSampler) or (
        isinstance(inner, RandomSampler)
        and not inner.replacement
        and inner.num_samples == len(cast("Any", data.dataset))
    )
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.ready
    if not once or not batches:
        return None
    return repr(float(tokens / batches * trainer.num_training_batches))


def _as_loader(loader: Any) -> DataLoader[Any] | None:
    """A plain loader over data with a length."""
    if not isinstance(loader, DataLoader):
        return None
    plain = cast("DataLoader[Any]", loader)
    return plain if hasattr(plain.dataset, "__len__") else None


def _count_validation(trainer: Any) -> str | None:
    counts = trainer.num_val_batches
    listed = list(cast("Sequence[float]", counts)) if isinstance(counts, list | tuple) else [float(counts)]
    known = [f"{count:g}" for count in listed if math.isfinite(count) and count > 0]
    return " + ".join(known) if known and len(known) == len(listed) else None


def describe_version(module: nn.Module) -> str | None:
    """The script that trains, by the digest of its file, and the commit of the repository that it lies in.

    Nothing is run for it: a hook of the repository could do anything. Whether files were changed since that commit is
    therefore not known, and said so.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    candidates = [main, inspect.getsourcefile(type(module))]
    for path in (Path(name).resolve() for name in candidates if name):
        if not path.is_file() or path.stat().st_size > LARGEST_SCRIPT or _is_installed(path):
            continue
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        commit = find_commit(path.parent)
        begun = f"commit {commit} (whether with changes is not known), " if commit else ""
        return f"{begun}{path.name} with sha256 {digest}"
    return None


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to the interpreter or to a package, and not to whoever trains."""
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    return bool({"site-packages", "dist-packages"} & {*path.parts}) or any(
        path.is_relative_to(prefix / part) for prefix in prefixes for part in ("bin", "lib", "Scripts", "Lib")
    )


def find_commit(folder: Path) -> str | None:
    """The commit that the repository around a folder stands at, read from its files; `None` outside of one."""
    for parent in (folder, *folder.parents):
        mark = parent / ".git"
        if mark.is_dir():
            return _read_head(mark, mark)
        if mark.is_file():  # of a worktree or a submodule
            place = mark.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            inside = (parent / place).resolve()
            common = inside / "commondir"
            shared = (inside / common.read_text(encoding="utf-8").strip()) if common.is_file() else inside
            return _read_head(inside, shared)
    return None


def _read_head(inside: Path, shared: Path) -> str | None:
    head = (inside / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.removeprefix("ref:").strip()
    for place in (inside, shared):
        if (place / name).is_file():
            commit = (place / name).read_text(encoding="utf-8").strip()
            return commit if _COMMIT.fullmatch(commit) else None
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    found = (line.split() for line in lines if not line.startswith(("#", "^")))
    return next((parts[0] for parts in found if parts[1:] == [name] and _COMMIT.fullmatch(parts[0])), None)


def _show(value: Any) -> str:
    return (
        ", ".join(f"{part:g}" for part in cast("tuple[float, ...]", value))
        if isinstance(value, tuple)
        else f"{float(value):g}"
    )
