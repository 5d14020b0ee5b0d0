"""Claims about the store: nothing that was written is lost, and damage costs no more than what is damaged."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import CARD, MADE, only, points, steps

from scaling_callback.cli import main
from scaling_callback.errors import InputError, LadderWarning
from scaling_callback.ladder import Ladder
from scaling_callback.ladder.writer import MERGE_AFTER
from scaling_callback.records import Observation
from scaling_callback.replaying import see
from scaling_callback.testing import planted_ladder


@pytest.fixture(params=["folder", "memory"])
def ladder(request: pytest.FixtureRequest, tmp_path: Path) -> Ladder:
    """An empty ladder on each kind of filesystem."""
    return Ladder(tmp_path / "ladder" if request.param == "folder" else f"memory://{tmp_path}")


def test_what_is_written_is_read_back(ladder: Ladder) -> None:
    seen = [
        Observation(1e6, 4.0, step=1.0, lr=1e-3, wall_time=12.5),
        Observation(2e6, math.nan, step=2.0),
        Observation(3e6, math.inf),
        Observation(4e6, 3.5, step=4.0, is_final=True),
    ]
    card = replace(
        CARD, name="a/b", sizes={"total": 2e6}, schedule="cosine", seed="3", created=1.0, held_out=True,
        recipe={"data": "c4"}, extra={"gpu": "none"}, parent="trunk", parent_step=7,
    )  # fmt: skip
    writer = ladder.start(card)
    writer.observe(seen[:3])
    writer.observe(seen[3:])
    writer.issue([MADE, replace(MADE, lower=math.nan)])
    writer.finish()

    run = only(Ladder(ladder.location))

    assert run.card == card
    assert [str(o) for o in run.curve] == [str(o) for o in seen]
    assert run.completed
    assert run.notes == ("2 loss(es) that are not a positive number are left out of every fit",)
    assert [str(f) for f in Ladder(ladder.location).issued()] == [str(MADE), str(replace(MADE, lower=math.nan))]


def test_many_segments_merge_and_nothing_is_lost(ladder: Ladder) -> None:
    writer = ladder.start(CARD)
    reader = Ladder(ladder.location)
    count = MERGE_AFTER * 2 + 5
    for step in range(1, count + 1):
        writer.observe(points(step))
        writer.issue([replace(MADE, at_tokens=float(step))])
        assert steps(only(reader)) == list(range(1, step + 1))

    assert [made.at_tokens for made in Ladder(ladder.location).issued()] == list(range(1, count + 1))
    assert len(ladder._fs.find(ladder._root, 2, detail=True)) == 1 + 2 * (2 + 5)


def test_segments_merge_with_their_equals_so_that_few_files_remain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling_callback.ladder.writer.MERGE_AFTER", 3)
    writer = Ladder(tmp_path).start(CARD)
    for step in range(1, 35):
        writer.observe(points(step))

    assert sorted(path.name for path in (tmp_path / "a").glob("observations*")) == [
        "observations-000001-000027.json",
        "observations-000028-000030.json",
        "observations-000031-000033.json",
        "observations-000034.json",
    ]
    assert steps(only(tmp_path)) == list(range(1, 35))


def test_a_reader_sees_the_same_at_every_moment_of_a_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Ladder(tmp_path).start(CARD)
    for step in range(1, MERGE_AFTER):
        writer.observe(points(step))
    old, seen = Ladder(tmp_path), []
    only(old)
    remove = writer._fs.rm_file

    def look_and_remove(path: str) -> None:
        seen.append((steps(only(tmp_path)), steps(only(old))))
        remove(path)

    monkeypatch.setattr(writer._fs, "rm_file", look_and_remove)
    writer.observe(points(MERGE_AFTER))

    everything = list(range(1, MERGE_AFTER + 1))
    assert seen == [(everything, everything)] * MERGE_AFTER


def test_a_reader_whose_listing_is_overtaken_by_a_merge_lists_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Ladder(tmp_path).start(CARD)
    for step in range(1, MERGE_AFTER):
        writer.observe(points(step))
    fresh, knowing = Ladder(tmp_path), Ladder(tmp_path)
    only(knowing)
    stale = [fresh._listing(), {path: dict(files) for path, files in knowing._listing().items()}]
    stale[1][f"{tmp_path}/a"].pop(f"{tmp_path}/a/observations-000031.json")
    writer.observe(points(MERGE_AFTER))

    for reader, listing in zip((fresh, knowing), stale, strict=True):
        monkeypatch.setattr(reader, "_listing", lambda listing=listing: listing)
        assert steps(only(reader)) == list(range(1, MERGE_AFTER + 1))


def test_leftovers_of_an_interrupted_merge_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Ladder(tmp_path).start(CARD)
    monkeypatch.setattr(writer._fs, "rm_file", lambda _path: (_ for _ in ()).throw(OSError("lost the connection")))
    for step in range(1, MERGE_AFTER + 1):
        writer.observe(points(step))
    assert len(list((tmp_path / "a").glob("observations*"))) == MERGE_AFTER + 1

    assert steps(only(tmp_path)) == list(range(1, MERGE_AFTER + 1))
    Ladder(tmp_path).start(CARD, resume=True).observe(points(99))
    assert steps(only(tmp_path)) == [*range(1, MERGE_AFTER + 1), 99]


def test_runs_of_one_name_get_folders_of_their_own(ladder: Ladder) -> None:
    names = [ladder.start(replace(CARD, name=name)).name for name in ("a", "a", "a", "a-2")]

    assert names == ["a", "a-2", "a-3", "a-2-2"]
    assert [run.name for run in ladder.runs()] == sorted(names)


def test_a_resumed_run_goes_on_and_supersedes_what_came_after_its_checkpoint(ladder: Ladder) -> None:
    writer = ladder.start(CARD)
    for step in (1, 2, 3, 4):
        writer.observe(points(step))
    writer.finish()

    again = Ladder(ladder.location).start(CARD, resume=True)
    again.observe(points(3, loss=2.5), resumed_after=2)
    again.observe(points(4, loss=2.4))

    run = only(ladder)
    assert again.name == "a"
    assert run.curve.loss.tolist() == [3.0, 3.0, 2.5, 2.4]
    assert run.notes == ("2 observation(s) superseded by a resume",)
    assert not run.completed
    assert len([path for path in ladder._listing()[ladder._folder("a")] if "observations" in path]) == 1 + 1 + 2


def test_mixed_recipes_are_warned_about_by_name_of_what_differs(ladder: Ladder) -> None:
    for name, data in (("a", "c4"), ("b", "c4"), ("c", "pile")):
        ladder.start(replace(CARD, name=name, recipe={"data": data, "tokenizer": "bytes"}))

    with pytest.warns(LadderWarning, match="data is 'c4' in a, b; 'pile' in c") as caught:
        assert len(ladder.runs()) == 3
    assert len(caught) == 1
    ladder.runs()  # and warns no second time


def test_a_reader_reads_each_file_once(ladder: Ladder, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = ladder.start(CARD)
    for step in (1, 2, 3):
        writer.observe(points(step))
    reader, reads = Ladder(ladder.location), []
    cat_file = reader._fs.cat_file
    monkeypatch.setattr(reader._fs, "cat_file", lambda path: (reads.append(path), cat_file(path))[1])

    first, second = only(reader), only(reader)
    assert first is second
    assert len(reads) == 4
    writer.observe(points(4))
    assert steps(only(reader)) == [1, 2, 3, 4]
    assert len(reads) == 5


def test_where_and_params_select_as_in_a_table(ladder: Ladder) -> None:
    for index, run in enumerate(planted_ladder(points=1)[:4]):
        ladder.start(replace(run.card, sizes={"total": 10 * run.params}, seed=str(index), extra={"width": "64"}))
    runs = ladder.runs()

    assert ladder.runs(where=[("run", runs[0].name)]) == runs[:1]
    assert len(ladder.runs(where=[("params", "1e7"), ("width", "64.0")])) == 3
    assert [run.card.seed for run in ladder.runs(where=[("seed", "x"), ("seed", "3"), ("params", "30000000")])] == ["3"]
    assert [run.params for run in ladder.runs(params="total")] == [10 * run.params for run in runs]
    with pytest.raises(InputError, match="no run with seed = '9'; seed holds '0', '1', '2', '3'"):
        ladder.runs(where=[("seed", "9")])
    with pytest.raises(
        InputError, match=r"has no column 'nocol' to select by; its columns are: .*params, .*run, .*total_tokens, width"
    ):
        ladder.runs(where=[("nocol", "3")])
    with pytest.raises(InputError, match="no count of N named 'embedding'; its other counts are: total"):
        ladder.runs(params="embedding")


def test_a_folder_that_is_missing_or_no_ladder_holds_no_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.json").write_text("{}")

    assert not Ladder(tmp_path / "absent").exists()
    for name in ("absent", "file", "other", "."):
        assert Ladder(tmp_path / name).runs() == ()
        assert Ladder(tmp_path / name).issued() == ()
    with pytest.raises(InputError, match="file is a file"):
        Ladder(tmp_path / "file").start(CARD)
    with pytest.raises(InputError, match="foo://x"):
        Ladder("foo://x")


def test_what_lies_on_disk_is_strict_json_and_no_unfinished_file_remains(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe([Observation(1.0, math.nan), Observation(2.0, math.inf), Observation(3.0, -math.inf)])
    writer.issue([replace(MADE, lower=math.nan)])

    paths = sorted((tmp_path / "a").iterdir())
    assert [path.name for path in paths] == ["card.json", "forecasts-000001.json", "observations-000001.json"]
    for path in paths:
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_a_ladder_of_the_first_version_still_loads(data: Path) -> None:
    ladder = Ladder(data / "ladder-v1")
    (run,) = ladder.runs()

    assert run.curve.tokens.tolist() == [1e6, 2e6, 4e6]
    assert run.curve.loss.tolist() == [4.0, 3.5, 2.5]
    assert run.notes == ("2 observation(s) superseded by a resume",)
    assert run.completed
    assert run.final is not None
    assert run.final.is_final
    assert (run.card.horizon, run.card.schedule, run.card.sizes["non_embedding"]) == (4e6, "cosine", 8e5)
    assert [(made.run, made.median) for made in ladder.issued()] == [("frozen", 2.6)]


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "at once"])
def test_reading_a_ladder_costs_little_more_than_parsing_its_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, one_by_one: bool
) -> None:
    monkeypatch.setattr("os.fsync", lambda _file: None)  # this disk is not what is measured
    count = 200 if one_by_one else 1000
    seen = [Observation(1e3 * i, 3.0 + 1 / i, i, 1e-3 / i, 1.7e9 + i / 7) for i in range(1, count + 1)]
    writer = Ladder(tmp_path).start(replace(CARD, name="0"))
    for part in [[one] for one in seen] if one_by_one else [seen]:
        writer.observe(part)
    writer.finish()
    for index in range(1, 50):
        shutil.copytree(tmp_path / "0", tmp_path / str(index))

    def plain() -> list[Any]:
        return [json.loads(path.read_bytes()) for path in tmp_path.rglob("*.json")]

    def measure(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    ratios = [measure(lambda: Ladder(tmp_path).runs()) / measure(plain) for _ in range(5)]
    assert min(ratios) < (5 if one_by_one else 3), "columns are made of lists, not observation by observation"
    reader = Ladder(tmp_path)
    reader.runs()
    again = min(measure(reader.runs) for _ in range(5))
    assert again < 0.3 * min(measure(plain) for _ in range(3)), "what was read is kept"


def test_of_a_run_whose_clock_was_set_back_a_replay_sees_prefixes_all_the_same(tmp_path: Path) -> None:
    ladder = planted_ladder(sizes=(1e7, 3e7, 1e8), ratios=(5.0, 20.0), points=6)
    for index, run in enumerate(ladder):
        times = [100.0 * index + point - (3600.0 if point >= 3 else 0.0) for point in range(6)]
        seen = [replace(one, wall_time=at) for one, at in zip(run.curve, times, strict=True)]
        Ladder(tmp_path / "ladder").start(run.card).observe(seen)
    runs = Ladder(tmp_path / "ladder").runs()

    assert [run.curve.loss.tolist() for run in runs] == [
        run.curve.loss.tolist() for run in sorted(ladder, key=lambda run: run.name)
    ]
    whole = {run.name: run.curve.tokens.tolist() for run in runs}
    for fraction in (0.1, 0.3, 0.5, 0.7, 0.9):
        for run in see(runs, fraction, order="as-recorded"):
            assert run.curve.tokens.tolist() == whole[run.name][: len(run.curve)]
    assert {run.name for run in see(runs, 1.0, order="as-recorded")} == set(whole)
    asked = ["--largest", "1", "--order", "as-recorded", "--at", "1"]
    assert main(["replay", str(tmp_path / "ladder"), *asked]) == 0


def test_a_run_that_is_deleted_and_begun_again_is_read_anew_by_a_reader_that_knew_it(ladder: Ladder) -> None:
    reader = Ladder(ladder.location)
    for count, loss in ((5, 3.0), (2, 2.0)):
        writer = ladder.start(CARD)
        for step in range(1, count + 1):
            writer.observe(points(step, loss=loss))
            writer.issue([replace(MADE, median=loss)])
        assert [made.median for made in reader.issued()] == [loss] * count
        assert only(reader).curve.loss.tolist() == [loss] * count
        ladder._fs.rm(ladder._folder("a"), recursive=True)
