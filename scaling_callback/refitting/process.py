"""Refits in a process of their own, so that the training does not wait for them.

A process and not a thread: a fit that shares the interpreter with a training slows it by more than its own time.
It is started with a pipe and nothing else of the training: not its main module, which may begin a training when
it is imported, nor its threads. What goes through the pipe are pickles between the two; they never touch a disk.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import warnings
from multiprocessing.connection import Connection
from typing import Any

from scaling_callback.errors import LadderWarning, RefitFailed
from scaling_callback.ladder import Ladder
from scaling_callback.refitting.refit import Ask, Refit, refit

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Linear algebra of a few parameters gains nothing from threads, and takes them from the training."""


class RefitProcess:
    """A process that refits the ladder at `location`; started by the first question.

    Example:
        >>> from scaling_callback import Config
        >>> process = RefitProcess("a ladder that does not exist")
        >>> process.ask(Ask(Config(), run="a", loss_kind=None))
        >>> process.answer(wait=60.0).snapshot.absent["forecast"]
        'no target was given'
        >>> process.close()
    """

    def __init__(self, location: str) -> None:
        self.busy = False
        self._location = location
        self._pipe: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, ask: Ask) -> None:
        """Have the ladder refitted; one question at a time.

        Raises:
            RefitFailed: The process cannot be started, or is gone; or the question cannot be sent, as where a
                law is no part of any module.
        """
        try:
            if self._pipe is None:
                self._start()
            assert self._pipe is not None
            self._pipe.send(ask)
        except Exception as error:  # noqa: BLE001 - whatever starting a process or pickling a law raises
            self.close()
            raise RefitFailed(f"{type(error).__name__}: {error}") from None
        self.busy = True

    def answer(self, wait: float = 0.0) -> Refit | None:
        """The answer, if it is there within `wait` seconds.

        Raises:
            RefitFailed: The refit failed, or the process is gone.
        """
        assert self._pipe is not None
        try:
            if not self._pipe.poll(wait):
                return None
            answered, warned = self._pipe.recv()
        except (OSError, EOFError) as error:
            self.close()
            raise RefitFailed(f"its process is gone ({type(error).__name__})") from None
        self.busy = False
        for message in warned:
            warnings.warn(message, LadderWarning, stacklevel=2)
        if isinstance(answered, str):
            raise RefitFailed(answered)
        return answered

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.busy = False
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._pipe = self._process = None

    def _start(self) -> None:
        if self._location.startswith("memory:"):
            raise ValueError("a ladder in memory cannot be seen from another process")
        self._pipe, theirs = multiprocessing.Pipe()
        # what this process can import, that one must: a law of the user's own, say
        known = os.pathsep.join(path for path in sys.path if path)
        code = f"from scaling_callback.refitting.process import serve; serve({theirs.fileno()}, {self._location!r})"
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and a line of ours
                [sys.executable, "-c", code],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": known},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt at the terminal is for the training
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "busy": False, "_pipe": None, "_process": None}


def serve(descriptor: int, location: str) -> None:
    """Answer questions until the other end of the pipe is closed: with a refit or, as text, why there is none."""
    ladder = Ladder(location)
    with Connection(descriptor) as pipe, contextlib.suppress(EOFError, OSError):
        while True:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                answered = _answer(pipe, ladder)
            pipe.send((answered, [str(w.message) for w in caught if issubclass(w.category, LadderWarning)]))


def _answer(pipe: Connection, ladder: Ladder) -> Refit | str:
    """The answer to the next question.

    Raises:
        EOFError: There will be none.
    """
    try:
        return refit(ladder, pipe.recv())
    except EOFError:
        raise
    except Exception as error:  # noqa: BLE001 - it is the other end that warns
        return f"{type(error).__name__}: {error}"
