"""Any logger of Lightning or Fabric, through what all of them have: scalars, and a folder where they keep files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks.base import rename
from scaling_callback.sinks.folder import Folder, find_folder
from scaling_callback.sinks.images import make_pixels


@final
class LoggerSink:
    """Scalars through `log_metrics`; the rest as files in `log_dir`, or figures through `log_image`.

    A logger without either, such as one of the user's own, gets scalars alone.
    """

    def __init__(self, logger: Any, prefix: str = PREFIX) -> None:
        self._logger = logger
        self._prefix = prefix
        self._step = 0
        self._record: Mapping[str, Any] | None = None

    def describe(self, record: Mapping[str, Any]) -> None:
        """Kept until the first row: a logger that finds its folder in use before that warns of it."""
        self._record = record

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One row."""
        self._step = step
        self._logger.log_metrics({rename(name, self._prefix): value for name, value in values.items()}, step=step)
        if self._record is not None and (folder := self._find_folder()) is not None:
            folder.describe(self._record)
        self._record = None

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """As a file, where there is a folder."""
        if (folder := self._find_folder()) is not None:
            folder.explain({rename(name, self._prefix): why for name, why in absent.items()}, doubts)

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """As files where there is a folder, else as images where the logger takes them."""
        if (folder := self._find_folder()) is not None:
            folder.draw(figures)
        elif callable(log_image := getattr(self._logger, "log_image", None)):
            for figure in figures:
                log_image(key=f"{self._prefix}/figures/{figure.name}", images=[make_pixels(figure)], step=step)

    def alert(self, alert: Alert) -> None:
        """As a line of a file, where there is a folder."""
        if (folder := self._find_folder()) is not None:
            folder.alert(alert, self._step)

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """As files, where there is a folder."""
        if (folder := self._find_folder()) is not None:
            folder.conclude(answers, rows)

    def _find_folder(self) -> Folder | None:
        return find_folder(getattr(self._logger, "log_dir", None), self._prefix)
