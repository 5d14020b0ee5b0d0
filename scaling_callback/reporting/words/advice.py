"""What speaks against an answer, each with what to do about it, and the runs that are no evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scaling_callback.reporting.units import number
from scaling_callback.reporting.words.layout import Notes
from scaling_callback.tables import list_names

ADVICE = {
    "bias": "read its answer as off by about that factor",
    "disagreeing_basins": "train more sizes, and some of them on more or fewer tokens",
    "disagreeing_choices": "train more sizes, and each on far fewer and on far more tokens, until they agree",
    "edge_minima": "train smaller and larger models for these budgets",
    "exponent_at_bound": "train more sizes on more different tokens, or hold it at a published value with --borrow",
    "extrapolated": "train larger runs before relying on it",
    "far_budget": "train larger runs first, or ask for a smaller budget",
    "far_extrapolation": "train larger runs first, or take it as a guess",
    "floor_unidentified": "train larger runs for longer before relying on a far forecast",
    "loss_kinds_differ": "choose one with --where loss_kind=...",
    "mid_schedule": "train runs to the end of their schedules at these sizes",
    "no_variation": "check the losses: a ladder has runs that end at different ones",
    "not_converged": "check the runs for outliers, or give the law fewer parameters with --borrow or another --law",
    "phases_differ": "compare runs that have all been annealed, or that all have not",
    "record_below_level": "ask for a higher --level, or train runs between these and the target",
    "wide_interval": "train more sizes, and each on far fewer and on far more tokens",
}
"""What to do, for doubts whose own sentence says only what is wrong."""


def advise(doubt: str) -> str:
    """A doubt, `name: sentence` or `approach: name: sentence`, with what to do about it.

    Example:
        >>> advise("far_budget: the training takes 3e+03 times the largest run's compute")
        "far_budget: the training takes 3e+03 times the largest run's compute; train larger runs first, or ask for a \
smaller budget"
        >>> advise("one_size: all runs have one size; train other sizes")
        'one_size: all runs have one size; train other sizes'
    """
    do = next((ADVICE[name] for name in doubt.split(": ")[:2] if name in ADVICE), None)
    return doubt if do is None else f"{doubt}; {do}"


def list_doubts(doubts: Iterable[str], heading: str = "doubts:") -> Notes:
    """Doubts, each with what to do about it."""
    return Notes(heading, [advise(doubt) for doubt in doubts], grave=True)


def count_doubts(doubts: Iterable[str]) -> str:
    """The end of a verdict: how much speaks against it.

    Example:
        >>> count_doubts([]), count_doubts(["one_size: ..."])
        ('', '; 1 doubt, below')
    """
    count = len(list(doubts))
    return f"; {number(count, 'doubt')}, below" if count else ""


def list_set_aside(result: Mapping[str, Any]) -> list[Notes]:
    """Runs that are no evidence, by reason, and what was odd about the records of the others."""
    reasons: dict[str, list[str]] = {}
    for run, reason in result["left_out"].items():
        reasons.setdefault(reason, []).append(run)
    left = [f"{number(len(runs), 'run')} ({list_names(runs, most=3)}): {reason}" for reason, runs in reasons.items()]
    return [Notes("left out:", left), Notes("noted:", result["notes"])]
