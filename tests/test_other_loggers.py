"""Claims about loggers other than W&B: each gets what it can show, and none is needed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import pytorch_lightning
from support import only, plant
from support_training import TARGET, Bytes, Tiny, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from scaling_callback import Config, ScalingCallback
from scaling_callback.errors import ScalingWarning
from scaling_callback.pipeline import refresh
from scaling_callback.reporting import Figure, plot_figures
from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.scalars import METRICS
from scaling_callback.sinks import LoggerSink, WriterSink, get_sink
from scaling_callback.sinks.images import make_pixels
from scaling_callback.tables import read_table
from scaling_callback.testing import planted_ladder

ALERT = Alert("left-interval", "[it](http://x.example) left", "loss 2 <b>is</b> off | far", "WARN")
ANSWERS: dict[str, Any] = {"forecast": {"median": 2.5, "upper": float("nan")}, "hostile": "</script>\x1b[2J"}
ROWS = [
    {"run": 'a,"b"\n<i>', "params": 1e6, "tokens": 1e7, "loss": 3.0, "lr": float("nan")},
    {"run": "b", "params": 2e6, "tokens": 1e7, "loss": 2.9},
]


@pytest.fixture(scope="module")
def figures() -> tuple[Figure, ...]:
    return plot_figures(refresh(planted_ladder(points=3), (), Config(target=TARGET, replicates=20)))


def say_everything(sink: Any, figures: tuple[Figure, ...]) -> None:
    """All that a run can say."""
    sink.describe({"run": "[x](y)", "target": None})
    sink.log({"scaling/E": 1.5, "scaling/tokens": 7.0}, step=3)
    sink.explain({"scaling/alpha": "too_few_runs: *two*"}, {"one_size": "all runs have one size"})
    sink.draw(figures, step=3)
    sink.alert(ALERT)
    sink.conclude(ANSWERS, ROWS)


def read_events(folder: str | Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0}).Reload()


def read_text(events: EventAccumulator, tag: str) -> str:
    return events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()


def fit(of: ModuleType, logger: Any, ladder: Path) -> None:
    """A short training of a Trainer of either Lightning, refitted at its start and end among finished runs."""
    plant(ladder)
    callback = ScalingCallback(TARGET, ladder, refit_budget=0.0, replicates=20)
    if of is pl:
        train(callback, logger=logger)
        return

    class Foreign(pytorch_lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Tiny()

        def training_step(self, batch: Any) -> Any:
            return self.inner.step(batch)

        def validation_step(self, batch: Any) -> None:
            self.log("val_loss", self.inner.step(batch))

        def configure_optimizers(self) -> Any:
            return self.inner.configure_optimizers()

    trainer = pytorch_lightning.Trainer(
        accelerator="cpu", max_steps=12, val_check_interval=4, check_val_every_n_epoch=None, logger=logger,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(Foreign(), DataLoader(Bytes(64), batch_size=4), DataLoader(Bytes(8), batch_size=8))


def assert_rows(rows: list[Mapping[str, Any]]) -> None:
    """Every metric that a run among finished ones has."""
    logged = {name for row in rows for name, value in row.items() if value not in ("", None)}
    assert {"scaling/target_loss", "scaling/E", "scaling/runs", "scaling/tokens"} <= logged & {
        *METRICS,
        "scaling/tokens",
    }


@pytest.mark.parametrize("of", [pl, pytorch_lightning])
def test_a_training_with_tensorboard_is_read_back(of: ModuleType, tmp_path: Path, figures: tuple[Figure, ...]) -> None:
    logger = of.loggers.TensorBoardLogger(tmp_path / "logs")
    fit(of, logger, tmp_path / "ladder")
    sink = get_sink(logger)
    assert isinstance(sink, WriterSink)
    sink.draw(figures[:2], step=12)
    logger.finalize("success")

    events = read_events(logger.log_dir)
    assert_rows([{name: events.Scalars(name)[-1].value for name in events.Tags()["scalars"]}])
    assert [event.step for event in events.Scalars("scaling/runs")] == [4, 12]
    assert {event.step for event in events.Scalars("scaling/loss")} == {4, 8, 12}
    assert '"ladder": ' in read_text(events, "scaling/config")
    for figure in figures[:2]:
        image = events.Images(f"scaling/figures/{figure.name}")[-1]
        assert (image.step, image.width, image.height) == (12, *make_pixels(figure).shape[1::-1])


@pytest.mark.parametrize("of", [pl, pytorch_lightning])
def test_a_training_with_the_csv_logger_is_read_back(of: ModuleType, tmp_path: Path) -> None:
    logger = of.loggers.CSVLogger(tmp_path / "logs")
    fit(of, logger, tmp_path / "ladder")

    with (Path(logger.log_dir) / "metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["scaling/runs"]]
    assert_rows(rows)
    assert [row["step"] for row in rows] == ["4", "12"]
    beside = Path(logger.log_dir) / "scaling"
    assert json.loads((beside / "config.json").read_text("utf-8"))["target"] == {
        "params": TARGET.params, "tokens": TARGET.tokens, "flops": None,
    }  # fmt: skip
    assert set(json.loads((beside / "reasons.json").read_text("utf-8"))) == {"absent", "doubts"}


class Minimal(pl.loggers.Logger):
    """As little as Lightning lets a logger be."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    @property
    def name(self) -> str:
        return "minimal"

    @property
    def version(self) -> int:
        return 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append({"step": step, **metrics})

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass


