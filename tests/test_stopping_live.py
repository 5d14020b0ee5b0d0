"""Rules in live trainings: what is watched changes nothing; what stops ends every rank, validated, saved, explained."""

from __future__ import annotations

import json
import logging
import math
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from apart import run_ranks
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy
from support import only, steps
from support_training import CONTEXT, TARGET, Bytes, Tiny, train
from torch import Tensor
from torch.utils.data import DataLoader

from scaling_callback import Ladder, ScalingCallback, ScalingRecorder, Target
from scaling_callback.errors import InputError, ScalingWarning
from scaling_callback.records import Observation, Run, StopCall
from scaling_callback.refitting import Refits
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import RULES, AnyRule, Budget, Converged, Diverged, Dominated, OffLaw, Verdict, all_of
from scaling_callback.testing import RecordingSink, planted_ladder

STEP = 4 * CONTEXT
"""Tokens of one step of the tiny training."""


def make(folder: Path, **options: Any) -> ScalingCallback:
    settings = {"target": TARGET, "refit_budget": None, "replicates": 0, **options}
    return ScalingCallback(ladder=folder / "ladder", **settings)


def is_enough(snapshot: Snapshot, run: str) -> Verdict | None:
    """Call from the second observation on."""
    seen = next(len(each.curve) for each in snapshot.runs if each.name == run)
    odd: Any = {"seen": seen, "tensor": torch.ones(2), "text": "no number"}
    return Verdict("enough,\x1b[31m\nI say", odd) if seen > 1 else None


class Situation(NamedTuple):
    """A training in which a rule calls after its 8th step, and how it is called and begins its reason."""

    rule: AnyRule
    name: str
    reason: str
    losses: tuple[float, ...] | None = None  # of the validations, where they are made up
    rivals: bool = False  # whether the ladder has finished runs, some of them of its size and horizon
    every: int = 4  # steps between two validations
    options: Mapping[str, Any] = {"replicates": 0}


def add_rivals(ladder: Path) -> None:
    for run in planted_ladder(points=6, noise=0.0):
        card = replace(run.card, params=144.0 * run.params / 1e7, horizon=12.0 * STEP * run.params / 1e7)
        for name, factor in (("a", 1.0), ("b", 1.01)):
            writer = Ladder(ladder).start(replace(card, name=f"{run.name}-{name}", loss_kind="val_loss"))
            x = run.curve.tokens / run.curve.tokens[-1]
            seen = zip(x * card.horizon, factor * run.curve.loss, strict=True)  # type: ignore[operator]
            writer.observe([Observation(tokens=tokens, loss=loss) for tokens, loss in seen])
            writer.finish()


SITUATIONS = [
    Situation(Budget(tokens=6 * STEP), "budget", "it has spent 256 tokens"),
    Situation(all_of(Budget(flops=1.0, patience=2), is_enough), "all-of(budget, is-enough)", "it has spent"),
    Situation(is_enough, "is-enough", "enough"),
    Situation(Dominated(), "dominated", "with probability 99.", (15.0, 14.0, 13.0), rivals=True),
    Situation(Diverged(patience=1), "diverged", "its loss is 9", (2.0, 9.0, 9.0)),
    Situation(
        OffLaw(),
        "off-law",
        "its loss is",
        (16.0, 15.5, 15.0, 14.5, 14.0, 13.5),
        rivals=True,
        every=2,
        options={"schedule": "cosine"},
    ),
    Situation(
        Converged(width=0.9, gain=0.9, patience=4),
        "converged",
        "",
        (4.0, 3.9, 3.8, 3.7, 3.6, 3.5),
        rivals=True,
        every=2,
        options={"target": Target(params=2e4, tokens=2e5), "replicates": 50},
    ),
]


