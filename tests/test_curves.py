"""A running run's own final: planted curves, what is named when nothing can be said, and input that is out of order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_callback.curves import METHODS, Abstention, FinalForecast, forecast_final
from scaling_callback.curves.annealing import annealing_area
from scaling_callback.curves.multipower import power_gain
from scaling_callback.curves.observed import order_finished
from scaling_callback.curves.rates import Path as Schedule
from scaling_callback.curves.record import make_record
from scaling_callback.records import Array, Curve, Observation, Run, RunCard
from scaling_callback.tables import read_table


def law(params: float, tokens: float) -> float:
    return 1.8 + 480 / params**0.35 + 2100 / tokens**0.37


def cosine(share: float) -> float:
    return 0.55 + 0.45 * math.cos(math.pi * share)


def constant(share: float) -> float:  # noqa: ARG001 (one signature for all rates)
    return 1.0


def late_decay(share: float) -> float:
    return min(1.0, 5.0 * (1.0 - share) + 0.1)


def planted(params: float, tokens: float, *, rate: Callable[[float], float] = cosine, **card: object) -> Run:
    """A run whose loss lies above the law's by 4% of what is left of the learning rate above its last value."""
    shares = np.linspace(1 / 40, 1, 40)
    last = rate(1.0)
    losses = [law(params, tokens * x) * (1 + 0.04 * (rate(x) - last)) for x in shares]
    observations = [
        Observation(tokens * x, loss, lr=1e-3 * rate(x)) for x, loss in zip(shares.tolist(), losses, strict=True)
    ]
    known = {"schedule": "cosine to 0.1", "peak_lr": 1e-3, "name": f"{params:.3g}-{tokens:.3g}", **card}
    return Run(RunCard(params=params, horizon=tokens, **known), Curve.of(observations))  # pyright: ignore[reportArgumentType]


def planted_runs(*, rate: Callable[[float], float] = cosine, **card: object) -> list[Run]:
    sizes = (1e7, 3e7, 1e8, 3e8)
    return [planted(n, n * ratio, rate=rate, **card) for n in sizes for ratio in (10, 40)]


def part(run: Run, share: float) -> Run:
    assert run.horizon is not None
    return run.until(share * run.horizon)


def truth(run: Run) -> float:
    assert run.final is not None
    return run.final.loss


@pytest.mark.parametrize(("share", "within"), [(0.1, 0.01), (0.3, 0.005), (0.7, 0.002)])
def test_a_planted_final_is_found_and_held(share: float, within: float) -> None:
    target = planted(6e8, 1.8e10)
    made = forecast_final(part(target, share), planted_runs())
    assert isinstance(made, FinalForecast)
    assert made.median == pytest.approx(truth(target), rel=within)
    lower, upper = made.interval(0.9)
    assert lower < truth(target) < upper


def test_the_order_of_the_finished_runs_changes_nothing() -> None:
    target, runs = part(planted(6e8, 1.8e10), 0.3), planted_runs()
    assert forecast_final(target, runs) == forecast_final(target, runs[::-1])


def test_schedules_whose_texts_differ_in_step_counts_are_templates_of_each_other() -> None:
    runs = [
        replace(run, card=replace(run.card, schedule=f"cosine {i}00 steps")) for i, run in enumerate(planted_runs())
    ]
    target = part(planted(6e8, 1.8e10, schedule="cosine 9900 steps"), 0.3)
    assert isinstance(METHODS["template"](target, runs), FinalForecast)


def test_another_schedule_is_no_template() -> None:
    target = part(planted(6e8, 1.8e10, schedule="linear"), 0.3)
    for name in ("template", "gap"):
        made = METHODS[name](target, planted_runs())
        assert isinstance(made, Abstention)
        assert made.code == "no_template"


def test_learning_rates_of_another_shape_are_no_template_although_the_words_agree() -> None:
    runs = planted_runs(rate=lambda share: max(1.0 - 3 * share, 0.1))
    made = METHODS["template"](part(planted(6e8, 1.8e10), 0.5), runs)
    assert isinstance(made, Abstention)


def test_a_run_that_was_ended_at_a_held_rate_is_no_template_of_one_that_will_decay() -> None:
    held = planted_runs(rate=constant, schedule="wsd")
    target = part(planted(6e8, 1.8e10, rate=constant, schedule="wsd"), 0.5)
    assert {run.phase for run in held} == {"constant"}
    assert target.phase == "annealed"
    for name in ("gap", "template", "law"):
        assert isinstance(METHODS[name](target, held), Abstention)
    made = forecast_final(target, held)
    assert isinstance(made, Abstention)
    assert made.code == "cooldown_gap_unknown"
    # a decay that ends above half of the peak is called constant as well, and is a template of its like
    high = [planted(n, 20 * n, rate=lambda share: 1.0 - 0.4 * share) for n in (1e7, 3e7, 1e8)]
    assert {run.phase for run in high} == {"constant"}
    assert isinstance(
        METHODS["gap"](part(planted(6e8, 1.8e10, rate=lambda x: 1.0 - 0.4 * x), 0.5), high), FinalForecast
    )


