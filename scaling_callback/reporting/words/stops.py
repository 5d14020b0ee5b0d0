"""What stopping rules would have done to a ladder, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scaling_callback.reporting.units import format_count, format_flops, format_loss, format_percent, number
from scaling_callback.reporting.words.layout import Answer, Notes, Table, Verdict
from scaling_callback.reporting.words.lines import make_visible, shorten
from scaling_callback.tables import list_names

SHOWN_CALLS = 40
"""Stopped runs that are listed; false stops come first."""

SHOWN_REASONS = 8
"""Stopped runs whose reasons are listed."""

SHOWN_GROUPS = 8
"""Groups without a kept run that are listed."""

SIDE_BY_SIDE = (
    "all runs share one size and horizon and are taken to train side by side, so none had finished before another; "
    "for a sweep that trained one after another give --order in-turn"
)

LONGEST_NAME = 40
"""Columns of a run's name."""

ENDS = {True: "false stop", False: "right", None: "not known"}
"""What came of a stop, by whether it was false."""


def show_audit(result: Mapping[str, Any]) -> Answer:
    """`audit-stops` in words."""
    calls: Sequence[Mapping[str, Any]] = sorted(result["calls"], key=lambda call: call["false"] is not True)
    rows = [
        (
            _cut(call["run"]),
            call["rule"],
            format_percent(call["progress"]),
            format_flops(call["saved_flops"]),
            format_loss(call["final"]),
            format_loss(call["best_kept"]),
            ENDS[call["false"]],
        )
        for call in calls[:SHOWN_CALLS]
    ]
    more = number(len(calls) - SHOWN_CALLS, "more run")
    reasons = [f"{_cut(call['run'])}: {call['reason']}" for call in calls[:SHOWN_REASONS]]
    emptied = [
        f"{format_count(group['params'])} params, {format_count(group['horizon'])} tokens: "
        f"{list_names(group['runs'], most=2)}"
        for group in result["groups"]
        if group["emptied"]
    ]
    if len(emptied) > SHOWN_GROUPS:
        emptied = [*emptied[:SHOWN_GROUPS], f"and {number(len(emptied) - SHOWN_GROUPS, 'more group')}"]
    alone = result["order"] == "together" and len(result["groups"]) == 1 < result["runs"]
    return [
        Verdict(say_audit(result), sure=not (result["false_stops"] or result["emptied"])),
        Table(
            rows,
            ("run", "rule", "after", "saves FLOPs", "its final", "best kept", "the stop was"),
            words=(0, 1, 6),
            strong=[place for place, call in enumerate(calls[:SHOWN_CALLS]) if call["false"]],
        ),
        Notes("", [f"and {more}: --json lists all"] if len(calls) > SHOWN_CALLS else []),
        Notes("reasons:", reasons),
        Notes("", [SIDE_BY_SIDE] if alone else [], grave=True),
        Notes("no finished run was kept of these, which count in neither regret nor false stops:", emptied, grave=True),
    ]


def say_audit(result: Mapping[str, Any]) -> str:
    """The sums in a sentence.

    Example:
        >>> sums = {"rules": ["budget"], "runs": 9, "stopped": 3, "compute_saved": 0.25, "groups": [{}, {}]}
        >>> sums |= {"compute_saved_by_group": 0.125, "scored": 2, "false_stops": 1, "emptied": [["a"]]}
        >>> sums |= {"regret": 0.001, "regret_groups": 1}
        >>> for part in say_audit(sums).split("; "):
        ...     print(part)
        budget stops 3 of 9 runs and saves 25.0% of the compute (12.5% averaged over 2 groups)
        of 2 stops that can be judged 1 is false
        of 1 group no finished run is kept
        the regret is 0.10% over 1 of 2 groups
    """
    who = " or ".join(map(str, result["rules"]))
    if not result["stopped"]:
        return f"{who} stops none of {number(result['runs'], 'run')}"
    averaged = (
        f"{format_percent(result['compute_saved_by_group'])} averaged over {number(len(result['groups']), 'group')}"
    )
    saved = f"saves {format_percent(result['compute_saved'])} of the compute ({averaged})"
    parts = [f"{who} stops {result['stopped']} of {number(result['runs'], 'run')} and {saved}"]
    if result["scored"]:
        parts.append(f"of {number(result['scored'], 'stop')} that can be judged {say_false(result['false_stops'])}")
    else:
        parts.append("no stop can be judged")
    if result["emptied"]:
        parts.append(f"of {number(len(result['emptied']), 'group')} no finished run is kept")
    parts.append(f"the regret is {_say_regret(result)}")
    return "; ".join(parts)


def _say_regret(result: Mapping[str, Any]) -> str:
    groups = len(result["groups"])
    if result["regret"] is None:
        return "not known"
    if 2 * len(result["emptied"]) > groups:
        return "not known, as most groups keep none"
    over = f" over {result['regret_groups']} of {number(groups, 'group')}"
    return format_percent(result["regret"]) + (over if result["regret_groups"] < groups else "")


def say_false(count: int) -> str:
    """How many were false.

    Example:
        >>> say_false(0), say_false(1), say_false(2)
        ('none is false', '1 is false', '2 are false')
    """
    return f"{count or 'none'} {'are' if count > 1 else 'is'} false"


def _cut(name: str) -> str:
    return shorten(make_visible(name), LONGEST_NAME)