class Fated(Tiny):
    """Its validations have the losses that it is given."""

    losses: tuple[float, ...] | None = None

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        if self.losses is None:
            super().validation_step(batch)
        else:
            self.log("val_loss", torch.tensor(self.losses[self.global_step * len(self.losses) // 12 - 1]))


class Watch(pl.Callback):
    """After which steps it was validated."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.at.append(trainer.global_step)


def keep(folder: Path, **options: Any) -> dict[str, Any]:
    """A Trainer that may save, and whose own callback keeps nothing of the last step."""
    keeper = ModelCheckpoint(folder / "kept", save_top_k=0)
    return {"enable_checkpointing": True, **options, "callbacks": [keeper, *options.get("callbacks", [])]}


def saved(folder: Path) -> dict[int, Path]:
    """The whole checkpoints below a folder, by the step after which they were written."""
    return {torch.load(path, weights_only=False)["global_step"]: path for path in folder.rglob("*.ckpt")}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What can be seen in a log that is not configured."""
    told = [each for each in caplog.records if each.name == "scaling_callback" and each.levelno >= logging.WARNING]
    return [each.getMessage() for each in told]


def find(ladder: Path) -> Run:
    """The run that is trained."""
    return next(run for run in Ladder(ladder).runs() if run.name.startswith("Fated"))


# a training that is stopped --------------------------------------------------------------------------------------


def test_there_is_a_situation_for_each_rule() -> None:
    assert RULES.keys() <= {situation.name for situation in SITUATIONS}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name)
def test_a_rule_stops_a_training_validated_and_saved_with_its_reason_to_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, situation: Situation
) -> None:
    watch, model = Watch(), Fated()
    model.losses = situation.losses
    if situation.rivals:
        add_rivals(tmp_path / "ladder")
    callback = make(tmp_path, rules=[situation.rule], action="stop", **situation.options)
    settings: dict[str, Any] = {"val_check_interval": situation.every, "default_root_dir": tmp_path}
    trainer = train(callback, model=model, **keep(tmp_path, callbacks=[watch], **settings))
    looks = list(range(situation.every, 9, situation.every))
    run = find(tmp_path / "ladder")
    assert (trainer.global_step, watch.at, steps(run), run.completed) == (8, looks, looks, False)
    assert run.stopped is not None
    assert (run.stopped.rule, run.stopped.step, run.stopped.tokens) == (situation.name, 8, 8 * STEP)
    assert run.stopped.reason.startswith(situation.reason)
    assert run.stopped.saved_flops == pytest.approx(4 * STEP * run.flops_per_token)
    assert all(isinstance(value, float) for value in run.stopped.evidence.values())
    assert len(run.calls) == 1
    shown = json.loads((tmp_path / "ladder" / run.name / "card.json").read_text(encoding="utf-8"))["calls"]
    assert [(each["rule"], each["acted"]) for each in shown] == [(situation.name, True)]
    stop, where = lines(caplog)
    assert f"is stopped by rule {situation.name}: {situation.reason}" in stop
    assert "33.3% of its plan; the run counts as unfinished" in stop
    assert not any("\n" in line or "\x1b" in line for line in (stop, where))
    (path,) = (tmp_path / "kept").iterdir()
    assert where.endswith(f"ckpt_path={path}")
    kept = torch.load(path, weights_only=False)
    assert kept["global_step"] == 8
    assert all(torch.equal(kept["state_dict"][name], value) for name, value in model.state_dict().items())

    watched = make(tmp_path, rules=[situation.rule], **situation.options)
    again = train(watched, model=Fated(), ckpt_path=path, **keep(tmp_path))
    run = find(tmp_path / "ladder")
    assert (again.global_step, steps(run), run.completed, run.stopped) == (12, [*looks, 12], True, None)
    assert len(run.calls) == 1  # a repetition is no news


@pytest.mark.parametrize(
    ("options", "stops", "validated"),
    [
        ({}, 8, [4, 8]),
        ({"min_steps": 10, "min_epochs": 0}, 10, [4, 8, 10]),
        ({"accumulate_grad_batches": 3, "val_check_interval": 4}, 2, [1, 2]),
        ({"val_check_interval": None, "check_val_every_n_epoch": 1, "limit_train_batches": 4}, 8, [4, 8]),
        ({"val_check_interval": 4, "min_epochs": 1, "max_epochs": 3, "limit_train_batches": 10}, 10, [4, 8, 10]),
    ],
)
def test_the_last_validation_and_checkpoint_are_of_the_last_step_and_made_once(
    tmp_path: Path, options: dict[str, Any], stops: int, validated: list[int]
) -> None:
    watch = Watch()
    callback = make(tmp_path, rules=[is_enough], action="stop")
    trainer = train(callback, **keep(tmp_path, callbacks=[watch], **{"max_steps": 24} | options))
    assert (trainer.global_step, watch.at, list(saved(tmp_path))) == (stops, validated, [stops])
    run = only(tmp_path / "ladder")
    assert steps(run) == validated
    assert run.stopped is not None
    assert run.stopped.step == stops
    assert [type(each) for each in trainer.callbacks].count(Watch) == 1
    assert not any("AfterOthers" in type(each).__name__ for each in trainer.callbacks)


def test_a_training_that_logs_its_own_loss_alone_is_validated_where_it_ends(tmp_path: Path) -> None:
    watch = Watch()
    options = {"val_check_interval": None, "check_val_every_n_epoch": 5, "limit_train_batches": 4, "max_epochs": 6}
    callback = make(tmp_path, rules=[is_enough], action="stop", monitor="train_loss")
    trainer = train(callback, **keep(tmp_path, callbacks=[watch], max_steps=-1, **options))
    assert (trainer.global_step, watch.at, list(saved(tmp_path))) == (8, [8], [8])
    assert steps(only(tmp_path / "ladder")) == [4, 8]


@pytest.mark.parametrize(
    ("checkpoint", "names"),
    [
        ({"save_top_k": 1}, ["epoch=0-step=8.ckpt"]),  # it saves there itself
        ({"monitor": "val_loss", "mode": "max"}, ["Tiny-144-stopped-step=8.ckpt", "epoch=0-step=4.ckpt"]),
        ({"save_weights_only": True}, ["Tiny-144-stopped-step=8.ckpt", "epoch=0-step=8.ckpt"]),
        ({"every_n_train_steps": 5}, ["Tiny-144-stopped-step=8.ckpt", "epoch=0-step=5.ckpt"]),
    ],
)
def test_whatever_else_is_saved_the_last_state_is_and_beside_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, checkpoint: dict[str, Any], names: list[str]
) -> None:
    keeper = ModelCheckpoint(tmp_path / "kept", **checkpoint)
    train(make(tmp_path, rules=[is_enough], action="stop"), callbacks=[keeper], enable_checkpointing=True)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == names
    assert lines(caplog)[1:] == [
        f"the training is saved where it stopped, and can be resumed with ckpt_path={tmp_path / 'kept' / names[0]}"
    ]


