"""Tokens in a batch, from its shapes and without waiting for a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

IGNORED_LABEL = -100
"""Labels with this value are padding: they are not trained on (the default of PyTorch's cross entropy)."""

LABELS = ("labels", "label", "targets", "target")
INPUTS = ("input_ids", "inputs", "tokens", "x", "inputs_embeds", "pixel_values", "input_features", "input_values")

_FLOATS = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool})
"""The usual types that hold no ids, of which one look-up tells most batches of images and tables."""

_PAIRS = (tuple, list)


class _Parts(NamedTuple):
    """What a batch is made of, as far as it can be told apart."""

    inputs: Tensor
    labels: Tensor | None = None
    mask: Tensor | None = None


def count_tokens(batch: Any) -> int | Tensor:
    """How many tokens one rank trains on with this micro-batch.

    Token labels (integers, one for each token) count where they are not padding; else an attention mask counts
    where it is set; else every token id counts, of sequences that are classified too. Token ids are integers of
    two dimensions, or of more that are no bytes. Where inputs are none, as with images and tables, a sample is a
    token. A table of integers looks like token ids: count it with `tokens_per_batch=len`.

    A batch of batches alone, such as a `CombinedLoader` gives, counts as their sum where all of them hold ids.
    Whatever can be read in two ways is not counted: batches of images side by side, which look like lists of images;
    tensors beside batches; ids with integer labels of another shape, or with two more tensors whose order says
    nothing.

    Args:
        batch: A tensor, a tuple or list (inputs, labels), a mapping, or an object with such attributes.

    Returns:
        A count, or a tensor of no dimensions on the batch's device where padding had to be looked at: it is
        for the caller to read that, later.

    Raises:
        TypeError: It cannot be known how many there are.

    Example:
        >>> count_tokens(torch.zeros(8, 128, dtype=torch.long))
        1024
        >>> labels = torch.tensor([[5, 7, -100, -100]])
        >>> count_tokens({"input_ids": torch.zeros(1, 4, dtype=torch.long), "labels": labels})
        tensor(2)
        >>> count_tokens((torch.zeros(8, 3, 32, 32), torch.zeros(8, dtype=torch.long)))
        8
    """
    # this runs at every step: the usual batches first, each with few look-ups
    if type(batch) is Tensor:
        return _count(batch, None, None)
    if type(batch) in _PAIRS and len(batch) == 2:
        inputs, labels = batch
        if type(inputs) is Tensor and type(labels) is Tensor:
            return _count(inputs, labels, None)
    parts = _read(batch)
    return _count(*parts) if isinstance(parts, _Parts) else _count_each(parts)


def sequence_length(batch: Any) -> int | None:
    """Tokens in a sequence of the batch; `None` where its inputs are no ids.

    Example:
        >>> sequence_length({"input_ids": torch.zeros(8, 128, dtype=torch.long)})
        128
    """
    try:
        parts = _read(batch)
    except TypeError:
        return None
    if isinstance(parts, list):
        return max((length for length in map(sequence_length, parts) if length), default=None)
    return parts.inputs.shape[1] if _is_ids(parts.inputs) else None


def _count(inputs: Tensor, labels: Tensor | None, mask: Tensor | None) -> int | Tensor:
    if labels is not None and labels.dtype not in _FLOATS:
        trained = _trained(inputs, labels)
        if trained is not None:
            return trained.sum()
    if not _is_ids(inputs):
        return inputs.shape[0] if inputs.ndim else 1
    if mask is not None and mask.shape == inputs.shape:
        return (mask > 0).sum()  # above 1 where it numbers the documents of a sequence
    return inputs.numel()


def _trained(inputs: Tensor, labels: Tensor) -> Tensor | None:
    """Which tokens have an integer label that is no padding; `None` where labels are of samples.

    Raises:
        TypeError: It cannot be known whether they are labels of tokens.
    """
    shape, labelled = inputs.shape, labels.shape
    if not _is_ids(inputs):
        packed = len(shape) == 1 and shape == labelled and inputs.dtype not in _FLOATS  # sequences end to end
        vectors = len(shape) == 3 and shape[:2] == labelled  # of tokens, with a label each
        return labels != IGNORED_LABEL if packed or vectors else None
    if shape == labelled:
        return labels != IGNORED_LABEL
    if len(labelled) < 2 or labelled[1] == 1:
        return None
    if len(shape) == 2 and labelled == (shape[0], shape[1] - 1):
        return labels != IGNORED_LABEL  # the first id has no label
    if labelled[:-1] == shape:
        return (labels != IGNORED_LABEL).any(-1)  # several labels of one token
    raise TypeError(
        f"ids of shape {tuple(shape)} have labels of shape {tuple(labelled)}, and which of them are the tokens that "
        "are trained on cannot be known; pass tokens_per_batch="
    )


