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
    rule="off-law", reason="it ends 9 deviations above the law", evidence={"deviations": 9.0},
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
    assert shown[0]["evidence"] == {"deviations": 9.0}


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


WRITTEN: dict[str, Any] = {"rule": "a", "reason": "b", "tokens": 1e3}


DAMAGED: list[tuple[Any, str]] = [
    ({"rule": 3}, "rule or reason is no text"),
    ("text", "it is no call"),
    ([[]], "it is no call"),
    (WRITTEN | {"tokens": []}, "tokens"),
    (WRITTEN | {"tokens": "nan"}, "tokens is nan; it must be a positive count"),
    (WRITTEN | {"tokens": -1e30}, "tokens is -1e\\+30"),
    (WRITTEN | {"tokens": 10**400}, "too large"),
    (WRITTEN | {"saved_flops": "inf"}, "saved_flops is inf"),
    (WRITTEN | {"saved_flops": -1.0}, "saved_flops is -1"),
    (WRITTEN | {"step": "inf"}, "step is inf"),
    (WRITTEN | {"evidence": None}, "evidence is no mapping"),
    (WRITTEN | {"evidence": {"x": []}}, "x holds '\\[\\]'"),
]


@pytest.mark.parametrize(("broken", "said"), DAMAGED)
def test_a_damaged_call_costs_itself_alone(tmp_path: Path, broken: Any, said: str) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1))
    writer.call([CALL])
    path = tmp_path / "a" / "observations-000002.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    written = record["parts"][0]["calls"]
    record["parts"][0]["calls"] = broken if isinstance(broken, str) else [broken, *written]
    path.write_text(json.dumps(record), encoding="utf-8")
    writer.observe(points(2))
    kept = [] if isinstance(broken, str) else [str(CALL)]
    with pytest.warns(LadderWarning, match=rf"a: a call of a stopping rule was skipped \(.*{said}") as caught:
        run = only(tmp_path)
    assert (len(caught), steps(run), [str(call) for call in run.calls]) == (1, [1, 2], kept)
    for step in range(3, MERGE_AFTER + 2):
        writer.observe(points(step))
    with pytest.warns(LadderWarning, match=said):
        run = only(tmp_path)
    assert (len(list((tmp_path / "a").glob("observations*"))), len(run.curve)) == (3, MERGE_AFTER + 1)
    assert [str(call) for call in run.calls] == kept


def test_what_a_call_says_is_kept_at_a_bounded_length_and_without_numbers_that_are_none(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    writer.observe(points(1))
    evidence = {"sure": 1.0, "not": math.inf, "nor": math.nan} | {str(number): 1.0 for number in range(200)}
    writer.call([replace(CALL, rule="r" * 10**6, reason="x" * 10**6, evidence=evidence)])
    (call,) = only(tmp_path).calls
    assert (len(call.rule), len(call.reason), len(call.evidence)) == (1000, 1000, 50)
    assert all(map(math.isfinite, call.evidence.values()))


def test_a_card_that_cannot_be_rewritten_costs_no_call(tmp_path: Path) -> None:
    writer = Ladder(tmp_path).start(CARD)
    card = tmp_path / "a" / "card.json"
    card.write_text("{", encoding="utf-8")
    writer.call([CALL])
    assert card.read_text(encoding="utf-8") == "{"
    assert (tmp_path / "a" / "observations-000001.json").exists()
