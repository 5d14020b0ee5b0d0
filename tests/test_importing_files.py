"""Claims about importing from TensorBoard's event files, CSV tables and Lightning's CSVLogger."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_callback import Ladder, ScalingCallback, ScalingRecorder, Target
from scaling_callback.cli import main
from scaling_callback.errors import InputError
from scaling_callback.importing import Keys, import_runs, read_csv, read_tensorboard
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.tables import write_table
from scaling_callback.testing import planted_ladder


@pytest.fixture
def bring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Imports into `tmp_path / "ladder"`, and gives what the command answers."""

    def run(command: str, source: Path, *options: str) -> dict[str, Any]:
        status = main([command, str(source), "--output", str(tmp_path / "ladder"), "--json", *options])
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return json.loads(printed.out)

    return run


@pytest.fixture
def refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Imports what must be refused, and gives the line that says why."""

    def run(command: str, source: Path, *options: str) -> str:
        assert main([command, str(source), "--output", str(tmp_path / "refused"), *options]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        assert not (tmp_path / "refused").exists()
        return printed.err

    return run


def write_events(folder: Path, run: Run, rows: slice = slice(None), **options: Any) -> None:
    """A run as torch's writer leaves it: each scalar by its step, and the hyperparameters."""
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    writer = tensorboard.SummaryWriter(str(folder), **options)
    for o in list(run.curve)[rows]:
        writer.add_scalar("lr", o.lr, int(o.step), walltime=o.step)
        writer.add_scalar("tokens", o.tokens, int(o.step), walltime=o.step)
        writer.add_scalar("val/loss", o.loss, int(o.step), walltime=o.step)
    writer.close()


def check_same(got: Run, planted: Run, *columns: str, exactly: bool = True) -> None:
    for column in columns or ("tokens", "loss", "step", "lr", "wall_time", "is_final"):
        one, other = getattr(got.curve, column), getattr(planted.curve, column)
        if exactly:
            np.testing.assert_array_equal(one, other, err_msg=column)
        else:  # event files hold single precision
            np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=column)


counts = st.floats(1.0, 1e15)
observations = st.builds(
    Observation,
    tokens=counts,
    loss=st.one_of(st.floats(1e-3, 20.0), st.just(float("nan"))),
    step=st.integers(0, 10**6).map(float),
    lr=st.floats(1e-8, 1.0),
    wall_time=st.floats(1.0, 1e9),
)
curves = st.lists(observations, min_size=1, max_size=8, unique_by=(lambda o: o.tokens, lambda o: o.step))