def test_a_logger_of_one_s_own_gets_every_scalar(tmp_path: Path) -> None:
    logger = Minimal()
    fit(pl, logger, tmp_path / "ladder")

    assert_rows(logger.rows)


@pytest.mark.parametrize("logger", [False, None], ids=["none", "default"])
def test_a_training_needs_no_logger(logger: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train(ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=None), logger=logger)

    assert len(only(tmp_path / "ladder").curve) == 3


def test_a_minimal_logger_is_asked_for_nothing_that_it_lacks(figures: tuple[Figure, ...]) -> None:
    logger = Minimal()
    say_everything(get_sink(logger), figures)

    assert logger.rows == [{"step": 3, "scaling/E": 1.5, "scaling/tokens": 7.0}]


def test_tensorboard_shows_everything_that_a_run_says(tmp_path: Path, figures: tuple[Figure, ...]) -> None:
    with SummaryWriter(tmp_path) as writer:
        say_everything(get_sink(writer, "own"), figures)

    events = read_events(tmp_path)
    assert events.Scalars("own/E")[0].value == 1.5
    assert events.Scalars("own/E")[0].step == 3
    assert {f"own/figures/{figure.name}" for figure in figures} == {*events.Tags()["images"]}
    assert read_text(events, "own/config").startswith("    {\n")  # quoted: what stands in it is no markup
    assert read_text(events, "own/alpha") == r"too\_few\_runs: \*two\*"
    assert read_text(events, "own/doubts/one_size") == "all runs have one size"
    assert read_text(events, "own/alerts/left-interval") == (
        r"**WARN** \[it\](http://x.example) left: loss 2 \<b\>is\</b\> off \| far"
    )
    assert json.loads(read_text(events, "own/answers"))["forecast"] == {"median": 2.5, "upper": None}


def test_an_image_holds_the_figure(figures: tuple[Figure, ...], tmp_path: Path) -> None:
    from matplotlib.image import imread

    with SummaryWriter(tmp_path) as writer:
        get_sink(writer).draw(figures[:1], step=1)
    (event,) = read_events(tmp_path).Images(f"scaling/figures/{figures[0].name}")
    pixels = (255 * imread(io.BytesIO(event.encoded_image_string))).round()

    np.testing.assert_array_equal(pixels, make_pixels(figures[0]))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10  # it is no blank sheet


