"""What a training goes through besides steps: it dies, is killed, requeued, resumed and branched off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from apart import start, wait_for
from support import only
from support_lifecycle import At, die, find_worker, is_gone, save_at
from support_training import TARGET, Bytes, Tiny, train
from torch.utils.data import DataLoader

from scaling_callback import Ladder, ScalingCallback
from scaling_callback.errors import ScalingWarning


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


def read_all(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# resumed ---------------------------------------------------------------------------------------------------------


def test_a_resumed_training_goes_on_where_its_checkpoint_was(ladder: Path, tmp_path: Path) -> None:
    six = tmp_path / "six.ckpt"
    with pytest.raises(RuntimeError, match="died"):
        train(ScalingCallback(TARGET, ladder), callbacks=[save_at(6, six), At(10, die)])
    # it had gone on to step 10; what it recorded after step 6 is superseded
    train(ScalingCallback(TARGET, ladder), ckpt_path=six)
    run = only(ladder)
    assert run.curve.step.tolist() == [4, 8, 12]
    assert run.curve.tokens.tolist() == [128, 256, 384]
    assert any("1 observation(s) superseded" in note for note in run.notes)


def test_counters_are_exact_where_accumulation_is_cut_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    # 15 micro-batches an epoch, of which the last one is a step of its own; validation after every third
    plan: dict[str, Any] = {"accumulate_grad_batches": 2, "val_check_interval": 3, "data": Bytes(60, padding=3)}
    whole, cut, five = tmp_path / "whole", tmp_path / "cut", tmp_path / "five.ckpt"
    train(ScalingCallback(TARGET, whole), **plan)
    with pytest.raises(RuntimeError, match="died"):
        train(ScalingCallback(TARGET, cut), callbacks=[save_at(5, five), At(9, die)], **plan)
    train(ScalingCallback(TARGET, cut), ckpt_path=five, **plan)
    one, other = only(whole), only(cut)
    # a micro-batch is 4 windows of 5 tokens; the first epoch is 8 steps, and of the second one 4 are taken
    for run in (one, other):
        assert run.curve.tokens.tolist() == [60, 120, 180, 240, 300, 360, 420]
        assert run.curve.step.tolist() == [1, 3, 4, 6, 8, 9, 11]
        assert run.horizon == 460
    assert any("superseded" in note for note in other.notes)


def test_a_training_in_chunks_of_one_horizon_is_one_run(ladder: Path, tmp_path: Path) -> None:
    with pytest.warns(ScalingWarning, match=r"ended at 50% of its 768 planned tokens, so this run counts as unf"):
        train(ScalingCallback(TARGET, ladder, horizon=768), callbacks=[save_at(12, tmp_path / "end.ckpt")])
    assert only(ladder).final is None
    train(ScalingCallback(TARGET, f"{ladder}/", horizon=768), ckpt_path=tmp_path / "end.ckpt", max_steps=24)
    run = only(ladder)
    assert run.curve.tokens.tolist() == [128 * n for n in range(1, 7)]
    assert run.final is not None


def test_validating_a_checkpoint_is_no_resume(ladder: Path, tmp_path: Path) -> None:
    callback = ScalingCallback(TARGET, ladder)
    trainer = train(callback, callbacks=[save_at(6, tmp_path / "six.ckpt")])
    trainer.validate(Tiny(), DataLoader(Bytes(8), batch_size=8), ckpt_path=tmp_path / "six.ckpt", verbose=False)
    train(callback)
    one, other = Ladder(ladder).runs()
    assert one.curve.tokens.tolist() == other.curve.tokens.tolist() == [128, 256, 384]
    assert other.card.parent is None


def edit_state(path: Path, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change the callback's state in a checkpoint."""
    checkpoint = torch.load(path, weights_only=False)
    checkpoint["callbacks"] = {key: edit(state) for key, state in checkpoint["callbacks"].items() if edit(state)}
    torch.save(checkpoint, path)


def test_a_checkpoint_without_counters_is_not_recorded(ladder: Path, tmp_path: Path) -> None:
    train(ScalingCallback(TARGET, tmp_path / "other"), callbacks=[save_at(6, tmp_path / "six.ckpt")])
    edit_state(tmp_path / "six.ckpt", lambda _: {})
    with pytest.warns(ScalingWarning, match=r"training starts at step 6 .* is not recorded"):
        train(ScalingCallback(TARGET, ladder), ckpt_path=tmp_path / "six.ckpt")
    assert Ladder(ladder).runs() == ()