def test_a_trainer_that_is_to_save_nothing_does_not_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = train(make(tmp_path, rules=[is_enough], action="stop"), default_root_dir=tmp_path)
    assert (trainer.global_step, list(tmp_path.rglob("*.ckpt"))) == (8, [])
    assert "enable_checkpointing=False: it cannot be resumed" in lines(caplog)[1]
    assert len(lines(caplog)) == 2


class FullDisk(TorchCheckpointIO):
    """Tears its first files, on the first rank alone as every strategy but the sharded ones does."""

    def __init__(self, times: int) -> None:
        self.times = times

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.times -= 1
        if self.times < 0:
            return super().save_checkpoint(checkpoint, path, storage_options)
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(b"torn")
        raise OSError(28, "No space left on device")


def test_a_training_that_cannot_be_saved_goes_on_and_ends_where_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = make(tmp_path, rules=[is_enough], action="stop")
    with pytest.warns(ScalingWarning, match=r"stopped by rule is-enough, but its state .* No space left") as caught:
        trainer = train(callback, **keep(tmp_path, plugins=[FullDisk(2)], max_steps=24))
    assert sum(issubclass(each.category, ScalingWarning) for each in caught) == 1
    assert (trainer.global_step, list(saved(tmp_path))) == (16, [16])
    run = only(tmp_path / "ladder")
    assert (steps(run), run.completed, [call.step for call in run.calls]) == ([4, 8, 12, 16], False, [8, 16])
    assert run.stopped is not None
    assert lines(caplog)[1:] == [
        f"the training is saved where it stopped, and can be resumed with ckpt_path={saved(tmp_path)[16]}",
        "run Tiny-144, that rule is-enough stops, ended at 66.7% of its plan",
    ]


def test_a_training_that_can_never_be_saved_is_never_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "kept").write_text("no folder", encoding="utf-8")
    with pytest.warns(ScalingWarning, match=r"cannot be saved in .*kept \(.*Error: .*have the Trainer save elsewhere"):
        trainer = train(make(tmp_path, rules=[is_enough], action="stop"), **keep(tmp_path))
    run = only(tmp_path / "ladder")
    assert (trainer.global_step, steps(run), run.completed, run.stopped) == (12, [4, 8, 12], True, None)
    assert not any("can be resumed" in line for line in lines(caplog))


