"""Claims about the recommendations as checks: each can pass, fail and not apply."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from scaling_callback.fitting import Borrowed
from scaling_callback.pipeline import refresh
from scaling_callback.records import Run, Target
from scaling_callback.reporting import Recommendation, check_recommendations
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.testing import planted_ladder

FIVE = (1e7, 3e7, 1e8, 3e8, 6e8)
TARGET = Target(params=6e8, tokens=4.8e10)
CONFIG = Config(target=TARGET, replicates=0)


@cache
def ladder(sizes: tuple[float, ...] = FIVE, ratios: tuple[float, ...] = (5.0, 20.0)) -> tuple[Run, ...]:
    return planted_ladder(sizes=sizes, ratios=ratios, seed=1)


def seeded(count: int, sizes: tuple[float, ...] = (1e7, 1e8)) -> list[Run]:
    """Runs of these sizes, each with so many seeds."""
    return [
        Run(replace(run.card, name=f"{run.name}-{seed}", seed=str(seed)), run.curve, completed=True)
        for run in ladder(sizes, (20.0,))
        for seed in range(count)
    ]


def swept() -> list[Run]:
    """The same runs at another learning rate."""
    return [Run(replace(run.card, name=f"{run.name}-hot", peak_lr=1.0), run.curve) for run in ladder()]


def target_run(share: float, *, held_out: bool = False) -> Run:
    (run,) = planted_ladder(sizes=(6e8,), ratios=(80.0,), points=20)
    return Run(replace(run.card, held_out=held_out), run.curve).until(share * 4.8e10)


def ask(runs: Any, config: Config = CONFIG) -> Snapshot:
    return refresh(runs, (), config)


BORROWED = Borrowed.published("besiroglu", "A", "alpha")

CASES: dict[str, dict[str, Any]] = {
    "five_sizes": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(ladder(FIVE[:4])),
        "not applicable": lambda: ask(()),
    },
    "sizes_over_seeds": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(seeded(3), replace(CONFIG, runs="best")),
        "not applicable": lambda: ask(()),
    },
    "checkpoints": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(ladder(), replace(CONFIG, evidence="finals")),
        "not applicable": lambda: ask(ladder()[:2]),
    },
    "earliest_dropped": {
        "pass": lambda: ask(ladder(), replace(CONFIG, evidence="intermediate")),
        "not applicable": lambda: ask(ladder(), replace(CONFIG, evidence="finals")),
    },
    "expected_error": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(ladder()[:3]),
        "not applicable": lambda: ask(ladder(), Config(replicates=0)),
    },
    "baselines": {"pass": lambda: ask(ladder()), "not applicable": lambda: ask(())},
    "target_third": {
        "pass": lambda: ask([*ladder(), target_run(0.5)]),
        "fail": lambda: ask([*ladder(), target_run(0.2)]),
        "not applicable": lambda: ask(ladder()),
    },
    "no_pruning": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(seeded(2, FIVE), replace(CONFIG, runs="best")),
        "not applicable": lambda: ask((*ladder(), *swept()), replace(CONFIG, runs="best")),
    },
    "few_parameters": {
        "pass": lambda: ask(ladder()),
        "fail": lambda: ask(ladder(FIVE[:2]), replace(CONFIG, prior=False)),
        "not applicable": lambda: ask(()),
    },
    "borrow_for_one": {
        "pass": lambda: ask(ladder()[:1], replace(CONFIG, borrowed=BORROWED)),
        "fail": lambda: ask(ladder()[:1]),
        "not applicable": lambda: ask(ladder()),
    },
}


@pytest.mark.parametrize(("name", "outcome"), [(name, outcome) for name, cases in CASES.items() for outcome in cases])
def test_a_check_says_what_was_followed_what_not_and_what_does_not_apply(name: str, outcome: str) -> None:
    found = {check.name: check for check in check_recommendations(CASES[name][outcome]())}[name]
    assert found.outcome == outcome, found.sentence
    assert found.figure
    assert found.sentence.endswith(".")
    assert found.source


def test_every_recommendation_is_checked_in_its_order() -> None:
    assert [check.name for check in check_recommendations(ask(ladder()))] == list(CASES)


def test_a_finished_run_that_is_left_out_without_a_word_on_its_schedule_fails_the_check() -> None:
    made = ask(ladder())
    name = made.runs[0].name
    pruned = replace(made, evidence=replace(made.evidence, left_out={name: "far from the law"}))
    found = {check.name: check for check in check_recommendations(pruned)}["no_pruning"]
    assert (found.outcome, found.figure) == ("fail", "1 of 10 runs")


def find(name: str, snapshot: Snapshot) -> Recommendation:
    return {check.name: check for check in check_recommendations(snapshot)}[name]


def test_a_run_of_the_target_that_the_forecast_never_saw_is_no_third_of_it() -> None:
    found = find("target_third", ask([*ladder(), target_run(1.0, held_out=True)]))
    assert (found.outcome, found.figure) == ("not applicable", "held out")
    both = [*ladder(), target_run(1.0, held_out=True), target_run(0.2)]
    both[-1] = Run(replace(both[-1].card, name="again"), both[-1].curve)
    assert find("target_third", ask(both)).outcome == "fail"


def test_a_record_of_a_few_scores_tells_no_error_to_expect() -> None:
    for runs, outcome in ((4, "not applicable"), (7, "not applicable"), (8, "pass")):
        made = ask(ladder()[:runs])
        assert (len(made.record.scores), find("expected_error", made).outcome) == (runs - 3, outcome)


def test_a_prior_is_no_data_that_carries_parameters() -> None:
    for runs, outcome in ((4, "fail"), (5, "pass")):
        found = find("few_parameters", ask(ladder()[:runs]))
        assert (found.outcome, found.figure) == (outcome, f"{runs} runs, 5 parameters")
        assert "2 terms of a prior steady it, which are no data" in found.sentence
        assert "combines have 10 and 9 parameters" in found.sentence
    alone = find("few_parameters", ask(ladder()[:5], replace(CONFIG, prior=False)))
    assert "prior" not in alone.sentence
    assert "combines" not in alone.sentence


def test_runs_that_are_set_aside_for_their_loss_are_told_with_their_number() -> None:
    for runs, aside in (((*ladder(), *swept()), "10 of 20 runs"), (seeded(2, FIVE), "5 of 10 runs")):
        made = ask(runs, replace(CONFIG, runs="best"))
        found = find("no_pruning", made)
        assert found.figure == aside
        assert f"{aside} are set aside" in found.sentence


def test_a_forecast_without_baselines_fails_the_check() -> None:
    made = ask(ladder())
    assert made.forecast is not None
    bare = replace(made, forecast=replace(made.forecast, baselines={}))
    assert {check.name: check for check in check_recommendations(bare)}["baselines"].outcome == "fail"
