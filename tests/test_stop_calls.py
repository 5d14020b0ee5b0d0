"""What people see of the calls of stopping rules, and what a stop makes of a run as evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from scaling_callback import Run, refresh
from scaling_callback.forecasting import POLICIES
from scaling_callback.records import StopCall
from scaling_callback.reporting.alerts import Alert, find_alerts
from scaling_callback.reporting.pages.contents import gather
from scaling_callback.reporting.pages.html import WRITERS
from scaling_callback.reporting.scalars import explain_absences, make_scalars
from scaling_callback.reporting.tables import list_runs
from scaling_callback.sinks import Publisher
from scaling_callback.snapshot import Config, Decision, Snapshot
from scaling_callback.testing import RecordingSink, planted_ladder

QUICK = Config(replicates=0)
SAVED = "scaling/stop_saved_flops"


def call(run: Run, share: float = 0.25, *, rule: str = "dominated", acted: bool = False, why: str = "late") -> StopCall:
    assert run.horizon is not None
    assert run.planned_flops is not None
    left = (1 - share) * run.planned_flops
    return StopCall(rule=rule, reason=why, tokens=share * run.horizon, saved_flops=left, acted=acted)


def stop(run: Run, *, rule: str) -> Run:
    """The run as it stood at half, where a rule ended it."""
    assert run.horizon is not None
    return replace(run.until(0.5 * run.horizon), calls=(call(run, 0.5, rule=rule, acted=True),))


RUNS = planted_ladder(points=8)
LAST = RUNS[-1]


def look(runs: Sequence[Run]) -> Snapshot:
    return refresh(runs, (), replace(QUICK, fits=False))


def told(decision: Decision, own: Run = LAST) -> list[tuple[str, str]]:
    return [(alert.name, alert.level) for alert in find_alerts(look([own]), own.name, decision, None)[0]]


def test_a_call_is_told_by_what_is_done_about_it_and_once_a_rule() -> None:
    calls = (call(LAST), call(LAST, rule="off-law"))
    assert told(Decision(stop=True, calls=calls)) == [("stopped", "WARN")]
    assert told(Decision(alert=True, calls=calls)) == [("should-stop", "WARN")] * 2
    assert told(Decision(calls=calls)) == [("would-stop", "INFO")] * 2
    assert told(Decision(calls=calls), replace(LAST, calls=calls[:1])) == [("would-stop", "INFO")]
    assert told(Decision()) == []


def test_a_second_rule_is_told_of_although_the_first_one_was_just_now() -> None:
    sink = RecordingSink()
    publisher = Publisher([sink], print)
    first, second = call(LAST), call(LAST, rule="off-law")
    for own, calls in ((LAST, (first,)), (replace(LAST, calls=(first,)), (first, second))):
        publisher.publish(look([own]), LAST.name, None, 0.0, Decision(calls=calls))
    titles = [alert.title for alert in sink.alerts if isinstance(alert, Alert)]

    assert titles == ["Rule dominated would have stopped", "Rule off-law would have stopped"]


def test_what_a_call_saves_is_a_metric_once_there_was_one() -> None:
    before, now = call(LAST, 0.25), call(LAST, 0.5)
    plain = look([LAST])

    assert SAVED not in make_scalars(plain, LAST.name)
    assert "no stopping rule" in explain_absences(plain, LAST.name, {})[SAVED]
    assert make_scalars(plain, LAST.name, Decision(calls=(now,)))[SAVED] == now.saved_flops
    recorded = look([replace(LAST, calls=(before,))])
    assert make_scalars(recorded, LAST.name, Decision(calls=(now,)))[SAVED] == before.saved_flops
    unplanned = Decision(calls=(replace(now, saved_flops=None),))
    assert SAVED not in make_scalars(plain, LAST.name, unplanned)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rule", ["off-law", "diverged", "any-of(off-law, diverged)", "patient(off-law)"])
def test_a_run_that_was_stopped_as_broken_is_no_evidence_and_says_why(policy: str, rule: str) -> None:
    made = POLICIES[policy]([*RUNS[:-1], stop(LAST, rule=rule)], lambda run: run.name)

    assert LAST.name not in made.used
    assert made.left_out[LAST.name] == f"stopped by {rule}: late"
    assert LAST.name not in made.guessed


@pytest.mark.parametrize("rule", ["dominated", "budget", "any-of(budget, off-law)", ""])
def test_a_run_that_was_stopped_for_another_reason_stays_as_one_that_has_not_ended(rule: str) -> None:
    stopped = stop(LAST, rule=rule)
    made = POLICIES["default"]([*RUNS[:-1], stopped], lambda run: run.name)

    assert LAST.name in made.guessed
    unstopped = POLICIES["default"]([*RUNS[:-1], replace(stopped, calls=())], lambda run: run.name)
    assert repr(made.guessed) == repr(unstopped.guessed)


@pytest.mark.parametrize("acted", [False, True])
def test_a_broken_run_that_went_on_is_evidence(acted: bool) -> None:
    went_on = replace(LAST, calls=(call(LAST, rule="off-law", acted=acted),))
    assert LAST.name in POLICIES["default"]([*RUNS[:-1], went_on], lambda run: run.name).used


def test_the_table_of_runs_says_what_was_stopped_and_what_would_have_been() -> None:
    watched = replace(RUNS[0], calls=(call(RUNS[0]), call(RUNS[0], 0.5), call(RUNS[0], 0.75, rule="budget")))
    rows = {
        row.name: row for row in list_runs(refresh([watched, *RUNS[1:-1], stop(LAST, rule="dominated")], (), QUICK))
    }

    assert rows[LAST.name].stopping == "stopped by dominated: late"
    assert rows[LAST.name].role == "guessed"
    assert rows[RUNS[0].name].stopping == (
        "dominated would have stopped it at 25%: late; budget would have stopped it at 75%: late"
    )
    assert rows[RUNS[1].name].stopping == ""


def sweep() -> list[Run]:
    """Every run twice, of which the second ends 3% higher; calls of every kind."""
    twins = [
        replace(
            run, card=replace(run.card, name=f"{run.name}-high"), curve=replace(run.curve, loss=run.curve.loss * 1.03)
        )
        for run in RUNS
    ]
    runs = [*RUNS, *twins]
    hostile = replace(twins[1].card, name="<script>|`\u202e" + "x" * 300)
    runs[0] = replace(runs[0], calls=(call(runs[0]),))
    runs[13] = replace(twins[1], card=hostile, calls=(call(twins[1], rule="<b>own</b>", why="<img>\n\x1b[2J"),))
    runs[14] = replace(twins[2], calls=(call(twins[2]), call(twins[2], 0.5)))
    runs[15] = stop(twins[3], rule="off-law")
    runs[16] = replace(twins[4].until(5e8), calls=(call(twins[4]),))
    return runs


def test_the_report_scores_what_rules_that_watch_have_called_for() -> None:
    report = gather(look(sweep()))
    written = {suffix: write(report) for suffix, write in WRITERS.items()}
    said = json.loads(written[".json"])["stopping"]

    assert [row["outcome"] for row in said["calls"]] == ["false", "right", "stopped", "right", None]
    assert said["ended"]["runs"] == 1
    score = said["score"]
    assert (score["called"], score["scored"], score["false_stops"]) == (4, 3, 1)
    assert 1 / 3 < score["false_stops_at_most"] < 1
    assert "of which 1 is false" in said["says"][1]
    for text in (written[".html"], written[".md"]):
        assert "4 runs went on though a rule called for their end" in text
        assert not any(token in text for token in ("<script>|", "<b>own", "<img>"))
    assert "\x1b" not in written[".md"]


def test_a_report_of_a_ladder_without_calls_says_nothing_of_them() -> None:
    assert "stopping" not in [section.key for section in gather(look(RUNS)).sections]


def test_calls_that_nobody_can_judge_yet_are_not_judged() -> None:
    young = replace(LAST.until(4e9), calls=(call(LAST, 0.01),))
    words = json.loads(WRITERS[".json"](gather(look([*RUNS[:-1], young]))))["stopping"]

    assert words["score"]["scored"] == 0
    assert (
        "1 run went on though a rule called for its end; whether that call was right is known once" in words["says"][0]
    )