def test_a_training_that_is_saved_once_and_no_more_ends_and_says_of_which_step_it_is_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(0)

    class Fill(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            disk.times = 9 if trainer.global_step > 8 else 0

    options = {"min_steps": 10, "min_epochs": 0, "plugins": [disk], "max_steps": 24}
    with pytest.warns(ScalingWarning, match="No space left"):
        trainer = train(
            make(tmp_path, rules=[is_enough], action="stop"), **keep(tmp_path, callbacks=[Fill()], **options)
        )
    assert (trainer.global_step, list(saved(tmp_path))) == (10, [8])
    assert any(line.startswith("the training is saved at step 8, and can be resumed") for line in lines(caplog))


def train_on_full_disk(folder: Path) -> None:
    trainer = pl.Trainer(
        max_steps=8, val_check_interval=2, check_val_every_n_epoch=None, accelerator="cpu", devices=2,
        strategy=DDPStrategy(process_group_backend="gloo"), logger=False, plugins=[FullDisk(1)],
        callbacks=[ModelCheckpoint(folder / "kept", save_top_k=0), make(folder, rules=[is_enough], action="stop")],
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(Tiny(), DataLoader(Bytes(64), batch_size=4), DataLoader(Bytes(8), batch_size=8))
    (folder / f"{os.environ['RANK']}.end").write_text(str(trainer.global_step), encoding="utf-8")


def test_two_ranks_go_on_where_the_first_cannot_save_and_stop_together_where_it_can(tmp_path: Path) -> None:
    said = run_ranks(2, train_on_full_disk, tmp_path)
    assert [(tmp_path / f"{rank}.end").read_text(encoding="utf-8") for rank in (0, 1)] == ["6", "6"]
    assert list(saved(tmp_path)) == [6]
    assert said.count("its state cannot be saved") == 1


def test_a_short_training_is_stopped_by_a_rule_that_needs_no_refit(tmp_path: Path) -> None:
    callback = make(tmp_path, rules=[Budget(tokens=6 * STEP)], action="stop", refit_budget=0.0)
    assert train(callback).global_step == 8


class Keep(pl.Callback):
    """Saves at each validation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


def test_a_patience_goes_on_over_a_checkpoint(tmp_path: Path) -> None:
    rule = Budget(tokens=1.0, patience=3)
    train(make(tmp_path, rules=[rule], horizon=24 * STEP), max_steps=8, callbacks=[Keep(tmp_path)])
    assert not only(tmp_path / "ladder").calls
    # the first of three observations is in the checkpoint, and what came after it is superseded
    again = make(tmp_path, rules=[rule], action="stop", horizon=24 * STEP)
    trainer = train(again, max_steps=24, ckpt_path=tmp_path / "4.ckpt", default_root_dir=tmp_path)
    run = only(tmp_path / "ladder")
    assert (trainer.global_step, steps(run), run.stopped is not None) == (12, [4, 8, 12], True)


# what is only watched --------------------------------------------------------------------------------------------


def everything(trainer: pl.Trainer) -> list[Any]:
    """Weights, the optimiser's state, and where every source of random numbers stands."""
    (optimizer,) = trainer.optimizers
    moments = [value for state in optimizer.state_dict()["state"].values() for value in state.values()]
    numbers = [np.random.get_state()[1], random.getstate()]  # noqa: NPY002 - that state is what is looked at
    return [*trainer.model.state_dict().values(), *moments, torch.get_rng_state(), *numbers]  # type: ignore[union-attr]


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a, b) if isinstance(a, Tensor) else np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
        for a, b in zip(one, other, strict=True)
    )


def test_rules_that_are_watched_change_no_bit_of_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rules = [is_enough, Budget(tokens=STEP)]
    bare = everything(train(None, callbacks=[Watch()]))
    for action in ("record", "alert"):
        watched = train(make(tmp_path / action, rules=rules, action=action, replicates=20))
        assert watched.global_step == 12
        assert same(bare, everything(watched))
        run = only(tmp_path / action / "ladder")
        assert [(call.rule, call.step, call.acted) for call in run.calls] == [
            ("budget", 4, False), ("is-enough", 8, False),
        ]  # fmt: skip
        assert (run.stopped, run.completed) == (None, True)
    levels = [each.levelname for each in caplog.records if "would be stopped" in each.getMessage()]
    assert levels == ["WARNING"] * 4


