"""Ways into a training beside a callback in a script: transformers' Trainer, LightningCLI, the environment."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from support import only, steps

from scaling_callback import Ladder, Target
from scaling_callback.errors import InputError, MissingDependency, ScalingWarning
from scaling_callback.stopping import Budget

HERE = Path(__file__).parent
TARGET = Target(params=1e6, tokens=1e7)
CONTEXT, BATCH = 8, 2


def make_trainer(output: Path, *callbacks: Any, rows: int = 64, **options: Any) -> Any:
    """A Trainer of transformers with a model of 2.5 thousand parameters."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=16, n_positions=CONTEXT, n_embd=8, n_layer=1, n_head=1)
    data = [{"input_ids": ids, "labels": ids} for ids in torch.arange(rows * CONTEXT).view(rows, CONTEXT) % 16]
    settings: dict[str, Any] = {
        "max_steps": 8,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_steps": 2,
        "per_device_train_batch_size": BATCH,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    arguments = transformers.TrainingArguments(output_dir=str(output), **settings | options)
    return transformers.Trainer(
        transformers.GPT2LMHeadModel(config), arguments, train_dataset=data, eval_dataset=data[:4],
        callbacks=list(callbacks),
    )  # fmt: skip


def hugging_face(ladder: Path, **options: Any) -> Any:
    pytest.importorskip("transformers")
    from scaling_callback.integrations.huggingface import ScalingTrainerCallback

    return ScalingTrainerCallback(TARGET, ladder, **options)


@pytest.mark.parametrize("tokens_per_step", [None, BATCH * CONTEXT])
def test_transformers_trainer_records_every_evaluation_with_its_tokens_and_the_plan(
    tmp_path: Path, tokens_per_step: float | None
) -> None:
    trainer = make_trainer(tmp_path, hugging_face(tmp_path / "ladder", tokens_per_step=tokens_per_step))
    trainer.train()
    run = only(tmp_path / "ladder")
    logged = [row["eval_loss"] for row in trainer.state.log_history if "eval_loss" in row]
    assert steps(run) == [2, 4, 6, 8]
    assert run.curve.loss.tolist() == logged
    assert run.curve.tokens.tolist() == [BATCH * CONTEXT * step for step in (2, 4, 6, 8)]
    assert run.curve.lr[-1] < run.curve.lr[0]
    assert (run.completed, run.horizon, run.card.batch_tokens) == (True, BATCH * CONTEXT * 8, BATCH * CONTEXT)
    assert run.params == sum(p.numel() for p in trainer.model.parameters())
    assert (run.card.name[:12], run.card.schedule, run.card.loss_kind) == ("GPT2LMHeadMo", "linear", "eval_loss")


def test_accumulated_batches_and_the_short_last_one_of_an_epoch_count_as_the_trainer_counts_them(
    tmp_path: Path,
) -> None:
    options = {"max_steps": -1, "num_train_epochs": 2, "gradient_accumulation_steps": 2, "eval_strategy": "epoch"}
    make_trainer(tmp_path, hugging_face(tmp_path / "ladder"), rows=7, **options).train()
    run = only(tmp_path / "ladder")
    assert run.curve.tokens.tolist() == [7 * CONTEXT, 14 * CONTEXT]
    assert (run.completed, run.horizon) == (True, 14 * CONTEXT)


@pytest.mark.parametrize("restored", [False, True])
def test_resumed_from_its_checkpoint_it_goes_on_in_the_same_run_with_exact_tokens(
    tmp_path: Path, restored: bool
) -> None:
    def stop_at_6(*_: Any) -> str | None:
        return "enough" if only(tmp_path / "ladder").curve.step[-1] >= 6 else None

    stopped = hugging_face(tmp_path / "ladder", rules=[stop_at_6], action="stop", refit_budget=None)
    make_trainer(tmp_path, stopped).train()
    assert (steps(only(tmp_path / "ladder")), only(tmp_path / "ladder").completed) == ([2, 4, 6], False)

    again = make_trainer(tmp_path, hugging_face(tmp_path / "ladder"), restore_callback_states_from_checkpoint=restored)
    # older than the last evaluation: that one is superseded
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    run = only(tmp_path / "ladder")
    assert (steps(run), run.completed) == ([2, 4, 6, 8], True)
    assert run.curve.tokens.tolist() == [BATCH * CONTEXT * step for step in (2, 4, 6, 8)]


BEST = {"save_strategy": "best", "metric_for_best_model": "loss", "greater_is_better": True}
"""Its first evaluation is the best."""


@pytest.mark.parametrize("saves", [{"save_steps": 1000}, BEST])
def test_where_a_rule_stops_it_transformers_trainer_saves_and_evaluates_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, saves: dict[str, Any]
) -> None:
    rules = [Budget(tokens=3.5 * BATCH * CONTEXT, patience=2)]
    stopped = hugging_face(tmp_path / "ladder", rules=rules, action="stop", refit_budget=None)
    trainer = make_trainer(tmp_path, stopped, max_steps=20, **saves)
    trainer.train()
    run = only(tmp_path / "ladder")
    assert [row["step"] for row in trainer.state.log_history if "eval_loss" in row] == [2, 4, 6] == steps(run)
    assert "checkpoint-6" in {path.name for path in tmp_path.glob("checkpoint-*")}
    assert caplog.messages[-1].endswith("resume_from_checkpoint=" + str(tmp_path / "checkpoint-6"))
    assert run.stopped is not None
    assert (run.stopped.step, run.completed) == (6, False)
    watched = hugging_face(tmp_path / "ladder", rules=rules, refit_budget=None)
    again = make_trainer(tmp_path, watched, max_steps=20, save_strategy="no")
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    run = only(tmp_path / "ladder")
    assert (len(run.calls), run.stopped, run.completed) == (1, None, True)


