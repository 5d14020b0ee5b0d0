"""What stopping rules said, as a ladder keeps it: notes beside a run, of which a broken one costs itself alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from scaling_callback.ladder.format import plain
from scaling_callback.records import StopCall, bound_evidence, bound_words, is_count


def write_call(call: StopCall) -> dict[str, Any]:
    """What a rule said as it is written."""
    written = {name: plain(value) for name, value in asdict(call).items()}
    return written | {"evidence": {name: plain(value) for name, value in call.evidence.items()}}


def read_calls(written: Sequence[Any]) -> tuple[tuple[StopCall, ...], tuple[str, ...]]:
    """What rules said, and what is wrong with each that cannot be read.

    Example:
        >>> calls, wrong = read_calls([{"rule": "budget", "reason": "spent", "tokens": 1e9}, {"rule": "budget"}])
        >>> [call.reason for call in calls], wrong
        (['spent'], ('rule or reason is no text',))
    """
    calls: list[StopCall] = []
    wrong: list[str] = []
    for each in written:
        try:
            calls.append(_read_call(each))
        except (ValueError, OverflowError) as error:
            wrong.append(str(error))
    return tuple(calls), tuple(wrong)


def _read_call(written: Any) -> StopCall:
    """What a rule said; fields that this version does not know are ignored.

    Raises:
        ValueError: It does not hold what it should.
        OverflowError: It holds a number that is none of a computer's.
    """
    if not isinstance(written, dict):
        raise ValueError(f"it is no call: {str(written)[:40]!r}")
    said = cast("dict[str, Any]", written)
    if not (isinstance(said.get("rule"), str) and isinstance(said.get("reason"), str)):
        raise ValueError("rule or reason is no text")
    tokens = _read_number("tokens", said.get("tokens"))
    if not is_count(tokens):
        raise ValueError(f"tokens is {tokens:g}; it must be a positive count")
    saved = None if said.get("saved_flops") is None else _read_number("saved_flops", said["saved_flops"])
    if saved is not None and not 0 <= saved < math.inf:
        raise ValueError(f"saved_flops is {saved:g}; it must be a finite number, 0 or more")
    evidence: Any = said.get("evidence", {})
    if not isinstance(evidence, Mapping):
        raise ValueError("evidence is no mapping")
    numbers = {name: _read_number(name, value) for name, value in cast("Mapping[str, Any]", evidence).items()}
    return StopCall(
        rule=bound_words(said["rule"]),
        reason=bound_words(said["reason"]),
        evidence=bound_evidence(numbers),
        tokens=tokens,
        step=_read_known("step", said),
        wall_time=_read_known("wall_time", said),
        saved_flops=saved,
        acted=said.get("acted") is True,
    )


def _read_known(name: str, said: Mapping[str, Any]) -> float:
    """A number that may be unknown, which is NaN."""
    number = _read_number(name, said.get(name, "nan"))
    if math.isinf(number):
        raise ValueError(f"{name} is {number:g}; it must be finite, or nan where it is unknown")
    return number


def _read_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name[:40]} holds {str(value)[:40]!r}, which is not a number")
    return float(value)