def test_finished_runs_of_another_phase_change_nothing_that_templates_say() -> None:
    target = part(planted(6e8, 1.8e10, rate=late_decay, schedule="wsd"), 0.3)
    runs = planted_runs(rate=late_decay, schedule="wsd")
    # they stop before their decay, at finals that would mislead
    held = [
        Run(replace(run.card, name=f"held {run.name}"), run.curve)
        for run in planted_runs(rate=constant, schedule="wsd")
    ]
    for name in ("gap", "template", "law"):
        assert METHODS[name](target, [*runs, *held]) == METHODS[name](target, runs)
    scored, alone = (
        make_record(target, order_finished(target, others), (), 0.3, ("gap", "template"))
        for others in ([*runs, *held], runs)
    )
    np.testing.assert_allclose(scored.error, alone.error, rtol=0, atol=1e-12)


def test_an_unfinished_run_that_is_nobodys_trunk_changes_nothing() -> None:
    target, runs = part(planted(6e8, 1.8e10), 0.3), planted_runs()
    strangers = [
        part(planted(n, 3e9, rate=rate, schedule=words, name=f"{words} {n}"), 0.6)
        for n in (1e7, 5e8)
        for rate, words in ((cosine, "cosine to 0.1"), (constant, "constant"))
    ]
    assert forecast_final(target, [strangers[0], *runs, *strangers[1:]]) == forecast_final(target, runs)


def trunks_and_branches() -> tuple[list[Run], list[Run]]:
    """Runs at a constant rate, and branches of them that were cooled down at two lengths, 3% below."""
    trunks = planted_runs(rate=constant, schedule="constant")
    branches: list[Run] = []
    for trunk in trunks:
        for share in (0.5, 0.9):
            tokens = share * (trunk.horizon or 0.0)
            card = replace(
                trunk.card, name=f"{trunk.name}|{share}", parent=trunk.name, schedule="cooldown", horizon=tokens
            )
            branches.append(Run(card, Curve.of([Observation(tokens, 0.97 * law(trunk.params, tokens), is_final=True)])))
    return trunks, branches


def test_without_a_finished_cooldown_its_gap_is_unknown_and_named() -> None:
    trunks, branches = trunks_and_branches()
    unseen = Run(branches[0].card, Curve.of([]))
    made = forecast_final(unseen, trunks)
    assert isinstance(made, Abstention)
    assert made.code == "cooldown_gap_unknown"
    assert "unknown" in made.reason
    held = part(planted(6e8, 1.8e10, rate=constant, schedule="wsd"), 0.5)
    assert forecast_final(held, trunks) == made


def test_cooldowns_of_some_trunks_say_what_others_will_gain() -> None:
    trunks, branches = trunks_and_branches()
    for branch in branches[8:]:
        made = forecast_final(Run(branch.card, Curve.of([])), [*trunks, *branches[:8]])
        assert isinstance(made, FinalForecast)
        assert made.method == "cooldown"
        assert made.median == pytest.approx(truth(branch), rel=0.003)


def test_trunks_that_run_on_are_evidence_of_what_their_branches_gained() -> None:
    trunks, branches = trunks_and_branches()
    running = [part(trunk, 0.92) for trunk in trunks]
    assert all(trunk.final is None for trunk in running)
    for branch in branches[8:]:
        unseen = Run(branch.card, Curve.of([]))
        made = forecast_final(unseen, [*running, *branches[:8]])
        ended = forecast_final(unseen, [*trunks, *branches[:8]])
        assert isinstance(made, FinalForecast)
        assert isinstance(ended, FinalForecast)
        assert made.templates == 8
        assert made.median == pytest.approx(truth(branch), rel=0.003)
        assert made.spread == pytest.approx(ended.spread, rel=0.5)


def test_a_first_run_that_decays_is_not_forecast_from_itself_and_one_at_a_constant_rate_is() -> None:
    alone = forecast_final(part(planted(6e8, 1.8e10), 0.5), [])
    assert isinstance(alone, Abstention)
    assert alone.code == "no_template"
    held = planted(6e8, 1.8e10, rate=constant, schedule="constant")
    made = forecast_final(part(held, 0.5), [])
    assert isinstance(made, FinalForecast)
    assert made.median == pytest.approx(truth(held), rel=0.01)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"horizon": None}, "horizon_unknown"), ({"params": math.inf}, "size_unknown")],
)
def test_what_is_missing_is_named(change: dict[str, object], code: str) -> None:
    target = part(planted(6e8, 1.8e10), 0.3)
    made = forecast_final(replace(target, card=replace(target.card, **change)), planted_runs())  # pyright: ignore[reportArgumentType]
    assert isinstance(made, Abstention)
    assert made.code == code


