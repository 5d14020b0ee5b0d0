"""FLOPs a token: conventions by hand, and a measurement that leaves the training as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils import flop_counter
from torch.utils.data import DataLoader
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from scaling_callback.errors import InputError
from scaling_callback.measuring import FlopMeter, choose_flops, count_flops, count_tokens, describe_module, identify

VOCABULARY, WIDTH, CONTEXT, BATCH, HEADS = 32, 8, 16, 4, 2


class Model(pl.LightningModule):
    """One layer of attention and a head, with batch statistics and dropout to disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.norm, self.drop = nn.BatchNorm1d(CONTEXT), nn.Dropout(0.1)
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        ids, labels = batch
        mixed = self.mix(self.norm(self.embed(ids))).view(*ids.shape, 3, HEADS, WIDTH // HEADS)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        read = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        logits = self.head(self.drop(read.transpose(1, 2).reshape(*ids.shape, WIDTH)))
        return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


class Measure(pl.Callback):
    """Measures the first micro-batch, as the callback does it."""

    def __init__(self) -> None:
        self.meter, self.measured = FlopMeter(), None

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.meter.start(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.measured = self.meter.stop(count_tokens(batch))


def train(folder: Path, *callbacks: pl.Callback, compiled: bool = False, accumulate: int = 1) -> Model:
    pl.seed_everything(0, verbose=False)
    model, ids = Model(), torch.randint(VOCABULARY, (5 * BATCH, CONTEXT))
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks), default_root_dir=folder,
        accumulate_grad_batches=accumulate,
    )  # fmt: skip
    trainer.fit(
        torch.compile(model, backend="eager") if compiled else model,
        DataLoader(list(zip(ids, ids, strict=True)), BATCH),
    )
    return model


# scores and sums of values are a product each forward; backward there are two for each, and the scores once more
ATTENTION = (2 + 5) * 2 * CONTEXT * WIDTH


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_first_batch_of_a_training_is_measured_as_by_hand(tmp_path: Path, accumulate: int) -> None:
    measure = Measure()
    train(tmp_path, measure, accumulate=accumulate)
    layers = 6 * (3 * WIDTH * WIDTH + WIDTH * VOCABULARY)
    assert measure.measured == layers + ATTENTION
    assert measure.meter.reason is None


def test_measuring_changes_no_weight_no_statistic_and_no_random_number(tmp_path: Path) -> None:
    alone, after_alone = train(tmp_path).state_dict(), torch.rand(3)
    measured, after_measured = train(tmp_path, Measure()).state_dict(), torch.rand(3)
    assert alone.keys() == measured.keys()
    assert all(torch.equal(alone[name], measured[name]) for name in alone)
    assert torch.equal(after_alone, after_measured)


def test_a_compiled_module_keeps_its_code_and_says_why_it_is_not_measured(tmp_path: Path) -> None:
    measure = Measure()
    train(tmp_path, measure, compiled=True)
    assert measure.measured is None
    assert "compiled" in str(measure.meter.reason)


def test_a_batch_without_products_has_a_reason_instead_of_a_count() -> None:
    meter = FlopMeter()
    assert meter.stop(1) is None
    assert meter.reason == "counting was not started"
    meter.start()
    torch.ones(3).add(1)
    assert meter.stop(torch.tensor(3)) is None
    assert meter.reason == "torch counted no FLOPs in the micro-batch"
    meter.start()
    torch.ones(3, 3) @ torch.ones(3, 3)
    assert meter.stop(0) is None
    assert meter.reason == "the micro-batch has 0 tokens"


def test_a_micro_batch_that_failed_leaves_no_counter_behind() -> None:
    meter = FlopMeter()
    meter.start()
    meter.cancel()
    meter.start()
    torch.ones(3, 3) @ torch.ones(3, 3)
    assert meter.stop(1) == 54.0
    from torch.utils._python_dispatch import _len_torch_dispatch_stack

    assert _len_torch_dispatch_stack() == 0


