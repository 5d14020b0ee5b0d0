"""Claims about damage: a file that is torn, foreign or hostile costs itself and nothing else."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import CARD, MADE, only, points, steps

from scaling_callback.errors import LadderWarning
from scaling_callback.ladder import Ladder, safe_name
from scaling_callback.ladder.writer import MERGE_AFTER

GARBAGE: dict[str, Callable[[bytes], bytes]] = {
    "torn": lambda data: data[: len(data) // 2],
    "empty": lambda _: b"",
    "binary": lambda _: bytes(range(256)),
    "no JSON": lambda _: b"hello",
    "NaN": lambda data: data.replace(b"3.0", b"NaN"),
    "a list": lambda _: b"[1]",
    "hugely nested": lambda _: b"[" * 100_000,
    "newer schema": lambda data: data.replace(b'"schema": 1', b'"schema": 99'),
    "no schema": lambda data: data.replace(b"schema", b"scheme"),
    "no parts": lambda _: b'{"schema": 1}',
    "parts are null": lambda _: b'{"schema": 1, "parts": null}',
    "columns of unequal length": lambda data: data.replace(b'"loss": [3.0]', b'"loss": []'),
    "a column is missing": lambda data: data.replace(b'"loss"', b'"lost"'),
    "text for a number": lambda data: data.replace(b"3.0", b'"three"'),
    "negative tokens": lambda data: data.replace(b"2000.0", b"-2000.0"),
    "a number beyond floats": lambda data: data.replace(b"2000.0", b"1" * 400),
    "a resume from nowhere": lambda data: data.replace(b'"resumed_after": null', b'"resumed_after": []'),
    "a segment of forecasts": lambda _: b'{"schema": 1, "parts": [{"rows": []}]}',
}


@pytest.mark.parametrize("damage", GARBAGE.values(), ids=GARBAGE)
def test_a_damaged_segment_costs_only_itself_and_is_read_again_when_it_is_whole(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    writer = Ladder(tmp_path).start(CARD)
    for step in (1, 2, 3):
        writer.observe(points(step))
    segment = tmp_path / "a" / "observations-000002.json"
    whole = segment.read_bytes()
    segment.write_bytes(damage(whole))
    reader = Ladder(tmp_path)

    with pytest.warns(LadderWarning, match=r"a/observations-000002\.json") as caught:
        assert steps(only(reader)) == [1, 3]
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert steps(only(reader)) == [1, 3], "and warns no second time"
    segment.write_bytes(whole)
    assert steps(only(reader)) == [1, 2, 3]


def test_a_damaged_segment_ends_no_writer(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    for step in range(1, 2 * MERGE_AFTER + 1):
        writer.observe(points(step))
        if step == 3:
            (tmp_path / "a" / "observations-000003.json").write_bytes(b"torn")

    with pytest.warns(LadderWarning, match="000003"):
        assert steps(only(tmp_path)) == [1, 2, *range(4, 2 * MERGE_AFTER + 1)]


def test_a_lost_segment_is_warned_about(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    for step in (1, 2, 3):
        writer.observe(points(step))
    (tmp_path / "a" / "observations-000002.json").unlink()

    with pytest.warns(LadderWarning, match=r"a/observations-000002\.json is missing"):
        assert steps(only(tmp_path)) == [1, 3]


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.just(10**400) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100)
@given(data=st.data())
@pytest.mark.parametrize("name", ["card.json", "observations-000002.json", "forecasts-000001.json"])
def test_whatever_stands_in_a_file_no_reader_fails(name: str, data: st.DataObject) -> None:
    ladder = Ladder("memory://fuzz")
    writer = ladder.start(CARD, resume=True)
    writer.observe(points(1))
    writer.issue([MADE])
    path = f"{ladder._root}/a/{name}"
    content: Any = json.loads(ladder._fs.cat_file(path))
    place = content
    while isinstance(place, dict | list) and place:  # a value at a random depth becomes a random value
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if data.draw(st.booleans()):
            place[key] = data.draw(json_values)
            break
        place = place[key]
    ladder._fs.pipe_file(path, json.dumps(content).encode())
    reader = Ladder("memory://fuzz")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LadderWarning)
        for run in reader.runs():
            assert str(run.progress)
            assert run.phase
            assert run.cluster
            assert run.planned_flops is None or run.planned_flops > 0
        assert all(math.isnan(made.lower) or made.lower < math.inf for made in reader.issued())
    ladder._fs.rm(ladder._root, recursive=True)


@pytest.mark.parametrize("content", [b"torn", b'{"schema": 1}', b'{"schema": 1, "name": "b", "params": -1}', None])
def test_a_damaged_card_costs_only_its_run_and_a_resume_repairs_it(tmp_path: Path, content: bytes | None) -> None:
    for name in ("a", "b", "c"):
        Ladder(tmp_path).start(replace(CARD, name=name)).observe(points(1))
    card = tmp_path / "b" / "card.json"
    if content is None:
        card.unlink()
    else:
        card.write_bytes(content)

    with pytest.warns(LadderWarning, match=r"b/card\.json"):
        assert [run.name for run in Ladder(tmp_path).runs()] == ["a", "c"]
    with pytest.warns(LadderWarning, match=r"b/card\.json"):
        Ladder(tmp_path).start(replace(CARD, name="b"), resume=True).observe(points(2), resumed_after=1)
    assert [(run.name, steps(run)) for run in Ladder(tmp_path).runs()] == [("a", [1]), ("b", [1, 2]), ("c", [1])]


@settings(max_examples=150)
@given(
    name=st.text(max_size=120) | st.sampled_from(["", ".", "..", "/", "../x", "a/../../b", "~", "C:\\x", "card.json"])
)
def test_whatever_a_run_is_called_it_stays_inside_its_folder(name: str) -> None:
    safe = safe_name(name)

    assert safe
    assert safe == Path(safe).name
    assert safe.isascii()
    assert len(safe) < 100
    assert safe not in {".", ".."}


@pytest.mark.parametrize("name", ["", "..", "../../evil", "/etc/passwd", "a\nb", "\ud800", "x" * 500, "\u202e"])
def test_a_hostile_name_is_kept_and_its_files_lie_in_the_ladder(tmp_path: Path, name: str) -> None:
    Ladder(tmp_path / "ladder").start(replace(CARD, name=name)).observe(points(1))

    run = only(tmp_path / "ladder")
    assert (run.name, steps(run)) == (name, [1])
    assert {path.parent.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "ladder"}


def test_a_loss_of_zero_or_less_is_counted_and_reaches_no_fit(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD).observe([*points(1), *points(2, loss=0.0), *points(3, loss=-1.0)])

    run = only(tmp_path)
    assert [math.isnan(loss) for loss in run.curve.loss] == [False, True, True]
    assert run.notes == ("2 loss(es) that are not a positive number are left out of every fit",)
