"""Claims about importing from W&B: its own client talks to a stand-in of its service on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from wandb_api import KEY, StoredRun, WandbApi

from scaling_callback import Ladder
from scaling_callback.cli import main
from scaling_callback.errors import InputError
from scaling_callback.importing import Keys, import_runs, read_wandb
from scaling_callback.records import Run
from scaling_callback.testing import planted_ladder

PLACE = "me/ladder"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WandbApi]:
    """One service for all tests: the client's own process begins once."""
    wandb = pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("wandb")
    with WandbApi() as service, pytest.MonkeyPatch.context() as patch:
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR"):
            patch.setenv(f"WANDB_{name}", str(folder))
        for name, value in {"BASE_URL": service.url, "API_KEY": KEY, "SILENT": "true"}.items():
            patch.setenv(f"WANDB_{name}", value)
        wandb.teardown()
        yield service
        wandb.teardown()


@pytest.fixture
def api(service: WandbApi) -> WandbApi:
    service.forget()
    return service


def store(run: Run, **changes: Any) -> StoredRun:
    rows = [{"val/loss": o.loss, "tokens": o.tokens, "trainer/global_step": o.step, "lr": o.lr} for o in run.curve]
    config = {"model": {"n_params": run.params}, "total_tokens": run.horizon, "schedule": "cosine"}
    stored = StoredRun(run.name, run.name, rows, config, summary={"val/loss": rows[-1]["val/loss"]})
    for name, value in changes.items():
        setattr(stored, name, value)
    return stored


def bring(ladder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """What the command answers."""
    status = main(["import-wandb", PLACE, "--output", str(ladder), "--json", *options])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return json.loads(printed.out)


def refused(ladder: Path, capsys: pytest.CaptureFixture[str], *options: str, place: str = PLACE) -> str:
    assert main(["import-wandb", place, "--output", str(ladder), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


def test_an_import_loses_and_invents_no_observation_whether_rows_are_live_or_exported(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = planted_ladder(points=12)
    api.projects[PLACE] = [store(run, exported=(0, 5, 12)[index % 3]) for index, run in enumerate(planted)]

    made = bring(tmp_path / "ladder", capsys)

    assert (made["runs"], made["observations"], made["left_out"]) == (12, 144, {})
    assert made["keys"]["params"] == "model.n_params"
    runs = {run.name: run for run in Ladder(tmp_path / "ladder").runs()}
    for run in planted:
        got = runs[run.name]
        for column in ("tokens", "loss", "step", "lr"):
            np.testing.assert_array_equal(getattr(got.curve, column), getattr(run.curve, column))
        assert (got.params, got.horizon, got.card.schedule, got.final.loss) == (
            run.params, run.horizon, "cosine", run.final.loss
        )  # fmt: skip
        assert got.card.extra["url"] == f"{api.url}/{PLACE}/runs/{quote(run.name)}"
        assert got.card.extra["state"] == "finished"


def test_an_imported_ladder_is_read_by_every_other_command(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.projects[PLACE] = [store(run) for run in planted_ladder(points=6)]
    ladder = str(tmp_path / "ladder")
    bring(tmp_path / "ladder", capsys)

    for command in ("validate", "forecast --target params=1e9,tokens=2e10", "replay --largest 1 --at 1"):
        name, *options = command.split()
        assert main([name, ladder, *options, "--json"]) == 0, capsys.readouterr().err
    validated = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (validated["runs"], validated["observations"], validated["problems"]) == (12, 72, [])


def test_projects_come_page_by_page_and_histories_too(api: WandbApi, tmp_path: Path) -> None:
    long = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=2500)[0]
    api.projects[PLACE] = [store(long, run_id=f"r{n}", name=f"run {n}") for n in range(3)]
    api.projects[PLACE] += [
        store(run) for run in planted_ladder(sizes=(1e7, 2e7), ratios=tuple(range(1, 26)), points=1)
    ]

    made = import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(), place=PLACE)

    assert len(made.runs) == 53
    assert api.count("Runs") == 2
    assert [len(run.curve) for run in made.runs[:3]] == [2500] * 3


def test_rows_that_hold_the_loss_without_tokens_take_them_from_around(api: WandbApi, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for step in range(10, 101, 10):
        rows.append({"tokens": 1e3 * step, "lr": 1e-3, "trainer/global_step": step})
        if step % 50 == 0:
            rows.append({"val_loss": 4 - step / 100, "trainer/global_step": step - 5 if step == 50 else step + 3})
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"params": 1e6})]

    (run,) = import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(), place=PLACE).runs

    assert run.curve.tokens.tolist() == [45e3, 103e3]
    assert run.curve.lr.tolist() == [1e-3, 1e-3]
    assert "1 observation(s) took their tokens from the rows around them" in run.notes