@given(st.lists(curves, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_an_import_of_a_table_loses_and_invents_no_observation_whatever_the_order_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[list[Observation]], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("table")
    runs = [
        Run(RunCard(name=f"run-{n}", params=1e6 + n, horizon=2e15, seed="3", extra={"data": "c4"}), Curve.of(seen))
        for n, seen in enumerate(drawn)
    ]
    write_table(runs, folder / "a.csv")
    header, *rows = (folder / "a.csv").read_text().splitlines()
    chance.shuffle(rows)
    (folder / "a.csv").write_text("\n".join([header, *rows]))

    import_runs(read_csv(str(folder / "a.csv")), Ladder(folder / "ladder"), Keys(keep=("data",)), place="a.csv")

    got = Ladder(folder / "ladder").runs()
    assert [run.name for run in got] == [run.name for run in runs]
    for run, planted in zip(got, runs, strict=True):
        check_same(run, planted)
        assert (run.params, run.horizon, run.card.seed) == (planted.params, 2e15, "3")
        assert run.card.extra["data"] == "c4"


@pytest.mark.parametrize("command", ["import-csv", "import-tensorboard"])
def test_the_planted_ladder_comes_back_and_is_forecast(
    tmp_path: Path, bring: Any, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    planted = planted_ladder(points=5)
    source = tmp_path / "source"
    source.mkdir()
    if command == "import-csv":
        source = source / "a.csv"
        write_table(planted, source)
    else:
        for run in planted:
            write_events(source / run.name, run)
            (source / run.name / "hparams.yaml").write_text(
                f"model:\n  n_params: {run.params}\ntotal_tokens: {run.horizon}\nschedule: cosine\n"
            )

    made = bring(command, source)

    assert (made["runs"], made["observations"], made["finished"], made["left_out"]) == (12, 60, 12, {})
    got = {run.name: run for run in Ladder(tmp_path / "ladder").runs()}
    for run in planted:
        check_same(got[run.name], run, "tokens", "loss", "step", "lr", exactly=command == "import-csv")
    assert bring(command, source)["unchanged"] == made["added"]
    assert main(["forecast", str(tmp_path / "ladder"), "--target", "params=1e9,tokens=2e10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["median"] > 0
    assert main(["validate", str(tmp_path / "ladder"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []


def test_the_event_files_of_a_training_that_resumed_are_one_run_with_each_step_once(tmp_path: Path, bring: Any) -> None:
    run = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=10)[0]
    crashed = Run(run.card, Curve.of([Observation(o.tokens, 9.0, o.step, o.lr) for o in run.curve]))
    write_events(tmp_path / "runs" / "a", run, slice(0, 4))
    write_events(tmp_path / "runs" / "a", crashed, slice(4, 7), filename_suffix=".crashed")
    events = sorted((tmp_path / "runs" / "a").iterdir())
    assert len(events) == 2
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    writer = tensorboard.SummaryWriter(str(tmp_path / "runs" / "a"), filename_suffix=".z")
    for n, o in enumerate(list(run.curve)[4:]):
        for tag, value in (("tokens", o.tokens), ("val/loss", o.loss)):
            writer.add_scalar(tag, value, int(o.step), walltime=2000.0 + n)
    writer.close()

    bring("import-tensorboard", tmp_path / "runs", "--params", "10M")

    (got,) = Ladder(tmp_path / "ladder").runs()
    check_same(got, run, "tokens", "loss", "step", exactly=False)
    assert "2 observation(s) superseded by a resume" in got.card.extra["import_notes"]


def test_an_event_file_that_was_cut_gives_what_stands_before_the_cut(tmp_path: Path, bring: Any) -> None:
    run = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=10)[0]
    write_events(tmp_path / "runs", run)
    file = next((tmp_path / "runs").iterdir())
    file.write_bytes(file.read_bytes()[:-40])

    made = bring("import-tensorboard", tmp_path / "runs", "--params", "10M", "--total-tokens", "200M")

    assert (made["observations"], made["added"], made["finished"]) == (9, ["runs"], 0)
    write_events(tmp_path / "runs", run, slice(9, None), filename_suffix=".z")
    again = bring("import-tensorboard", tmp_path / "runs", "--params", "10M", "--total-tokens", "200M")
    assert (again["observations"], again["updated"], again["finished"]) == (10, ["runs"], 1)


def test_hyperparameters_that_torch_writes_into_a_folder_of_their_own_are_the_run_s(tmp_path: Path, bring: Any) -> None:
    run = planted_ladder(sizes=(1e7,), ratios=(20.0,), points=3)[0]
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    write_events(tmp_path / "runs" / "a", run)
    writer = tensorboard.SummaryWriter(str(tmp_path / "runs" / "a"))
    writer.add_hparams({"n_params": 1e7, "total_tokens": run.horizon, "seed": 3}, {"final": 3.0})
    writer.close()

    made = bring("import-tensorboard", tmp_path / "runs")

    (got,) = Ladder(tmp_path / "ladder").runs()
    assert (made["added"], got.params, got.horizon, got.card.seed) == (["a"], 1e7, run.horizon, "3.0")


def test_nothing_is_sampled_of_long_event_files(tmp_path: Path, bring: Any) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    writer = tensorboard.SummaryWriter(str(tmp_path / "runs"))
    for step in range(1, 12_001):
        writer.add_scalar("val_loss", 3.0 + 1 / step, step)
    writer.close()

    made = bring("import-tensorboard", tmp_path / "runs", "--params", "1e6", "--tokens-per-step", "512")

    (got,) = Ladder(tmp_path / "ladder").runs()
    assert made["observations"] == 12_000
    assert got.curve.tokens[-1] == 12_000 * 512
    assert got.card.batch_tokens == 512


def test_the_csv_logger_of_lightning_comes_with_its_sparse_rows_and_hyperparameters(tmp_path: Path, bring: Any) -> None:
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    for version, params in enumerate((1e6, 2e6)):
        logger = loggers.CSVLogger(tmp_path, name="logs", version=version)
        logger.log_hyperparams({"model": {"n_params": params}, "tokens_per_step": 1000})
        for step in range(10, 101, 10):
            logger.log_metrics({"train_loss": 5 - step / 50, "lr-AdamW": 1e-3}, step=step - 1)
            if step % 50 == 0:
                logger.log_metrics({"val_loss": 4 - step / 100, "epoch": 0}, step=step)
        logger.save()

    made = bring("import-csv", tmp_path / "logs")

    assert made["keys"]["params"] == "model.n_params"
    runs = Ladder(tmp_path / "ladder").runs()
    assert [(run.name, run.params) for run in runs] == [("version_0", 1e6), ("version_1", 2e6)]
    assert [(o.tokens, o.loss, o.step, o.lr) for o in runs[0].curve] == [(5e4, 3.5, 50, 1e-3), (1e5, 3.0, 100, 1e-3)]
    assert made["notes"]["version_0"] == ["no total_tokens: its last row is taken as its end"]
    assert bring("import-csv", tmp_path / "logs", "--unfinished", "version_1")["finished"] == 1


def test_a_table_of_several_runs_may_have_the_name_of_a_logger_s_own_file(tmp_path: Path, bring: Any) -> None:
    write_table(planted_ladder(points=2), tmp_path / "metrics.csv")

    assert len(bring("import-csv", tmp_path / "metrics.csv")["added"]) == 12


def test_columns_are_mapped_and_rows_selected(tmp_path: Path, bring: Any, refuse: Any) -> None:
    table = tmp_path / "wide.csv"
    table.write_text("model;val/nll;seen;N;split\na;3.0;1e6;1e5;x\na;2.9;2e6;1e5;x\nb;2.8;2e6;2e5;x\nb;9;3e6;2e5;y\n")
    maps = ("--map", "run=model", "--map", "loss=val/nll", "--map", "tokens=seen", "--map", "params=N")

    made = bring("import-csv", table, *maps, "--where", "split=x")

    assert (made["added"], made["observations"]) == (["a", "b"], 3)
    assert "no key that is called like the validation loss" in refuse("import-csv", table)
    assert "it has: model, val/nll, seen, N, split" in refuse("import-csv", table, "--loss", "bogus")
    assert "no column 'bogus' to map run to" in refuse("import-csv", table, *maps[2:], "--map", "run=bogus")
    assert "--map knows no 'lossy'" in refuse("import-csv", table, "--map", "lossy=seen")
    assert "loss is given twice" in refuse("import-csv", table, "--loss", "seen", "--map", "loss=seen")
    assert "row 2: model is 'a'; it must be a number" in refuse("import-csv", table, "--loss", "model", *maps[4:])


def test_other_content_under_the_same_run_is_refused_and_the_ladder_stays(tmp_path: Path, bring: Any) -> None:
    table = tmp_path / "a.csv"
    table.write_text("run,params,tokens,loss,other_loss\na,1e5,1e6,3.0,4.0\na,1e5,2e6,2.9,3.9\n")
    bring("import-csv", table)
    before = {path: path.read_bytes() for path in (tmp_path / "ladder").rglob("*") if path.is_file()}

    arguments = ["import-csv", str(table), "--output", str(tmp_path / "ladder")]
    assert main([*arguments, "--loss", "other_loss"]) == 2
    table.write_text("run,params,tokens,loss\na,1e5,1e6,3.5\na,1e5,2e6,2.9\n")
    assert main(arguments) == 2

    assert {path: path.read_bytes() for path in (tmp_path / "ladder").rglob("*") if path.is_file()} == before


def test_a_file_that_has_moved_is_the_same_source_and_a_recorded_run_is_never_taken_for_an_imported_one(
    tmp_path: Path, bring: Any
) -> None:
    rows = ["run,params,tokens,loss", "a,1e5,1e6,3.0", "a,1e5,2e6,2.9"]
    (tmp_path / "one.csv").write_text("\n".join(rows))
    (tmp_path / "two.csv").write_text("\n".join([*rows, "a,1e5,3e6,2.8"]))
    (tmp_path / "other.csv").write_text("\n".join([rows[0], "a,1e5,1e6,3.3", "live,1e5,1e6,3.2", "b,1e5,1e6,3.1"]))
    Ladder(tmp_path / "ladder").start(RunCard(name="live", params=1e5)).observe([Observation(1e6, 3.2)])

    assert bring("import-csv", tmp_path / "one.csv")["added"] == ["a"]
    assert bring("import-csv", tmp_path / "two.csv")["updated"] == ["a"]
    made = bring("import-csv", tmp_path / "other.csv")

    assert (made["added"], [*made["left_out"]]) == (["b"], ["a", "live"])
    assert "a run of this name, from elsewhere and with other observations" in made["left_out"]["a"]
    got = {run.name: run.curve.loss.tolist() for run in Ladder(tmp_path / "ladder").recorded()}
    assert got == {"a": [3.0, 2.9, 2.8], "b": [3.1], "live": [3.2]}


def test_a_run_that_turns_out_to_go_on_is_no_longer_finished(tmp_path: Path, bring: Any) -> None:
    table = tmp_path / "a.csv"
    rows = ["run,params,step,tokens,loss", "a,1e5,1,1e6,3.0", "a,1e5,2,2e6,2.9"]
    table.write_text("\n".join(rows))
    assert bring("import-csv", table)["finished"] == 1

    assert bring("import-csv", table, "--unfinished", "a")["finished"] == 0
    table.write_text("\n".join([*rows, "a,1e5,3,3e6,2.8"]))
    assert bring("import-csv", table, "--total-tokens", "4M")["finished"] == 0

    (run,) = Ladder(tmp_path / "ladder").runs()
    assert (run.curve.loss.tolist(), run.horizon, run.final) == ([3.0, 2.9, 2.8], 4e6, None)


def test_a_count_that_is_no_count_of_all_tokens_so_far_is_refused_by_name(tmp_path: Path, refuse: Any) -> None:
    table = tmp_path / "metrics.csv"
    table.write_text("step,val_loss,tokens\n1,4,500\n2,3.9,900\n3,3.8,100\n4,3.7,600\n")
    assert "tokens falls from 900 to 100 while steps go on from 2 to 3" in refuse(
        "import-csv", table, "--params", "1e6"
    )

    table.write_text("step,val_loss,tokens\n1,4,512\n2,3.9,512\n3,3.8,512\n")
    assert "is tokens a count of all tokens so far?" in refuse("import-csv", table, "--params", "1e6")


def test_hostile_names_of_runs_metrics_and_folders_do_no_harm(
    tmp_path: Path, bring: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["<script>alert(1)</script>", "x" * 300, "\u202egnp.exe", "clear\x1b[2J", "../../etc", 'it\'s "quoted"']
    planted = planted_ladder(sizes=(1e7, 2e7), points=2)
    runs = [
        Run(RunCard(name=n, params=r.params, horizon=r.horizon), r.curve) for n, r in zip(names, planted, strict=True)
    ]
    source = tmp_path / "from"
    source.mkdir()
    write_table(runs, source / "a.csv")
    hostile = "val\x1b[31m\u202e_loss"
    text = (source / "a.csv").read_text()
    (source / "a.csv").write_text(text.replace(",loss,", f",{hostile},", 1))

    bring("import-csv", source / "a.csv", "--loss", hostile)

    assert {run.name for run in Ladder(tmp_path / "ladder").runs()} == {*names}
    assert {path.name for path in tmp_path.iterdir()} == {"from", "ladder"}
    for command in (["import-csv", str(source / "a.csv"), "--loss", hostile, "--output"], ["validate"]):
        assert main([*command, str(tmp_path / "ladder")]) == 0
        printed = capsys.readouterr()
        assert "\x1b" not in printed.out + printed.err
        assert "\u202e" not in printed.out + printed.err


def test_what_is_no_source_is_refused_in_a_line(tmp_path: Path, refuse: Any) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").write_text("run,loss\n")
    (tmp_path / "file").write_text("x")

    assert "is a folder without any metrics.csv" in refuse("import-csv", tmp_path / "empty")
    assert "has a header but no rows" in refuse("import-csv", tmp_path / "empty.csv")
    assert "does not exist" in refuse("import-csv", tmp_path / "absent.csv")
    assert "holds no event file" in refuse("import-tensorboard", tmp_path / "empty")
    assert "is no folder" in refuse("import-tensorboard", tmp_path / "file")


def test_an_import_that_was_killed_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = planted_ladder(points=4)
    write_table(planted, tmp_path / "a.csv")
    ladder = Ladder(tmp_path / "ladder")
    start, started = Ladder.start, iter(range(100))

    def die(self: Ladder, card: RunCard, **options: Any) -> Any:
        writer = start(self, card, **options)
        if next(started) == 5:  # after the card, before the observations
            raise KeyboardInterrupt
        return writer

    monkeypatch.setattr(Ladder, "start", die)
    with pytest.raises(KeyboardInterrupt):
        import_runs(read_csv(str(tmp_path / "a.csv")), ladder, Keys(), place="a.csv")
    monkeypatch.undo()
    assert sorted(len(run.curve) for run in ladder.runs()) == [0, 4, 4, 4, 4, 4]

    made = import_runs(read_csv(str(tmp_path / "a.csv")), ladder, Keys(), place="a.csv")

    assert (len(made.added), len(made.updated), len(made.unchanged)) == (6, 1, 5)
    assert sorted(len(run.curve) for run in Ladder(tmp_path / "ladder").runs()) == [4] * 12


def test_readers_beside_an_import_see_of_each_run_nothing_a_beginning_or_all(tmp_path: Path) -> None:
    planted = planted_ladder(points=30)
    write_table(planted, tmp_path / "a.csv")
    losses = {run.name: run.curve.loss.tolist() for run in planted}
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen = {run.name: run.curve.loss.tolist() for run in Ladder(tmp_path / "ladder").runs()}
            wrong.extend(name for name, loss in seen.items() if loss != losses[name][: len(loss)])

    reader = threading.Thread(target=read)
    reader.start()
    import_runs(read_csv(str(tmp_path / "a.csv")), Ladder(tmp_path / "ladder"), Keys(), place="a.csv")
    done.set()
    reader.join()

    assert wrong == []


def test_a_source_without_the_package_it_needs_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.backend.event_processing.event_accumulator", None)

    with pytest.raises(ImportError, match="pip install tensorboard"):
        list(read_tensorboard(str(tmp_path)))
    with pytest.raises(InputError):
        list(read_csv(str(tmp_path)))


def log_runs(folder: Path, *names: str, config: str = "n_params: 1000000\ntokens_per_step: 100\n") -> None:
    """Runs as Lightning's CSVLogger leaves them."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "hparams.yaml").write_text(config)
        (folder / name / "metrics.csv").write_text("step,val_loss\n10,4.0\n20,3.5\n")


def test_what_is_wrong_with_one_run_of_a_folder_leaves_out_that_run_alone(tmp_path: Path, bring: Any) -> None:
    log_runs(tmp_path / "logs", *"abcdef")
    damage = {"b": "step,val_loss\n10,four\n", "c": "", "d": "step,val_loss\n", "e": "step,val_loss\n1,2\0\n"}
    for name, text in damage.items():
        (tmp_path / "logs" / name / "metrics.csv").write_text(text)

    made = bring("import-csv", tmp_path / "logs")

    assert (made["added"], [*made["left_out"]]) == (["a", "f"], [*"bcde"])
    assert made["left_out"]["b"] == "b/metrics.csv row 2: val_loss is 'four'; it must be a number"
    assert made["left_out"]["c"].startswith("c/metrics.csv is empty, as of a run that has just begun")
    assert made["left_out"]["d"].startswith("d/metrics.csv has a header but no rows")
    assert made["left_out"]["e"].startswith("e/metrics.csv row 2 holds a NUL byte")


def test_a_folder_of_which_nothing_can_be_read_is_refused_with_the_reason(tmp_path: Path, refuse: Any) -> None:
    log_runs(tmp_path / "logs", "a")
    (tmp_path / "logs" / "a" / "metrics.csv").write_text("")

    assert "none of the 1 run(s)" in (said := refuse("import-csv", tmp_path / "logs"))
    assert "'a': a/metrics.csv is empty" in said


def test_empty_and_damaged_event_files_leave_out_their_run_alone(tmp_path: Path, bring: Any) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    write_events(tmp_path / "runs" / "a", planted_ladder(sizes=(1e7,), ratios=(20.0,), points=3)[0])
    tensorboard.SummaryWriter(str(tmp_path / "runs" / "begun")).close()
    (tmp_path / "runs" / "none").mkdir()
    (tmp_path / "runs" / "none" / "events.out.tfevents.1").write_bytes(b"")

    made = bring("import-tensorboard", tmp_path / "runs", "--params", "10M")

    assert (made["added"], [*made["left_out"]]) == (["a"], ["begun", "none"])
    assert all("the event files are empty" in reason for reason in made["left_out"].values())


def test_a_name_that_no_run_has_is_refused_with_the_names_that_there_are(
    tmp_path: Path, bring: Any, refuse: Any
) -> None:
    log_runs(tmp_path / "logs", "gpt-a", "gpt-b", "run[1]")

    for option in ("--unfinished", "--only"):
        said = refuse("import-csv", tmp_path / "logs", "--only", "gpt-a", option, "gpt-c")
        assert f"{option} gpt-c is the name of no run of" in said
        assert "its runs are: gpt-a, gpt-b, run[1]" in said
    assert bring("import-csv", tmp_path / "logs", "--only", "run[1]", "--unfinished", "gpt-*")["added"] == ["run[1]"]


def test_a_run_that_diverged_has_no_end_and_is_told_so(tmp_path: Path, bring: Any) -> None:
    table = tmp_path / "a.csv"
    table.write_text("run,params,tokens,loss\na,1e5,1e6,3.0\na,1e5,2e6,nan\n")

    made = bring("import-csv", table)

    assert (made["finished"], made["notes"]) == (0, {"a": ["its last loss is nan: it has no final loss"]})


def test_refusals_say_what_could_be_typed_instead(tmp_path: Path, refuse: Any, capsys: Any) -> None:
    log_runs(tmp_path / "logs", "a", config="width: 64\n")

    said = refuse("import-csv", tmp_path / "logs", "--tokens-per-step", "100")
    assert "the configuration of each run must hold where sizes differ, or give one number (--params 124M)" in said
    assert "width" in said
    assert "give a table (.csv, .jsonl, .parquet), or a folder of Lightning's CSVLogger" in refuse(
        "import-csv", tmp_path / "absent"
    )
    for typed in ("loss", "loss="):
        with pytest.raises(SystemExit):
            main(["import-csv", str(tmp_path / "logs"), "--output", str(tmp_path / "out"), "--map", typed])
        assert "NAME=COLUMN" in capsys.readouterr().err


@pytest.mark.parametrize("refit_in", ["training", "process"])
def test_what_the_callback_logged_itself_comes_back_as_the_ladder_has_it(
    tmp_path: Path, bring: Any, refit_in: str
) -> None:
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    support = pytest.importorskip("support_training")
    source = tmp_path / "logs"
    for logger in (loggers.CSVLogger(source, name="csv"), loggers.TensorBoardLogger(source, name="events")):
        callback = ScalingCallback(
            Target(params=1e6, tokens=1e7), tmp_path / "own", refit_in=refit_in, refit_budget=None, run=logger.name
        )
        support.train(callback, logger=logger, val_check_interval=2, log_every_n_steps=1)

    for command in ("import-csv", "import-tensorboard"):
        made = bring(command, source, "--params", "144", "--total-tokens", "384")
        assert (made["keys"]["loss"], made["keys"]["tokens"]) == ("scaling/loss", "scaling/tokens")
    imported = Ladder(tmp_path / "ladder").runs()
    for got, run in zip(imported, Ladder(tmp_path / "own").runs(), strict=True):
        check_same(got, run, "tokens", "loss", "step", exactly=run.name == "csv")
        assert got.final is not None
        assert got.final.tokens == 384

    other = import_runs(
        read_csv(str(source / "csv")), Ladder(tmp_path / "o"), Keys(loss="val_loss", params="144"), place=""
    )
    assert other.runs[0].curve.tokens.tolist() == [64, 128, 192, 256, 320, 384]
    assert other.runs[0].curve.step.tolist() == [1, 3, 5, 7, 9, 11]  # as Lightning counts them


@pytest.mark.parametrize("kind", ["CSVLogger", "TensorBoardLogger"])
def test_a_loss_that_is_no_number_is_an_observation_though_it_was_never_logged(
    tmp_path: Path, bring: Any, kind: str
) -> None:
    logger = getattr(pytest.importorskip("lightning.pytorch.loggers"), kind)(tmp_path / "logs", name="")
    recorder = ScalingRecorder(
        Target(params=1e6, tokens=1e7), tmp_path / "own", RunCard(name="a", params=1e5), loggers=[logger]
    )
    for step, loss in enumerate([3.0, 2.5, float("nan")], start=1):
        recorder.observe(loss, tokens=64.0 * step, step=step)
    recorder.finish()
    logger.save()

    command = "import-csv" if kind == "CSVLogger" else "import-tensorboard"
    made = bring(command, tmp_path / "logs", "--params", "1e5")

    (got,) = Ladder(tmp_path / "ladder").runs()
    assert got.curve.tokens.tolist() == [64, 128, 192]
    np.testing.assert_array_equal(got.curve.loss, [3.0, 2.5, float("nan")])
    assert (made["finished"], got.final) == (0, None)


def test_what_a_late_refit_logs_again_supersedes_nothing(tmp_path: Path, bring: Any) -> None:
    rows = ["step,scaling/loss,scaling/tokens", "1,4.0,100", "2,3.5,200", "3,3.0,300", "2,3.5,200", "4,2.5,400"]
    log_runs(tmp_path / "logs", "a")
    (tmp_path / "logs" / "a" / "metrics.csv").write_text("\n".join(rows))

    made = bring("import-csv", tmp_path / "logs")

    (got,) = Ladder(tmp_path / "ladder").runs()
    assert got.curve.loss.tolist() == [4.0, 3.5, 3.0, 2.5]
    assert made["notes"]["a"] == ["no total_tokens: its last row is taken as its end"]


def test_of_several_losses_that_the_callback_logs_each_has_tokens_of_its_own(tmp_path: Path, bring: Any) -> None:
    log_runs(tmp_path / "logs", "a", "older")
    (tmp_path / "logs" / "a" / "metrics.csv").write_text(
        "step,val_loss,scaling/loss,scaling/tokens,scaling-code/loss,scaling-code/tokens\n"
        "9,4.0,,,,\n10,,4.0,1000,,\n10,,,,2.0,1000\n19,3.5,,,,\n20,,3.5,2000,,\n20,,,,1.5,2000\n"
    )

    assert bring("import-csv", tmp_path / "logs", "--only", "a")["keys"]["loss"] == "scaling/loss"
    code = import_runs(
        read_csv(str(tmp_path / "logs")), Ladder(tmp_path / "code"), Keys(loss="scaling-code/loss"), place=""
    )
    assert (code.keys.tokens, code.runs[0].curve.loss.tolist()) == ("scaling-code/tokens", [2.0, 1.5])
    both = import_runs(
        read_csv(str(tmp_path / "logs")), Ladder(tmp_path / "both"), Keys(tokens_per_step="100"), place=""
    )
    assert (both.keys.loss, len(both.runs)) == ("val_loss", 2)
