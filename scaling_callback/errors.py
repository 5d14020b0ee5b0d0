"""Every exception and warning of the package, in one tree.

::

    Exception
    └── ScalingError
        ├── InputError (also a ValueError)        what the user gave cannot be used; one line: what, got, do
        │   └── NotEnoughData                     usable, but too little of it to say anything
        └── MissingDependency (also ImportError)  an optional package is needed for what was asked
    UserWarning
    └── ScalingWarning                            something went wrong that must not end a training
        └── LadderWarning                         a file of a ladder is damaged or does not belong to it

The command line turns an `InputError` into one line on standard error and exit status 2.
"""

from __future__ import annotations


class ScalingError(Exception):
    """Base of every exception that this package raises on purpose."""


class InputError(ScalingError, ValueError):
    """What the user gave cannot be used. The message is one line: what, got, do."""


class NotEnoughData(InputError):
    """The input is well formed, but there is too little of it for the question asked."""


class MissingDependency(ScalingError, ImportError):
    """An optional package is needed for what was asked; the message names the extra to install."""


class ScalingWarning(UserWarning):
    """Something failed that must not end a training; the message says what and what was lost."""


class LadderWarning(ScalingWarning):
    """A file of a ladder is damaged, or a run in it does not share the recipe of the others."""
