"""TensorBoard: scalars, figures as images, and everything in words as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from scaling_callback.reporting.alerts import Alert
from scaling_callback.reporting.figures import Figure
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks.base import rename
from scaling_callback.sinks.folder import find_folder, write_json
from scaling_callback.sinks.images import make_pixels


@final
class WriterSink:
    """A `SummaryWriter`, the user's own or that of a logger.

    Args:
        writer: Gives the writer; a logger of Lightning makes it when it is first asked for.
        send: Logs a row at a step; by default one scalar each through the writer.
        prefix: What the names of metrics begin with.
    """

    def __init__(
        self,
        writer: Callable[[], Any],
        send: Callable[[dict[str, float], int], None] | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self._writer = writer
        self._send = send or self._add_scalars
        self._prefix = prefix
        self._step = 0

    def describe(self, record: Mapping[str, Any]) -> None:
        """As text."""
        self._add_text("config", _quote(write_json(record)))

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """One scalar each."""
        self._step = step
        self._send({rename(name, self._prefix): value for name, value in values.items()}, step)

    def explain(self, absent: Mapping[str, str], doubts: Mapping[str, str]) -> None:
        """As text, a reason under the name of its metric."""
        for name, reason in absent.items():
            self._writer().add_text(rename(name, self._prefix), _show(reason), self._step)
        for name, doubt in doubts.items():
            self._add_text(f"doubts/{name}", _show(doubt))

    def draw(self, figures: Sequence[Figure], *, step: int) -> None:
        """An image each."""
        for figure in figures:
            tag = f"{self._prefix}/figures/{figure.name}"
            self._writer().add_image(tag, make_pixels(figure), step, dataformats="HWC")

    def alert(self, alert: Alert) -> None:
        """As text."""
        self._add_text(f"alerts/{alert.name}", f"**{alert.level}** {_show(f'{alert.title}: {alert.text}')}")

    def conclude(self, answers: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        """The answers as text; they and the ladder's table as files beside the events, if those are on this machine."""
        self._add_text("answers", _quote(write_json(answers)))
        folder = find_folder(getattr(self._writer(), "log_dir", None), self._prefix)
        if folder is not None:
            folder.conclude(answers, rows)

    def _add_scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer().add_scalar(name, value, step)

    def _add_text(self, name: str, text: str) -> None:
        self._writer().add_text(f"{self._prefix}/{name}", text, self._step)


def _quote(text: str) -> str:
    """Text as TensorBoard, which reads Markdown, shows it letter by letter."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _show(text: str) -> str:
    r"""Words on one line, without what Markdown would take for markup: names come from outside.

    Example:
        >>> print(_show("too_few_runs: [a](http://x.example)\n<b>"))
        too\_few\_runs: \[a\](http://x.example) \<b\>
    """
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|" else c for c in " ".join(text.split()))
