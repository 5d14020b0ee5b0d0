"""The audit of stopping rules: counted by hand on planted sweeps, and blind to what lies behind a stop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback import Config, Run, Target, refresh
from scaling_callback.cli import main
from scaling_callback.errors import InputError
from scaling_callback.records import Curve, Observation, RunCard, StopCall
from scaling_callback.replaying import FALSE_STOP, LOOKS, GroupOrder, StopAudit, audit_stops, score_calls
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import RULES, Budget, Rule, Verdict, any_of, make_rule, patient
from scaling_callback.tables import write_table
from scaling_callback.testing import planted_ladder

HOSTILE = "<script>\x1b[2J\u202e\n" + "x" * 300


def make_run(name: str, final: float, *, params: float = 1e6, horizon: float = 1e8, seen: float = 1.0) -> Run:
    """Twenty observations of a curve that ends at `final`; the last is at that share of the horizon."""
    shares = [share for share in np.arange(1, 21) / 20 if share <= seen]
    curve = Curve.of([Observation(share * horizon, final + (1 - share)) for share in shares])
    return Run(RunCard(name=name, params=params, horizon=horizon), curve)


@dataclass(frozen=True, kw_only=True)
class AtShare(Rule):
    """Ends the runs of these names from a share of their horizons on."""

    names: tuple[str, ...]
    share: float = 0.5

    name: ClassVar[str] = "at-share"
    needs: ClassVar[Any] = "curve"

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        return Verdict("by name", {"loss": run.curve[-1].loss}) if self._calls(run) else None

    def _calls(self, run: Run) -> bool:
        return run.name in self.names and run.progress[-1] >= self.share


SWEEP = (
    make_run("a", 3.0),
    make_run("b", 3.1),
    make_run("c", 3.001),
    make_run("alone", 2.5, params=1e7),
    make_run("x", 2.0, params=1e8),
    make_run("y", 2.1, params=1e8),
)


def stopped(made: StopAudit) -> list[str]:
    return [call.run for call in made.calls]


def test_the_sums_are_those_counted_by_hand() -> None:
    made = audit_stops(SWEEP, [AtShare(names=("a", "b", "x", "y"))])

    assert (made.runs, made.stopped, stopped(made)) == (6, 4, ["a", "b", "x", "y"])
    assert made.compute_saved == pytest.approx((2 * 0.5 + 2 * 0.5 * 100) / (3 + 10 + 2 * 100))
    assert made.compute_saved_by_group == pytest.approx((1 / 3 + 0 + 0.5) / 3)
    # a and c differ by less than counts, x and y were both stopped: nobody knows who was the better loser
    assert made.false_stops == 0
    assert made.regret == pytest.approx((3.001 / 3.0 - 1 + 0) / 2)
    assert [group.runs for group in made.emptied] == [("x", "y")]
    assert [call.false for call in made.calls] == [False, False, None, None]


@pytest.mark.parametrize(("better_by", "false"), [(FALSE_STOP * 1.01, 1), (FALSE_STOP * 0.99, 0)])
def test_a_stop_is_false_where_the_run_would_have_won_by_more_than_counts(better_by: float, false: int) -> None:
    runs = [make_run("kept", 3.0), make_run("lost", 3.0 * (1 - better_by))]
    made = audit_stops(runs, [AtShare(names=("lost",))])

    assert made.false_stops == false
    assert made.regret == pytest.approx(1 / (1 - better_by) - 1)


def test_a_run_whose_record_ends_early_counts_with_what_was_recorded() -> None:
    runs = [make_run("a", 3.0), make_run("b", 3.0, seen=0.75)]
    made = audit_stops(runs, [AtShare(names=("b",))])

    assert made.compute_saved == pytest.approx(0.25 / 1.75)
    assert [call.final for call in made.calls] == [None]
    assert made.calls[0].false is None


def test_runs_within_two_percent_compete_and_others_do_not() -> None:
    runs = [make_run("a", 3.0), make_run("b", 3.0, params=1.019e6), make_run("c", 3.0, horizon=1.03e8)]

    assert [group.runs for group in audit_stops(runs, [Budget(tokens=1e9)]).groups] == [("a", "b"), ("c",)]


def test_held_out_and_excluded_runs_take_no_part_and_old_calls_are_forgotten() -> None:
    called = StopCall(rule="old", reason="then", tokens=1e6)
    odd = [replace(run, card=replace(run.card, **{key: value})) for run, key, value in
           zip(SWEEP, ("held_out", "excluded"), (True, "bad data"), strict=False)]  # fmt: skip
    seen: list[tuple[str, ...]] = []

    def watch(snapshot: Snapshot, _: str) -> None:
        seen.append(tuple(known.name for known in snapshot.runs if known.calls))

    made = audit_stops([*odd, replace(SWEEP[2], calls=(called,)), SWEEP[3]], [watch], looks=[0.5])

    assert made.runs == 2
    assert seen == [(), ()]


def test_patience_counts_looks_with_something_new() -> None:
    rule = AtShare(names=("a",), share=0.5)
    (call,) = audit_stops(SWEEP, [patient(rule, 3)], looks=(0.5, 0.501, 0.502, 0.55, 0.6)).calls

    assert call.progress == pytest.approx(0.6)


def test_the_next_member_sees_who_was_stopped_at_the_same_look() -> None:
    def last_but_one(snapshot: Snapshot, run: str) -> str | None:
        own = next(known for known in snapshot.runs if known.name == run)
        left = [known for known in snapshot.runs if known.params == own.params and known.stopped is None]
        return "others are left" if len(left) > 1 else None

    assert stopped(audit_stops(SWEEP, [last_but_one], looks=[0.5])) == ["a", "b", "x"]


def test_a_rule_sees_what_a_live_run_would_have_and_the_law_only_where_it_looks_at_one() -> None:
    seen: list[Snapshot] = []

    @dataclass(frozen=True, kw_only=True)
    class Watch(AtShare):
        needs: ClassVar[Any] = "finals"

        def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
            seen.append(snapshot)
            return super().judge(snapshot, run)

    audit_stops(
        SWEEP, [Watch(names=("a",))], Config(target=Target(params=1e9, tokens=1e10)), looks=(0.5, 0.8), acting=True
    )
    last = seen[-1]
    plain = refresh(last.runs, (), Config(fits=False))

    assert {name: repr(made) for name, made in last.finals.items()} == {
        name: repr(made) for name, made in plain.finals.items()
    }
    assert last.fit is None
    assert [run.name for run in last.runs if run.stopped] == ["a"]
    assert {len(run.curve) for run in last.runs if run.params == 1e8} == {16}

    seen.clear()
    audit_stops(SWEEP, [Watch(names=("a",))], looks=(0.5, 0.8))
    assert not any(run.stopped for run in seen[-1].runs)  # in shadow mode it was trained on
    laws: list[bool] = []
    audit_stops(SWEEP, [lambda snapshot, _: laws.append(snapshot.config.fits)], Config(replicates=0), looks=[0.5])
    assert laws == [True] * 6


def spoil(run: Run, after: float) -> Run:
    """The run with another future."""
    losses = np.where(run.curve.tokens > after, run.curve.loss * 0.5, run.curve.loss)
    return replace(run, curve=replace(run.curve, loss=losses))


@dataclass(frozen=True, kw_only=True)
class Behind(Rule):
    """Ends a run whose last loss, and whose forecast, lies above another's of its size at its progress."""

    margin: float = 0.0

    name: ClassVar[str] = "behind"
    needs: ClassVar[Any] = "finals"

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        others = [known for known in snapshot.runs if known.params == run.params and known.name != run.name]
        best = min((known.curve[-1].loss for known in others if len(known.curve)), default=np.inf)
        guess = getattr(snapshot.finals[run.name], "median", np.nan)
        return Verdict(f"{guess!r}", {"best": best}) if run.curve[-1].loss > best * (1 + self.margin) else None


