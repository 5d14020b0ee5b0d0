"""What is sent to W&B: offline by the official reader, online by a stand-in of the service."""

from __future__ import annotations

import functools
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger
from support import CARD, assert_metrics_or_reasons, only, plant, read_wandb
from support_training import TARGET, Tiny, train
from wandb_service import ENTITY, KEY, Received, Service, service  # noqa: F401  (a fixture)

from scaling_callback import Config, ScalingCallback, Target
from scaling_callback.cli import main
from scaling_callback.errors import ScalingWarning
from scaling_callback.pipeline import refresh
from scaling_callback.recorder import ScalingRecorder
from scaling_callback.records import RunCard
from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure, plot_figures
from scaling_callback.reporting.rendering.plotly import write_plotly
from scaling_callback.reporting.results import describe_fit, describe_forecast
from scaling_callback.reporting.scalars import METRICS, TOKENS, make_scalars
from scaling_callback.sinks import get_sink
from scaling_callback.sinks.wandb import MOST_FIGURE_BYTES, WandbSink, group_of, name_artifact
from scaling_callback.snapshot import Snapshot
from scaling_callback.tables import read_table
from scaling_callback.testing import planted_ladder

# raised inside wandb-workspaces when it is imported
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")

HOSTILE = '<script>alert("x")</script>\n\x1b[31m<!channel> \N{RIGHT-TO-LEFT OVERRIDE}' + "n" * 300
ALERT = Alert("off-law", "A run falls off the law", "n1e+07-r5 is 3.1% above the law", "WARN")
ROWS = [
    {"run": run, "params": 1e7, "tokens": tokens, "loss": 3.0, "lr": rate}
    for run in ("a", HOSTILE)
    for tokens, rate in ((1e8, 0.1), (2e8, None))
]
MOST_BYTES = 5_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """W&B writes below `tmp_path` alone, knows no login, and its service process ends with the test."""
    for name in ("CACHE", "DATA", "CONFIG", "ARTIFACT"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home" / name.lower()))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for name in ("MODE", "API_KEY", "BASE_URL", "PROJECT"):
        monkeypatch.setenv(f"WANDB_{name}", "")  # so that what is set in the test is undone after it
        monkeypatch.delenv(f"WANDB_{name}")
    yield tmp_path
    wandb.teardown()


@functools.cache
def make_snapshot(runs: int) -> Snapshot:
    """What is said of a planted ladder of that many runs of 200 points."""
    sizes = [1e7 * 1.2**index for index in range(runs // 4)]
    made = planted_ladder(sizes=sizes, ratios=(5.0, 20.0, 40.0, 80.0), points=200)
    return refresh(made, (), Config(target=Target(params=1e10, tokens=2e11), replicates=50))


def begin(folder: Path, **options: Any) -> Any:
    return wandb.init(project="test", dir=str(folder), mode="offline", **options)


def say(sink: Any, snapshot: Snapshot, *, refits: int = 1, draws: Sequence[int] = (0,)) -> None:
    """All that a recorder says in one run."""
    sink.describe({"ladder": "runs/my ladder", "run": "a", "level": 0.9})
    values = dict.fromkeys(METRICS, 1.23456789) | make_scalars(snapshot, "a")
    for index in range(refits):
        sink.log(values | {TOKENS: 1e6 * (index + 1)}, step=index)
        if index in draws:
            sink.draw(plot_figures(snapshot), step=index)
    sink.explain({"scaling/E": "no fit"}, {"few_runs": "three runs only"})
    sink.alert(ALERT)
    assert snapshot.fit is not None
    sink.conclude({"fit": describe_fit(snapshot.fit, 0.9), "forecast": describe_forecast(snapshot)}, ROWS)


def end(run: Any) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of a run offline, and its records."""
    folder = Path(run.dir).parent
    run.finish()
    wandb.teardown()
    (file,) = folder.glob("*.wandb")
    return folder, read_wandb(file)


def items(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in records if record["type"] == kind]


def drawn(folder: Path, rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The figures of that name that the rows lead to, each with its step metric."""
    key = f"scaling/figures/{name}"
    shown = [row for row in rows if f"{key}.path" in row]
    assert all(TOKENS in row for row in shown)
    return [json.loads((folder / "files" / row[f"{key}.path"]).read_text()) for row in shown]


def assert_same_figure(stored: dict[str, Any], figure: Figure) -> None:
    """What is stored shows the same numbers."""
    asked = write_plotly(figure)["data"]
    assert [(trace["x"], trace["y"]) for trace in stored["data"]] == [(trace["x"], trace["y"]) for trace in asked]


# offline, by the official reader ---------------------------------------------------------------------------------


def test_all_that_is_said_stands_in_an_offline_run(tmp_path: Path) -> None:
    snapshot = make_snapshot(12)
    assert snapshot.fit is not None
    assert snapshot.forecast is not None
    run = begin(tmp_path)
    before = {*Path(tempfile.gettempdir()).iterdir()}
    say(get_sink(run), snapshot)
    folder, records = end(run)

    defined = {metric["name"]: metric.get("step_metric") for metric in items(records, "metric")}
    assert {name: defined[name] for name in METRICS} == dict.fromkeys(METRICS, TOKENS)
    rows = [row["item"] for row in items(records, "history")]
    assert all(rows[0][name] for name in (*METRICS, TOKENS))
    for figure in plot_figures(snapshot):
        (stored,) = drawn(folder, rows, figure.name)
        assert_same_figure(stored, figure)
        assert defined[f"scaling/figures/{figure.name}"] == TOKENS
    config = [update["update"]["scaling"] for update in items(records, "config") if "scaling" in update["update"]]
    assert config[0]["ladder"] == config[-1]["ladder"] == "runs/my ladder"
    assert config[-1]["fit"]["params"] == pytest.approx(snapshot.fit.params)
    assert {"law", "intervals", "diagnostics", "certificate", "status"} <= {*config[-1]["fit"]}
    summary = {name: value for each in items(records, "summary") for name, value in each["update"].items()}
    assert summary["scaling/forecast"]["median"] == pytest.approx(snapshot.forecast.median)
    assert summary["scaling/target_loss"] == pytest.approx(snapshot.forecast.median)
    assert summary["scaling/absent"] == {"scaling/E": "no fit"}
    (alert,) = items(records, "alert")
    assert (alert["title"], alert["text"], alert["level"]) == (ALERT.title, ALERT.text, "WARN")
    left = {*Path(tempfile.gettempdir()).iterdir()} - before
    assert not [path for path in left if "ladder" in str(path) or "plotly" in str(path)]


def test_the_ladders_artifact_is_an_observation_table(tmp_path: Path) -> None:
    run = begin(tmp_path)
    say(get_sink(run), make_snapshot(12))
    _, records = end(run)
    made = {artifact["type"]: artifact for artifact in items(records, "artifact")}
    assert made["ladder"]["name"] == name_artifact("runs/my ladder", "scaling")
    (entry,) = made["ladder"]["manifest"]["contents"]
    table = tmp_path / "ladder.csv"
    table.write_bytes(Path(entry["local_path"]).read_bytes())
    assert [(run.params, len(run.curve)) for run in read_table(table)] == [(1e7, 2), (1e7, 2)]
    (row,) = [row["item"] for row in items(records, "history") if "scaling/ladder.nrows" in row["item"]]
    assert row["scaling/ladder.nrows"] == 2


def test_a_ladder_that_shall_stay_at_home_is_not_sent(tmp_path: Path) -> None:
    run = begin(tmp_path)
    say(WandbSink(lambda: run, table=False), make_snapshot(12))
    _, records = end(run)
    assert not items(records, "artifact")


@pytest.mark.parametrize("counted", [True, False], ids=["by its owner", "by W&B"])
def test_an_owner_who_logs_to_the_run_himself_loses_no_row(tmp_path: Path, counted: bool) -> None:
    run, snapshot = begin(tmp_path), make_snapshot(12)
    sink = get_sink(run)
    sink.describe({})
    for index in range(6):
        run.log({"train/loss": 3.0 - index / 10}, **({"step": index} if counted else {}))
        sink.log(make_scalars(snapshot, "a") | {TOKENS: 1e6 * (index + 1)}, step=index)
        sink.draw(plot_figures(snapshot), step=index)
    sink.conclude({}, ROWS)
    _, records = end(run)
    rows = [row["item"] for row in items(records, "history")]
    assert len([row for row in rows if "train/loss" in row]) == 6
    assert [row[TOKENS] for row in rows if "scaling/runs" in row] == [1e6 * (index + 1) for index in range(6)]


def test_a_thousand_refits_of_a_hundred_runs_stay_below_5_mb_and_keep_the_last_figures(tmp_path: Path) -> None:
    snapshot = make_snapshot(100)
    run = begin(tmp_path)
    say(get_sink(run), snapshot, refits=1000, draws=range(0, 1000, 50))  # more often than a recorder does
    folder, records = end(run)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST_BYTES
    rows = [row["item"] for row in items(records, "history")]
    for figure in plot_figures(snapshot):
        stored = drawn(folder, rows, figure.name)
        assert len(stored) > 1
        assert_same_figure(stored[-1], figure)
    assert max(row[TOKENS] for row in rows if "scaling/figures/compute.path" in row) == 1000e6


def test_figures_that_are_too_large_cost_the_others_nothing(tmp_path: Path) -> None:
    huge = Figure(**{**vars(plot_figures(make_snapshot(12))[0]), "name": "huge", "title": "x" * MOST_FIGURE_BYTES})
    run = begin(tmp_path)
    sink = get_sink(run)
    sink.describe({})
    sink.log({TOKENS: 1.0}, step=0)
    sink.draw([huge, *plot_figures(make_snapshot(12))], step=0)
    sink.conclude({}, [])
    folder, records = end(run)
    rows = [row["item"] for row in items(records, "history")]
    assert len(drawn(folder, rows, "forecast")) == 1
    assert not drawn(folder, rows, "huge")


def test_an_alert_mentions_nobody(tmp_path: Path) -> None:
    run = begin(tmp_path)
    get_sink(run).alert(Alert("x", HOSTILE, HOSTILE, "ERROR"))
    (alert,) = items(end(run)[1], "alert")
    assert len(alert["title"]) < 64
    assert not {"<", ">", "\n", "\x1b"} & {*alert["title"], *alert["text"]}


def test_two_losses_of_one_run_are_told_apart(tmp_path: Path) -> None:
    run = begin(tmp_path)
    for prefix in ("scaling", "scaling-code"):
        say(get_sink(run, prefix), make_snapshot(12))
    rows = [row["item"] for row in items(end(run)[1], "history")]
    for prefix in ("scaling", "scaling-code"):
        shown = [row for row in rows if f"{prefix}/figures/compute.path" in row]
        assert len(shown) == 1
        assert f"{prefix}/tokens" in shown[0]


def test_a_run_that_is_resumed_is_told_again(tmp_path: Path) -> None:
    for _ in range(2):
        run = begin(tmp_path, id="same", resume="allow")
        say(get_sink(run), make_snapshot(12))
        assert items(end(run)[1], "alert")
        for file in tmp_path.rglob("*.wandb"):
            file.unlink()


def test_a_disabled_run_takes_everything(tmp_path: Path) -> None:
    run = wandb.init(mode="disabled", dir=str(tmp_path))
    say(get_sink(run), make_snapshot(12))
    run.finish()


def test_without_plotly_the_scalars_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.graph_objects", None)
    plant(tmp_path / "ladder")
    callback = ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=0.0, replicates=20)
    logger = WandbLogger(project="test", offline=True, save_dir=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalingWarning)
        train(callback, logger=logger)
    rows = [row["item"] for row in items(end(logger.experiment)[1], "history")]
    assert any("scaling/target_loss" in row for row in rows)


def test_a_training_leaves_all_of_it_in_an_offline_run(tmp_path: Path) -> None:
    plant(tmp_path / "ladder")
    callback = ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=0.0, replicates=20)
    logger = WandbLogger(project="test", offline=True, save_dir=tmp_path, **group_of(tmp_path / "ladder"))
    train(callback, logger=logger)
    folder, records = end(logger.experiment)
    assert_metrics_or_reasons(records)
    assert_complete(folder, records)
    (first, *_) = items(records, "run")
    assert first["run_group"] == str(tmp_path / "ladder")[-128:]
    assert first["job_type"] == "rung"


def assert_complete(folder: Path, records: list[dict[str, Any]]) -> None:
    """Figures, fit, forecast and table of a training are there."""
    rows = [row["item"] for row in items(records, "history")]
    assert drawn(folder, rows, "compute")
    config = [update["update"]["scaling"] for update in items(records, "config") if "scaling" in update["update"]]
    assert config[0]["target"]
    assert config[-1]["fit"]["params"]["E"] > 0
    summary = {name: value for each in items(records, "summary") for name, value in each["update"].items()}
    assert summary["scaling/forecast"]["median"] == pytest.approx(summary["scaling/target_loss"])
    assert any(artifact["type"] == "ladder" for artifact in items(records, "artifact"))


def test_a_prefix_of_the_logger_leaves_the_names_as_they_were_defined(tmp_path: Path) -> None:
    plant(tmp_path / "ladder")
    logger = WandbLogger(project="test", offline=True, save_dir=tmp_path, prefix="mine")
    train(ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=0.0, replicates=20), logger=logger)
    rows = [row["item"] for row in items(end(logger.experiment)[1], "history")]
    assert any("scaling/target_loss" in row and "trainer/global_step" in row for row in rows)
    assert not any("mine-scaling/target_loss" in row for row in rows)


