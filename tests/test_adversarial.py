"""Whatever numbers come in, what comes out is a status with a sentence, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback.errors import InputError
from scaling_callback.fitting import OBJECTIVES, Points, fit
from scaling_callback.laws import LAWS

T = TypeVar("T")

anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -1.0, 5e-324, 1e308, float("nan"), float("inf")]),
    st.floats(-30, 30).map(lambda power: 10.0**power),
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Positive columns from 1e-30 to 1e30, with columns or rows that repeat, and few values far apart."""
    rows = draw(st.integers(1, 8))
    reach = draw(st.sampled_from([0.0, 1.0, 5.0, 30.0]))
    power = st.floats(-reach, reach) if reach < 30 else st.sampled_from([-30.0, 0.0, 30.0]) | st.floats(-30, 30)
    names = ("params", "tokens", "loss", "unique_tokens", "granularity", "compute")
    made = {name: 10.0 ** np.array([draw(power) for _ in range(rows)]) for name in names}
    if draw(st.booleans()):
        name = draw(st.sampled_from(names))
        made[name][:] = made[name][0]
    if draw(st.integers(0, 4)) == 0:
        for column in made.values():
            column[:] = column[0]
    return made


def attempt(make: Callable[[], T]) -> T | str:
    """What is made, or the words with which it is refused."""
    try:
        return make()
    except InputError as refusal:
        return str(refusal)


def outcome(table: dict[str, np.ndarray], law: str, objective: str, *, prior: bool) -> None:
    """Fit, and check that what comes out can be shown to a user."""
    further = {name: table[name] for name in ("unique_tokens", "granularity", "compute")}
    found = attempt(
        lambda: fit(
            Points.of(table["params"], table["tokens"], table["loss"], columns=further),
            law=law,
            objective=objective,
            prior=prior,
            ridges=prior,
            replicates=2,
        )
    )
    if isinstance(found, str):
        assert found.strip()
        assert "\n" not in found
        return
    assert len(found.status.value) > 20
    assert all(len(sentence) > 20 for sentence in found.diagnostics.values())
    assert np.isfinite(found.theta).all()
    assert np.isfinite(found.draws).all()
    assert np.isfinite(found.objective)
    assert found.objective >= 0
    if np.ptp(table["loss"]) == 0:
        assert found.status.name == "NO_VARIATION"


@given(st.lists(st.tuples(anything, anything, anything, anything), min_size=1, max_size=5))
@settings(max_examples=1000)
def test_columns_are_points_or_are_refused_in_one_line(rows: list[tuple[float, float, float, float]]) -> None:
    params, tokens, loss, weight = np.array(rows).T
    usable = bool((np.isfinite(rows) & (np.array(rows) > 0)).all())
    points = attempt(lambda: Points.of(params, tokens, loss, weight=weight))
    if usable:
        assert len(points) == len(rows)
    else:
        assert isinstance(points, str)
        assert "must be a positive, finite number" in points
        assert "\n" not in points


@given(tables(), st.booleans())
@settings(max_examples=40)
def test_the_default_law_ends_in_a_status_or_one_line(table: dict[str, np.ndarray], prior: bool) -> None:
    outcome(table, "chinchilla", "log-huber", prior=prior)


@given(tables(), st.sampled_from(sorted(LAWS)), st.sampled_from(sorted(OBJECTIVES)), st.booleans())
@settings(max_examples=20)
def test_every_law_and_objective_end_in_a_status_or_one_line(
    table: dict[str, np.ndarray], law: str, objective: str, prior: bool
) -> None:
    outcome(table, law, objective, prior=prior)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@given(tables(), st.sampled_from(sorted(LAWS)), st.sampled_from(sorted(OBJECTIVES)), st.booleans())
@settings(max_examples=4000)
def test_thousands_of_tables_end_in_a_status_or_one_line(
    table: dict[str, np.ndarray], law: str, objective: str, prior: bool
) -> None:
    outcome(table, law, objective, prior=prior)