def train_ranked(folder: Path) -> None:
    """Two ranks with and without watched rules, then until they are stopped; each rank tells how it ended."""
    ends: dict[str, Any] = {}
    states: list[list[Any]] = []
    for name, options in (("bare", None), ("record", {}), ("stop", {"action": "stop"})):
        watch = Watch()
        callbacks: list[Any] = [watch]
        if options is not None:
            callbacks.append(ModelCheckpoint(folder / name / "kept", save_top_k=0))
            callbacks.append(make(folder / name, rules=[is_enough], **options))
        pl.seed_everything(0, verbose=False)
        trainer = pl.Trainer(
            max_steps=6, val_check_interval=2, check_val_every_n_epoch=None, accelerator="cpu", devices=2,
            strategy=DDPStrategy(process_group_backend="gloo"), callbacks=callbacks, logger=False,
            enable_checkpointing=options is not None, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, default_root_dir=folder / name,
        )  # fmt: skip
        trainer.fit(Tiny(), DataLoader(Bytes(64), batch_size=4), DataLoader(Bytes(8), batch_size=8))
        states.append(everything(trainer))
        ends[name] = [trainer.global_step, watch.at]
    ends["same"] = same(states[0], states[1])
    (folder / f"{os.environ['RANK']}.end").write_text(json.dumps(ends), encoding="utf-8")


def test_two_ranks_are_changed_by_no_watched_rule_and_stop_at_one_step(tmp_path: Path) -> None:
    said = run_ranks(2, train_ranked, tmp_path)
    ends = [json.loads((tmp_path / f"{rank}.end").read_text(encoding="utf-8")) for rank in (0, 1)]
    whole = [6, [2, 4, 6]]
    assert ends == [{"bare": whole, "record": whole, "stop": [4, [2, 4]], "same": True}] * 2
    assert list(saved(tmp_path)) == [4]
    run = only(tmp_path / "stop" / "ladder")
    assert (steps(run), run.completed) == ([2, 4], False)
    assert run.stopped is not None
    assert "is stopped by rule is-enough" in said
    assert "is stopped" not in (tmp_path / "rank-1.log").read_text(encoding="utf-8")


# loops of one's own ----------------------------------------------------------------------------------------------


def own(folder: Path, rules: list[AnyRule], **options: Any) -> ScalingRecorder:
    card = replace(planted_ladder()[0].card, name="own", horizon=1e7)
    return ScalingRecorder(Target(1e9, 2e10), folder, card, rules=rules, **{"refit_budget": None, **options})


def test_a_rule_that_looks_at_the_curve_is_asked_at_each_observation_however_seldom_a_law_is_fitted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = RecordingSink()
    rules: list[AnyRule] = [is_enough, Diverged(patience=2), Budget(tokens=6e6)]
    recorder = own(tmp_path, rules, action="alert", refit_budget=0.0, loggers=[sink])
    losses = [3.0, math.nan, math.nan, 3.0, 3.0, 3.0]
    made = [recorder.observe(loss, tokens=i * 1e6) for i, loss in enumerate(losses, 1)]
    assert [[call.rule for call in each.calls] for each in made] == [[], [], ["diverged"], [], [], ["budget"]]
    assert [alert.name for alert in sink.alerts] == ["should-stop", "should-stop"]
    run = only(tmp_path)
    assert [(call.rule, call.tokens) for call in run.calls] == [("diverged", 3e6), ("budget", 6e6)]
    recorder.finish(completed=False)
    said = [line for line in lines(caplog) if "were not asked" in line]
    assert len(said) == 1
    assert "at each of 6 observations (is-enough at 1)" in said[0]
    assert "raise refit_budget=" in said[0]


def test_rules_that_were_asked_at_each_observation_are_not_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for folder, rules, share in (("a", [is_enough], None), ("b", [Diverged()], 0.0), ("c", [], 0.0)):
        recorder = own(tmp_path / folder, rules, refit_budget=share)
        for tokens in (1e6, 2e6, 3e6):
            recorder.observe(3.0, tokens=tokens)
        recorder.finish(completed=False)
    assert not any("were not asked" in line for line in lines(caplog))


def test_a_curve_that_a_training_continues_is_whole_between_refits(tmp_path: Path) -> None:
    first = own(tmp_path, [], refit_budget=0.0)
    for tokens in (1e6, 2e6, 3e6):
        first.observe(3.0, tokens=tokens, step=tokens / 1e6)
    seen: list[list[float]] = []

    def look(snapshot: Snapshot, run: str) -> None:
        seen.append(next(each.curve.tokens.tolist() for each in snapshot.runs if each.name == run))

    vars(look)["needs"] = "curve"
    again = own(tmp_path, [look], refit_budget=0.0, continues="own", resumed_after=2)
    for tokens in (2.5e6, 3.5e6):
        again.observe(3.0, tokens=tokens, step=3)
    assert seen == [[1e6, 2e6, 2.5e6], [1e6, 2e6, 2.5e6, 3.5e6]]


