"""Runs in a folder of TensorBoard's event files, through TensorBoard's own reader."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from scaling_callback.errors import InputError, MissingDependency
from scaling_callback.importing.hparams import read_hparams
from scaling_callback.importing.record import Log, Record, make_faulty

EVENTS = "*tfevents*"
"""What event files are called, whoever writes them."""

EVERYTHING = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1, "compressedHistograms": 1}
"""How many values of a tag are kept: 0 for all. What is no number is of no use here."""

HPARAMS = "_hparams_/session_start_info"
"""The tag under which a run's hyperparameters stand."""

_STAMP = re.compile(r"\d{9,}(\.\d+)?")


def read_tensorboard(folder: str) -> Iterator[Record]:
    """The runs in a folder and those below it: each folder that holds event files is one.

    Several files of one folder, of a training that was resumed, are one run. A file that was cut gives what stands
    before the cut.

    Raises:
        InputError: There is no such folder, or no event file in it.
        MissingDependency: It needs tensorboard.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder} is no folder; give the one that TensorBoard is given as --logdir")
    try:
        files = sorted(path for path in root.rglob(EVENTS) if path.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); check that you may open it") from None
    if not files:
        raise InputError(f"{folder} holds no event file (*tfevents*); give the folder that TensorBoard is given")
    reader = _load_reader()
    folders = sorted({path.parent for path in files})
    lent = {path for path in folders if path.parent in folders and _STAMP.fullmatch(path.name)}
    for path in folders:
        if path not in lent:
            below = [other for other in sorted(lent) if other.parent == path]
            yield _record(reader, root, path, below)


def _load_reader() -> Any:
    try:
        module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    except ImportError:
        raise MissingDependency("importing from TensorBoard needs it: pip install tensorboard") from None
    # it tells of every tag whose files were resumed
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    return cast("Any", module).EventAccumulator


def _record(reader: Any, root: Path, path: Path, below: Sequence[Path]) -> Record:
    """One folder; `below` are those that `SummaryWriter.add_hparams` makes for the hyperparameters alone."""
    relative = path.relative_to(root).as_posix()
    name = relative if relative != "." else root.resolve().name
    identity = f"tensorboard:{path.resolve()}"
    try:
        events = _load(reader, path, name)
        series = _series(events)
        config = {**read_hparams(path), **_hyperparameters(events)}
        for folder in below:
            config = {**_hyperparameters(_load(reader, folder, name)), **config}
    except InputError as error:
        return make_faulty(name, identity, "tensorboard", str(error))
    if not series:
        empty = "the event files are empty (no scalar is in them), as of a run that has just begun; import again later"
        return make_faulty(name, identity, "tensorboard", empty)
    return Record(
        name=name,
        identity=identity,
        source="tensorboard",
        metrics=tuple(series),
        config=config,
        summary={tag: rows[-1][2] for tag, rows in series.items() if rows},
        read=lambda keys: _read(series, keys),
        created=min((rows[0][0] for rows in series.values() if rows), default=None),
        facts={"project": str(root.resolve()), "run_id": relative, "url": path.resolve().as_uri()},
    )


def _load(reader: Any, path: Path, name: str) -> Any:
    events = reader(str(path), size_guidance=EVERYTHING, purge_orphaned_data=True)
    try:
        events.Reload()
    except Exception as error:  # noqa: BLE001 - what its reader raises of a damaged file is not written anywhere
        raise InputError(f"{name} cannot be read as event files ({type(error).__name__}: {error})") from None
    return events


_Rows = list[tuple[float, float, float]]


def _series(events: Any) -> dict[str, _Rows]:
    """Time, step and value of each scalar, in the order recorded; newer writers write scalars as tensors."""
    tags: Mapping[str, Any] = events.Tags()
    found: dict[str, _Rows] = {
        tag: [(float(e.wall_time), float(e.step), float(e.value)) for e in events.Scalars(tag)]
        for tag in tags["scalars"]
    }
    for tag in tags["tensors"]:
        numbers = [(e, number) for e in events.Tensors(tag) if (number := _number(e.tensor_proto)) is not None]
        if numbers:
            found[tag] = [(float(e.wall_time), float(e.step), number) for e, number in numbers]
    return found


def _number(tensor: Any) -> float | None:
    """The one number in a tensor, or `None` where it is none."""
    try:
        made = cast("Any", importlib.import_module("tensorboard.util.tensor_util")).make_ndarray(tensor)
        return float(made) if made.shape == () and made.dtype.kind in "fiub" else None
    except (TypeError, ValueError):
        return None


def _hyperparameters(events: Any) -> dict[str, Any]:
    """What the HParams plugin holds of a run."""
    try:
        content = events.PluginTagToContent("hparams").get(HPARAMS)
    except KeyError:
        return {}
    if content is None:
        return {}
    plugin = cast("Any", importlib.import_module("tensorboard.plugins.hparams.plugin_data_pb2"))
    values = plugin.HParamsPluginData.FromString(content).session_start_info.hparams
    found = {name: getattr(value, cast("str", value.WhichOneof("kind"))) for name, value in values.items()}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _read(series: Mapping[str, _Rows], keys: Sequence[str]) -> Log:
    """A row for each value, by the time it was written; values of one time keep the order of their tags."""
    rows = sorted(((key, *row) for key in keys for row in series[key]), key=lambda row: row[1])
    columns = {key: np.array([value if key == tag else np.nan for tag, _, _, value in rows]) for key in keys}
    held = {key: np.array([key == tag for tag, *_ in rows], dtype=bool) for key in keys}
    return Log(
        columns=columns,
        held=held,
        order=np.arange(len(rows), dtype=float),
        step=np.array([step for _, _, step, _ in rows], dtype=float),
        wall_time=np.array([time for _, time, _, _ in rows], dtype=float),
    )