def test_an_active_run_is_unfinished_and_importing_again_adds_what_is_new(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=10)[0]
    stored = store(run, state="running")
    rows, stored.rows = stored.rows, stored.rows[:4]
    stored.config = {"params": run.params}
    stored.exported = 2
    api.projects[PLACE] = [stored]
    ladder = tmp_path / "ladder"

    first = bring(ladder, capsys)
    assert (first["added"], first["finished"]) == ([run.name], 0)
    again = bring(ladder, capsys)
    assert (again["unchanged"], again["observations"]) == ([run.name], 4)
    stored.rows, stored.exported = rows, 6
    later = bring(ladder, capsys)
    assert (later["updated"], later["observations"], later["finished"]) == ([run.name], 10, 0)
    stored.state = "finished"
    assert bring(ladder, capsys)["updated"] == [run.name]
    assert bring(ladder, capsys)["unchanged"] == [run.name]

    (got,) = Ladder(ladder).runs()
    assert got.curve.loss.tolist() == run.curve.loss.tolist()
    assert (got.completed, got.final.tokens, got.card.extra["state"]) == (True, run.curve.tokens[-1], "finished")


def test_an_active_run_whose_history_is_not_there_yet_is_left_out_by_name(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, third = planted_ladder(sizes=(1e7,), points=3)
    hidden = store(other, state="running", hidden=True, summary={"val/loss": 3.0, "tokens": 1.0})
    keyless = store(third, rows=[{"other": 1.0, "_step": 0, "_timestamp": 0.0}], summary={})
    api.projects[PLACE] = [store(one), hidden, keyless]

    made = bring(tmp_path / "ladder", capsys)

    assert made["runs"] == 1
    assert "the run is still active; import again later" in made["left_out"][other.name]
    assert made["left_out"][third.name] == "it has no metric val/loss, tokens; it has: other"


def test_a_training_that_resumed_from_before_its_crash_has_each_step_once(api: WandbApi, tmp_path: Path) -> None:
    steps = [10, 20, 30, 40, 25, 35, 45]
    rows = [{"val_loss": 5 - n / 10, "tokens": 1e3 * s, "trainer/global_step": s} for n, s in enumerate(steps)]
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"params": 1e6}), StoredRun("b", "b", [
        {key: value for key, value in row.items() if key != "trainer/global_step"} for row in rows
    ], {"params": 1e6})]  # fmt: skip

    made = import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(), place=PLACE)

    assert [run.curve.tokens.tolist() for run in made.runs] == [[10e3, 20e3, 25e3, 35e3, 45e3]] * 2
    assert all("2 observation(s) superseded by a resume" in run.notes for run in made.runs)


@pytest.mark.parametrize(("bad", "exported"), [("NaN", 0), (float("nan"), 3), (float("inf"), 3)])
def test_a_loss_that_is_no_number_is_a_measurement(api: WandbApi, tmp_path: Path, bad: object, exported: int) -> None:
    rows = [{"val_loss": loss, "tokens": 100.0 * (n + 1)} for n, loss in enumerate([3.0, bad, 2.0])]
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"params": 1e6}, exported=exported)]

    import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(), place=PLACE)

    (run,) = Ladder(tmp_path).runs()
    assert run.curve.tokens.tolist() == [100, 200, 300]
    np.testing.assert_array_equal(run.curve.loss, [3.0, float(str(bad)), 2.0])