def test_a_trainer_of_transformers_that_is_to_save_nothing_does_not_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped = hugging_face(tmp_path / "ladder", rules=[Budget(tokens=1.0)], action="stop")
    make_trainer(tmp_path, stopped, save_strategy="no").train()
    assert (steps(only(tmp_path / "ladder")), list(tmp_path.glob("checkpoint-*"))) == ([2], [])
    assert "save_strategy is 'no'" in caplog.messages[-1]


def test_a_checkpoint_without_a_count_of_tokens_is_refused_rather_than_guessed(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=4).train()
    again = make_trainer(tmp_path, hugging_face(tmp_path / "ladder"))
    with pytest.warns(ScalingWarning, match="its checkpoint holds no count of tokens, so it is not recorded"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert again.state.global_step == 8
    assert not Ladder(tmp_path / "ladder").runs()


def test_an_evaluation_outside_a_training_is_no_point_of_it(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, hugging_face(tmp_path / "ladder"), eval_on_start=True)
    trainer.evaluate()
    trainer.train()
    trainer.evaluate()
    assert steps(only(tmp_path / "ladder")) == [2, 4, 6, 8]


def test_whatever_fails_in_it_costs_transformers_trainer_nothing(tmp_path: Path) -> None:
    (tmp_path / "ladder").write_text("a file where a folder must be", "utf-8")
    trainer = make_trainer(tmp_path, hugging_face(tmp_path / "ladder", monitor="eval_loss"))
    with pytest.warns(ScalingWarning, match=r"The training goes on\."):
        trainer.train()
    unknown = make_trainer(tmp_path, hugging_face(tmp_path / "other", monitor="eval_los"))
    with pytest.warns(ScalingWarning, match="'eval_los' was never evaluated; monitor= one of what was: .*eval_loss"):
        unknown.train()
    assert trainer.state.global_step == unknown.state.global_step == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens_per_step": math.nan}, "tokens_per_step is nan; it must be a positive count"),
        ({"monitor": ""}, "monitor is ''; it must be the name"),
        ({"params": "active"}, "params is 'active', no counting of N"),
    ],
)
def test_what_it_cannot_use_is_refused_before_the_training(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hugging_face(tmp_path, **options)


SCRIPT = '''
import contextlib, importlib, io, json, os, sys, warnings
name = sys.argv.pop()
pl, cli = importlib.import_module(name), importlib.import_module(name + ".cli")
import torch

class Tiny(pl.LightningModule):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Embedding(16, width), torch.nn.Linear(width, 16))
    def loss(self, ids):
        return torch.nn.functional.cross_entropy(self.layers(ids).flatten(0, 1), ids.flatten())
    def training_step(self, ids):
        return self.loss(ids)
    def validation_step(self, ids):
        self.log_dict({"val_loss": self.loss(ids), "other_loss": self.loss(ids)})
    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)

class Data(pl.LightningDataModule):
    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.arange(64).view(8, 8) % 16, batch_size=2)
    val_dataloader = train_dataloader

quiet = dict(accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False)
told = {}

def fit(case, *callbacks, **environment):
    """A Trainer of its own with these variables of the environment: its callbacks, and what was warned of."""
    os.environ.update({f"SCALING_CALLBACK_{key}": value for key, value in environment.items()})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = pl.Trainer(**quiet, callbacks=[*callbacks])
        trainer.fit(Tiny(), Data())
    for key in environment:
        del os.environ[f"SCALING_CALLBACK_{key}"]
    said = [str(warning.message) for warning in caught if warning.category.__name__ == "ScalingWarning"]
    told[case] = [type(callback).__name__ for callback in trainer.callbacks], trainer.global_step, said

def command(case, *arguments):
    options = [f"--trainer.{key}={value}" for key, value in quiet.items()]
    sys.argv[1:] = ["fit", *options, *arguments]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            made = cli.LightningCLI(Tiny, Data, save_config_callback=None)
        told[case] = [type(callback).__name__ for callback in made.trainer.callbacks], made.trainer.global_step
    except SystemExit as stopped:
        told[case] = stopped.code, printed.getvalue()

target = "params=1M,tokens=10M"
fit("nothing")
told["loaded"] = "scaling_callback.callback" in sys.modules
fit("opted in", LADDER="opted-in", TARGET=target)
fit("another loss", LADDER="another-loss", TARGET=target, MONITOR="other_loss")
fit("a slip", LADDER="slip", TARGET="params=1M,token=10M")
fit("no target", LADDER="slip")
from scaling_callback import ScalingCallback, Target
mine = ScalingCallback(Target(params=1e6, tokens=1e7), "mine")
fit("the same", mine, LADDER="mine", TARGET=target)
fit("a ladder of its own", ScalingCallback(Target(params=1e6, tokens=1e7), "second"), LADDER="first", TARGET=target)

command("yaml", "--config", "callback.yaml")
command("printed", "--config", "callback.yaml", "--print_config")
added = ["--trainer.callbacks+=scaling_callback.ScalingCallback", "--trainer.callbacks.ladder=typed"]
added += ["--trainer.callbacks.target.params=1e6", "--trainer.callbacks.target.tokens=1e7"]
command("typed", *added)
command("typed more", *added, "--trainer.callbacks.ladder=more", "--trainer.callbacks.params=5e3",
    "--trainer.callbacks.monitor=[val_loss, other_loss]", "--trainer.callbacks.recipe={data: c4, layers: 1}",
    "--trainer.callbacks.sizes={active: 100}", "--trainer.callbacks.refit_budget=null",
    "--trainer.callbacks.constraints.inference_tokens=1e9", "--trainer.callbacks.law=kaplan")
print(json.dumps(told))
'''
YAML = """
trainer:
  callbacks:
    - class_path: scaling_callback.ScalingCallback
      init_args:
        target: {params: 1e6, tokens: 1e7}
        ladder: written
        params: non_embedding
"""
STEPS = 8
Told = tuple[Path, dict[str, Any]]


@pytest.fixture(scope="module", params=["lightning.pytorch", "pytorch_lightning"])
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What a process of its own that uses one of the namespaces trained, with the package as if it were installed."""
    pytest.importorskip(request.param)
    place = tmp_path_factory.mktemp("ways")
    installed = place / "site" / "scaling_callback-0.1.0.dist-info"
    installed.mkdir(parents=True)
    declared = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) for group, points in declared.items()]
    (installed / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: scaling-callback\nVersion: 0.1.0\n", "utf-8")
    (place / "callback.yaml").write_text(YAML, "utf-8")
    (place / "train.py").write_text(SCRIPT, "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SCALING_CALLBACK")}
    environment["PYTHONPATH"] = os.pathsep.join([str(place / "site"), str(HERE.parent)])
    command = [sys.executable, "train.py", request.param]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return place, json.loads(done.stdout.splitlines()[-1])


def test_the_entry_point_gives_nothing_and_loads_nothing_unless_opted_in(told: Told) -> None:
    place, found = told
    assert found["nothing"] == [[], STEPS, []]
    assert found["loaded"] is False
    assert found["opted in"] == [["EnvironmentCallback"], STEPS, []]
    assert only(place / "opted-in").curve.tokens.tolist() == [64.0, 128.0]
    assert only(place / "another-loss").card.loss_kind == "other_loss"


def test_a_training_with_a_callback_of_its_own_keeps_that_one_alone(told: Told) -> None:
    place, found = told
    assert found["the same"] == found["a ladder of its own"] == [["ScalingCallback"], STEPS, []]
    assert only(place / "mine").card.name == only(place / "second").card.name
    assert not (place / "first").exists()


def test_a_wrong_variable_is_one_warning_and_no_callback(told: Told) -> None:
    place, found = told
    for case, message in {
        "a slip": "SCALING_CALLBACK_TARGET: 'params=1M,token=10M' is not of the form",
        "no target": "SCALING_CALLBACK_TARGET is not set; set both",
    }.items():
        callbacks, trained, (warning,) = found[case]
        assert (callbacks, trained) == ([], STEPS)
        assert message in warning
    assert not (place / "slip").exists()


def test_lightning_cli_makes_it_of_yaml_and_of_options(told: Told) -> None:
    place, found = told
    assert found["yaml"] == found["typed"] == found["typed more"] == [["ScalingCallback"], STEPS]
    assert only(place / "written").params == 4 * 16 + 16
    assert only(place / "typed").curve.tokens.tolist() == [64.0, 128.0]
    for monitor in ("val_loss", "other_loss"):
        (run,) = Ladder(place / "more").runs(where=[("loss_kind", monitor)])
        assert (run.params, dict(run.card.recipe)) == (5e3, {"data": "c4", "layers": "1"})


def test_lightning_cli_prints_every_argument_with_its_value(told: Told) -> None:
    status, printed = told[1]["printed"]
    assert status == 0
    for line in (
        "class_path: scaling_callback.ScalingCallback",
        "params: 1000000.0",
        "ladder: written",
        "law: chinchilla",
    ):
        assert line in printed


def test_without_transformers_the_extra_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # what an import finds where it is not installed
    monkeypatch.delitem(sys.modules, "scaling_callback.integrations.huggingface", raising=False)
    with pytest.raises(MissingDependency, match=r"pip install 'scaling-callback\[huggingface\]'"):
        importlib.import_module("scaling_callback.integrations.huggingface")