def test_a_checkpoint_says_that_its_tokens_are_not_known(ladder: Path, tmp_path: Path) -> None:
    def fail(_: Any) -> int:
        raise KeyError("labels")

    with pytest.warns(ScalingWarning, match="KeyError"):
        train(ScalingCallback(TARGET, ladder, tokens_per_batch=fail), callbacks=[save_at(6, tmp_path / "six.ckpt")])
    with pytest.warns(ScalingWarning, match="KeyError"):
        train(ScalingCallback(TARGET, ladder), ckpt_path=tmp_path / "six.ckpt")
    assert Ladder(ladder).runs() == ()


def test_a_checkpoint_of_the_first_version_is_resumed(ladder: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="died"):
        train(ScalingCallback(TARGET, ladder), callbacks=[save_at(6, tmp_path / "six.ckpt"), At(6, die)])
    kept = ("tokens", "batches", "step", "lost")
    edit_state(
        tmp_path / "six.ckpt",
        lambda state: {"run": state["runs"]["val_loss"], **{name: state[name] for name in kept}},
    )
    train(ScalingCallback(TARGET, ladder), ckpt_path=tmp_path / "six.ckpt")
    assert only(ladder).curve.tokens.tolist() == [128, 256, 384]


def test_a_run_that_two_trainings_resume_belongs_to_the_last_of_them(ladder: Path, tmp_path: Path) -> None:
    # a job that was requeued while its first process was still alive
    six = tmp_path / "six.ckpt"
    resume = At(9, lambda _: train(ScalingCallback(TARGET, ladder), ckpt_path=six))
    with pytest.warns(ScalingWarning, match="is now written by another process"):
        train(ScalingCallback(TARGET, ladder), callbacks=[save_at(6, six), resume])
    run = only(ladder)
    assert run.curve.step.tolist() == [4, 8, 12]
    assert run.completed


# branched off ----------------------------------------------------------------------------------------------------


class Constant(Tiny):
    """The trunk of a cooldown: its learning rate stays as it is."""

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


@pytest.mark.parametrize("steps", [24, 12], ids=["another horizon", "a trunk that went on to its end"])
def test_a_resume_that_does_not_continue_the_run_is_a_branch(ladder: Path, tmp_path: Path, steps: int) -> None:
    train(ScalingCallback(TARGET, ladder), callbacks=[save_at(6, tmp_path / "six.ckpt")])
    before = read_all(ladder)
    train(ScalingCallback(TARGET, ladder), ckpt_path=tmp_path / "six.ckpt", max_steps=steps)
    trunk, branch = Ladder(ladder).runs()
    assert (branch.card.parent, branch.card.parent_step) == (trunk.name, 6)
    assert branch.name == f"{trunk.name}-from-6"
    assert branch.curve.tokens.tolist() == [32 * step for step in range(8, steps + 1, 4)]
    assert before.items() <= read_all(ladder).items()


@pytest.mark.parametrize("name", [None, "cooldown-a"])
def test_cooling_down_leaves_a_trunk_that_is_still_training_untouched(
    ladder: Path, tmp_path: Path, name: str | None
) -> None:
    six, ten = tmp_path / "six.ckpt", tmp_path / "ten.ckpt"
    long: dict[str, Any] = {"model": Constant(), "max_steps": 16}
    with pytest.raises(RuntimeError, match="died"):
        train(ScalingCallback(TARGET, ladder), callbacks=[save_at(6, six), save_at(10, ten), At(11, die)], **long)
    trunk, before = only(ladder), read_all(ladder)

    # the same weights under a decaying schedule
    train(ScalingCallback(TARGET, ladder, run=name), ckpt_path=six)
    assert before.items() <= read_all(ladder).items()
    branch = next(run for run in Ladder(ladder).runs() if run.name != trunk.name)
    assert branch.name == (name or f"{trunk.name}-from-6")
    assert (branch.card.parent, branch.card.parent_step) == (trunk.name, 6)
    assert branch.curve.step.tolist() == [8, 12]
    assert branch.completed

    train(ScalingCallback(TARGET, ladder), ckpt_path=ten, **long)
    trunk = next(run for run in Ladder(ladder).runs() if run.name == trunk.name)
    assert trunk.curve.step.tolist() == [4, 8, 12, 16]
    assert (trunk.completed, trunk.card.parent, trunk.notes) == (True, None, ())


# ended from outside ----------------------------------------------------------------------------------------------


