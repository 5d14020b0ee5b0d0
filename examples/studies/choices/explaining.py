"""Why a row differs from the published one: what the objective says of the published values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from choices.ladders import make_points
from choices.published import Published, differs
from scaling_callback import Run
from scaling_callback.fitting import Borrowed, Fit, Points, fit
from scaling_callback.reporting.units import format_percent
from scaling_callback.sensitivity import Choice

NAMED = ("E", "alpha", "beta")
"""Parameters that were published."""


def explain(published: Published, choice: Choice, runs: Sequence[Run]) -> str:
    """What the objective of a choice says of the published values: how far above its optimum they hold it."""
    points = make_points(choice, runs)
    best = _fit(choice, points)
    values = {
        name: ends
        for name in choice.law.names
        if name in NAMED and (ends := _read_ends(published.values.get(name, "")))
    }
    if all(low == high for low, high in values.values()):
        at = {name: low for name, (low, _) in values.items()}
        words = "the published " + ", ".join(f"{name} {value:g}" for name, value in at.items())
    else:  # a range is of several rows: which of its values belong together is not known, so one is held
        wrong = differs(published, best.params)
        name = next((name for name in values if name in wrong), "")
        if not name:
            return "each of E, alpha and beta is met, and D/N is not"
        at = {name: min(values[name], key=partial(_distance, best.params[name]))}
        words = f"{name} at {at[name]:g}, the nearer end of the published range,"
    held = _fit(replace(choice, borrowed=Borrowed(tuple(at.items()), "the published row")), points)
    return (
        f"with {words} and the rest fitted the objective on these {len(points)} points is "
        f"{format_percent(held.objective / best.objective - 1)} above the optimum found here"
    )


def _read_ends(published: str) -> tuple[float, float] | None:
    low, _, high = published.partition("-")
    return (float(low), float(high or low)) if low else None


def _distance(value: float, end: float) -> float:
    return abs(value - end)


def _fit(choice: Choice, points: Points) -> Fit:
    return fit(points, law=choice.law, objective=choice.objective, borrowed=choice.borrowed)
