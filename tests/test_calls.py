"""What stopping rules said of a run, as its folder keeps it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import CARD, only, points, steps

from scaling_callback.errors import LadderWarning
from scaling_callback.ladder import Ladder
from scaling_callback.ladder.writer import MERGE_AFTER
from scaling_callback.records import Observation, StopCall

CALL = StopCall(
    rule="off-law", reason="it ends 9 deviations above the law", evidence={"deviations": 9.0, "noise": math.nan},
    tokens=2e3, step=2.0, wall_time=12.5, saved_flops=6e15,
)  # fmt: skip
ACTED = replace(CALL, rule="<script>\x1b[31m\n" + "x" * 300, reason="\u202e'\"", acted=True, evidence={}, step=math.nan)


def test_calls_are_read_back_in_order_also_from_merged_segments_and_from_the_card(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    live = Ladder(tmp_path)
    writer.observe(points(1, 2))
    writer.call([CALL])
    assert [str(call) for call in only(live).calls] == [str(CALL)]
    writer.call([ACTED])
    for run in (only(tmp_path), only(live)):
        assert [str(call) for call in run.calls] == [str(CALL), str(ACTED)]
        assert str(run.stopped) == str(ACTED)
    for step in range(3, 2 * MERGE_AFTER):
        writer.observe(points(step))
    writer.finish()
    assert len(list((tmp_path / "a").glob("observations*"))) == 1
    run = only(tmp_path)
    assert [str(call) for call in run.calls] == [str(CALL), str(ACTED)]
    assert (steps(run), run.stopped, run.card.name) == (list(range(1, 2 * MERGE_AFTER)), None, "a")
    shown = json.loads((tmp_path / "a" / "card.json").read_text(encoding="utf-8"))["calls"]
    assert [(each["rule"], each["reason"], each["saved_flops"], each["acted"]) for each in shown] == [
        (each.rule, each.reason, each.saved_flops, each.acted) for each in (CALL, ACTED)
    ]
    assert shown[0]["evidence"] == {"deviations": 9.0, "noise": "nan"}


def test_a_run_is_stopped_until_it_goes_on_and_forgets_calls_that_a_resume_superseded(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1, 2))
    writer.call([replace(CALL, acted=True)])
    again = Ladder(tmp_path).start(CARD, resume=True)
    assert only(tmp_path).stopped is not None
    again.observe(points(3), resumed_after=2)
    assert (len(only(tmp_path).calls), only(tmp_path).stopped) == (1, None)
    earlier = Ladder(tmp_path).start(CARD, resume=True)
    earlier.observe([Observation(tokens=1.5e3, loss=3.0, step=2)], resumed_after=1)
    run = only(tmp_path)
    assert (run.curve.tokens.tolist(), run.calls, run.stopped) == ([1e3, 1.5e3], (), None)


def test_what_an_older_reader_knows_of_a_segment_stands_where_it_did(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1))
    writer.call([CALL])
    (plain, said) = (
        json.loads(path.read_text(encoding="utf-8")) for path in sorted((tmp_path / "a").glob("observations*"))
    )
    (one,), (other,) = plain["parts"], said["parts"]
    assert said["schema"] == plain["schema"]
    assert other.keys() - one.keys() == {"calls"}
    assert all(values == [] for values in other["columns"].values())


@pytest.mark.parametrize("calls", [[{"rule": 3}], "text", [{"rule": "a", "reason": "b", "tokens": []}], [[]]])
def test_a_damaged_call_costs_its_segment_and_no_observation(tmp_path: Path, calls: Any) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1))
    writer.call([CALL])
    path = tmp_path / "a" / "observations-000002.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["parts"][0]["calls"] = calls
    path.write_text(json.dumps(record), encoding="utf-8")
    writer.observe(points(2))
    with pytest.warns(LadderWarning, match="observations-000002.json is damaged"):
        run = only(tmp_path)
    assert (steps(run), run.calls) == ([1, 2], ())


def test_a_card_that_cannot_be_rewritten_costs_no_call(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    card = tmp_path / "a" / "card.json"
    card.write_text("{", encoding="utf-8")
    writer.call([CALL])
    assert card.read_text(encoding="utf-8") == "{"
    assert (tmp_path / "a" / "observations-000001.json").exists()