FINALS = st.lists(st.floats(2.0, 4.0), min_size=2, max_size=6)


@given(FINALS, st.floats(0.0, 0.1), st.floats(0.05, 0.9), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_nothing_behind_a_stop_or_in_a_later_group_moves_a_call(
    finals: Sequence[float], margin: float, least: float, sizes: int
) -> None:
    runs = [make_run(f"r{i}", final, params=10.0 ** (6 + i % sizes)) for i, final in enumerate(finals)]
    rule = Behind(margin=margin, min_progress=least)
    made = audit_stops(runs, [rule], acting=True)

    assert 0 <= made.compute_saved <= 1
    assert 0 <= made.compute_saved_by_group <= 1
    assert made.regret is None or made.regret >= 0
    assert not made.emptied  # the best at each look stays
    calls = {call.run: call for call in made.calls}
    futures = [spoil(run, calls[run.name].call.tokens) if run.name in calls else run for run in runs]
    again = audit_stops(futures, [rule], acting=True)
    assert list(map(repr, (call.call for call in again.calls))) == list(map(repr, (call.call for call in made.calls)))
    last = made.groups[-1].runs
    first = audit_stops([spoil(run, 0.0) if run.name in last else run for run in runs], [rule], acting=True)
    assert repr(first.groups[:-1]) == repr(made.groups[:-1])


def finished_before(snapshot: Snapshot, run: str) -> str | None:
    """Ends a run that lies above a finished or stopped one of its size at its own progress."""
    (own,) = (known for known in snapshot.runs if known.name == run)
    for other in snapshot.runs:
        there = other.curve.loss[other.curve.tokens == own.curve.tokens[-1]]
        if other.params == own.params and other.name != run and len(there) and own.curve[-1].loss > there[0]:
            return f"above {other.name}"
    return None


vars(finished_before)["needs"] = "curve"  # no law need be fitted for it


SEQUENCE = [make_run(name, final) for name, final in (("c", 3.2), ("a", 3.0), ("d", 3.1), ("b", 2.9), ("e", 3.3))]


@pytest.mark.parametrize("acting", [False, True])
def test_runs_that_train_in_turn_see_those_before_them_in_the_order_of_the_table(acting: bool) -> None:
    made = audit_stops(SEQUENCE, [finished_before], order="in-turn", acting=acting)

    assert {call.run: call.call.reason for call in made.calls} == {"d": "above a", "e": "above c"}
    assert [call.progress for call in made.calls] == [pytest.approx(0.05)] * 2
    timed = [
        replace(run, curve=replace(run.curve, wall_time=1e9 + 100.0 * day + np.arange(20)))
        for day, run in zip((1, 2, 0, 3, 4), SEQUENCE, strict=True)
    ]
    assert {*stopped(audit_stops(timed, [finished_before], order="in-turn"))} == {"c", "e"}
    # where one has no time, the table's order stands
    assert {*stopped(audit_stops([SEQUENCE[0], *timed[1:]], [finished_before], order="in-turn"))} == {"d", "e"}


def test_in_turn_a_run_that_was_stopped_is_seen_by_its_group_as_it_was_and_by_later_groups_as_asked() -> None:
    seen: list[dict[str, tuple[int, bool]]] = []

    def watch(snapshot: Snapshot, _: str) -> None:
        seen.append({run.name: (len(run.curve), run.stopped is not None) for run in snapshot.runs})

    vars(watch)["needs"] = "curve"
    rules = [AtShare(names=("a", "x")), watch]
    for acting, left in ((False, (20, False)), (True, (10, True))):
        seen.clear()
        audit_stops(SWEEP, rules, looks=(0.25, 0.5), order="in-turn", acting=acting)
        assert seen[:3] == [
            {"a": (5, False)},
            {"a": (10, False)},
            {"a": (10, True), "b": (5, False)},
        ]
        assert seen[-1] == {"a": left, "b": (20, False), "c": (20, False), "alone": (20, False),
                            "x": (10, True), "y": (10, False)}  # fmt: skip


@given(FINALS, st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_in_turn_no_run_is_called_for_what_came_after_it(finals: Sequence[float], changed: int) -> None:
    runs = [make_run(f"r{9 - place}", final) for place, final in enumerate(finals)]
    place = changed % len(runs)
    futures = [*runs[:place], *(spoil(run, 0.0) for run in runs[place:])]
    before = [
        {call.run: repr(call.call) for call in audit_stops(each, [finished_before], order="in-turn").calls}
        for each in (runs, futures)
    ]
    for run in runs[:place]:
        assert before[0].get(run.name) == before[1].get(run.name)


def test_how_far_an_audit_has_come_is_told_look_by_look() -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    for order in get_args(GroupOrder):
        audit_stops(SWEEP, [Budget(tokens=1e7)], looks=(0.3, 0.6), order=order, progress=tell)
    assert told == [*((done, 6) for done in range(1, 7)), *((done, 12) for done in range(1, 13))]


def test_a_group_whose_only_kept_runs_have_no_final_is_lost() -> None:
    runs = [make_run("a", 3.0), make_run("crashed", 3.1, seen=0.3), *SWEEP[3:]]
    made = audit_stops(runs, [AtShare(names=("a", "y"))])

    assert [group.runs for group in made.emptied] == [("a", "crashed")]
    assert (made.regret, made.regret_groups, made.scored) == (0.0, 2, 1)


def test_rules_none_looks_none_and_runs_none_are_refused() -> None:
    with pytest.raises(InputError, match="no rule"):
        audit_stops(SWEEP, [])
    with pytest.raises(InputError, match=r"look is 1; it must be a share"):
        audit_stops(SWEEP, [Budget(tokens=1)], looks=[0.5, 1.0])
    with pytest.raises(InputError, match=r"order is 'by name'; it must be one of 'together', 'in-turn'"):
        audit_stops(SWEEP, [Budget(tokens=1)], order="by name")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="no run has an observation"):
        audit_stops([], [Budget(tokens=1)])


def test_a_run_without_a_plan_is_asked_of_what_looks_at_no_progress() -> None:
    runs = [replace(run, card=replace(run.card, horizon=None)) for run in SWEEP[:2]]
    made = audit_stops(runs, [any_of(Budget(tokens=0.5e8), AtShare(names=("a",)))])

    assert stopped(made) == ["a", "b"]
    assert made.compute_saved == pytest.approx(0.5)
    assert all(np.isnan(call.progress) for call in made.calls)


def test_recorded_calls_are_scored_by_the_same_definitions() -> None:
    call = StopCall(rule="watch", reason="late", tokens=0.5e8)
    runs = [
        make_run("kept", 3.0),
        replace(make_run("false", 2.9), calls=(call, replace(call, tokens=0.9e8))),
        replace(make_run("right", 3.2), calls=(call,)),
        replace(make_run("acted", 3.2, seen=0.5), calls=(replace(call, acted=True),)),
    ]
    made = score_calls(runs)

    assert (made.stopped, made.scored, made.false_stops) == (3, 2, 1)
    assert made.regret == pytest.approx(3.0 / 2.9 - 1)
    assert made.compute_saved == pytest.approx(1.0 / 3.5)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "sweep.csv"
    write_table([*SWEEP, make_run(HOSTILE, 3.2, params=1e7)], path)
    return str(path)


def test_the_command_prints_what_the_function_found(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["audit-stops", table, "--rule", "budget", "--set", "tokens=5e7", "--at", "0.25,0.5,.75", "--json"]) == 0
    )
    answer = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)

    assert {"runs", "stopped", "compute_saved", "regret", "false_stops"} <= {*answer}
    assert (answer["runs"], answer["stopped"], answer["false_stops"], answer["regret"]) == (7, 7, 0, None)
    assert answer["compute_saved"] == pytest.approx(0.5)
    assert {call["rule"] for call in answer["calls"]} == {"budget"}
    assert [call["false"] for call in answer["calls"]] == [None] * 7
    assert len(answer["emptied"]) == 3