def _count_each(batches: Sequence[Any]) -> int | Tensor:
    """The sum over batches that stand side by side."""
    if any(sequence_length(batch) is None for batch in batches):
        raise TypeError("of the batches in a batch not all hold token ids; pass tokens_per_batch=")
    total: int | Tensor = 0
    for batch in batches:
        total = total + count_tokens(batch)
    return total


def _read(batch: Any) -> _Parts | list[Any]:
    """Inputs, labels and attention mask; or the batches that it consists of.

    Raises:
        TypeError: They cannot be told apart.
    """
    if isinstance(batch, Tensor):
        return _Parts(batch)
    if isinstance(batch, tuple | list) and not hasattr(cast("object", batch), "_fields"):
        return _read_positions(cast("Sequence[Any]", batch))
    return _read_names(cast("Mapping[str, Any]", batch) if isinstance(batch, Mapping) else _attributes(batch), batch)


def _read_positions(batch: Sequence[Any]) -> _Parts | list[Any]:
    if not any(isinstance(value, Tensor) for value in batch):
        return _batches(batch, batch)
    if not isinstance(batch[0], Tensor):
        raise TypeError(f"a batch begins with a {type(batch[0]).__name__} and no tensor; pass tokens_per_batch=")
    inputs, *others = (value for value in batch if isinstance(value, Tensor))
    if _is_ids(inputs) and (len(others) > 1 or any(map(_holds_tensors, batch))):
        raise TypeError(
            "a batch of ids and more than one tensor beside does not say which are labels; pass tokens_per_batch=, or "
            "name them: {'input_ids': ..., 'labels': ...}"
        )
    return _Parts(inputs, others[0] if others else None)


def _read_names(fields: Mapping[str, Any], batch: Any) -> _Parts | list[Any]:
    inputs, labels, mask = _first(fields, INPUTS), _first(fields, LABELS), fields.get("attention_mask")
    if inputs is None:
        others = [value for value in fields.values() if isinstance(value, Tensor) and value is not labels]
        if (len(others) > 1 and any(map(_is_ids, others))) or (others and any(map(_holds_tensors, fields.values()))):
            raise TypeError(
                f"which of {', '.join(map(str, fields))} are the tokens cannot be known; pass tokens_per_batch="
            )
        inputs = others[0] if others else labels
    if inputs is None:
        return _batches(fields.values(), batch)
    if inputs is labels and len(fields) > 1 and not _is_ids(inputs):
        raise TypeError(
            f"a batch holds labels of samples and no tensor beside ({', '.join(fields)}); pass tokens_per_batch="
        )
    return _Parts(inputs, labels, mask if isinstance(mask, Tensor) else None)


def _batches(values: Iterable[Any], batch: Any) -> list[Any]:
    """The batches in a batch without tensors; a loader that is exhausted gives `None`."""
    if isinstance(batch, str):
        values = ()
    batches = [value for value in values if value is not None]
    if not batches or not all(_holds_fields(value) for value in batches):
        raise TypeError(f"a batch of type {type(batch).__name__} holds no tensor; pass tokens_per_batch=")
    return batches


def _holds_tensors(value: Any) -> bool:
    values = cast("Mapping[str, Any]", value).values() if isinstance(value, Mapping) else value
    return isinstance(value, Mapping | tuple | list) and any(isinstance(item, Tensor) for item in values)


def _holds_fields(value: Any) -> bool:
    return isinstance(value, Mapping | tuple | list) or bool(_attributes(value))


def _attributes(batch: Any) -> dict[str, Any]:
    if hasattr(batch, "_asdict"):  # a named tuple
        return cast("dict[str, Any]", batch._asdict())
    if dataclasses.is_dataclass(batch):  # it may have slots
        return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dict(cast("dict[str, Any]", getattr(batch, "__dict__", {})))


def _first(fields: Mapping[str, Any], names: Iterable[str]) -> Tensor | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, Tensor):
            return value
    return None


def _is_ids(tensor: Tensor) -> bool:
    if tensor.dtype in _FLOATS or tensor.is_floating_point() or tensor.is_complex():
        return False
    # bytes in three or more dimensions are pixels
    return tensor.ndim == 2 or (tensor.ndim > 2 and tensor.dtype != torch.uint8)
