"""Tokens in a batch, from its shapes and without waiting for a device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

IGNORED_LABEL = -100
"""Labels with this value are padding: they are not trained on (the default of PyTorch's cross entropy)."""

LABELS = ("labels", "label", "targets", "target")
INPUTS = ("input_ids", "inputs", "tokens", "x")


def count_tokens(batch: Any) -> int | Tensor:
    """How many tokens one rank trains on with this micro-batch.

    Token labels (integers, one for each token) count where they are not padding; else an attention mask counts
    where it is set; else every token id counts. Where inputs are not token ids, as with images and tables, a
    sample is a token.

    Args:
        batch: A tensor, a tuple or list (inputs, labels), a mapping, or an object with such attributes.

    Returns:
        A count, or a tensor of no dimensions on the batch's device where padding had to be looked at: it is
        for the caller to read that, later.

    Raises:
        TypeError: There is no tensor in it.

    Example:
        >>> count_tokens(torch.zeros(8, 128, dtype=torch.long))
        1024
        >>> labels = torch.tensor([[5, 7, -100, -100]])
        >>> count_tokens({"input_ids": torch.zeros(1, 4, dtype=torch.long), "labels": labels})
        tensor(2)
        >>> count_tokens((torch.zeros(8, 3, 32, 32), torch.zeros(8, dtype=torch.long)))
        8
    """
    inputs, labels, mask = _parts(batch)
    if inputs is None:
        inputs = labels
    if inputs is None:
        raise TypeError(f"a batch of type {type(batch).__name__} holds no tensor; pass tokens_per_batch=")
    if not _is_ids(inputs):
        return inputs.shape[0] if inputs.ndim else 1
    if labels is not None and _is_ids(labels):
        return (labels != IGNORED_LABEL).sum()
    if mask is not None and mask.shape == inputs.shape:
        return mask.sum()
    return inputs.numel()


def _parts(batch: Any) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Inputs, labels and attention mask, as far as they can be told apart."""
    if isinstance(batch, Tensor):
        return batch, None, None
    if isinstance(batch, tuple | list) and not hasattr(cast("object", batch), "_fields"):
        tensors = _tensors(cast("Iterable[Any]", batch))
        return (tensors[0] if tensors else None), (tensors[1] if len(tensors) > 1 else None), None
    fields = cast("Mapping[str, Any]", batch) if isinstance(batch, Mapping) else _attributes(batch)
    inputs, labels = _first(fields, INPUTS), _first(fields, LABELS)
    if inputs is None:
        inputs = next((t for t in _tensors(fields.values()) if t is not labels), None)
    mask = fields.get("attention_mask")
    return inputs, labels, mask if isinstance(mask, Tensor) else None


def _attributes(batch: Any) -> dict[str, Any]:
    if hasattr(batch, "_asdict"):  # a named tuple
        return cast("dict[str, Any]", batch._asdict())
    return dict(cast("dict[str, Any]", getattr(batch, "__dict__", {})))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Tensor | None:
    return next((fields[name] for name in names if isinstance(fields.get(name), Tensor)), None)


def _is_ids(tensor: Tensor) -> bool:
    whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)
    # bytes in three or more dimensions are pixels
    return whole and (tensor.ndim == 2 or (tensor.ndim > 2 and tensor.dtype != torch.uint8))
