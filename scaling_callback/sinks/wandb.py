"""Weights & Biases: metrics against tokens, figures, alerts; the fit in the config, the forecast in the summary."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypedDict, final

from scaling_callback.errors import MissingDependency
from scaling_callback.ladder.files import tidy_location
from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.rendering.plotly import write_plotly
from scaling_callback.reporting.results import to_json_values
from scaling_callback.reporting.scalars import METRICS, PREFIX, TOKENS
from scaling_callback.sinks.base import rename
from scaling_callback.tables import write_rows

FIGURES = "scaling/figures/"
"""What the names of figures begin with."""

TABLE = "scaling/ladder"
"""The table of the ladder's runs, one row each."""

MOST_FIGURE_BYTES = 2_000_000
"""What all figures of a run may take together. With the rows of a thousand refits a run stays below 5 MB."""

ALERT_WAIT = 600.0
"""Seconds in which an alert is not sent again."""

LONGEST_GROUP = 128
"""Characters that the service takes."""

LONGEST_TITLE = 63
"""The same for the title of an alert."""

LONGEST_TEXT = 1000
"""Of an alert nobody reads more."""

Row = dict[str, Any]


@final
class WandbSink:
    """A W&B run.

    Each metric is defined by its exact name with `scaling/tokens` as its step: globs are matched in undefined
    order, and Lightning's logger itself claims `*`.

    Figures may take `MOST_FIGURE_BYTES` together. As long as figures as large as these would still fit after them
    they are logged; later ones are kept back and logged when the run ends.

    Args:
        run: Gives the run; a logger of Lightning makes it when it is first asked for.
        prefix: What the names of metrics begin with.
        step: The metric that the trainer's step goes to, if any.
        table: Whether the ladder's observations are kept as an artifact, and its runs as a table.
    """

    def __init__(
        self, run: Callable[[], Any], prefix: str = PREFIX, *, step: str | None = None, table: bool = True
    ) -> None:
        self._run = run
        self._prefix = prefix
        self._step = step
        self._table = table
        self._record: dict[str, Any] = {}
        self._at: Row = {}  # the step metrics of the last row
        self._open: tuple[int, set[str]] = (-1, set())  # the owner's row that was last added to, and what was added
        self._drawn: set[str] = set()
        self._left = MOST_FIGURE_BYTES
        self._kept_back: Sequence[Figure] = ()

    def describe(self, record: Mapping[str, Any]) -> None:
        """Define the metrics; keep the configuration under `scaling`."""
        run = self._run()
        run.define_metric(rename(TOKENS, self._prefix))
        for name in METRICS:
            self._define(run, name)
        self._record = to_json_values(record)
        self._configure(run)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row, the step metric in it."""
        row = {rename(name, self._prefix): value for name, value in values.items()}
        tokens = rename(TOKENS, self._prefix)
        self._at = {name: row[name] for name in (tokens,) if name in row} | self._count(step)
        self._add(row)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """Into the summary: `scaling/absent`, what is absent now and why, and `scaling/doubts`.

        W&B would keep the last value of a metric there, which stands no longer.
        """
        self._run().summary.update({rename(name, self._prefix): None for name in absent})
        self._summarise(
            absent={rename(name, self._prefix): reason for name, reason in absent.items()}, doubts=dict(doubts)
        )

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """As Plotly figures under `scaling/figures`, or later."""
        self._at |= self._count(step)
        plots = _write(figures)
        size = sum(map(_measure, plots.values()))
        if 2 * size > self._left:
            self._kept_back = figures
            return
        self._kept_back = ()
        self._log_plots(plots)

    def alert(self, alert: Alert) -> None:
        """As W&B's own, which go where the user has said in its settings."""
        self._run().alert(
            title=_quieten(alert.title, LONGEST_TITLE),
            text=_quieten(alert.text, LONGEST_TEXT),
            level=alert.level,
            wait_duration=ALERT_WAIT,
        )

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """The fit into the config, forecast and allocation into the summary, the ladder as a table and an artifact."""
        said: Row = to_json_values(answers)
        if "fit" in said:
            self._record["fit"] = said.pop("fit")
            self._configure(self._run())
        self._summarise(**said)
        if self._table and rows:
            self._keep(rows)
        if self._kept_back:
            self._log_plots(_write(self._kept_back))
            self._kept_back = ()

    def _add(self, row: Row) -> None:
        """A row of its own; in a run that its owner logs to, a part of the row that is open.

        An owner who counts steps himself loses every row whose step W&B has passed: so none is closed here, unless what
        it holds of ours would be written over because he has logged nothing since.
        """
        run = self._run()
        if self._step is not None:  # a logger of Lightning counts in a metric of its own
            run.log(row | self._at)
            return
        run.log(
            {}, commit=False
        )  # adds nothing; of a finished run `step` would wait half a minute, and this is refused
        opened, names = self._open
        if opened != run.step:
            names = set[str]()
        elif not names.isdisjoint(row):
            run.log({}, commit=True)
            names = set[str]()
        run.log(row | self._at, commit=False)
        self._open = run.step, names | {*row}

    def _define(self, run: Any, name: str) -> None:
        run.define_metric(rename(name, self._prefix), step_metric=rename(TOKENS, self._prefix))

    def _configure(self, run: Any) -> None:
        run.config.update({self._prefix: self._record}, allow_val_change=True)

    def _summarise(self, **said: Any) -> None:
        self._run().summary.update({f"{self._prefix}/{name}": value for name, value in said.items()})

    def _count(self, step: int) -> Row:
        return {} if self._step is None else {self._step: step}

    def _log_plots(self, plots: Mapping[str, Mapping[str, Any]]) -> None:
        """In one row, as many as there is room for."""
        wandb: Any = import_module("wandb")
        figure_of = _import_plotly()
        run, row = self._run(), dict[str, Any]()
        for name, plot in plots.items():
            size = _measure(plot)
            if size > self._left:
                continue
            self._left -= size
            if name not in self._drawn:
                self._define(run, FIGURES + name)
                self._drawn.add(name)
            row[rename(FIGURES + name, self._prefix)] = wandb.Plotly(figure_of(plot))
        if row:
            self._add(row)

    def _keep(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """All observations as a file that the command line reads; the last one of each run as a table to look at."""
        wandb: Any = import_module("wandb")
        run, last = self._run(), {str(row["run"]): row for row in rows}
        columns = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[to_json_values(row.get(name)) for name in columns] for row in last.values()]
        self._define(run, TABLE)
        # cells of one column may be text in one row and a number in another
        table = wandb.Table(columns=[*columns], data=cells, allow_mixed_types=True)
        self._add({rename(TABLE, self._prefix): table})
        artifact = wandb.Artifact(name_artifact(str(self._record.get("ladder", "")), self._prefix), type="ladder")
        with artifact.new_file("ladder.csv", encoding="utf-8") as file:
            write_rows(rows, file)
        run.log_artifact(artifact)