def test_the_service_may_ask_for_patience(api: WandbApi, tmp_path: Path) -> None:
    api.projects[PLACE] = [store(run) for run in planted_ladder(points=2)]
    api.limits = {"Runs": 2, "SampledHistoryPage": 1}

    made = import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(), place=PLACE)

    assert len(made.runs) == 12
    assert api.count("Runs") == 3


def test_a_service_that_never_answers_is_given_up_in_words(api: WandbApi, tmp_path: Path) -> None:
    api.projects[PLACE] = [store(run) for run in planted_ladder(points=2)]
    api.limits = {"Runs": 100}

    with pytest.raises(InputError, match="limits how often it is asked: import again later"):
        import_runs(read_wandb(PLACE, patience=3), Ladder(tmp_path), Keys(), place=PLACE)


def test_what_is_missing_is_named_with_the_keys_that_exist(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.projects[PLACE] = [
        StoredRun("a", "a", [{"val/nll": 3.0, "train/loss": 4.0, "seen": 10.0}], {"width": 64, "n_params": 1e6})
    ]
    out = tmp_path / "ladder"

    assert (
        "W&B project me/ladder has no key that is called like the validation loss; name it with --loss KEY; it has: "
        "train/loss, val/nll, seen" in refused(out, capsys)
    )
    assert "name it with --tokens KEY (or --tokens-per-step)" in refused(out, capsys, "--loss", "val/nll")
    assert "no metric 'val/los'" in refused(out, capsys, "--loss", "val/los")
    assert "'width'" in refused(out, capsys, "--loss", "val/nll", "--tokens", "seen", "--params", "'width'")
    assert "is no project of W&B" in refused(out, capsys, place="ladder")
    assert "check ENTITY/PROJECT" in refused(out, capsys, place="me/other")
    assert not out.exists()


def test_a_key_that_w_and_b_refuses_is_said(api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.valid_key = False

    assert "wandb login" in refused(tmp_path / "ladder", capsys)


def test_runs_of_one_name_and_hostile_names_stay_apart(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        "a",
        "a",
        "<script>alert(1)</script>",
        "x" * 300,
        "\u202egnp.exe",
        "up\x1b[2Jscreen\nline",
        "../../etc",
        "",
    ]
    one = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=2)[0]
    api.projects[PLACE] = [store(one, run_id=f"id{n}", name=name) for n, name in enumerate(names)]
    ladder = tmp_path / "here" / "ladder"

    bring(ladder, capsys)
    assert bring(ladder, capsys)["unchanged"] == ["a", "a-id1", *names[2:-1], "id7"]

    assert {run.name for run in Ladder(ladder).runs()} == {"a", "a-id1", *names[2:-1], "id7"}
    assert [path.name for path in tmp_path.joinpath("here").iterdir()] == ["ladder"]
    main(["import-wandb", PLACE, "--output", str(ladder)])
    assert "\x1b" not in capsys.readouterr().out


def test_a_filter_goes_to_the_service(api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other, _ = planted_ladder(sizes=(1e7,), points=2)
    api.projects[PLACE] = [store(one), store(other, state="crashed")]

    assert bring(tmp_path / "a", capsys, "--filter", "state=finished")["added"] == [one.name]
    assert bring(tmp_path / "b", capsys, "--only", f"{other.name}*")["added"] == [other.name]
    assert json.loads(next(v for name, v in api.asked if name == "Runs")["filters"]) == {
        "$and": [{"state": "finished"}]
    }


def test_what_people_write_into_a_card_stays(api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=3)[0]
    api.projects[PLACE] = [stored := store(run, state="running")]
    bring(tmp_path, capsys)
    card = next(tmp_path.rglob("card.json"))
    card.write_text(json.dumps({**json.loads(card.read_text()), "excluded": "the loader was wrong"}))
    stored.state = "finished"

    bring(tmp_path, capsys)

    (got,) = Ladder(tmp_path).runs()
    assert (got.card.excluded, got.card.extra["state"]) == ("the loader was wrong", "finished")


def log_sparsely(step: str = "trainer/global_step") -> list[dict[str, Any]]:
    """A training that logs its step with its own loss, and what it validates without."""
    return [row for n in (1, 2, 3) for row in ({"train_loss": 5.0 - n, step: 100 * n}, {"val_loss": 4.0 - n / 10})]


@pytest.mark.parametrize("options", [(), ("--step", "trainer/global_step")])
def test_tokens_per_step_are_multiplied_by_steps_of_the_training_and_never_by_rows(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    rowless = StoredRun("b", "b", [{"val_loss": 3.0}, {"val_loss": 2.9}], {"n_params": 1e6, "batch_tokens": 1000})
    api.projects[PLACE] = [StoredRun("a", "a", log_sparsely(), dict(rowless.config)), rowless]

    made = bring(tmp_path, capsys, *options)

    (got,) = Ladder(tmp_path).runs()
    assert got.curve.step.tolist() == [150, 250, 350]
    assert got.curve.tokens.tolist() == [150e3, 250e3, 350e3]
    assert made["notes"]["a"] == [
        "2 observation(s) took their step from the rows around them",
        "1 observation(s) after the last row with step; theirs go on at the pace before",
    ]
    reason = "it has no metric trainer/global_step" if options else "counts the rows that were logged, not the steps"
    assert reason in made["left_out"]["b"]


def test_rows_are_steps_of_the_training_where_that_is_said(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"val_loss": 3.0, "_step": 100}, {"val_loss": 2.9, "_step": 200}]
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"n_params": 1e6, "batch_tokens": 1000})]

    assert "of W&B _step, where each step logged one row" in refused(tmp_path / "no", capsys)
    bring(tmp_path / "ladder", capsys, "--step", "_step")

    (got,) = Ladder(tmp_path / "ladder").runs()
    assert got.curve.tokens.tolist() == [100e3, 200e3]