def test_two_observations_are_too_few_and_a_diverged_run_has_no_final() -> None:
    target = planted(6e8, 1.8e10)
    few = forecast_final(part(target, 0.06), planted_runs())
    assert isinstance(few, Abstention)
    assert few.code == "too_early"
    half = part(target, 0.5)
    half.curve.loss[-1] = np.nan
    gone = forecast_final(half, planted_runs())
    assert isinstance(gone, Abstention)
    assert gone.code == "diverged"


def test_a_spike_moves_little_and_a_spoiled_run_less() -> None:
    target, runs = part(planted(6e8, 1.8e10), 0.5), planted_runs()
    calm = forecast_final(target, runs)
    target.curve.loss[8] *= 1.5
    runs[3].curve.loss[:] = 10.0
    stirred = forecast_final(Run(target.card, target.curve), [Run(run.card, run.curve) for run in runs])
    assert isinstance(calm, FinalForecast)
    assert isinstance(stirred, FinalForecast)
    assert stirred.median == pytest.approx(calm.median, rel=0.005)


numbers = st.one_of(
    st.floats(1e-3, 1e3), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e300, 1e-300, 3.0])
)


@st.composite
def odd_runs(draw: st.DrawFn) -> Run:
    size = draw(st.integers(0, 12))
    tokens = draw(st.lists(st.floats(1.0, 1e12), min_size=size, max_size=size))
    rates = draw(st.sampled_from([math.nan, 0.0, 1e-3]))
    observations = [Observation(t, draw(numbers), lr=rates) for t in tokens]
    horizon = draw(st.one_of(st.none(), st.floats(1.0, 1e12)))
    card = RunCard(
        name=draw(st.sampled_from("abcdefgh")),
        params=draw(st.floats(1.0, 1e12)),
        horizon=horizon,
        schedule=draw(st.sampled_from([None, "", "cosine", "cosine 3", "constant", "wsd"])),
        peak_lr=draw(st.sampled_from([None, 0.0, 1e-3])),
        parent=draw(st.sampled_from([None, "a", "b"])),
    )
    return Run(card, Curve.of(observations), completed=draw(st.booleans()))


@settings(max_examples=150)
@given(run=odd_runs(), others=st.lists(odd_runs(), max_size=7), sound=st.booleans())
def test_odd_input_gives_a_number_or_a_named_reason(run: Run, others: list[Run], *, sound: bool) -> None:
    finished = [*others, *(planted_runs() if sound else [])]
    for method in (forecast_final, *METHODS.values()):
        made = method(run, finished)
        if isinstance(made, Abstention):
            assert made.code
            assert made.reason
        else:
            assert 0 < made.median < math.inf
            assert 0 < made.spread < math.inf


def test_the_record_beats_the_naive_law_on_real_runs_and_its_intervals_hold(data: Path) -> None:
    runs = [run for run in read_table(data / "olmo_ladder.csv") if run.final is not None]
    runs.sort(key=lambda run: (run.planned_flops or 0.0, run.name))
    for share, within in ((0.2, 0.005), (0.5, 0.002)):
        errors: list[float] = []
        held: list[bool] = []
        for index in range(3, len(runs)):
            made = forecast_final(part(runs[index], share), runs[:index])
            if isinstance(made, FinalForecast):
                errors.append(abs(made.median / truth(runs[index]) - 1))
                lower, upper = made.interval(0.9)
                held.append(lower <= truth(runs[index]) <= upper)
        assert len(errors) >= 0.95 * (len(runs) - 3)
        assert np.median(errors) < within
        assert np.mean(held) >= 0.8


@pytest.mark.parametrize("gain", [annealing_area, power_gain])
def test_a_constant_rate_gains_nothing_and_a_decay_gains_ever_more(gain: Callable[[Schedule], Array]) -> None:
    progress = np.linspace(0.0, 1.0, 101)
    rates = (np.ones(101), np.minimum(1.0, 2.0 - 2.0 * progress))
    held, decayed = (gain(Schedule(progress, rate, np.cumsum(rate) / 101, 3e-4, 20_000)) for rate in rates)
    assert not held.any()
    assert not decayed[:50].any()
    assert (np.diff(decayed[51:]) >= 0).all()
    assert 0.2 < decayed[-1] <= 1.0


def test_laws_along_the_rates_learn_from_other_schedules() -> None:
    # every schedule ends at the same law, less what the decay gains; nobody has the shape of this one but one small run
    runs = [*planted_runs(), planted(1e7, 2e8, rate=lambda x: 1.0 - 0.9 * x, schedule="linear")]
    target = planted(6e8, 1.8e10, rate=lambda x: 1.0 - 0.9 * x, schedule="linear")
    for name in ("annealing-law", "multi-power-law"):
        made = METHODS[name](part(target, 0.6), runs)
        assert isinstance(made, FinalForecast)
        assert made.median == pytest.approx(truth(target), rel=0.02)
        alone = METHODS[name](part(target, 0.6), planted_runs())
        assert isinstance(alone, Abstention)
        assert alone.code == "schedule_ahead_unknown"
