"""How many parameters a model has, in each counting convention."""

from __future__ import annotations

from torch import nn

COUNTINGS = ("total", "trainable", "non_embedding")
"""Conventions of counting N."""


def count_params(module: nn.Module) -> dict[str, float]:
    """N by convention: `total`, `trainable`, and `non_embedding` (without `nn.Embedding` tables).

    Tied parameters count once. A table that is tied to the output layer counts as an embedding. A convention that
    finds none is absent: no law takes a size of 0.

    Example:
        >>> count_params(nn.Sequential(nn.Embedding(256, 8), nn.Linear(8, 4)))
        {'total': 2084.0, 'trainable': 2084.0, 'non_embedding': 36.0}
    """
    total = sum(p.numel() for p in module.parameters())
    tables = {id(p): p.numel() for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    counts = {
        "total": total,
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "non_embedding": total - sum(tables.values()),
    }
    return {name: float(count) for name, count in counts.items() if count > 0}
