"""Parameters that are taken from elsewhere and held fixed, where the runs are too few to fit them all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scaling_callback.errors import InputError
from scaling_callback.laws import Law
from scaling_callback.laws.published import get_family
from scaling_callback.records import Array, is_count


@dataclass(frozen=True)
class Borrowed:
    """Natural parameters that are held fixed, and where they come from.

    Attributes:
        values: Name and value of each.
        source: Where they come from, in words.

    Raises:
        InputError: A value is not a positive, finite number.
    """

    values: tuple[tuple[str, float], ...]
    source: str

    def __post_init__(self) -> None:
        for name, value in self.values:
            if not is_count(value):
                raise InputError(f"borrowed {name} is {value}; it must be a positive, finite number")

    @classmethod
    def published(cls, family: str, *names: str) -> Borrowed:
        """The named parameters of a published fit; all that it has, if none is named.

        Raises:
            InputError: There is no such fit, or it has no such parameter.

        Example:
            >>> Borrowed.published("besiroglu", "A", "alpha").values
            (('A', 482.01), ('alpha', 0.3478))
        """
        found = get_family(family)
        for name in names:
            if name not in found.values:
                raise InputError(f"{family} published no {name!r}; choose from: {', '.join(found.values)}")
        return cls(tuple((name, found.values[name]) for name in names or found.values), found.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the borrowed parameters."""
        return tuple(name for name, _ in self.values)


def hold(law: Law, borrowed: Borrowed, centre: Array) -> tuple[Array, NDArray[np.intp], Array]:
    """Where and at which working values the borrowed parameters are held.

    A coefficient at the centre of the data depends on its exponent, A' = A / N0^alpha: borrowed without it, it stays
    the same number only around N0 = 1. The centre is moved there for as few variables as need it.

    Returns:
        The centre to use, shape (V,), positions of the borrowed parameters, and their working values.

    Raises:
        InputError: The law has no such parameter, or it means nothing without others.
    """
    for name in borrowed.names:
        if name not in law.names:
            raise InputError(
                f"the law {law.name!r} has no parameter {name!r} to borrow; it has: {', '.join(law.names)}"
            )
    positions = np.array([law.names.index(name) for name in borrowed.names], dtype=np.intp)
    # two guesses at the parameters that are free: what is held must not depend on them
    guesses = np.outer([1.0, 1.25], law.typical)
    guesses[:, positions] = [value for _, value in borrowed.values]
    places, shared = np.unique(centre, return_inverse=True)  # variables that share a centre go on sharing it
    for moved in sorted(product((False, True), repeat=len(places)), key=sum):
        here = np.where(np.array(moved)[shared], 0.0, centre)
        one, other = law.working(guesses, here)[:, positions]
        if np.allclose(one, other, rtol=1e-9, atol=1e-9):
            return here, positions, one
    raise InputError(
        f"{' and '.join(borrowed.names)} cannot be borrowed alone under the law {law.name!r}: what they mean depends "
        "on parameters that are free; borrow those as well"
    )