def run_out_of_memory(_: pl.Trainer) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def send(number: signal.Signals) -> Callable[[pl.Trainer], None]:
    return lambda _: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("end", "raised"),
    [
        (die, RuntimeError),
        (run_out_of_memory, torch.OutOfMemoryError),
        (send(signal.SIGTERM), SystemExit),
        (send(signal.SIGINT), SystemExit),
    ],
    ids=["an exception", "out of memory", "SIGTERM", "Ctrl-C"],
)
def test_whatever_ends_a_training_leaves_its_record_and_no_process_and_it_can_be_resumed(
    ladder: Path, tmp_path: Path, end: Callable[[pl.Trainer], None], raised: type[BaseException]
) -> None:
    # what a shell starts in the background ignores Ctrl-C, and these tests with it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    six, workers = tmp_path / "six.ckpt", list[int]()
    callback = ScalingCallback(TARGET, ladder, refit_in="process", refit_budget=None)
    look = At(5, lambda _: workers.append(find_worker(callback)))
    with pytest.raises(raised):
        train(callback, callbacks=[look, save_at(6, six), At(10, end)])
    assert is_gone(workers[0])
    assert only(ladder).curve.step.tolist() == [4, 8]
    train(ScalingCallback(TARGET, ladder), ckpt_path=six)
    assert only(ladder).curve.step.tolist() == [4, 8, 12]


class Slow(Tiny):
    """It takes its time, so that there is a middle to be killed in."""

    def training_step(self, batch: Any) -> Any:
        time.sleep(0.03)
        return super().training_step(batch)


LONG = 60
"""Steps of a training that is killed before it has taken them."""


def train_until_killed(folder: Path) -> None:
    class Save(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step % 3 == 0:
                trainer.save_checkpoint(folder / "new.ckpt")
                (folder / "new.ckpt").replace(folder / "last.ckpt")
            if trainer.global_step == 5:
                (folder / "worker").write_text(str(find_worker(callback)), encoding="utf-8")

    callback = ScalingCallback(TARGET, folder / "ladder", refit_in="process", refit_budget=None)
    train(callback, model=Slow(), callbacks=[Save()], max_steps=LONG)


def count_observations(ladder: Path) -> int:
    return sum(len(run.curve) for run in Ladder(ladder).runs())


def test_a_killed_training_leaves_no_process_and_its_resumption_each_step_once(ladder: Path, tmp_path: Path) -> None:
    training = start(train_until_killed, tmp_path, log=tmp_path / "log")
    wait_for(lambda: count_observations(ladder) >= 3)
    training.kill()
    training.join()
    assert training.exitcode == -signal.SIGKILL
    wait_for(lambda: is_gone(int((tmp_path / "worker").read_text(encoding="utf-8"))))
    known = only(ladder)
    assert known.curve.step.tolist() == [4.0 * n for n in range(1, len(known.curve) + 1)]
    train(ScalingCallback(TARGET, ladder), ckpt_path=tmp_path / "last.ckpt", max_steps=LONG)
    run = only(ladder)
    assert run.curve.step.tolist() == list(range(4, LONG + 1, 4))
    assert run.curve.tokens.tolist() == [32 * step for step in range(4, LONG + 1, 4)]
    assert run.completed


def train_on_slurm(folder: Path) -> None:
    def wait_for_the_end(_: pl.Trainer) -> None:
        (folder / "begun").touch()
        while True:
            time.sleep(0.01)

    first = not (folder / "begun").exists()
    waits = [At(6, wait_for_the_end)] if first else []
    train(ScalingCallback(TARGET, folder / "ladder"), callbacks=waits, default_root_dir=folder)


def test_a_job_that_slurm_requeues_is_one_run(ladder: Path, tmp_path: Path) -> None:
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/requeued\n', encoding="utf-8")
    scontrol.chmod(0o755)
    names = ("SLURM_NTASKS", "SLURM_JOB_ID", "SLURM_LOCALID", "SLURM_PROCID", "SLURM_NODEID")
    environment = {
        **dict(zip(names, "17000", strict=True)),
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS_PER_NODE": "1",
        "PATH": f"{scontrol.parent}{os.pathsep}{os.environ['PATH']}",
    }
    job = start(train_on_slurm, tmp_path, log=tmp_path / "first.log", environment=environment)
    wait_for((tmp_path / "begun").exists)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGUSR1)  # time is running out
    wait_for((tmp_path / "requeued").exists)
    os.kill(job.pid, signal.SIGTERM)  # Lightning waits for what follows
    job.kill()
    job.join()
    assert only(ladder).curve.step.tolist() == [4]

    job = start(train_on_slurm, tmp_path, log=tmp_path / "second.log", environment=environment)
    job.join(60)
    assert job.exitcode == 0, (tmp_path / "second.log").read_text(encoding="utf-8")[-1500:]
    assert (tmp_path / "requeued").read_text(encoding="utf-8") == "requeue 7\n"
    run = only(ladder)
    assert run.curve.step.tolist() == [4, 8, 12]
    assert run.curve.tokens.tolist() == [128, 256, 384]
    assert (run.completed, run.notes) == (True, ())
