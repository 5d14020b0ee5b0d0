"""Claims about writers: they cannot harm each other, nor what a reader sees, however many there are."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support import CARD, MADE, only, points, steps

from scaling_callback.errors import InputError, LadderWarning, RunTaken
from scaling_callback.ladder import Ladder
from scaling_callback.ladder.files import overwrite
from scaling_callback.ladder.writer import MERGE_AFTER


@pytest.fixture(params=["folder", "memory"])
def ladder(request: pytest.FixtureRequest, tmp_path: Path) -> Ladder:
    """An empty ladder on each kind of filesystem."""
    return Ladder(tmp_path / "ladder" if request.param == "folder" else f"memory://{tmp_path}")


def files(ladder: Ladder) -> dict[str, bytes]:
    """Every file of a ladder."""
    return {path: ladder._fs.cat_file(path) for path in ladder._fs.find(ladder._root, 2, detail=True)}


def test_the_last_to_resume_a_run_writes_it_and_the_one_before_says_so_once_and_is_silent(ladder: Ladder) -> None:
    old = ladder.start(CARD)
    old.observe(points(1, 2, 3))
    new = Ladder(ladder.location).start(CARD, resume=True)

    with pytest.raises(RunTaken, match="run 'a' is now written by another process"):
        old.observe(points(4, loss=9.0))
    new.observe(points(3, loss=2.0), resumed_after=2)
    before = files(ladder)
    old.observe(points(5, loss=9.0))
    old.issue([MADE])
    old.finish()

    assert files(ladder) == before
    assert only(ladder).curve.loss.tolist() == [3.0, 3.0, 2.0]
    newest = ladder.start(CARD, resume=True)
    with pytest.raises(RunTaken):
        new.finish()
    newest.finish()
    assert only(ladder).curve.loss.tolist() == [3.0, 3.0, 2.0]


def test_a_resumption_that_dies_before_its_first_observation_loses_nothing(ladder: Ladder) -> None:
    writer = ladder.start(CARD)
    writer.observe(points(1, 2, 3))
    writer.finish(horizon=3e3)
    before = only(ladder)

    ladder.start(CARD, resume=True)

    after = only(ladder)
    assert steps(after) == steps(before)
    assert after.completed
    assert (after.notes, after.horizon) == (before.notes, before.horizon)


def test_a_writer_does_not_come_back_when_its_successor_has_merged_the_number_that_it_would_take(
    ladder: Ladder,
) -> None:
    old = ladder.start(CARD)
    old.observe(points(1))
    new = ladder.start(CARD, resume=True)
    new.observe(points(2), resumed_after=1)
    new.finish()  # one file is left, and the numbers that it covers are free

    with pytest.raises(RunTaken):
        old.observe(points(2, loss=9.0))
    assert only(ladder).curve.loss.tolist() == [3.0, 3.0]
    assert only(ladder).completed


def test_a_writer_whose_forecasts_meet_those_of_its_predecessor_keeps_the_run(ladder: Ladder) -> None:
    old = ladder.start(CARD)
    old.observe(points(1))
    new = ladder.start(CARD, resume=True)
    with pytest.raises(RunTaken):
        old.issue([replace(MADE, at_tokens=1.0)])
    new.issue([replace(MADE, at_tokens=2.0)])
    new.observe(points(2), resumed_after=1)

    assert [made.at_tokens for made in ladder.issued()] == [1.0, 2.0]
    assert steps(only(ladder)) == [1, 2]


def test_two_resumptions_at_the_same_time_leave_one_writer(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD).observe(points(1))
    at_once = threading.Barrier(8)

    def resume(index: int) -> str:
        ladder = Ladder(tmp_path)
        at_once.wait()
        writer = ladder.start(CARD, resume=True)
        at_once.wait()
        try:
            for step in range(2, 40):
                writer.observe(points(step, loss=1.0 + index), resumed_after=1 if step == 2 else None)
        except RunTaken:
            return "taken"
        return "kept"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(resume, range(8)))

    run = only(tmp_path)
    assert sorted(said) == ["kept", *["taken"] * 7]
    assert steps(run) == list(range(1, 40))
    assert len(set(run.curve.loss[1:])) == 1, "all of one writer"


@pytest.mark.parametrize("arrived", ["whole", "cut", "empty"])
def test_a_network_write_that_failed_and_arrived_all_the_same_takes_the_run_from_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arrived: str
) -> None:
    ladder = Ladder(f"memory://{tmp_path}")
    writer = ladder.start(CARD)
    fs: Any = writer._fs
    pipe_file = fs.pipe_file

    def fail(path: str, value: bytes, mode: str = "overwrite") -> None:
        pipe_file(path, {"whole": value, "cut": value[:60], "empty": b""}[arrived], mode=mode)
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(fs, "pipe_file", fail)
    with pytest.raises(OSError, match="reset by peer"):
        writer.observe(points(1))
    monkeypatch.setattr(fs, "pipe_file", pipe_file)
    writer.observe(points(2))
    writer.observe(points(3))

    assert steps(only(ladder)) == ([1, 2, 3] if arrived == "whole" else [2, 3])


def test_a_filesystem_that_cannot_create_exclusively_is_written_to_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ladder = Ladder(f"memory://{tmp_path}")
    fs: Any = ladder._fs
    pipe_file = fs.pipe_file

    def overwrite(path: str, value: bytes) -> None:  # an older plugin knows no mode
        pipe_file(path, value)

    monkeypatch.setattr(fs, "pipe_file", overwrite)

    old = ladder.start(CARD)
    old.observe(points(1))
    assert ladder.start(CARD).name == "a-2"
    ladder.start(CARD, resume=True).observe(points(2))
    with pytest.raises(RunTaken):
        old.observe(points(3))


def test_a_folder_without_hard_links_is_written_to_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError("no links here")))
    old = Ladder(tmp_path).start(CARD)
    old.observe(points(1))
    Ladder(tmp_path).start(CARD, resume=True).observe(points(2))

    with pytest.raises(RunTaken):
        old.observe(points(3))
    assert steps(only(tmp_path)) == [1, 2]
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_killed_writer_had_not_finished_is_removed_when_its_run_is_resumed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Ladder(tmp_path).start(replace(CARD, name=name)).observe(points(1))
        half = tmp_path / name / "observations-000002.json.0123.tmp"
        half.write_bytes(b"half")
        os.utime(half, (0, 0))  # of long ago

    notes = tmp_path / "a" / "notes.tmp"  # somebody else's
    notes.write_text("half")
    os.utime(notes, (0, 0))

    Ladder(tmp_path).start(CARD, resume=True)

    assert {path.parent.name for path in tmp_path.rglob("*.tmp") if path != notes} == {"b"}
    assert notes.exists()


def test_a_writer_that_hangs_while_it_merges_and_its_successor_merge_no_segment_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, successors = Ladder(tmp_path).start(CARD), []

    def hang(fs: Any, path: str, data: bytes) -> None:
        """Between what it has read and what it writes another process resumes the run, and comes far."""
        monkeypatch.undo()
        successors.append(Ladder(tmp_path).start(CARD, resume=True))
        for step in range(MERGE_AFTER + 1, 2 * MERGE_AFTER):
            successors[0].observe(points(step))
        overwrite(fs, path, data)

    for step in range(1, MERGE_AFTER):
        old.observe(points(step))
    monkeypatch.setattr("scaling_callback.ladder.writer.overwrite", hang)
    old.observe(points(MERGE_AFTER))

    run = only(tmp_path)
    assert steps(run) == list(range(1, 2 * MERGE_AFTER))
    assert run.notes == ()
    successors[0].finish()
    assert steps(only(tmp_path)) == steps(run)
    assert len(list((tmp_path / "a").glob("observations*"))) == 1


def test_a_vanished_folder_is_an_error_of_the_disk_and_takes_the_run_from_nobody(tmp_path: Path) -> None:
    writer = Ladder(tmp_path / "ladder").start(CARD)
    (tmp_path / "ladder").rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        writer.observe(points(1))
    (tmp_path / "gone").rename(tmp_path / "ladder")
    writer.observe(points(2))

    assert steps(only(tmp_path / "ladder")) == [2]


def test_a_run_whose_folder_is_a_link_out_of_the_ladder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ladder").mkdir()
    (tmp_path / "ladder" / "a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InputError, match="link out of the ladder"):
        Ladder(tmp_path / "ladder").start(CARD, resume=True)
    assert Ladder(tmp_path / "ladder").start(CARD).name == "a-2"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_whose_folder_is_a_link_to_itself_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")

    with pytest.raises(InputError, match="link out of the ladder"):
        Ladder(tmp_path).start(CARD, resume=True)


def test_a_file_that_no_memory_would_hold_ends_no_writer(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1))
    os.truncate(tmp_path / "a" / "observations-000001.json", 2**43)  # sparse
    writer.observe(points(2))
    writer.finish()

    with pytest.warns(LadderWarning, match=r"a/observations-000001\.json is damaged .* bytes is more"):
        assert steps(only(tmp_path)) == [2]


def test_a_finished_run_lies_in_one_file_a_kind_and_says_the_same(ladder: Ladder) -> None:
    writer = ladder.start(CARD)
    for step in range(1, 2 * MERGE_AFTER + 4):
        writer.observe(points(step, loss=math.nan if step == 5 else 3.0), horizon=1e5 if step == 7 else None)
        writer.issue([replace(MADE, at_tokens=float(step))])
    again = ladder.start(CARD, resume=True)
    again.observe(points(50, loss=2.0), resumed_after=49)
    before, issued = only(ladder), ladder.issued()
    again.finish()
    after = only(Ladder(ladder.location))

    assert sorted(path.rpartition("/")[2] for path in files(ladder)) == [
        "card.json", "forecasts-000001-000067.json", "observations-000001-000070.json",
    ]  # fmt: skip
    assert [str(o) for o in after.curve] == [str(o) for o in before.curve]
    assert (after.card, after.notes) == (before.card, before.notes)
    assert (before.completed, after.completed) == (False, True)
    assert Ladder(ladder.location).issued() == issued


def test_no_file_grows_by_merging_beyond_what_a_reader_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaling_callback.ladder.writer.LARGEST_MERGED", 2000)
    writer = Ladder(tmp_path).start(CARD)
    for step in range(1, 3 * MERGE_AFTER):
        writer.observe(points(step))
    writer.finish()

    assert max(path.stat().st_size for path in tmp_path.rglob("*.json")) <= 2000
    assert steps(only(tmp_path)) == list(range(1, 3 * MERGE_AFTER))


COUNT, THREADS, PROCESSES = 40, 16, 4


def write_runs(folder: Path, process: int) -> None:
    """Runs that train side by side, each in a thread."""

    def write(thread: int) -> None:
        # half of them want a name that another one has
        writer = Ladder(folder).start(replace(CARD, name=f"run-{process}-{thread}" if thread % 2 else f"twin-{thread}"))
        for step in range(1, COUNT + 1):
            writer.observe(points(step))
        writer.finish()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))


def test_64_runs_write_at_once_while_a_reader_polls_and_nothing_is_lost(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_runs, args=(tmp_path, process)) for process in range(PROCESSES)]
    for writer in writers:
        writer.start()
    reader, before = Ladder(tmp_path), dict[str, int]()
    while any(writer.is_alive() for writer in writers):
        for run in reader.runs():  # every warning is an error here
            assert steps(run) == list(range(1, len(run.curve) + 1))
            assert len(run.curve) >= before.get(run.name, 0), "what was once seen stays"
            before[run.name] = len(run.curve)
    for writer in writers:
        writer.join()

    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    runs = reader.runs()
    assert {len(run.curve) for run in runs} == {COUNT}
    assert len({run.name for run in runs}) == PROCESSES * THREADS
    assert all(run.completed for run in runs)


def test_a_run_written_by_an_older_version_is_resumed_and_merged(data: Path, tmp_path: Path) -> None:
    fsspec.filesystem("file").put(str(data / "ladder-v1"), str(tmp_path / "old"), recursive=True)
    ladder = Ladder(tmp_path / "old")
    before = only(ladder)
    writer = ladder.start(before.card, resume=True)
    writer.finish()

    after = only(Ladder(tmp_path / "old"))
    assert [str(o) for o in after.curve] == [str(o) for o in before.curve]
    assert after.notes == before.notes
    (merged,) = (tmp_path / "old").rglob("observations*")
    assert json.loads(merged.read_bytes())["schema"] == 1
