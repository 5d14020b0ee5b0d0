"""Claims about a run that a line in its card excludes: no answer hears of it, and it is always named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import CARD, only, points, steps

from scaling_callback import pipeline
from scaling_callback.cli import main
from scaling_callback.errors import LadderWarning
from scaling_callback.ladder import Ladder
from scaling_callback.records import Curve, Run, Target
from scaling_callback.replaying import hold_out, replay_own
from scaling_callback.reporting import list_runs, render_html
from scaling_callback.snapshot import Config
from scaling_callback.tables import read_table, write_table
from scaling_callback.testing import planted_ladder

TARGET = Target(params=1e10, tokens=2e11)
CONFIG = Config(replicates=20, target=TARGET, flops=1e21)
LADDER = planted_ladder(seed=1, points=4)
SPOILT = tuple(
    Run(
        replace(run.card, name=f"spoilt-{index}", excluded="its data were <b>shuffled</b> wrongly", note="see the log"),
        Curve.of([replace(seen, loss=seen.loss * 0.7) for seen in run.curve]),
    )
    for index, run in enumerate((LADDER[0], LADDER[-1]))
)
BOTH = (*LADDER, *SPOILT)

ASK: dict[str, Callable[[tuple[Run, ...]], Any]] = {
    "fit": lambda runs: pipeline.fit(runs).params,
    "best of each": lambda runs: pipeline.fit(runs, replace(pipeline.FIT_DEFAULTS, runs="best")).params,
    "forecast": lambda runs: str(pipeline.forecast(runs, TARGET, CONFIG).median),
    "allocate": lambda runs: str(pipeline.allocate(runs, 1e21, CONFIG).params),
    "plan": lambda runs: pipeline.plan(runs, TARGET, 1e20, CONFIG).width_now,
    "compare": lambda runs: pipeline.compare(runs, LADDER, TARGET, CONFIG).pairs,
    "choices": lambda runs: [row.loss for row in pipeline.vary_choices(runs, groups=("loss",)).rows],
    "own finals": lambda runs: [(row.goal, row.median) for row in replay_own(runs, [0.5], CONFIG, forecasters=()).rows],
    "hold out": lambda runs: [goal.run for goal in hold_out(runs, largest=1)[1]],
    "track record": lambda runs: [score.run for score in pipeline.refresh(runs, (), CONFIG).record.scores],
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_an_excluded_run_changes_no_answer(ask: Callable[[tuple[Run, ...]], Any]) -> None:
    held = tuple(replace(run, card=replace(run.card, excluded=None)) for run in SPOILT)

    assert ask(BOTH) == ask(LADDER)
    if ask is not ASK["compare"]:
        assert ask((*LADDER, *held)) != ask(LADDER), "which it would if it were not excluded"


def test_an_excluded_run_is_counted_with_its_reason_and_shown_with_its_note() -> None:
    snapshot = pipeline.refresh(BOTH, (), CONFIG)
    page = render_html(snapshot)

    for left_out in (snapshot.evidence.left_out, pipeline.gather(BOTH).left_out):
        assert left_out["spoilt-1"] == "excluded: its data were <b>shuffled</b> wrongly"
    row = next(row for row in list_runs(snapshot) if row.name == "spoilt-0")
    assert (row.role, row.why) == ("left out", "excluded: its data were <b>shuffled</b> wrongly")
    assert "see the log" in page
    assert "&lt;b&gt;shuffled&lt;/b&gt; wrongly" in page


def test_validate_lists_the_excluded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(BOTH, tmp_path / "ladder.csv")
    runs = {run.name: run.card for run in read_table(tmp_path / "ladder.csv")}
    assert (runs["spoilt-0"].excluded, runs["spoilt-0"].note) == (SPOILT[0].card.excluded, "see the log")
    assert runs[LADDER[0].name].excluded is None

    assert main(["validate", str(tmp_path / "ladder.csv"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["excluded"]) == ["spoilt-0", "spoilt-1"]
    assert main(["validate", str(tmp_path / "ladder.csv")]) == 0
    assert "excluded:\n  spoilt-0: " in capsys.readouterr().out
    assert main(["fit", str(tmp_path / "ladder.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left_out"]["spoilt-0"].startswith("excluded: ")


@pytest.mark.parametrize(
    ("cell", "reason"), [("", None), ("no", None), ("yes", "by its column"), ("a spike", "a spike")]
)
def test_a_column_of_a_table_excludes_with_or_without_words(tmp_path: Path, cell: str, reason: str | None) -> None:
    (tmp_path / "t.csv").write_text(f"run,params,tokens,loss,excluded\na,1e6,1e8,4.0,{cell}\n")

    (run,) = read_table(tmp_path / "t.csv")
    assert run.card.excluded == reason


def edit(path: Path, **lines: Any) -> None:
    """Write lines into a card, as a person with an editor does."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **lines}, indent=2))


def test_a_card_edited_by_hand_is_seen_at_the_next_read_and_a_broken_one_leaves_the_last_good(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD).observe(points(1))
    reader, path = Ladder(tmp_path), tmp_path / "a" / "card.json"
    assert only(reader).card.excluded is None
    edit(path, excluded="the data loader repeated", note="until step 300")
    assert only(reader).card.excluded == "the data loader repeated"

    for broken in ('{"schema": 1, "name": "a",', json.dumps({**json.loads(path.read_text()), "excluded": True})):
        path.write_text(broken)
        with pytest.warns(LadderWarning, match=r"a/card\.json is damaged") as caught:
            assert only(reader).card.note == "until step 300"
        assert len(caught) == 1
        assert steps(only(reader)) == [1], "and warns no second time"
    path.write_text(json.dumps({"schema": 1, "name": "a", "params": 1e6}))
    assert only(reader).card.excluded is None


def test_a_resumed_run_keeps_what_was_written_into_its_card(tmp_path: Path) -> None:
    Ladder(tmp_path).start(CARD).observe(points(1))
    edit(tmp_path / "a" / "card.json", excluded="a spike")
    Ladder(tmp_path).start(CARD, resume=True).observe(points(2))

    assert only(tmp_path).card.excluded == "a spike"


def test_an_excluded_run_of_another_recipe_or_loss_is_no_trouble(tmp_path: Path) -> None:
    Ladder(tmp_path).start(replace(CARD, recipe={"data": "c4"}, loss_kind="val"))
    odd = replace(CARD, name="b", recipe={"data": "pile"}, loss_kind="train", excluded="another recipe")
    Ladder(tmp_path).start(odd)

    assert [run.name for run in Ladder(tmp_path).runs()] == ["a", "b"]  # every warning is an error here
