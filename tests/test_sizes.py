"""Sizes of a model, counted by hand, and the refusal of what does not say its size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.distributed import destroy_process_group, init_process_group
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

from scaling_callback.errors import InputError
from scaling_callback.measuring import count_params

VOCABULARY, WIDTH = 10, 4
TABLE = VOCABULARY * WIDTH
GPT2 = {"vocab_size": 50, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}


class Model(nn.Module):
    """An embedding, a layer without bias, and a head that may be tied to the embedding."""

    def __init__(self, *, tied: bool = False) -> None:
        super().__init__()
        self.embed, self.layer = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.head = nn.Linear(WIDTH, VOCABULARY)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(ids)))


class Adapted(nn.Module):
    """A frozen layer with two thin ones beside, as LoRA makes it."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)


def test_an_untied_model_by_hand() -> None:
    total = 2 * TABLE + 16 + VOCABULARY
    assert count_params(Model()) == {
        "total": total,
        "trainable": total,
        "non_embedding": total - TABLE,
        "without_head": TABLE + 16,
    }


def test_a_tied_head_counts_once_and_as_the_embedding() -> None:
    model = Model(tied=True)
    model.layer.weight.requires_grad_(False)
    assert count_params(model) == {
        "total": TABLE + 16 + VOCABULARY,
        "trainable": TABLE + VOCABULARY,
        "non_embedding": 16 + VOCABULARY,
        "without_head": TABLE + 16,  # the bias alone is the head's own
    }


def test_adapters_are_the_trainable_part_of_a_frozen_model() -> None:
    model = Model().requires_grad_(False)
    whole = count_params(model)["total"]
    model.layer = Adapted(model.layer, 2)  # pyright: ignore[reportAttributeAccessIssue]
    counts = count_params(model)
    assert counts["trainable"] == 2 * 2 * WIDTH
    assert counts["total"] == whole + counts["trainable"]


def test_a_frozen_model_has_no_trainable_size_rather_than_none_at_all() -> None:
    counts = count_params(Model().requires_grad_(False))
    assert "trainable" not in counts
    assert counts["total"] > 0


def test_what_else_is_registered_counts_too() -> None:
    model = Model()
    student = count_params(model)["total"]
    model.teacher = Model().requires_grad_(False)
    assert count_params(model)["total"] == 2 * student


def test_the_meta_device_is_enough_to_count() -> None:
    with torch.device("meta"):
        assert count_params(nn.Linear(1000, 1000))["total"] == 1_001_000


@pytest.mark.parametrize("tied", [True, False])
def test_a_compiled_model_has_the_sizes_of_the_model_in_it(tied: bool) -> None:
    model = Model(tied=tied)
    expected = count_params(model)
    assert count_params(torch.compile(model, backend="eager")) == expected
    model.compile(backend="eager")
    assert count_params(model) == expected


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_of_hugging_face_is_the_one_that_its_model_names(tied: bool) -> None:
    model = GPT2LMHeadModel(GPT2Config(**GPT2, tie_word_embeddings=tied))
    head, total = GPT2["vocab_size"] * GPT2["n_embd"], sum(p.numel() for p in model.parameters())
    wrapped = nn.ModuleDict({"model": model, "loss": nn.Linear(3, 3)})
    assert count_params(model)["without_head"] == total - (0 if tied else head)
    assert count_params(wrapped)["without_head"] == total + 12 - (0 if tied else head)
    assert count_params(model)["non_embedding"] == total - head - GPT2["n_positions"] * GPT2["n_embd"]


def test_a_model_of_hugging_face_without_a_head_has_none_to_leave_out() -> None:
    model = GPT2Model(GPT2Config(**GPT2))
    counts = count_params(model)
    assert counts["without_head"] == counts["total"]


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 10)),
        nn.Sequential(nn.Embedding(8, 8), nn.Linear(8, 8)),
        nn.Sequential(nn.Embedding(16, 4), nn.Linear(4, 16), nn.Linear(16, 4)),
    ],
    ids=["no vocabulary", "a square layer", "a layer in the middle"],
)
def test_a_head_that_may_be_any_layer_is_not_guessed(model: nn.Module) -> None:
    assert "without_head" not in count_params(model)


def shard(rank: int, folder: Path) -> None:
    """On each of two ranks: what FSDP2 makes of a model keeps its sizes, what FSDP1 makes of it is refused."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

    init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    said: dict[str, Any] = {}
    for tied in (True, False):
        model = Model(tied=tied)
        expected = count_params(model)
        fully_shard(model.layer, mesh=init_device_mesh("cpu", (2,)))
        fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        said[f"fsdp2, tied={tied}"] = count_params(model) == expected
    for original in (True, False):
        inner = Model()
        wrapped = FullyShardedDataParallel(inner, use_orig_params=original, device_id=torch.device("cpu"))
        for name, part in {"wrapped": wrapped, "inner": inner}.items():
            try:
                count_params(part)
            except InputError as error:
                said[f"fsdp1 {name}, use_orig_params={original}"] = "params=" in str(error)
            else:
                said[f"fsdp1 {name}, use_orig_params={original}"] = False
    destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(said))


def test_shards_of_fsdp2_count_whole_and_those_of_fsdp1_are_refused(tmp_path: Path) -> None:
    mp.start_processes(shard, (tmp_path,), nprocs=2, start_method="fork")
    for rank in range(2):
        said = json.loads((tmp_path / f"{rank}.json").read_text())
        assert len(said) == 6
        assert all(said.values()), said


def test_a_shard_of_zero_3_counts_whole() -> None:
    model = Model()
    expected = count_params(model)
    for parameter in model.parameters():
        parameter.ds_numel = parameter.numel()  # pyright: ignore[reportAttributeAccessIssue]
        parameter.data = torch.empty(0)
    assert count_params(model) == expected


class Params4bit(nn.Parameter):
    """As in bitsandbytes: half as many bytes as there are weights."""


def packed() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.weight = Params4bit(torch.zeros(8, 1))
    return layer


def packed_buffer() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.register_buffer("qweight", torch.zeros(2, dtype=torch.int32))
    return layer


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nn.LazyLinear(3), "lazy parameters, which have no shape yet; run a batch through it, or pass params="),
        (packed, r"packed by quantisation \(Params4bit\); pass params="),
        (packed_buffer, r"packed by quantisation \(0.qweight\); pass params="),
    ],
)
def test_parameters_that_do_not_say_their_size_ask_for_it(make: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        count_params(nn.Sequential(make()))
