"""The study of choices: rows are judged beside published values, and a table not at hand leaves its part out."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scaling_callback.laws import get_law
from scaling_callback.reporting import read_form
from scaling_callback.testing import planted_ladder

STUDIES = Path(__file__).parents[1] / "examples" / "studies"

TABLE = "planted"

TRUTH = {"E": "1.80", "alpha": ".35", "beta": ".37"}


@pytest.fixture(scope="module")
def study() -> Iterator[dict[str, ModuleType]]:
    """The modules of the study, by the names that they use among themselves; no other test sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDIES))
        names = ("checking", "claims", "commands", "explaining", "ladders", "measuring", "published", "rows")
        yield {name: importlib.import_module(f"choices.{name}") for name in names} | {
            "page": importlib.import_module("misfitting")
        }
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(f"{STUDIES}/"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def measured(study: dict[str, ModuleType]) -> Any:
    """What is measured of a planted ladder, without intervals."""
    runs = planted_ladder(noise=0.0)
    ladder = study["ladders"].Ladder("planted ladder", TABLE, "a planted law")
    measuring = study["measuring"]
    task = study["ladders"].hold_out(runs, study["ladders"].base_choice(ladder).select)
    ahead = measuring.vary(ladder, task.runs, target=task.target, replicates=0)
    starts = measuring.search_starts(measuring.base_points(ladder, runs), [(5, 5, 0, 0.5, 0.5), (0, 0, 0, 0, 0)])
    beside = measuring.look_beside(ladder, runs)
    return measuring.Measured(ladder, measuring.vary(ladder, runs, replicates=0), ahead, task, beside, starts)


def publish(
    study: dict[str, ModuleType], patch: pytest.MonkeyPatch, values: dict[str, str], choice: str, **more: bool
) -> None:
    published = study["published"]
    patch.setitem(published.PUBLISHED, TABLE, (published.Published("planted law", choice, values, **more),))


def test_a_row_that_has_its_published_values_is_met(
    study: dict[str, ModuleType], measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(study, monkeypatch, TRUTH, "as asked")
    assert study["rows"].count_met({TABLE: measured}) == {"met": 1}
    assert study["rows"].list_differing(measured) == ""
    assert "| met |" in study["rows"].table_published(measured)


def test_a_row_that_a_start_was_looked_for_to_meet_is_met_by_choice_and_one_that_explains_is_not_counted(
    study: dict[str, ModuleType], measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(study, monkeypatch, TRUTH, "as asked", chosen=True)
    assert study["rows"].count_met({TABLE: measured}) == {"met by choice": 1}
    publish(study, monkeypatch, TRUTH, "as asked", counted=False)
    assert not study["rows"].count_met({TABLE: measured})


def test_a_row_whose_published_value_is_another_differs_and_is_named(
    study: dict[str, ModuleType], measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(study, monkeypatch, TRUTH | {"alpha": ".50"}, "as asked")
    assert study["rows"].count_met({TABLE: measured}) == {"**differs**": 1}
    assert "**differs**: alpha" in study["rows"].table_published(measured)
    assert "alpha is 0.350, not .50" in study["rows"].list_differing(measured)


def test_a_published_row_that_the_ladder_does_not_carry_is_not_met(
    study: dict[str, ModuleType], measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(study, monkeypatch, TRUTH, "learning rate 0.001")
    assert study["rows"].count_met({TABLE: measured}) == {"not made": 1}
    assert "was not made" in study["rows"].list_differing(measured)


def test_why_a_row_differs_is_told_by_the_objective_at_the_published_values(study: dict[str, ModuleType]) -> None:
    runs, explain = planted_ladder(noise=0.003), study["explaining"].explain
    base = study["ladders"].base_choice(study["ladders"].Ladder("planted ladder", TABLE, ""))
    at = {"E": "1.80", "alpha": ".35", "beta": ".37"}, {"E": "1.80", "alpha": ".70", "beta": ".37"}
    near, far = (explain(study["published"].Published("", "", values), base, runs) for values in at)
    assert above(near) < 50 < above(far)


def test_a_range_is_held_at_the_end_nearer_to_what_was_found_and_a_tied_row_by_its_own_parameters(
    study: dict[str, ModuleType],
) -> None:
    runs, explain, published = planted_ladder(noise=0.003), study["explaining"].explain, study["published"].Published
    base = study["ladders"].base_choice(study["ladders"].Ladder("planted ladder", TABLE, ""))
    outside = explain(published("", "", {"E": "1.7-2.5", "alpha": ".50-.60"}), base, runs)
    assert outside.startswith("with alpha at 0.5, the nearer end of the published range,")
    tied = replace(base, law=get_law("chinchilla-tied"))
    assert "the published E 1.8, alpha 0.5" in explain(published("", "", TRUTH | {"alpha": ".50"}), tied, runs)


def test_a_row_whose_interval_does_not_reach_that_of_what_was_asked_misses_it(
    study: dict[str, ModuleType], measured: Any
) -> None:
    base = measured.panel.rows[0]
    near, far, bare = (replace(base, intervals=ends) for ends in (bound(15, 25), bound(31, 40), {}))
    asked = replace(base, intervals=bound(10, 30))
    assert [study["claims"].misses(row, asked) for row in (near, far, bare)] == [False, True, False]


def bound(low: float, high: float) -> dict[str, tuple[float, float]]:
    return {"tokens_per_param": (low, high)}


def above(sentence: str) -> float:
    return float(sentence.split("points is ")[1].split("%", maxsplit=1)[0])


def test_the_largest_size_is_forecast_from_the_others_and_compared_with_what_was_measured(
    study: dict[str, ModuleType], measured: Any
) -> None:
    assert max(run.params for run in measured.task.runs) < measured.task.target.params == 3e8
    # the planted law has no noise
    assert study["measuring"].error_of(measured.ahead.rows[0], measured.task) == pytest.approx(0, abs=1e-4)


def test_a_table_that_is_not_at_hand_leaves_its_part_out_and_is_named(
    study: dict[str, ModuleType], measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladders = (measured.ladder, *study["ladders"].LADDERS)
    monkeypatch.setattr(study["page"], "LADDERS", ladders)
    monkeypatch.setitem(study["commands"].COMMANDS, TABLE, ())
    told = study["checking"].ask_default(measured.ladder, planted_ladder(noise=0.0))
    made: dict[str, dict[str, Any]] = {TABLE: {"default": told, "command": {"sensitivity": {"rows": []}}}}
    parts = study["page"].list_parts({TABLE: measured}, made)
    missing = "Not at hand, and left out: (Mis)Fitting ladder, Chinchilla reconstruction, OLMo ladder."
    assert missing in parts
    titles = [part for part in parts if isinstance(part, str) and part.startswith("## ")]
    assert "## planted ladder" in titles
    assert not any("Chinchilla" in title for title in titles)


def test_the_card_of_the_ladder_is_there_and_has_answers(study: dict[str, ModuleType]) -> None:
    card = study["checking"].CARD
    assert any(read_form(card.read_bytes(), card.name).values())


def test_without_any_table_the_study_says_so(
    study: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["misfitting.py", "--data", str(tmp_path)])
    with pytest.raises(SystemExit):
        study["page"].main()
    said = capsys.readouterr().err
    assert "misfitting.csv, chinchilla_epoch.csv, olmo_ladder.csv" in said
    assert "name a folder with --data" in said
