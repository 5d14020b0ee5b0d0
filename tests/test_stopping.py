"""Stopping rules: pure, patient, and refused where they cannot mean what is asked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_callback import Config, Target, refresh
from scaling_callback.curves import Abstention, FinalForecast
from scaling_callback.errors import InputError
from scaling_callback.forecasting import MEMBERS, fit_runs
from scaling_callback.planning import expect_finishing
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.replaying import sort_runs
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import (
    RULES,
    AnyRule,
    Budget,
    Converged,
    Dominated,
    Rule,
    Streak,
    Verdict,
    all_of,
    any_of,
    check_rules,
    decide,
    find_needs,
    make_rule,
    patient,
)
from scaling_callback.testing import planted_ladder

GIVEN: dict[str, dict[str, Any]] = {"budget": {"tokens": 1e9}}
"""What a rule cannot be made without."""

TARGET = Target(params=1e10, tokens=2e11)
NOTHING = refresh((), (), Config(fits=False))


def make(name: str, **settings: Any) -> Rule:
    return RULES[name](**{**GIVEN.get(name, {}), **settings})


def look(run: Run) -> Snapshot:
    return replace(NOTHING, runs=(run,))


def own_rule(said: Any = "enough", **attributes: Any) -> AnyRule:
    """A rule of a user's own, that says one thing of every run."""

    def own(snapshot: Snapshot, run: str) -> Any:  # noqa: ARG001 - a rule's parameters
        return said

    vars(own).update(attributes)
    return own


def record(count: int, horizon: float | None = 10e6, name: str = "a") -> Run:
    """A run of so many observations, a million tokens and an hour apart."""
    seen = [Observation(1e6 * i, 4.0 - 0.1 * i, wall_time=3600.0 * i) for i in range(1, count + 1)]
    return Run(RunCard(name=name, params=1e6, horizon=horizon, schedule="cosine"), Curve.of(seen))


@cache
def known() -> tuple[Snapshot, str]:
    """A ladder that tells its target well, and its last run half way."""
    *done, last = sort_runs(planted_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 1e9), noise=0.001, seed=1))
    assert last.horizon is not None
    config = Config(target=TARGET, splits=False, replicates=50)
    return refresh([*done, last.until(0.5 * last.horizon)], (), config), last.name


def ask(**changes: Any) -> Verdict | None:
    """What `Converged` says of that run, with something else known."""
    snapshot, name = known()
    return Converged()(replace(snapshot, **changes), name)


# --- every rule that there is ---

SETTINGS = [(name, field.name) for name, kind in RULES.items() for field in fields(kind)]


