"""What fails in the middle of a training costs it one warning; it goes on, and its record stays readable."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import only, plant
from support_lifecycle import At, find_worker, is_gone
from support_training import TARGET, train

from scaling_callback import Ladder, ScalingCallback
from scaling_callback.errors import ScalingWarning
from scaling_callback.laws import Law, get_law


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


@pytest.mark.parametrize(
    ("full", "room", "recorded"),
    [(5, 9, [4, 8, 12]), (1, 9, [4, 8, 12]), (5, 99, [4])],
    ids=["for a while", "from the beginning", "to the end"],
)
def test_what_a_full_disk_refuses_is_written_when_there_is_room(
    ladder: Path, monkeypatch: pytest.MonkeyPatch, full: int, room: int, recorded: list[int]
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    events = [At(full, lambda _: monkeypatch.setattr("os.fsync", refuse)), At(room, lambda _: monkeypatch.undo())]
    with pytest.warns(ScalingWarning, match="No space left on device") as warned:
        trainer = train(ScalingCallback(TARGET, ladder), callbacks=events)
    assert sum(issubclass(w.category, ScalingWarning) for w in warned) == 1
    assert trainer.global_step == 12
    assert only(ladder).curve.step.tolist() == recorded
    assert not list(ladder.rglob("*.tmp"))


def test_a_clock_that_is_set_back_changes_no_order(ladder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.time
    back = At(6, lambda _: monkeypatch.setattr(time, "time", lambda: clock() - 3600))
    train(ScalingCallback(TARGET, ladder), callbacks=[back])
    times = only(ladder).curve.wall_time.tolist()
    assert len(times) == 3
    assert all(0 <= later - earlier < 600 for earlier, later in pairwise(times))


def observed(ladder: Path, callback: ScalingCallback) -> list[float]:
    """The steps at which the callback's own run was observed."""
    (run,) = Ladder(ladder).runs(where=[("run", str(callback.run))])
    return run.curve.step.tolist()


def test_a_ladder_of_the_first_version_is_trained_into(ladder: Path, data: Path) -> None:
    shutil.copytree(data / "ladder-v1", ladder)
    (old,) = Ladder(ladder).runs()
    callback = ScalingCallback(TARGET, ladder)
    train(callback)
    runs = {run.name: run for run in Ladder(ladder).runs(where=[("loss_kind", str(old.card.loss_kind))])}
    assert runs[old.name].curve.loss.tolist() == old.curve.loss.tolist()
    assert observed(ladder, callback) == [4, 8, 12]


def make_law_of_a_script() -> Law:
    """A law that no other process can import, as one that is defined in the script itself."""

    class Mine(type(get_law("chinchilla"))):
        pass

    return Mine()


@pytest.mark.parametrize(
    ("options", "act", "cause"),
    [
        ({}, lambda callback: os.kill(find_worker(callback), signal.SIGKILL), "its process is gone"),
        ({"law": make_law_of_a_script()}, lambda _: None, "pickle"),
    ],
    ids=["it is killed", "its law cannot be sent"],
)
def test_without_the_process_beside_it_a_training_refits_itself(
    ladder: Path, options: dict[str, Any], act: Callable[[ScalingCallback], None], cause: str
) -> None:
    plant(ladder)
    callback = ScalingCallback(TARGET, ladder, refit_in="process", refit_budget=None, replicates=20, **options)
    with pytest.warns(ScalingWarning, match=f"refits cannot be made beside the training .*{cause}") as warned:
        train(callback, callbacks=[At(6, lambda _: act(callback))])
    assert sum(issubclass(w.category, ScalingWarning) for w in warned) == 1
    assert observed(ladder, callback) == [4, 8, 12]
    assert callback.snapshot is not None
    assert callback.snapshot.forecast is not None


def test_a_training_that_ends_leaves_no_process(ladder: Path) -> None:
    callback, workers = ScalingCallback(TARGET, ladder, refit_in="process"), list[int]()
    train(callback, callbacks=[At(6, lambda _: workers.append(find_worker(callback)))])
    assert [is_gone(worker) for worker in workers] == [True]
    assert callback.snapshot is not None