def test_a_kernel_that_torch_cannot_count_fails_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> int:
        raise AssertionError("planted")

    monkeypatch.setitem(flop_counter.flop_registry, torch.ops.aten.mm, fail)
    meter = FlopMeter()
    meter.start()
    assert (torch.ones(3, 3) @ torch.ones(3, 3)).sum() == 27.0
    assert meter.stop(1) is None
    assert meter.reason == "torch could not count aten.mm (AssertionError: planted)"


def gpt2() -> nn.Module:
    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=3, n_head=2, n_positions=16))


def qwen3() -> nn.Module:
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=50, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
            head_dim=16, intermediate_size=8,
        )
    )  # fmt: skip


def t5() -> nn.Module:
    return T5ForConditionalGeneration(T5Config(vocab_size=50, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))


@pytest.mark.parametrize(("make", "width"), [(gpt2, 8), (qwen3, 32)])
def test_attention_is_counted_from_layers_and_the_width_of_all_heads(make: Any, width: int) -> None:
    model = nn.ModuleDict({"inner": make()})
    assert count_flops(model, 1000.0, context=64) == {"6n": 6000.0, "6n+attention": 6000.0 + 12 * 3 * width * 64}
    assert count_flops(model, 1000.0) == {"6n": 6000.0}


def test_an_encoder_beside_the_decoder_has_another_formula() -> None:
    assert count_flops(t5(), 1000.0, context=64) == {"6n": 6000.0}


def test_every_convention_is_recorded_and_one_is_primary() -> None:
    model = gpt2()
    card = describe_module(model, flops_per_token="6n+attention", context=16, measured=1.5e5)
    six = 6 * card.params
    assert card.flops_per_token == six + 12 * 3 * 8 * 16
    kept = {name: float(text) for name, text in card.extra.items() if name.startswith("flops_")}
    assert kept == {"flops_6n": six, "flops_6n_attention": card.flops_per_token, "flops_measured": 1.5e5}
    assert describe_module(model, flops_per_token="measured", measured=1.5e5).flops_per_token == 1.5e5
    assert describe_module(model, flops_per_token=7.0).flops_per_token == 7.0
    assert describe_module(model, flops_per_token="6n").flops_per_token is None


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("6n+attention", "no configuration with num_hidden_layers"),
        ("measured", "they were not measured; pass what FlopMeter gives"),
        ("8n", r"use 6n, 6n\+attention, measured, or a number"),
    ],
)
def test_a_convention_that_is_not_known_is_refused(wanted: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"flops_per_token is '{wanted.replace('+', '.')}'.*{reason}"):
        choose_flops({"6n": 36.0}, wanted)


def test_a_live_run_that_could_not_be_measured_is_recorded_with_6n(tmp_path: Path) -> None:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
    live = {"name": None, "horizon": None, "tokens": 1.0, "schedule": "constant", "loss_kind": "val_loss", "recipe": {}}
    card = identify(
        trainer, Model(), **live, held_out=False, params="active", sizes={"active": 500}, flops_per_token="measured",
        extra={"note": "kept"},
    )  # fmt: skip
    assert (card.flops_per_token, card.params, card.extra["note"]) == (None, 500.0, "kept")


def test_sizes_that_cannot_be_counted_cost_nothing_where_n_is_given() -> None:
    lazy = nn.Sequential(nn.LazyLinear(3))
    card = describe_module(lazy, params=1e6, sizes={"active": 10})
    assert (card.params, dict(card.sizes)) == (1e6, {"active": 10.0})
    assert "lazy" in card.extra["sizes"]
    assert describe_module(lazy, params="active", sizes={"active": 10}).params == 10.0
    with pytest.raises(InputError, match="params="):
        describe_module(lazy)


def test_a_compiled_module_is_named_for_what_was_compiled() -> None:
    assert describe_module(torch.compile(nn.Linear(2, 2), backend="eager")).name == "Linear-6"
