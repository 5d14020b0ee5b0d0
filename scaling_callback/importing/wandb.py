"""Runs of a W&B project, through W&B's own public client."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, cast

import numpy as np

from scaling_callback.errors import InputError, MissingDependency
from scaling_callback.importing.record import Log, Record, State, as_array, as_number, flatten
from scaling_callback.tables.cells import shorten

PATIENCE = 300.0
"""Seconds that a request may take with all its repetitions: the client waits as long as the service names when it is
asked too often (HTTP 429), and gives up after 19 seconds unless it is told otherwise."""

PAGE = 1000
"""Steps of a run that are asked for at once: what the client takes for itself, which no server refuses."""

STATES: dict[str, State] = {"finished": "finished"}
"""Of all other states (running, crashed, failed, killed, preempted) the training has not reached its end."""

ROW, TIME = "_step", "_timestamp"
"""What W&B calls the number of a row, and the time at which it was logged."""


def read_wandb(
    project: str, *, filters: Mapping[str, Any] | None = None, patience: float = PATIENCE
) -> Iterator[Record]:
    """The runs of a project, oldest first. Their histories are read whole, never sampled, when they are asked for.

    Args:
        project: `ENTITY/PROJECT`.
        filters: What W&B selects runs by, in its own language (`{"state": "finished"}`).
        patience: Seconds that a request may take with all its repetitions.

    Raises:
        InputError: There is no such project, it may not be read, or the service does not answer.
        MissingDependency: It needs wandb.
    """
    entity, slash, name = project.strip("/").partition("/")
    if not (entity and slash and name) or "/" in name:
        raise InputError(f"{project!r} is no project of W&B; give ENTITY/PROJECT, such as my-team/ladder")
    try:
        wandb = cast("Any", importlib.import_module("wandb"))
    except ImportError:
        raise MissingDependency("importing from W&B needs wandb: pip install 'scaling-callback[wandb]'") from None
    with _Answering(project):
        api = wandb.Api(timeout=patience)
        runs = iter(_call(api.runs, f"{entity}/{name}", filters=dict(filters or {}), lazy=False))
    while True:
        with _Answering(project):
            try:
                run = next(runs)
            except StopIteration:
                return
            record = _record(run, f"{entity}/{name}")
        yield record


def read_filter(text: str) -> dict[str, Any]:
    """A filter of W&B as it is typed: JSON, or `KEY=VALUE`.

    Raises:
        InputError: It is neither.

    Example:
        >>> read_filter("config.width=512"), read_filter('{"tags": "ladder"}')
        ({'config.width': 512}, {'tags': 'ladder'})
    """
    try:
        if text.lstrip().startswith("{"):
            return cast("dict[str, Any]", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the filter {shorten(text)!r} is no JSON object ({error}); give KEY=VALUE, or JSON") from None
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals):
        raise InputError(f"the filter {shorten(text)!r} is not of the form KEY=VALUE, such as state=finished, nor JSON")
    try:
        return {key: json.loads(value)}
    except (ValueError, RecursionError):
        return {key: value}


class _Answering:
    """Turns what the client raises, which may be anything, into one line."""

    def __init__(self, project: str) -> None:
        self._project = project

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, InputError):
            _refuse(self._project, error)


def _refuse(project: str, error: Exception) -> NoReturn:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    low = said.lower()
    if "in time" in low or "timed out" in low or "429" in low or "rate limit" in low:
        cure = "it does not answer, or limits how often it is asked: import again later, what is imported stays"
    elif "api key" in low or "api_key" in low or "credential" in low or "login" in low or "401" in low or "403" in low:
        cure = "log in with `wandb login`, or set WANDB_API_KEY"
    elif "could not find project" in low or "404" in low:
        cure = "check ENTITY/PROJECT, and that you may read it"
    else:
        cure = "check ENTITY/PROJECT, your key, and WANDB_BASE_URL"
    raise InputError(f"W&B gives no runs of {project!r} ({said}); {cure}") from None


def _call(function: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """A function of the client with what its version knows of the arguments."""
    known = inspect.signature(function).parameters
    return function(*positional, **{name: value for name, value in named.items() if name in known})


def _record(run: Any, project: str) -> Record:
    summary = flatten(_summary(run))
    logged = _logged(run)
    facts = {"project": project, "run_id": str(run.id), "url": str(run.url), "state": str(run.state)}
    return Record(
        name=str(run.name or run.id),
        identity=f"wandb:{project}/{run.id}",
        source="wandb",
        metrics=tuple(dict.fromkeys((*logged, *summary))),
        config=flatten(dict(run.config)),
        summary=summary,
        read=lambda keys: _read(run, project, keys, timed=TIME in logged or not logged),
        state=STATES.get(str(run.state), "unfinished"),
        created=_seconds(getattr(run, "created_at", None)),
        facts=facts,
    )


def _summary(run: Any) -> Mapping[str, Any]:
    found = run.summary
    return cast("Mapping[str, Any]", getattr(found, "_json_dict", None) or dict(found))


def _logged(run: Any) -> tuple[str, ...]:
    """Names of the metrics in a run's history, as the service counts them; of an active run there may be none yet."""
    known = getattr(run, "history_keys", None)
    if not isinstance(known, Mapping):
        known = cast("Mapping[str, Any]", run._attrs).get("historyKeys")  # noqa: SLF001 - older clients show it nowhere
    keys = cast("Mapping[str, Any]", known).get("keys") if isinstance(known, Mapping) else None
    return tuple(cast("Mapping[str, Any]", keys)) if isinstance(keys, Mapping) else ()


def _seconds(stamp: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except ValueError:
        return None


def _read(run: Any, project: str, keys: Sequence[str], *, timed: bool) -> Log:
    """All rows that hold one of the metrics.

    Asked for several keys the service gives the rows that hold all of them. So the first, whose rows count, is asked
    for alone; all together come next, and if that is as many rows nothing is missing; else each is asked for alone.
    """
    with _Answering(project):
        alone = _scan(run, [keys[0]], timed=timed)
        together = _scan(run, list(keys), timed=timed) if len(keys) > 1 else alone
        rows = dict(together)
        if len(together) < len(alone):
            for key in keys:
                for number, row in (alone if key == keys[0] else _scan(run, [key], timed=timed)).items():
                    rows[number] = {**rows.get(number, {}), **row}
    numbers = sorted(rows)
    values = {key: [as_number(rows[number].get(key)) for number in numbers] for key in keys}
    order = np.array(numbers, dtype=float)
    return Log(
        columns={key: as_array(column) for key, column in values.items()},
        held={key: np.array([value is not None for value in column], dtype=bool) for key, column in values.items()},
        order=order,
        step=order,
        wall_time=as_array([as_number(rows[number].get(TIME)) for number in numbers]),
        counts_training=False,  # it goes on when a training resumes from a checkpoint before
    )


def _scan(run: Any, keys: list[str], *, timed: bool) -> dict[float, dict[str, Any]]:
    """The rows that hold all of some keys, by number; read anew each time, since those of an active run grow."""
    asked = list(dict.fromkeys([*keys, ROW, *([TIME] if timed else [])]))
    found = _call(run.scan_history, keys=asked, page_size=PAGE, use_cache=False)
    return {float(row[ROW]): dict(row) for row in found if ROW in row}