def test_a_rule_that_looks_at_finals_is_asked_between_refits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refits: list[Any] = []
    best, *_ = others = planted_ladder(points=6, noise=0.0)
    for run in others:
        writer = Ladder(tmp_path).start(run.card)
        writer.observe(list(run.curve))
        writer.finish()
    card = replace(best.card, name="own")
    recorder = ScalingRecorder(TARGET, tmp_path, card, rules=[Dominated()], refit_budget=None)
    ask = Refits.ask

    def ask_once(self: Refits, asked: Any) -> None:
        if not refits:
            ask(self, asked)
        refits.append(asked)

    monkeypatch.setattr(Refits, "ask", ask_once)
    made = [recorder.observe(1.2 * seen.loss, tokens=seen.tokens) for seen in list(best.curve)[:-1]]
    assert [call.rule for each in made[-2:] for call in each.calls] == ["dominated", "dominated"]


def test_the_time_of_rules_counts_as_that_of_refits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling_callback.refitting.budget.SHORT", 1.0)
    asked: list[str] = []

    def think(_: Snapshot, run: str) -> None:
        asked.append(run)
        time.sleep(0.6)

    recorder = own(tmp_path, [think], refit_budget=0.5)
    for tokens in (1e6, 2e6):
        recorder.observe(3.0, tokens=tokens)
    assert len(asked) == 1


def test_a_broken_rule_of_ones_own_keeps_neither_others_nor_loggers_from_their_share(tmp_path: Path) -> None:
    sink, odd = RecordingSink(), cast("Any", 5)
    recorder = own(tmp_path, [lambda *_: Verdict("a", odd), Budget(tokens=1.0)], loggers=[sink])
    with pytest.warns(ScalingWarning, match="evidence is 5"):
        decision = recorder.observe(3.0, tokens=1e6)
    assert [call.rule for call in decision.calls] == ["budget"]
    assert "scaling/runs" in sink.scalars[-1][1]


@pytest.mark.parametrize("odd", [True, 3, math.nan, {"a": 1}, ["x"], Verdict, "second\nline"])
def test_a_rule_that_says_what_nobody_can_is_warned_of_once_by_its_name_in_one_line(tmp_path: Path, odd: Any) -> None:
    seen: list[int] = []

    def rule_of_mine(*_: Any) -> Any:
        seen.append(1)
        if isinstance(odd, str):
            raise RuntimeError(f"{len(seen)} {odd}")
        return odd if len(seen) != 2 else [len(seen)]

    recorder = own(tmp_path, [rule_of_mine, lambda *_: False])
    with pytest.warns(ScalingWarning) as caught:
        decisions = [recorder.observe(3.0, tokens=tokens) for tokens in (1e6, 2e6, 3e6)]
    (said,) = [str(each.message) for each in caught]
    assert "\n" not in said
    how = "failed (RuntimeError: 1 second line); " if isinstance(odd, str) else f"gave {odd!r}; give a sentence, a "
    assert f": rule rule-of-mine {how}" in said
    assert not any(decision.calls for decision in decisions)


def test_a_loop_that_ends_where_it_is_told_to_leaves_an_unfinished_run(tmp_path: Path) -> None:
    recorder = own(tmp_path, [is_enough], action="stop")
    stops = [recorder.observe(3.0, tokens=tokens).stop for tokens in (1e6, 2e6)]
    recorder.finish()
    run = only(tmp_path)
    assert (stops, run.completed, run.stopped is not None) == ([False, True], False, True)


def test_a_loop_that_goes_on_to_its_end_completes_its_run(tmp_path: Path) -> None:
    recorder = own(tmp_path, [is_enough], action="stop")
    for tokens in (1e6, 2e6, 1e7):
        recorder.observe(3.0, tokens=tokens)
    recorder.finish()
    run = only(tmp_path)
    assert ([call.tokens for call in run.calls], run.completed, run.stopped) == ([2e6], True, None)


