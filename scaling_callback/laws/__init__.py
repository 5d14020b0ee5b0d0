"""The laws that can be fitted, by name. A new law is one file and one line here."""

from __future__ import annotations

from typing import Any, cast

from scaling_callback.errors import InputError
from scaling_callback.laws.base import Law, Parameter, Ridge
from scaling_callback.laws.broken import BrokenPowerLaw
from scaling_callback.laws.chinchilla import Chinchilla
from scaling_callback.laws.kaplan import Kaplan
from scaling_callback.laws.krajewski import Krajewski
from scaling_callback.laws.muennighoff import Muennighoff
from scaling_callback.laws.power import PowerLaw
from scaling_callback.laws.skaling import Skaling
from scaling_callback.laws.tied import TiedChinchilla

LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Chinchilla(),
        TiedChinchilla(),
        Kaplan(),
        Skaling(),
        Muennighoff(),
        PowerLaw("compute", "C", "compute", (1.8172, 2708.5, 0.1783)),
        PowerLaw("params", "N", "parameters", (1.8172, 482.01, 0.3478)),
        PowerLaw("tokens", "D", "tokens", (1.8172, 2085.43, 0.3658)),
        BrokenPowerLaw(),
        Krajewski(),
    )
}


def get_law(law: str | Law) -> Law:
    """The law of that name, or the law itself: a user's own law is passed as an object.

    Raises:
        InputError: No law has that name.

    Example:
        >>> get_law("chinchilla").equation
        'L(N, D) = E + A / N^alpha + B / D^beta'
    """
    if isinstance(law, Law):
        return law
    if not isinstance(cast("Any", law), str):
        raise InputError(f"law is {law!r}; it must be a name or a Law object: {', '.join(LAWS)}")
    if law not in LAWS:
        raise InputError(f"there is no law named {law!r}; choose one of: {', '.join(LAWS)}")
    return LAWS[law]


__all__ = ["LAWS", "Law", "Parameter", "Ridge", "get_law"]
