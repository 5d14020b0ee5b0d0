"""How many parameters a model has, in each counting convention."""

from __future__ import annotations

from torch import nn
from torch.nn.parameter import is_lazy

from scaling_callback.errors import InputError

COUNTINGS = ("total", "trainable", "non_embedding", "without_head")
"""Conventions of counting N."""

_SAY = "pass params= with the number"


def count_params(module: nn.Module) -> dict[str, float]:
    """N by convention, of everything that is registered in the module.

    - `total`: all parameters.
    - `trainable`: those that require a gradient.
    - `non_embedding`: without the tables of `nn.Embedding`.
    - `without_head`: without the output projection: what `get_output_embeddings()` gives where a module has it, else
      the last `nn.Linear` where it maps the width of an embedding to its rows.

    Tied parameters count once; a head that is tied to an embedding counts as the embedding and is no part of what
    `without_head` leaves out. Frozen parameters, adapters, a teacher, averaged copies and modules of losses and
    metrics count as well where they are registered: where N should be that of a part, pass `params=`. A convention
    that finds no parameters is absent, for no law takes a size of 0; so is `without_head` where there is no
    embedding, or where another layer than the last one has the shape of a head.

    Shards of FSDP2 and of ZeRO stage 3 count whole.

    Raises:
        InputError: The parameters at hand do not say how many there are: they are lazy, flattened by FSDP1, or packed
            by quantisation.

    Example:
        >>> count_params(nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 4), nn.Linear(4, 8), nn.Linear(8, 256)))
        {'total': 4428.0, 'trainable': 4428.0, 'non_embedding': 2380.0, 'without_head': 2124.0}
    """
    _check_buffers(module)
    sizes = {id(p): _size(p) for p in module.parameters()}
    total = sum(sizes.values())
    tables = {id(p) for m in module.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) for p in m.parameters()}
    counts = {
        "total": total,
        "trainable": sum(sizes[id(p)] for p in module.parameters() if p.requires_grad),
        "non_embedding": total - sum(sizes[table] for table in tables),
    }
    heads = _find_head(module)
    if heads is not None:
        head = {id(p) for m in heads for p in m.parameters()} - tables
        counts["without_head"] = total - sum(sizes[p] for p in head)
    return {name: float(counts[name]) for name in COUNTINGS if counts.get(name, 0) > 0}


def _size(parameter: nn.Parameter) -> int:
    """Elements of the whole parameter, of which this rank may hold a shard.

    Raises:
        InputError: It does not say.
    """
    kinds = {kind.__name__ for kind in type(parameter).__mro__}
    if is_lazy(parameter):
        raise InputError(f"the module has lazy parameters, which have no shape yet; run a batch through it, or {_SAY}")
    if "FlatParameter" in kinds or getattr(parameter, "_fsdp_flattened", False):
        raise InputError(f"the module's parameters are flattened by FSDP1 and hold a shard each; {_SAY}, or use FSDP2")
    if "Params4bit" in kinds:
        raise InputError(f"the module's parameters are packed by quantisation ({type(parameter).__name__}); {_SAY}")
    sharded = getattr(parameter, "ds_numel", None)  # ZeRO stage 3 leaves an empty tensor behind
    return parameter.numel() if sharded is None else int(sharded)


def _check_buffers(module: nn.Module) -> None:
    """See that no weights are kept as packed buffers, as GPTQ and AWQ do.

    Raises:
        InputError: Some are.
    """
    packed = next((name for name, _ in module.named_buffers() if name.rpartition(".")[2] == "qweight"), None)
    if packed is not None:
        raise InputError(f"the module's weights are packed by quantisation ({packed}); {_SAY}")


def _find_head(module: nn.Module) -> list[nn.Module] | None:
    """The output projection; none where the module has no such layer, `None` where that cannot be told."""
    for part in module.modules():
        head = _declared_head(part)
        if head is not None:
            return [head]
    shapes = {
        (table.num_embeddings, table.embedding_dim) for table in module.modules() if isinstance(table, nn.Embedding)
    }
    if not shapes:
        return None
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    alike = [layer for layer in layers if (layer.out_features, layer.in_features) in shapes]
    if not alike:
        return []
    last = layers[-1]
    # a square layer may be any in the middle of a model
    return [last] if last is alike[-1] and last.in_features != last.out_features else None


def _declared_head(part: nn.Module) -> nn.Module | None:
    """What a module of Hugging Face says its output projection is."""
    ask = getattr(part, "get_output_embeddings", None)
    if not callable(ask):
        return None
    try:
        head = ask()
    except (AttributeError, NotImplementedError):  # a module without one
        return None
    return head if isinstance(head, nn.Module) else None