def test_a_state_of_plain_data_continues_streaks_and_knows_what_is_recorded(tmp_path: Path) -> None:
    rules: list[AnyRule] = [Budget(tokens=1.0, patience=3), is_enough]
    first = own(tmp_path, rules)
    for tokens in (1e6, 2e6):
        first.observe(3.0, tokens=tokens)
    state = json.loads(json.dumps(first.state_dict()))
    again = own(tmp_path, rules, continues=state, resumed_after=0)
    decision = again.observe(3.0, tokens=3e6)
    assert [call.rule for call in decision.calls] == ["budget", "is-enough"]
    assert (decision.stop, decision.alert) == (False, False)
    assert [call.rule for call in only(tmp_path).calls] == ["is-enough", "budget"]
    other = own(tmp_path, [is_enough], continues=state, resumed_after=0)
    assert other.observe(3.0, tokens=4e6).calls
    assert len(only(tmp_path).calls) == 2


def test_rules_of_one_name_are_recorded_each_and_one_that_fails_keeps_none_unasked(tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("planted")

    rules: list[AnyRule] = [fail, lambda *_: "one", lambda *_: "other"]
    recorder = own(tmp_path, rules)
    with pytest.warns(ScalingWarning, match="planted"):
        recorder.observe(3.0, tokens=1e6)
    recorder.observe(3.0, tokens=2e6)
    assert [call.reason for call in only(tmp_path).calls] == ["one", "other"]


def test_a_call_that_could_not_be_written_is_written_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scaling_callback.ladder import RunWriter

    write: Callable[..., None] = RunWriter.call

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    recorder = own(tmp_path, [is_enough], action="stop")
    recorder.observe(3.0, tokens=1e6)
    monkeypatch.setattr(RunWriter, "call", full)
    with pytest.warns(ScalingWarning, match="no space"):
        assert recorder.observe(3.0, tokens=2e6).stop
    monkeypatch.setattr(RunWriter, "call", write)
    recorder.finish(completed=False)
    (call,) = only(tmp_path).calls
    assert isinstance(call, StopCall)
    assert call.acted


@pytest.mark.parametrize("fault", ["a file", "full", "unreadable", "no forecasts"])
def test_rules_of_the_runs_own_curve_are_asked_where_the_ladder_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if fault == "a file":
        (tmp_path / "ladder").write_text("no folder", encoding="utf-8")
    if fault == "full":
        monkeypatch.setattr("scaling_callback.ladder.writer.create", full)
    if fault == "unreadable":
        monkeypatch.setattr(Refits, "take", full)
    sink = RecordingSink()
    rules: list[AnyRule] = [Budget(tokens=3e6), is_enough, Diverged(patience=2)]
    recorder = own(tmp_path / "ladder", rules, action="stop", loggers=[sink])
    if fault == "no forecasts":
        monkeypatch.setattr("scaling_callback.recorder.issue", lambda *_: [1])
    lost = "(?s)" if fault == "no forecasts" else "until the ladder can be used, these rules are not asked: is-enough"
    with pytest.warns(ScalingWarning, match=lost) as caught:
        made = [recorder.observe(loss, tokens=i * 1e6) for i, loss in enumerate([3.0, 2.0, math.nan, math.nan], 1)]
    assert len(caught) == 1
    budget, diverged = ([each.stop and name in str(each.calls) for each in made] for name in ("budget", "diverged"))
    assert (budget, diverged) == ([False, False, True, True], [False, False, False, True])
    assert "stopped" in [alert.name for alert in sink.alerts]
    if fault == "full":
        monkeypatch.undo()
        recorder.observe(2.0, tokens=5e6)
        assert [call.rule for call in only(tmp_path / "ladder").calls][:2] == ["budget", "diverged"]


@pytest.mark.parametrize("action", ["halt", "", None, True])
def test_an_action_that_is_none_is_refused_in_one_line(tmp_path: Path, action: Any) -> None:
    with pytest.raises(InputError, match=r"^action is .*; it must be one of 'record', 'alert', 'stop'$"):
        make(tmp_path, action=action)
    with pytest.raises(InputError, match=r"^action is "):
        own(tmp_path, [], action=action)


def test_rules_that_cannot_work_are_refused_before_the_training(tmp_path: Path) -> None:
    twice = [Budget(tokens=1.0), Budget(tokens=2.0)]
    for build in (lambda: make(tmp_path, rules=twice), lambda: own(tmp_path, [*twice])):
        with pytest.raises(InputError, match=r"^rules holds budget twice"):
            build()
