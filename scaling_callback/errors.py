"""Every exception and warning of the package, in one tree.

::

    Exception
    └── ScalingError
        ├── InputError (also a ValueError)        what the user gave cannot be used; one line: what, got, do
        │   ├── EmptyTable                        a table with a header and no rows
        │   ├── RuleFailed                        a stopping rule of one's own failed, or said what nobody can
        │   └── NotEnoughData                     usable, but too little of it to say anything
        ├── RefitFailed                           a refit in a process of its own gave no answer
        ├── RunTaken                              another process has resumed the run that this one wrote
        └── MissingDependency (also ImportError)  an optional package is needed for what was asked
    UserWarning
    └── ScalingWarning                            something went wrong that must not end a training
        └── LadderWarning                         a file of a ladder is damaged or does not belong to it

The command line turns an `InputError` into one line on standard error and exit status 2.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

_log = logging.getLogger("scaling_callback")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_W = TypeVar("_W", bound="Warns")


class ScalingError(Exception):
    """Base of every exception that this package raises on purpose."""


class InputError(ScalingError, ValueError):
    """What the user gave cannot be used. The message is one line: what, got, do."""


class EmptyTable(InputError):
    """A table has a header and no rows: a ladder that has not begun."""


class RefitFailed(ScalingError):
    """A refit in a process of its own gave no answer; it can be made in this one."""


class RunTaken(ScalingError):
    """Another process has resumed the run that this one wrote; this one writes nothing more."""


class NotEnoughData(InputError):
    """The input is well formed, but there is too little of it for the question asked."""


class RuleFailed(InputError):
    """A stopping rule failed, or said what nobody can; of `about` a training is warned of once."""

    def __init__(self, message: str, about: str) -> None:
        super().__init__(message)
        self.about = about


class MissingDependency(ScalingError, ImportError):
    """An optional package is needed for what was asked; the message names the extra to install."""


class ScalingWarning(UserWarning):
    """Something failed that must not end a training; the message says what and what was lost."""


class LadderWarning(ScalingWarning):
    """A file of a ladder is damaged, or a run in it does not share the recipe of the others."""


class WarnOnce:
    """Says each thing once in a training, and never ends it: where warnings are errors, it goes to the log.

    Example:
        >>> import warnings
        >>> warn = WarnOnce("ScalingCallback")
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn("the disk is full", about="disk")
        ...     warn("the disk is still full", about="disk")
        >>> [str(warning.message) for warning in caught]
        ['ScalingCallback: the disk is full. The training goes on.']

    Args:
        by: In whose name.
    """

    def __init__(self, by: str) -> None:
        self._by = by
        self._said: set[str] = set()

    def __call__(self, message: str, about: str | None = None) -> None:
        """Warn, unless this message, or another one `about` the same thing, was said before."""
        if (about or message) in self._said:
            return
        self._said.add(about or message)
        text = f"{self._by}: {message}. The training goes on."
        try:
            warnings.warn(text, ScalingWarning, stacklevel=3)
        except ScalingWarning:
            _log.warning(text)

    def attempt(self, work: Callable[[], _T]) -> _T | None:
        """What `work` gives; where it fails that is warned of once, and `None` is given.

        Example:
            >>> with warnings.catch_warnings():
            ...     warnings.simplefilter("ignore")
            ...     WarnOnce("ScalingCallback").attempt(lambda: 1 / 0) is None
            True
        """
        try:
            return work()
        except RuleFailed as error:
            _log.debug("%s failed", self._by, exc_info=True)
            self(str(error), error.about)
            return None
        except Exception as error:  # noqa: BLE001 - a fault in here must never cost a training
            _log.debug("%s failed", self._by, exc_info=True)
            # of what a filesystem says the paths change from one attempt to the next
            about = type(error).__name__ if isinstance(error, OSError) else None
            self(f"{type(error).__name__}: {error}", about)
            return None


class Warns(Protocol):
    """What can warn."""

    warn: WarnOnce


def guarded(hook: Callable[Concatenate[_W, _P], None]) -> Callable[Concatenate[_W, _P], None]:
    """A hook of a training that cannot end it: what fails in it is warned of once."""

    @functools.wraps(hook)
    def careful(self: _W, *args: _P.args, **kwargs: _P.kwargs) -> None:
        self.warn.attempt(lambda: hook(self, *args, **kwargs))

    return careful
