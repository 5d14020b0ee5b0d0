"""Tokens and parameters, counted by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from scaling_callback.measuring import count_params, count_tokens

IDS = torch.zeros(4, 16, dtype=torch.long)
PADDED = torch.cat([torch.ones(4, 10, dtype=torch.long), torch.full((4, 6), -100)], 1)


class Pair(NamedTuple):
    inputs: Tensor
    labels: Tensor


@dataclass
class Batch:
    input_ids: Tensor
    labels: Tensor


@pytest.mark.parametrize(
    ("batch", "tokens"),
    [
        (IDS, 64),
        ((IDS, IDS), 64),
        ([IDS, PADDED], 40),
        ({"input_ids": IDS}, 64),
        ({"input_ids": IDS, "labels": PADDED}, 40),
        ({"input_ids": IDS, "attention_mask": (PADDED > 0).long()}, 40),
        ({"input_ids": IDS, "attention_mask": PADDED > 0}, 40),
        ({"x": IDS, "label": torch.zeros(4, dtype=torch.long)}, 64),
        (Pair(IDS, PADDED), 40),
        (Batch(IDS, PADDED), 40),
        ((torch.zeros(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)), 4),
        ((torch.zeros(4, 7), torch.zeros(4, 1)), 4),
        ({"features": torch.zeros(4, 7)}, 4),
        (torch.zeros(4, 16, 3), 4),
        ({"labels": PADDED}, 40),
    ],
)
def test_tokens_of_a_batch_by_hand(batch: Any, tokens: int) -> None:
    assert int(count_tokens(batch)) == tokens


def test_padding_is_counted_on_the_device_and_shapes_without_touching_it() -> None:
    assert isinstance(count_tokens((IDS, PADDED)), Tensor)
    assert isinstance(count_tokens(IDS), int)
    # the meta device has shapes and no data: whatever read a value would raise
    assert count_tokens(torch.zeros(4, 16, dtype=torch.long, device="meta")) == 64
    assert isinstance(count_tokens({"input_ids": IDS.to("meta"), "labels": PADDED.to("meta")}), Tensor)


def test_a_batch_without_tensors_asks_for_a_counter() -> None:
    with pytest.raises(TypeError, match=r"holds no tensor; pass tokens_per_batch="):
        count_tokens("text")


def test_tied_and_frozen_parameters() -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 10, bias=False))
    model[2].weight = model[0].weight
    model[1].weight.requires_grad_(False)
    assert count_params(model) == {"total": 56.0, "trainable": 40.0, "non_embedding": 16.0}


def test_the_meta_device_is_enough_to_count() -> None:
    with torch.device("meta"):
        assert count_params(nn.Linear(1000, 1000))["total"] == 1_001_000