@pytest.mark.parametrize("value", [math.nan, -1.0, -math.inf, "0.1", True, [0.1]], ids=repr)
@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_a_setting_that_is_no_number_of_its_kind_is_refused_in_one_line(name: str, setting: str, value: object) -> None:
    with pytest.raises(InputError) as refused:
        make(name, **{setting: value})
    said = str(refused.value)
    assert "\n" not in said
    assert name in said
    assert setting in said


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "settings", [{"patience": 0}, {"patience": 1.5}, {"patience": math.inf}, {"min_progress": 1.0}]
)
def test_patience_is_a_count_and_progress_a_share(name: str, settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^{name}: {next(iter(settings))} is "):
        make(name, **settings)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_nothing_of_a_run_that_is_unknown_unseen_or_at_its_end(name: str) -> None:
    rule = make(name)
    snapshot, _ = known()
    unseen = Run(RunCard(name="unseen", params=1e8, horizon=1e9, schedule="cosine"), Curve.of([]))
    asked = replace(snapshot, runs=(*snapshot.runs, unseen))
    assert [rule(asked, run) for run in ("nobody", "unseen", snapshot.runs[0].name)] == [None] * 3


@pytest.mark.parametrize("name", RULES)
def test_the_same_snapshot_gets_the_same_verdict_however_often_it_is_asked(name: str) -> None:
    snapshot, run = known()
    rule, same = make(name), make(name)
    said = [rule(snapshot, run) for _ in range(3)]
    assert said[0] == said[1] == said[2] == same(snapshot, run)
    assert rule == same


@pytest.mark.parametrize("name", RULES)
def test_a_verdict_is_one_line_with_finite_numbers(name: str) -> None:
    snapshot, run = known()
    found = next(known for known in snapshot.runs if known.name == run)
    broken = replace(found, curve=replace(found.curve, loss=np.where(found.curve.tokens > 8e9, np.nan, 1.5)))
    for looked_at in (snapshot, replace(snapshot, runs=(*snapshot.runs[:-1], broken))):
        verdict = make(name, patience=1)(looked_at, run)
        if verdict is not None:
            assert "\n" not in verdict.reason
            assert all(map(math.isfinite, verdict.evidence.values()))
            json.dumps(dict(verdict.evidence), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("nobody", {}, "there is no rule 'nobody'; choose one of: converged"),
        ("budget", {}, "budget has no limit"),
        ("budget", {"token": "1e9"}, "budget has no setting 'token'; it has: "),
        ("budget", {"tokens": "many"}, "budget: tokens is 'many'; give a number"),
        ("budget", {"hours": "0"}, "budget: hours is 0; it must be a positive"),
        ("converged", {"width": "2"}, "converged: width is 2; it must be a share between 0 and 1"),
        ("converged", {"width": "none"}, "converged: width is None"),
        ("converged", {"gain": "0"}, "converged: gain is 0"),
        ("converged", {"gain": "1"}, "converged: gain is 1"),
    ],
)
def test_what_is_typed_wrongly_is_refused(name: str, settings: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as refused:
        make_rule(name, settings)
    assert str(refused.value).startswith(words)


# --- what cannot work together ---


@pytest.mark.parametrize(
    ("rules", "config", "words"),
    [
        ("budget", Config(), "rules is 'budget'; it must be a list"),
        (Budget(tokens=1e9), Config(), "it must be a list of rules"),
        (["budget"], Config(), "rules holds the text 'budget'; give a rule, by its name make_rule('budget')"),
        ([Converged], Config(target=TARGET), "rules holds the class Converged; give a rule of it: Converged(...)"),
        ([any_of(cast("AnyRule", Converged))], Config(target=TARGET), "rules holds the class Converged"),
        ([3], Config(), "rules holds 3; give rules"),
        ([None], Config(), "rules holds None; give rules"),
        ([Budget(tokens=1e9), Budget(hours=2)], Config(), "rules holds budget twice; give one, or any_of("),
        ([Budget(tokens=1e9), Budget(tokens=1e9)], Config(), "rules holds budget twice; leave one out"),
        ([own_rule(patience="two")], Config(), "own: patience is 'two'; it must be a count of refits, 1 or more"),
        ([any_of(own_rule(patience=0))], Config(), "own: patience is 0"),
        ([own_rule(needs="curves")], Config(), "own: needs is 'curves'; it must be one of curve, finals, forecast"),
        ([Converged()], Config(), "converged needs a target"),
        ([patient(all_of(Budget(tokens=1), Converged()), 2)], Config(), "converged needs a target"),
        ([Converged()], Config(target=TARGET, fits=False), "converged looks at the law, and fits is False"),
        ([Converged()], Config(target=TARGET, replicates=0), "converged looks at the target's interval"),
        ([Converged()], Config(target=TARGET, past=False), "converged looks at what was forecast before"),
    ],
)
def test_rules_that_cannot_speak_are_refused_in_one_line(rules: Any, config: Config, words: str) -> None:
    with pytest.raises(InputError) as refused:
        check_rules(rules, config)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rules_that_can_are_given_back() -> None:
    own: AnyRule = lambda snapshot, run: None  # noqa: E731, ARG005 - a rule of a user's own
    either = any_of(Budget(tokens=1e9), Budget(hours=2))
    for rules in ([], [own, own], [Budget(tokens=1e9), either], (Converged(), Budget(hours=1))):
        assert check_rules(rules, Config(target=TARGET)) == tuple(rules)


@pytest.mark.parametrize("combine", [any_of, all_of])
@pytest.mark.parametrize("parts", [(), (3,), ("budget",)])
def test_a_combination_of_nothing_or_of_no_rules_is_refused(combine: Callable[..., object], parts: Any) -> None:
    with pytest.raises(InputError, match="give rules"):
        combine(*parts)


@pytest.mark.parametrize("refits", [0, -1, 1.5, True, "2", math.nan])
def test_a_patience_that_is_no_count_is_refused(refits: Any) -> None:
    with pytest.raises(InputError, match="patient: refits is "):
        patient(Budget(tokens=1), refits)


# --- patience, look after look ---


def follow(rule: AnyRule, tokens: Sequence[int], *, through_json: bool = False) -> list[bool]:
    """Whether a run is stopped at each look, after so many of its observations."""
    streaks: dict[str, Streak] = {}
    said: list[bool] = []
    for count in tokens:
        decision, streaks = decide([rule], look(record(count)), "a", streaks)
        if through_json:
            streaks = {place: Streak(*held) for place, held in json.loads(json.dumps(streaks)).items()}
        said.append(decision.stop)
    return said


def when(*counts: int) -> AnyRule:
    """A rule that speaks after so many observations."""
    return lambda snapshot, run: f"{run} is there" if len(snapshot.runs[0].curve) in counts else None


@pytest.mark.parametrize("through_json", [False, True])
@pytest.mark.parametrize(
    ("speaks", "looks", "stops"),
    [
        ((1, 2, 3), (1, 2, 3, 4), (False, True, True, False)),
        ((1, 3, 4), (1, 2, 3, 4), (False, False, False, True)),  # a broken streak begins anew
        ((1, 2), (1, 1, 1, 2), (False, False, False, True)),  # the same observations once more prove nothing
        ((3, 1), (3, 1), (False, False)),  # nor do those before a resumption
        ((1, 2), (1, 2, 2), (False, True, True)),  # and take nothing back
    ],
)
def test_a_patient_rule_wants_new_observations_in_a_row(
    speaks: tuple[int, ...], looks: tuple[int, ...], stops: tuple[bool, ...], *, through_json: bool
) -> None:
    assert tuple(follow(patient(when(*speaks), 2), looks, through_json=through_json)) == stops


@given(st.lists(st.booleans(), max_size=9), st.integers(1, 4))
def test_a_run_is_stopped_exactly_after_as_many_calls_in_a_row_as_there_is_patience(
    calls: list[bool], refits: int
) -> None:
    speaks = [count for count, called in enumerate(calls, 1) if called]
    expected = [index + 1 >= refits and all(calls[index + 1 - refits : index + 1]) for index in range(len(calls))]
    assert follow(patient(when(*speaks), refits), range(1, len(calls) + 1)) == expected


def test_each_part_of_a_combination_keeps_its_own_patience() -> None:
    slow, quick = patient(when(1, 2, 3, 4), 3), when(2, 4)
    assert follow(any_of(slow, quick), (1, 2, 3, 4)) == [False, True, True, True]
    assert follow(all_of(slow, quick), (1, 2, 3, 4)) == [False, False, False, True]
    assert follow(patient(all_of(slow, when(3, 4)), 2), (1, 2, 3, 4)) == [False, False, False, True]


def test_rules_of_one_list_do_not_share_a_streak() -> None:
    rules = [patient(when(1), 2), patient(when(2), 2)]
    streaks: dict[str, Streak] = {}
    for count in (1, 2):
        decision, streaks = decide(rules, look(record(count)), "a", streaks)
        assert not decision.stop


def test_a_rule_that_is_not_asked_keeps_its_streaks_and_calls_for_nothing() -> None:
    rules = [patient(when(1, 3), 2), any_of(patient(when(1, 3, 4), 2)), when(1, 2)]
    _, streaks = decide(rules, look(record(1)), "a")
    decision, after = decide(rules, look(record(2)), "a", streaks, asked=lambda rule: rule is rules[2])
    assert [call.tokens for call in decision.calls] == [2e6]
    assert after == {**streaks, "2": Streak(2, 2e6)}
    decision, _ = decide(rules, look(record(3)), "a", after)
    assert [call.tokens for call in decision.calls] == [3e6, 3e6]


@pytest.mark.parametrize(
    "broken",
    [own_rule(Verdict("said", cast("Any", 5))), own_rule(patience="two"), own_rule(patience=None)],
)
def test_a_rule_of_ones_own_that_says_what_nobody_can_costs_itself_alone(broken: AnyRule) -> None:
    said: list[str] = []

    def attempt(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except InputError as error:
            said.append(str(error))

    decision, streaks = decide([broken, Budget(tokens=1)], look(record(1)), "a", attempt=attempt)
    assert ([call.rule for call in decision.calls], [*streaks]) == (["budget"], ["1"])
    assert len(said) == 1
    assert said[0].startswith(("own: evidence is 5", "own: patience is "))


def test_what_a_rule_says_is_kept_as_far_as_it_can_be() -> None:
    evidence: Any = {"a": "1.5", 2: np.float32(2), "text": "x", "none": math.nan, "list": [1]}
    odd: Any = own_rule(Verdict(cast("Any", ["r"] * 1000), evidence))
    decision, _ = decide([odd, odd], look(record(1)), "a")
    assert [call.rule for call in decision.calls] == ["own", "own 2"]
    assert dict(decision.calls[0].evidence) == {"a": 1.5, "2": 2.0}
    assert len(decision.calls[0].reason) == 1000


def test_what_a_combination_needs_is_what_its_most_demanding_part_does() -> None:
    quick, slow, own = Budget(tokens=1), Dominated(), own_rule()
    asked = [quick, own_rule(needs="curve"), any_of(quick), any_of(quick, slow), patient(all_of(slow, quick), 2), own]
    assert [find_needs(rule) for rule in asked] == ["curve", "curve", "curve", "finals", "finals", "forecast"]
    assert find_needs(any_of(quick, own)) == "forecast"


def test_deciding_changes_nothing_that_it_is_given() -> None:
    before = {"0": Streak(1, 1e6)}
    decide([patient(when(2), 2)], look(record(2)), "a", before)
    assert before == {"0": Streak(1, 1e6)}


def test_a_rule_waits_for_its_minimum_progress_where_there_is_a_horizon() -> None:
    rule = Budget(tokens=1, min_progress=0.3)
    assert [rule(look(record(count)), "a") is not None for count in (1, 2, 3, 4)] == [False, False, True, True]
    assert rule(look(record(1, horizon=None)), "a") is not None


# --- a budget ---


@pytest.mark.parametrize(
    ("limits", "first", "words"),
    [
        ({"tokens": 3e6}, 3, "it has spent 3M tokens, of 3M that it may"),
        ({"flops": 2.4e13}, 4, "it has spent 2.40e13 FLOPs, of 2.40e13 that it may"),
        ({"hours": 1.5}, 3, "it has spent 2 hours, of 1.5 that it may"),
        ({"tokens": 9e6, "hours": 1.0}, 2, "it has spent 1 hours, of 1 that it may"),
    ],
)
def test_a_budget_ends_a_run_at_the_limit_that_comes_first(limits: dict[str, Any], first: int, words: str) -> None:
    said = [Budget(**limits)(look(record(count)), "a") for count in range(1, 8)]
    assert [verdict is not None for verdict in said] == [count >= first for count in range(1, 8)]
    assert next(verdict.reason for verdict in said if verdict) == words


def clocked(*hours: float) -> Run:
    seen = [Observation(1e6 * i, 3.0, wall_time=3600.0 * hour) for i, hour in enumerate(hours, 1)]
    return Run(RunCard(name="a", params=1e6, horizon=1e9), Curve.of(seen))


@pytest.mark.parametrize(
    ("hours", "spent"),
    [
        ((0, 1, 2, 3, 4), 4.0),
        ((0, 1, 2, 50, 51, 52), 5.0),  # it waited two days to be resumed
        ((0, 1, 2, 50, 51, 100, 101), 6.0),  # and once more
        ((0, 1, 2, 6, 7), 7.0),  # a slow hour is training
        ((100, 101, 102, 3, 4, 5), 5.0),  # another machine's clock is behind
        ((0, 1, math.nan, 3, 4), 4.0),
        ((5,), 0.0),
        ((math.nan, math.nan), 0.0),
    ],
)
def test_hours_count_training_and_no_waiting(hours: tuple[float, ...], spent: float) -> None:
    run = clocked(*hours)
    verdict = Budget(hours=0.5)(look(run), "a")
    assert (0.0 if verdict is None else verdict.evidence["spent_hours"]) == pytest.approx(spent)


# --- a target that is known ---


def test_a_run_ends_where_the_target_is_known_as_well_as_asked_and_it_would_not_tell_more() -> None:
    verdict = ask()
    assert verdict is not None
    assert verdict.evidence["width"] < 0.05
    assert verdict.evidence["gain"] < 0.1
    assert "less than 10.0%" in verdict.reason


def test_a_run_goes_on_where_the_interval_is_wider_than_asked() -> None:
    snapshot, run = known()
    forecast = snapshot.forecast
    assert forecast is not None
    width = (forecast.upper - forecast.lower) / forecast.median
    assert Converged(width=width * 1.001)(snapshot, run) is not None
    assert Converged(width=width * 0.999)(snapshot, run) is None


def test_a_run_goes_on_while_it_would_tell_more() -> None:
    snapshot, run = known()
    made = snapshot.finals[run]
    assert isinstance(made, FinalForecast)
    vague = replace(made, spread=0.1 * made.median)
    assert ask(finals={**snapshot.finals, run: vague}) is None
    assert ask(finals={**snapshot.finals, run: Abstention("too_early", "nothing is known of it")}) is None


@pytest.mark.parametrize("doubt", ["too_few_runs", "far_extrapolation", "record_below_level", "not_converged_joint"])
def test_a_doubted_forecast_ends_nothing(doubt: str) -> None:
    forecast = known()[0].forecast
    assert forecast is not None
    assert ask(forecast=replace(forecast, warnings={doubt: "why"})) is None
    assert ask(forecast=replace(forecast, warnings={"exponent_unidentified": "it is in the draws"})) is not None


def test_a_forecast_that_has_not_held_ends_nothing() -> None:
    past = known()[0].past
    missed = tuple(replace(one, lower=one.upper, upper=one.upper * 1.1) for one in past)
    assert ask(past=missed) is None
    assert ask(past=()) is None
    assert ask(past=tuple(one for one in past if one.runs < 12)) is None
    assert ask(past=tuple(one for one in past if one.runs >= 12)) is not None
    issued = tuple(replace(one, kind="issued") for one in past)
    assert ask(past=issued) is None


def test_a_forecast_from_nearly_as_much_compute_is_no_test_of_it() -> None:
    snapshot, _ = known()
    spent = math.fsum(run.flops_per_token * float(run.curve.tokens[-1]) for run in snapshot.runs)
    last = snapshot.past[-1]
    assert ask(past=(replace(last, compute=0.26 * spent),)) is None
    assert ask(past=(replace(last, compute=0.24 * spent),)) is not None


@pytest.mark.parametrize("change", [{"held_out": True}, {"horizon": None}, {"schedule": "constant"}])
def test_runs_that_are_not_trained_for_their_final_go_on(change: dict[str, object]) -> None:
    snapshot, name = known()
    *others, run = snapshot.runs
    assert run.name == name
    assert ask(runs=(*others, replace(run, card=replace(run.card, **change)))) is None


def test_without_a_forecast_or_a_law_behind_it_nothing_ends() -> None:
    assert ask(forecast=None) is None
    assert ask(members={}) is None


def test_the_less_is_known_of_a_run_and_the_nearer_it_is_the_more_it_would_tell() -> None:
    runs = tuple(planted_ladder())
    fit = fit_runs(runs, tuple(run.name for run in runs), MEMBERS[0], 20, 0)
    places = [(run.params, run.horizon or 0.0) for run in runs]
    goal = (1e10, 2e11)

    def expect(place: tuple[float, float], spread: float, coming: Sequence[Any] = ()) -> float:
        return expect_finishing(fit, goal, place, spread, known=places, coming=coming)

    near = [expect((1e9, 2e10), spread) for spread in (0.0, 0.002, 0.02, math.inf)]
    assert near == sorted(near)
    assert near[0] == 0.0
    assert expect((3e7, 6e8), math.inf) < near[-1] < 1.0
    # its twin is as good as known
    assert expect((1e9, 2e10), math.inf, [((1e9, 2e10), 0.0)]) < near[-1] / 2