@pytest.mark.parametrize("kind", ["csv", "tensorboard"])
def test_a_logger_with_a_folder_gets_the_answers_and_the_ladder_as_files(
    kind: str, tmp_path: Path, figures: tuple[Figure, ...]
) -> None:
    of = {"csv": pl.loggers.CSVLogger, "tensorboard": pl.loggers.TensorBoardLogger}[kind]
    logger = of(tmp_path)
    say_everything(get_sink(logger), figures if kind == "csv" else figures[:1])
    folder = Path(logger.log_dir) / "scaling"

    assert json.loads((folder / "answers.json").read_text("utf-8")) == {
        "forecast": {"median": 2.5, "upper": None}, "hostile": ANSWERS["hostile"],
    }  # fmt: skip
    runs = read_table(folder / "ladder.csv")
    assert [(run.params, run.final.loss) for run in runs if run.final] == [(1e6, 3.0), (2e6, 2.9)]
    with (folder / "ladder.csv").open(encoding="utf-8", newline="") as file:
        assert [row["run"] for row in csv.DictReader(file)] == [row["run"] for row in ROWS]
    if kind == "csv":
        drawn = {path.stem: path.read_text("utf-8") for path in folder.glob("*.svg")}
        assert drawn.keys() == {figure.name for figure in figures}
        assert all(svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"') for svg in drawn.values())
        assert json.loads((folder / "alerts.jsonl").read_text("utf-8"))["step"] == 3
        assert json.loads((folder / "reasons.json").read_text("utf-8"))["absent"] == {
            "scaling/alpha": "too_few_runs: *two*"
        }


def test_the_csv_logger_of_fabric_finds_its_folder_unused(tmp_path: Path, figures: tuple[Figure, ...]) -> None:
    from lightning.fabric.loggers import CSVLogger

    logger = CSVLogger(tmp_path)
    say_everything(get_sink(logger), figures[:1])  # it would warn of files that were there before its own
    logger.save()

    assert "scaling/E" in (Path(logger.log_dir) / "metrics.csv").read_text("utf-8")


@pytest.mark.parametrize("log_dir", ["s3://bucket/logs", None, ""])
def test_a_folder_elsewhere_is_not_taken_for_one_of_this_machine(
    log_dir: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: tuple[Figure, ...]
) -> None:
    class Remote(Minimal):
        @property
        def log_dir(self) -> str | None:
            return log_dir

    monkeypatch.chdir(tmp_path)
    say_everything(get_sink(Remote()), figures)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["../../up", "/tmp/abs", "a\nb", "..", "x" * 300])
def test_a_prefix_leads_no_file_out_of_the_logger_s_folder(
    prefix: str, tmp_path: Path, figures: tuple[Figure, ...]
) -> None:
    logger = pl.loggers.CSVLogger(tmp_path / "logs" / "deep")
    say_everything(get_sink(logger, prefix), figures[:1])

    written = {path for path in tmp_path.rglob("*") if path.name == "answers.json"}
    assert {path.parent.parent for path in written} == {Path(logger.log_dir)}


def test_a_logger_that_takes_images_gets_figures(figures: tuple[Figure, ...]) -> None:
    class Images(Minimal):
        def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
            self.rows.append({"key": key, "shapes": [image.shape for image in images], "step": step})

    logger = Images()
    sink = get_sink(logger)
    assert isinstance(sink, LoggerSink)
    sink.draw(figures[:1], step=7)

    (row,) = logger.rows
    assert row == {"key": f"scaling/figures/{figures[0].name}", "shapes": [make_pixels(figures[0]).shape], "step": 7}


def test_an_own_run_is_recorded_whatever_the_logger_does(tmp_path: Path) -> None:
    class Broken(Minimal):
        @property
        def log_dir(self) -> str:
            raise PermissionError("planted")

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if "scaling/tokens" in metrics:
                raise ConnectionError("planted")

    with pytest.warns(ScalingWarning, match="a logger did not take") as caught:
        train(ScalingCallback(TARGET, tmp_path / "ladder", refit_budget=None), logger=Broken())

    said = [str(warning.message) for warning in caught if issubclass(warning.category, ScalingWarning)]
    assert len(said) == len({*said}) == 2  # once for each cause
    assert len(only(tmp_path / "ladder").curve) == 3