def test_a_step_that_was_named_and_cannot_be_used_is_refused(
    api: WandbApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"val_loss": 3.0, "tokens": 1e3}, {"val_loss": 2.9, "tokens": 2e3}, {"iter": 7}]
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"n_params": 1e6})]

    assert "none of its 2 losses has iter in its row or those around it; give another --step" in refused(
        tmp_path / "no", capsys, "--step", "iter"
    )
    assert bring(tmp_path / "ladder", capsys)["observations"] == 2


def test_a_step_between_a_crash_and_the_resume_is_not_made_up(api: WandbApi, tmp_path: Path) -> None:
    steps: list[float | None] = [10, None, 20, None, 30, None, 15, None, 25]
    rows = [{"trainer/global_step": step} if step else {"val_loss": 4 - n / 10} for n, step in enumerate(steps)]
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"n_params": 1e6})]

    (run,) = import_runs(read_wandb(PLACE), Ladder(tmp_path), Keys(tokens_per_step="100"), place=PLACE).runs

    assert [(o.step, o.loss) for o in run.curve] == [(15, 3.9), (20, 3.3)]
    assert "1 loss(es) without a positive number of tokens left out" in run.notes
    assert "1 observation(s) superseded by a resume" in run.notes


def test_our_own_rows_are_observations_and_those_of_figures_are_none(api: WandbApi, tmp_path: Path) -> None:
    at = [{"scaling/tokens": 1e3 * n, "trainer/global_step": 10 * n} for n in (1, 2, 3)]
    rows = [
        {"val_loss": 4.0, "trainer/global_step": 9}, at[0] | {"scaling/loss": 4.0}, at[0] | {"scaling/figures/x": 1},
        {"val_loss": 3.5, "trainer/global_step": 19}, at[1] | {"scaling/loss": 3.5},
        {"val_loss": "NaN", "trainer/global_step": 29}, at[2], at[2] | {"scaling/figures/x": 2},
    ]  # fmt: skip
    api.projects[PLACE] = [StoredRun("a", "a", rows, {"params": 1e6})]

    for number, keys in enumerate((Keys(), Keys(loss="val_loss"))):
        (run,) = import_runs(read_wandb(PLACE), Ladder(tmp_path / str(number)), keys, place=PLACE).runs
        assert run.curve.tokens.tolist() == [1e3, 2e3, 3e3]
        np.testing.assert_array_equal(run.curve.loss, [4.0, 3.5, float("nan")])
        assert "its last loss is nan: it has no final loss" in run.notes
