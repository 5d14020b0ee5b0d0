"""Tokens, counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BatchEncoding

from scaling_callback.measuring import Tally, batch_copies, count_tokens
from scaling_callback.measuring.tokens import sequence_length

IDS = torch.zeros(4, 16, dtype=torch.long)
PADDED = torch.cat([torch.ones(4, 10, dtype=torch.long), torch.full((4, 6), -100)], 1)


class Pair(NamedTuple):
    inputs: Tensor
    labels: Tensor


@dataclass
class Batch:
    input_ids: Tensor
    labels: Tensor


@dataclass(slots=True)
class Slots:
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
        (Slots(IDS, PADDED), 40),
        (BatchEncoding({"input_ids": IDS, "attention_mask": (PADDED > 0).long(), "labels": PADDED}), 40),
        # a mask that numbers the documents packed into a sequence, or of floats, or of another shape
        ({"input_ids": IDS, "attention_mask": (PADDED > 0) * 3}, 40),
        ({"input_ids": IDS, "attention_mask": (PADDED > 0).float()}, 40),
        ({"input_ids": IDS, "attention_mask": torch.ones(4, 1, 16, 16)}, 64),
        # labels of whole sequences
        ({"input_ids": IDS, "labels": torch.zeros(4, dtype=torch.long), "attention_mask": PADDED > 0}, 40),
        ((IDS, torch.zeros(4, 1, dtype=torch.long)), 64),
        ((IDS, torch.zeros(4)), 64),
        # soft labels, several labels of a token, and none for the first one
        ((IDS, torch.zeros(4, 16, 50)), 64),
        ((IDS, PADDED[..., None].expand(4, 16, 3)), 40),
        ((IDS, PADDED[:, 1:]), 36),
        ((IDS[..., None].expand(4, 16, 2), PADDED[..., None].expand(4, 16, 2)), 80),
        # vectors of tokens; sequences laid end to end
        ({"inputs_embeds": torch.zeros(4, 16, 8), "labels": PADDED}, 40),
        ((IDS.flatten(), PADDED.flatten()), 40),
        # batches of several loaders
        ({"a": (IDS, PADDED), "b": {"input_ids": IDS}}, 104),
        ([(IDS, IDS), None, (IDS, PADDED)], 104),
        ({"chosen": {"input_ids": IDS}, "rejected": {"input_ids": IDS}}, 128),
        # pixels and tables
        ((torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)), 4),
        ({"pixel_values": torch.zeros(4, 3, 8, 8), "pixel_mask": torch.ones(4, 8, 8, dtype=torch.long)}, 4),
        ((torch.zeros(4, 3, 8, 8), torch.zeros(4, 8, 8, dtype=torch.long)), 4),
        ((torch.zeros(4, 7), torch.zeros(4), torch.zeros(4)), 4),
        (torch.tensor(1.0), 1),
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


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        ("text", "holds no tensor"),
        ([], "holds no tensor"),
        ({"text": ["a", "b"]}, "not all hold token ids"),
        ((IDS, torch.zeros(4, 7, dtype=torch.long)), r"shape \(4, 16\) have labels of shape \(4, 7\)"),
        ((IDS, IDS, IDS[:, 0]), "does not say which are labels"),
        ({"one": IDS, "other": IDS}, "which of one, other are the tokens"),
        ((["a", "b"], torch.zeros(2, dtype=torch.long)), "begins with a list"),
        (({"input_ids": IDS}, torch.zeros(4, dtype=torch.long)), "begins with a dict"),
        ({"text": ["a", "b"], "labels": torch.zeros(2, dtype=torch.long)}, "labels of samples"),
        ({"a": {"input_ids": IDS}, "b": {"pixel_values": torch.zeros(4, 3, 8, 8)}}, "not all hold token ids"),
        ([[torch.zeros(3, 8, 8)] * 4, [{"boxes": torch.zeros(2, 4)}] * 4], "not all hold token ids"),
        ({"a": (IDS, PADDED), "b": IDS}, "which of a, b are the tokens"),
        ((IDS, {"labels": PADDED}), "does not say which are labels"),
    ],
)
def test_what_can_be_read_in_two_ways_asks_for_a_counter(batch: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=rf"{reason}.*pass tokens_per_batch="):
        count_tokens(batch)


def test_the_length_of_sequences_is_that_of_their_ids() -> None:
    assert sequence_length({"a": (IDS, IDS), "b": (IDS[:, :4],)}) == 16
    assert sequence_length(torch.zeros(4, 3, 8, 8)) is None
    assert sequence_length("text") is None


def tallied(count: Any, *batches: Any, ranks: int = 1, copies: int = 1) -> Tally:
    """A tally of these batches, on ranks that count alike."""
    tally = Tally(count if callable(count) else lambda _: count)
    tally.restart(0.0, 0, copies=copies)
    for batch in batches or (IDS, IDS):
        tally.add(batch)
    pending = tally.pending(ranks)
    tally.gather(lambda counts: counts * ranks)
    assert tally.lost or pending == tally.tokens or not float(pending).is_integer()
    return tally


@pytest.mark.parametrize(
    ("count", "tokens"),
    [
        (7, 14.0),
        (7.0, 14.0),
        (7.5, 15.0),
        (np.int64(7), 14.0),
        (np.float32(7.5), 15.0),
        (np.array([3, 4]), 14.0),
        (torch.tensor(7), 14.0),
        (torch.tensor([7]), 14.0),
        (torch.tensor([[3.5], [4.0]]), 15.0),
        (torch.tensor(7, dtype=torch.int32), 14.0),
        (torch.tensor([True, True, False]), 4.0),
        (lambda batch: 5 if batch is IDS else 0, 5.0),
    ],
)
def test_a_counter_of_ones_own_may_return_any_number_or_tensor(count: Any, tokens: float) -> None:
    assert tallied(count, IDS, PADDED if callable(count) else IDS).tokens == tokens


@pytest.mark.parametrize("count", [-1, -0.5, np.int64(-2), float("nan"), float("inf"), True, None, "7", object()])
def test_a_count_that_is_none_loses_the_tokens_and_says_why(count: Any) -> None:
    tally = tallied(count)
    assert str(tally.lost).startswith("the tokens of a batch could not be counted (")
    assert tally.batches == 2


@pytest.mark.parametrize("count", [0, torch.tensor(0), torch.tensor(-3), torch.tensor(float("nan")), 2**70])
def test_sums_that_are_no_count_lose_the_tokens_where_the_ranks_meet(count: Any) -> None:
    tally = Tally(lambda _: count)
    tally.add(IDS)
    assert tally.trouble is None
    tally.gather(lambda counts: counts)
    assert tally.lost


def test_a_tally_keeps_no_graph_and_no_buffer_of_the_users() -> None:
    weight, buffer = torch.tensor(2.0, requires_grad=True), torch.tensor(3)
    graph, alias = Tally(lambda _: weight * 4), Tally(lambda _: buffer)
    for tally in (graph, alias):
        tally.add(IDS)
        assert not any(total.requires_grad for total in tally._pending.values())
    buffer.fill_(100)
    assert (graph.pending(1), alias.pending(1)) == (8.0, 3.0)


def test_a_tally_may_begin_in_inference_mode_and_go_on_outside() -> None:
    tally = Tally(count_tokens)
    with torch.inference_mode():
        tally.add((IDS, PADDED.clone()))
    tally.add((IDS, PADDED))
    assert tally.pending(1) == 80.0


def test_counts_on_several_devices_are_added_up_where_they_are_and_nothing_is_read_in_a_step() -> None:
    tally = Tally(count_tokens)
    for device in ("cpu", "meta", "cpu", "meta"):  # the meta device has no data: reading it would raise
        tally.add((IDS.to(device), PADDED.to(device)))
    assert tally.trouble is None
    assert {device.type for device in tally._pending} == {"cpu", "meta"}
    tally.gather(lambda counts: counts)
    assert "could not be added up" in str(tally.lost)


@pytest.mark.parametrize(("replicas", "copies"), [(8, 1), (2, 4), (None, 1)])
def test_tokens_that_several_ranks_see_count_once(replicas: int | None, copies: int) -> None:
    """As under ModelParallelStrategy, whose tensor-parallel ranks are given the same batch."""
    strategy = SimpleNamespace(distributed_sampler_kwargs={"num_replicas": replicas, "rank": 0} if replicas else None)
    trainer = SimpleNamespace(world_size=8, strategy=strategy)
    assert batch_copies(trainer) == copies
    assert tallied(count_tokens, ranks=8, copies=batch_copies(trainer)).tokens == 128.0 * 8 / copies


def test_one_process_holds_no_copies() -> None:
    assert batch_copies(SimpleNamespace(world_size=1, strategy=object())) == 1


@pytest.mark.parametrize(("batch", "kernels"), [(IDS, 1.0), ({"input_ids": IDS}, 2.0), ((IDS, PADDED), 4.0)])
def test_counting_costs_no_more_than_a_few_kernels(batch: Any, kernels: float) -> None:
    """Of the counting kernel, timed in turn with it; `benchmarks/hooks.py` measures microseconds."""
    tally = Tally(count_tokens)

    def count() -> Tensor:
        return (PADDED != -100).sum()

    def clock(work: Callable[[], object], repeat: int = 50) -> float:
        began = perf_counter()
        for _ in range(repeat):
            work()
        return perf_counter() - began

    ratios = [clock(lambda: tally.add(batch)) / clock(count) for _ in range(60)]
    assert median(ratios) < kernels