def test_a_run_that_its_owner_finished_first_costs_warnings_alone(tmp_path: Path) -> None:
    run = begin(tmp_path)
    recorder = ScalingRecorder(TARGET, tmp_path / "ladder", CARD, loggers=[run])
    recorder.observe(3.0, tokens=1e6)
    run.finish()
    with pytest.warns(ScalingWarning, match="is finished"):
        recorder.observe(2.9, tokens=1e9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalingWarning)
        recorder.finish()
    assert only(tmp_path / "ladder").completed


# online, against a stand-in of the service ------------------------------------------------------------------------


def go_online(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("WANDB_BASE_URL", service.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def test_the_same_training_works_online(
    service: Service,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_online(service, monkeypatch)
    plant(tmp_path / "ladder")
    callback = ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=0.0, replicates=20)
    logger = WandbLogger(project="test", save_dir=tmp_path, **group_of("shared/ladder"))
    train(callback, logger=logger)
    get_sink(logger).alert(ALERT)
    wandb.finish()
    received: Received = service.only()
    assert received.complete
    assert received.variables["groupName"] == "shared/ladder"
    assert received.config["scaling"]["fit"]["params"]["E"] > 0
    rows = [row for row in received.history if "scaling/target_loss" in row]
    assert rows
    assert all(TOKENS in row for row in rows)
    assert received.summary["scaling/forecast"]["median"] == pytest.approx(rows[-1]["scaling/target_loss"])
    for name in ("compute", "forecast"):
        (*_, path) = [path for path in service.files if path.startswith(f"media/plotly/scaling/figures/{name}_")]
        assert json.loads(service.files[path])["data"]
    assert service.files["artifact/ladder.csv"].startswith(b"run,")
    assert any(given["artifactTypeName"] == "ladder" for given in service.artifacts.values())
    assert (ALERT.title, "WARN") in [(alert["title"], alert["severity"]) for alert in service.alerts]


@pytest.mark.parametrize("code", [500, 429, None], ids=["fails", "is busy", "goes away"])
def test_a_service_in_trouble_ends_no_training_and_is_told_when_it_is_back(
    code: int | None,
    service: Service,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Cut(Tiny):
        def on_validation_end(self) -> None:
            if self.global_step == 4:
                service.break_down(code)

    go_online(service, monkeypatch)
    # what the client waits for an artifact's type, before a training may go on
    monkeypatch.setattr(wandb.Api, "_HTTP_TIMEOUT", 1)
    plant(tmp_path / "ladder")
    callback = ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=0.0, replicates=20)
    waits = {
        f"x_{client}_retry_wait_{end}_seconds": seconds
        for client in ("graphql", "file_stream", "file_transfer")
        for end, seconds in (("min", 0.05), ("max", 0.2))
    }
    logger = WandbLogger(project="test", save_dir=tmp_path, settings=wandb.Settings(**waits))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalingWarning)
        trainer = train(callback, model=Cut(), logger=logger)
    assert trainer.global_step == 12
    assert callback.snapshot is not None
    assert callback.snapshot.forecast is not None
    service.recover()
    wandb.finish()
    assert service.only().complete
    assert any("scaling/target_loss" in row for row in service.only().history)


# the workspace ----------------------------------------------------------------------------------------------------


def say_dashboard(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["dashboard", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def collect(spec: Any, names: tuple[str, ...]) -> set[str]:
    """All texts under these keys, at any depth."""
    if isinstance(spec, list):
        return {text for each in cast("list[Any]", spec) for text in collect(each, names)}
    if not isinstance(spec, dict):
        return set()
    own = [value for key, value in cast("dict[str, Any]", spec).items() if key in names]
    found = {text for value in own for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)}
    return found | {text for value in spec.values() for text in collect(value, names)}


@pytest.mark.parametrize("prefix", ["scaling", "scaling-code"])
def test_every_metric_of_the_workspace_is_one_that_is_logged(prefix: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = say_dashboard(capsys, "team/ladder", "--json", "--prefix", prefix)
    assert code == 0
    view = json.loads(out)
    known = {name.replace("scaling", prefix, 1) for name in (*METRICS, TOKENS)}
    figures = {f"{prefix}/figures/{figure.name}" for figure in plot_figures(make_snapshot(12))}
    shown = collect(view["spec"]["section"]["panelBankConfig"], ("metrics", "xAxis")) - {"_step"}
    assert shown <= known
    assert known - shown == set()  # nothing that is logged has no panel
    assert collect(view, ("mediaKeys",)) == figures
    pinned = {column.partition(":") for column in collect(view, ("columnOrder",))}
    assert {name for kind, _, name in pinned if kind == "summary"} <= known
    card = {field.name for field in fields(RunCard)}
    recorded = {name.removeprefix(f"{prefix}.value.card.") for kind, _, name in pinned if kind == "config"}
    assert recorded <= card
    titles = [section["name"] for section in view["spec"]["section"]["panelBankConfig"]["sections"]]
    assert titles == ["Forecast", "Law", "Allocation", "Figures", "Ladder", "Cost"]


def test_a_workspace_of_one_ladder_leaves_the_others_out(capsys: pytest.CaptureFixture[str]) -> None:
    for typed, ladder in (("s3://bucket/ladder/", "s3://bucket/ladder"), ("""it's "a\\b\"""", """it's "a\\b\"""")):
        _, out, _ = say_dashboard(capsys, "ladder", "--json", "--ladder", typed)
        (chosen,) = json.loads(out)["spec"]["section"]["runSets"][0]["filters"]["filters"]
        assert chosen["key"] == {"section": "config", "name": "scaling.value.ladder"}
        assert chosen["value"] == ladder
        assert json.loads(out)["entity"] is None


def test_the_workspace_is_saved(
    service: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    go_online(service, monkeypatch)
    code, out, _ = say_dashboard(capsys, "ladder")
    assert code == 0
    (view,) = service.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == (ENTITY, "ladder", "Scaling laws")
    assert json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    assert out.startswith(f"saved: {service.url}/{ENTITY}/ladder?nw=")


def test_without_credentials_one_line_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = say_dashboard(capsys, "ladder")
    assert (code, out) == (2, "")
    assert said.count("\n") == 1
    assert "wandb login" in said


def test_a_service_that_refuses_the_workspace_is_said_in_one_line(
    service: Service,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    go_online(service, monkeypatch)
    service.fault = lambda _: 403
    code, _, said = say_dashboard(capsys, "ladder")
    assert code == 2
    assert "was not saved" in [line for line in said.splitlines() if line.startswith("scaling-callback")][-1]


def test_a_project_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for project in ("a/b/c", "/", ""):
        with pytest.raises(SystemExit, match="2"):
            main(["dashboard", project])
        assert "PROJECT" in capsys.readouterr().err