def test_words_name_what_was_stopped_and_which_groups_were_emptied(
    table: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["audit-stops", table, "--rule", "budget", "--set", "flops=1e15"]) == 0
    shown = capsys.readouterr().out

    assert "budget stops 4 of 7 runs" in shown
    assert "of 2 groups no finished run is kept" in shown
    assert "the regret is not known, as most groups keep none" in shown
    assert "0.00%" not in shown
    assert "10.0M params, 100.0M tokens: " in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not any(token in shown for token in ("None", "nan", "{"))


def test_a_regret_says_of_how_many_groups_it_is(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-stops", table, "--rule", "budget", "--set", "flops=1e16"]) == 0
    shown = capsys.readouterr().out
    assert "of 1 group no finished run is kept" in shown
    assert "the regret is 0.00% over 2 of 3 groups" in shown


def test_the_help_names_the_settings_of_each_rule_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit-stops", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for kind in RULES.values():
        (line,) = (line for line in lines if line.startswith(f"{kind.name}: "))
        said = dict(part.split("=") for part in line.partition(": ")[2].split(", "))
        assert [name.replace("-", "_") for name in said] == [each.name for each in fields(kind)]
        assert make_rule(kind.name, said | ({"tokens": "1"} if kind is Budget else {}))  # as it could be typed


def test_a_sweep_of_one_group_says_that_nothing_had_finished_and_names_the_other_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(SEQUENCE, path := tmp_path / "sweep.csv")
    typed = ["audit-stops", str(path), "--rule", "budget", "--set", "tokens=5e7"]
    assert main(typed) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "--order in-turn" in line)
    assert "none had finished before another" in line
    assert main([*typed, "--order", "in-turn", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["order"] == "in-turn"
    assert main([*typed, "--order", "in-turn"]) == 0
    assert "--order" not in capsys.readouterr().out


REFUSED = {
    "--rule budget": "budget has no limit",
    "--rule budget --set share=1": "budget has no setting 'share'; it has: min_progress, patience, flops",
    "--rule budget --set tokens=many": "budget: tokens is 'many'; give a number, or none",
    "--rule budget --set tokens=1 --set tokens=2": "--set tokens is given twice",
    "--rule budget --rule budget": "--rule budget is given twice",
    "--rule budget --set median.tokens=1": "'median' is none of the rules; they are: budget",
    "--rule median": "invalid choice: 'median'",
    "--rule budget --set tokens": "'tokens' is not of the form",
    "--rule budget --set tokens=1 --at 1": "look is 1; it must be a share of the horizon",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_cannot_be_audited_is_refused_in_one_line(
    table: str, typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: Any = main(["audit-stops", table, *typed.split()])
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err.count("\n") == 1
    assert REFUSED[typed] in printed.err


@dataclass(frozen=True, kw_only=True)
class Aimed(Rule):
    """Ends a run once any target is forecast."""

    width: float = 0.1

    name: ClassVar[str] = "aimed"
    needs: ClassVar[Any] = "forecast"
    needs_target: ClassVar[bool] = True

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        return Verdict("it is forecast", {"width": self.width}) if snapshot.forecast is not None else None


def test_a_rule_that_looks_at_a_forecast_asks_for_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(RULES, "aimed", Aimed)
    write_table(planted_ladder(points=4), path := tmp_path / "ladder.csv")
    rules = ["audit-stops", str(path), "--rule", "aimed", "--rule", "budget", "--at", "0.5", "--json"]
    typed = ["--set", "budget.flops=1e30", "--set", "width=0.25", "--set", "patience=1"]

    assert main([*rules, *typed]) == 2
    assert "aimed looks at a forecast, and none is asked for; give --target" in capsys.readouterr().err
    assert main([*rules, "--set", "nonsense=1"]) == 2
    assert "none of aimed, budget has a setting 'nonsense'" in capsys.readouterr().err
    assert main([*rules, *typed, "--target", "params=1e9,tokens=2e10"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rules"] == ["aimed", "budget"]
    assert answer["stopped"] > 0
    assert {call["evidence"]["width"] for call in answer["calls"]} == {0.25}


def test_looks_are_shares_in_order_and_end_before_a_final() -> None:
    assert list(LOOKS) == sorted(set(LOOKS))
    assert LOOKS[-1] == 0.975
