"""From evidence to a forecast: fit, predict, widen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit, Status, seed_noise
from scaling_callback.forecasting.scores import TrackRecord
from scaling_callback.forecasting.variables import doubt_repetition, heed_repetition
from scaling_callback.records import Array, Run, Target

FAR = 1000.0
"""Times the compute of the largest run beyond which a forecast is labelled as far extrapolation."""

FEW_SCORES = 5
"""Fewest scores of the track record from which its coverage says anything."""

SHARE_OF_RUN = 0.25
"""Share of the variance of one run that is in the interval of a loss. The loss of the law has none of that noise and a
measured one all of it: with half its standard deviation the level holds, within a few percent, for both
(docs/coverage.md)."""

NORMAL_90 = 1.645
"""Standard deviations from the centre to either end of the central 90% of a normal distribution."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """The loss expected of a target.

    Attributes:
        params: N of the target.
        tokens: D of the target.
        median: Forecast loss.
        lower: Lower end of the interval.
        upper: Upper end of the interval.
        level: Nominal coverage of the interval.
        draws: Losses that may be true, shape (R,): the law's, with half the deviation of one run.
        forecaster: Who made it.
        baselines: What the simplest guesses say (`baselines`).
        warnings: Named doubts, each with a sentence.
        parts: Of a combination, what each forecaster in it says and weighs.
    """

    params: float
    tokens: float
    median: float
    lower: float
    upper: float
    level: float
    draws: Array
    forecaster: str
    baselines: Mapping[str, float]
    warnings: Mapping[str, str]
    parts: Mapping[str, Part] = field(default_factory=dict[str, "Part"])


@dataclass(frozen=True)
class Part:
    """One forecaster in a combination: the loss that it says, and its weight."""

    median: float
    weight: float


def forecast_target(
    fit: Fit,
    target: Target,
    *,
    level: float,
    seed: int,
    forecaster: str = "default",
    known_losses: Mapping[str, float] | None = None,
    record: TrackRecord | None = None,
    further: Mapping[str, float] | None = None,
) -> Forecast:
    """The fitted law at the target, with an interval for its loss and, within a few percent, for one measured loss.

    `further` holds further variables of the target, for a law that has them; with unique tokens a Chinchilla law is
    answered with the published decay of repeated ones. A target by compute alone has to be split
    first (`allocating.allocate`).

    Raises:
        InputError: The target is a budget, or the law has no form for repeated tokens.
        NotEnoughData: A variable of the law is missing.
    """
    if target.params is None or target.tokens is None:
        raise InputError(
            f"the target is {target.compute:.3g} FLOPs; split them first, and give params=... and tokens=..."
        )
    params, tokens = target.params, target.tokens
    doubts = doubt_repetition(fit, further or {})
    fit = heed_repetition(fit, further or {})
    known = _variables(fit, target, further or {})
    median = float(fit.predict(params, tokens, **known)[0])
    draws = spread_around(fit, median, fit.predict_draws(params, tokens, **known)[:, 0], noise_seed=seed)
    lower, upper = take_interval(draws, level, median)
    return Forecast(
        params=params,
        tokens=tokens,
        median=median,
        lower=lower,
        upper=upper,
        level=level,
        draws=draws,
        forecaster=forecaster,
        baselines=known_losses or {},
        warnings={**find_doubts(fit, params, tokens, level, record), **doubts},
    )


def _variables(fit: Fit, target: Target, further: Mapping[str, float]) -> dict[str, float]:
    """Further variables of the target, its compute counted as that of the points was.

    Where FLOPs were measured, those of a target cannot be: it costs what the runs cost over 6 N D.
    """
    known, measured = dict(further), fit.points.columns.get("compute")
    if measured is None:
        known.pop("compute", None)
    if measured is not None and "compute" not in known:
        over = measured / (6.0 * fit.points.params * fit.points.tokens)
        known["compute"] = target.compute * float(np.median(over))
    return known


def spread_around(fit: Fit, centre: float, values: Array, *, noise_seed: int | None = None) -> Array:
    """Values of a positive quantity under each replicate, shape (R,), made into draws of what may be true.

    They are centred on the point estimate in ln; with `noise_seed` given they are a loss, and get the noise of
    `spread_losses`.
    """
    if not len(values):
        return values
    if noise_seed is not None:
        return centre * np.exp(spread_losses(fit, values[:, None], noise_seed=noise_seed)[:, 0])
    spread = np.log(values)
    return centre * np.exp(spread - np.median(spread))


def spread_losses(fit: Fit, values: Array, *, noise_seed: int) -> Array:
    """Ln deviations (R, T) of losses at T targets from their centre, from losses (R, T) under each replicate.

    They get their share of the noise of one run (`SHARE_OF_RUN`), and at least the spread of seeds.
    """
    spread = np.log(values)
    spread = spread - np.median(spread, axis=0)
    chance = np.random.default_rng(noise_seed).standard_t(fit.noise_degrees, len(spread))
    spread = spread + np.sqrt(SHARE_OF_RUN) * fit.noise * chance[:, None]
    lower, upper = np.quantile(spread, [0.05, 0.95], axis=0)
    # no loss is known better than what two seeds differ by
    floor = 2 * NORMAL_90 * seed_noise(fit.points)
    return np.asarray(spread * np.maximum(1.0, floor / np.maximum(upper - lower, 1e-300)), dtype=np.float64)


def take_interval(draws: Array, level: float, centre: float | None = None) -> tuple[float, float]:
    """The central interval of draws, and no end beyond `centre`; NaN where there are none."""
    if not len(draws):
        return float("nan"), float("nan")
    lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    if centre is not None:  # few draws may all lie on one side of it
        lower, upper = min(lower, centre), max(upper, centre)
    return float(lower), float(upper)


def baselines(runs: Sequence[Run]) -> dict[str, float]:
    """The two guesses that need no law: the best loss seen, and the loss of the run with the most compute.

    Of runs that are not held out.
    """
    known = [run for run in runs if not run.card.held_out]
    finals = [(run.planned_flops or 0.0, run.final.loss) for run in known if run.final is not None]
    if not finals:
        return {}
    return {"best_loss": min(loss for _, loss in finals), "most_compute": max(finals)[1]}


def find_doubts(fit: Fit, params: float, tokens: float, level: float, record: TrackRecord | None) -> dict[str, str]:
    """The diagnostics of the fit, and what reach and record add to them."""
    doubts = dict(fit.diagnostics)
    if fit.status is Status.NOT_CONVERGED:
        doubts["not_converged"] = fit.status.value
    compute = np.log(fit.points.params) + np.log(fit.points.tokens)
    own = np.log(params) + np.log(tokens)
    least, factor = np.exp(own - compute.min()), np.exp(own - compute.max())
    if least < 1 / FAR:
        doubts["far_extrapolation"] = (
            f"the target has {least:.2g} times the compute of the smallest run: are its counts plain numbers? "
            f"Nothing is known below about 1/{FAR:g}"
        )
    if factor > FAR:
        doubts["far_extrapolation"] = (
            f"the target has {factor:,.0f} times the compute of the largest run; no published forecast is reliable "
            f"beyond about {FAR:g}"
        )
    if record is not None and record.coverage is not None and len(record.scores) >= FEW_SCORES:
        chance = 2 * np.sqrt(level * (1 - level) / len(record.scores))
        if record.coverage < level - chance:
            doubts["record_below_level"] = (
                f"{record.coverage:.0%} of {len(record.scores)} earlier intervals held what was then measured, "
                f"{level:.0%} should have: expect this one to be too narrow as well"
            )
    return doubts
