"""The combination of laws: what its weights and intervals come from, and what they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_callback import Config, Target, refresh
from scaling_callback.errors import InputError
from scaling_callback.fitting import SEED_NOISE, Fit
from scaling_callback.forecasting import MEMBERS, combine, get_forecaster
from scaling_callback.forecasting.combine import NO_HISTORY, History, find_widening, weigh
from scaling_callback.laws import get_law
from scaling_callback.records import Run
from scaling_callback.testing import planted_ladder, planted_loss

TARGET = Target(params=1e10, tokens=2e11)
HERE = np.zeros(1)


def record(*refits: tuple[float, float], misses: float = 1.0) -> History:
    """A record of two laws: for each refit their root mean square errors, over 4 forecasts."""
    count = len(refits)
    return History(
        np.repeat(np.arange(count), 4),
        np.array([4.0 * 2**k for k in range(count)]),
        np.zeros(4 * count),
        np.repeat(np.array(refits, dtype=float).reshape(-1, 2), 4, axis=0),
        np.full(4 * count, misses),
    )


def fits(runs: tuple[Run, ...], replicates: int = 50) -> list[Fit]:
    return [member.fit(member.gather(runs, lambda run: run.name), replicates=replicates) for member in MEMBERS]


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)), max_size=6), st.floats(0.0, 10.0))
def test_weights_are_shares(refits: list[tuple[float, float]], reach: float) -> None:
    weights = weigh(2, record(*refits) if refits else NO_HISTORY, np.array([reach]))
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()


def test_without_a_record_the_first_choice_leads() -> None:
    assert weigh(2, NO_HISTORY, HERE)[0].tolist() == [0.75, 0.25]
    assert weigh(2, record((0.01, 0.01)), HERE)[0].tolist() == pytest.approx([0.75, 0.25])


def test_a_law_that_missed_less_weighs_more() -> None:
    assert weigh(2, record((0.01, 0.02), (0.01, 0.02)), HERE)[0, 0] > 0.8
    assert weigh(2, record((0.02, 0.01), (0.02, 0.01), (0.02, 0.005)), HERE)[0, 0] < 0.5


def test_large_errors_of_early_refits_do_not_decide_alone() -> None:
    # ten times larger errors, in which the second law is a little better, against the last refit
    both = weigh(2, record((0.30, 0.25), (0.005, 0.02)), HERE)[0, 0]
    assert both > weigh(2, NO_HISTORY, HERE)[0, 0]


def test_errors_that_reached_as_far_count_most() -> None:
    near, far = record((0.01, 0.02)), record((0.02, 0.01))
    history = replace(
        near,
        refit=np.concatenate([near.refit, far.refit + 1]),
        runs=np.array([4.0, 4.0]),
        reach=np.concatenate([near.reach, far.reach + 4.0]),
        errors=np.concatenate([near.errors, far.errors]),
        misses=np.concatenate([near.misses, far.misses]),
    )
    assert weigh(2, history, np.array([0.0]))[0, 0] > weigh(2, history, np.array([4.0]))[0, 0]


def test_misses_widen_and_hits_never_narrow() -> None:
    assert find_widening(NO_HISTORY, HERE)[0] == 1.0
    assert find_widening(record((0.01, 0.01), misses=0.1), HERE)[0] == 1.0
    wide = find_widening(record((0.01, 0.01), (0.01, 0.01), misses=3.0), HERE)[0]
    assert 1.5 < wide < 3.0
    assert find_widening(record((0.01, 0.01), (0.01, 0.01), misses=300.0), HERE)[0] == wide


def test_the_combination_lies_between_its_laws_and_no_interval_is_narrower_than_seeds() -> None:
    made = combine(fits(planted_ladder(noise=0.0)), np.array([1e10, 1e11]), np.array([2e11, 2e12]), seed=0)
    low, high = made.medians.min(1), made.medians.max(1)
    assert ((low <= made.median * (1 + 1e-12)) & (made.median <= high * (1 + 1e-12))).all()
    ends = np.quantile(np.log(made.draws), [0.05, 0.95], axis=0)
    assert (ends[1] - ends[0] > 2 * 1.645 * SEED_NOISE * 0.99).all()


def test_laws_that_differ_widen_the_interval() -> None:
    one, other = fits(planted_ladder(), replicates=200)
    shifted = replace(other, theta=other.theta + np.array([0.3, 0, 0, 0, 0]))
    near, far = (combine([one, law], np.array([1e10]), np.array([2e11]), seed=0) for law in (other, shifted))
    assert np.std(np.log(far.draws)) > 1.5 * np.std(np.log(near.draws))


def test_a_refresh_says_what_it_combines_and_how_each_did() -> None:
    snapshot = refresh(planted_ladder(), (), Config(target=TARGET))
    assert snapshot.forecast is not None
    names = [member.name for member in MEMBERS]
    assert list(snapshot.forecast.parts) == names
    assert sum(part.weight for part in snapshot.forecast.parts.values()) == pytest.approx(1.0)
    assert {name: len(snapshot.member_records[name].scores) for name in names} == dict.fromkeys(
        names, len(snapshot.record.scores)
    )
    assert snapshot.forecast.median == pytest.approx(planted_loss(1e10, 2e11), rel=0.01)


def test_members_have_no_interval_and_no_coverage() -> None:
    records = refresh(planted_ladder(), (), Config(target=TARGET)).member_records
    assert all(record.coverage is None and record.are is not None for record in records.values())


def test_the_default_law_by_itself_or_by_name_is_the_default() -> None:
    named, given = (
        refresh(planted_ladder(), (), Config(target=TARGET, law=law)).forecast
        for law in ("chinchilla", get_law("chinchilla"))
    )
    assert named is not None
    assert given is not None
    assert (named.median, named.lower) == (given.median, given.lower)


def test_a_miss_counts_in_deviations_before_they_were_widened() -> None:
    # else a ladder whose intervals are always too narrow would look right once they are widened
    known, place = fits(planted_ladder()), (np.array([1e8]), np.array([2e9]))
    plain = combine(known, *place, seed=0)
    wide = combine(known, *place, history=record((0.01, 0.01), (0.01, 0.01), misses=3.0), seed=0)
    assert wide.widening[0] > 1.5
    assert np.std(np.log(wide.draws)) == pytest.approx(wide.widening[0] * np.std(np.log(plain.draws)), rel=1e-6)
    assert wide.miss(np.array([2.0])) == pytest.approx(plain.miss(np.array([2.0])))


def test_a_choice_of_ones_own_is_answered_by_that_fit_alone() -> None:
    snapshot = refresh(planted_ladder(), (), Config(target=TARGET, law="kaplan"))
    assert snapshot.forecast is not None
    assert snapshot.fit is not None
    assert not snapshot.forecast.parts
    assert snapshot.forecast.median == pytest.approx(float(snapshot.fit.predict(1e10, 2e11)[0]))
    assert snapshot.record.scores


def test_three_finished_runs_are_enough_for_a_forecast() -> None:
    runs = planted_ladder(sizes=(1e7, 3e7, 1e8), ratios=(20.0,))
    snapshot = refresh(runs, (), Config(target=TARGET))
    assert snapshot.forecast is not None
    assert snapshot.forecast.lower < planted_loss(1e10, 2e11) < snapshot.forecast.upper
    assert snapshot.forecast.warnings


def test_an_unknown_forecaster_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="joint-skaling"):
        get_forecaster("oracle")