class Group(TypedDict):
    """Where a run stands among those of its project, by the names that W&B has for it."""

    group: str
    job_type: str


def group_of(ladder: str | os.PathLike[str], *, held_out: bool = False) -> Group:
    """The group and job type with which the runs of a ladder stand together.

    A run's group is fixed when the run is made, which no callback does: give it to `WandbLogger(...)` or to
    `wandb.init(...)`. It is the ladder as it stands in the config of every run under `scaling.ladder`.

    Args:
        ladder: What the callback is given.
        held_out: Whether the run is one that is only compared with the forecast.

    Raises:
        InputError: It is no folder or URL.

    Example:
        >>> group_of("s3://bucket/ladder/")
        {'group': 's3://bucket/ladder', 'job_type': 'rung'}
    """
    return {
        # the end of a long path tells more than its beginning
        "group": tidy_location(ladder)[-LONGEST_GROUP:],
        "job_type": "held-out" if held_out else "rung",
    }


def name_artifact(ladder: str, prefix: str) -> str:
    """One name for the table of a ladder, so that each run of it makes a new version of the same artifact.

    Example:
        >>> name_artifact("s3://bucket/my ladder", "scaling")
        'scaling-my-ladder-63cb5bde'
    """
    last, place = ladder.rstrip("/").rpartition("/")[2], hashlib.sha256(ladder.encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', f'{prefix}-{last}')[: LONGEST_GROUP - 9]}-{place}"


def _write(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Each figure by its name, with an empty template: plotly's own would be written into each, 7 kB."""
    plots = {figure.name: write_plotly(figure) for figure in figures}
    return {name: {**plot, "layout": {"template": {}, **plot["layout"]}} for name, plot in plots.items()}


def _measure(plot: Mapping[str, Any]) -> int:
    """Bytes that a figure takes."""
    return len(json.dumps(plot))


def _quieten(text: str, most: int) -> str:
    """One line that mentions nobody and links nowhere: an alert goes on to chats that would heed `<!channel>`.

    Example:
        >>> _quieten("run <!channel> is off the law", 20)
        'run ‹!channel› is o…'
    """
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).split()).replace("<", "‹").replace(">", "›")
    return line if len(line) <= most else line[: most - 1] + "…"


def _import_plotly() -> Callable[[Any], Any]:
    """The figure that W&B takes.

    Raises:
        MissingDependency: Plotly is not installed.
    """
    try:
        return import_module("plotly.graph_objects").Figure
    except ImportError:
        raise MissingDependency(
            "figures in W&B need plotly; pip install 'scaling-callback[wandb]', or do without them"
        ) from None
