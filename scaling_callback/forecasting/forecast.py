"""From evidence to a forecast: fit, predict, widen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit
from scaling_callback.records import Array, Run, Target

PRIOR_DEGREES = 2
"""Parameters that the weak prior spares: the two exponents count for little once their medians are given."""


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
        draws: Losses that a measurement could show, shape (R,).
        forecaster: Who made it.
        baselines: What the simplest guesses say (`baselines`).
        warnings: Named doubts, each with a sentence.
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


def forecast_target(
    fit: Fit,
    target: Target,
    *,
    level: float,
    seed: int,
    forecaster: str = "default",
    known_losses: Mapping[str, float] | None = None,
) -> Forecast:
    """The fitted law at the target, with an interval for one measured loss.

    Draws of the bootstrap are centred on the point forecast in ln L, widened by `widening`, and given the
    noise of one run, so that the interval is never narrower than that.

    Raises:
        InputError: A target by compute alone has no optimum under the fitted law.
    """
    params, tokens = resolve_target(fit, target)
    median = float(fit.predict(params, tokens)[0])
    spread = np.log(fit.predict_draws(params, tokens)[:, 0])
    rng = np.random.default_rng(seed)
    noise = fit.noise * rng.standard_normal(len(spread))
    centred = (spread - np.median(spread)) * widening(fit) if len(spread) else spread
    draws = median * np.exp(centred + noise)
    lower, upper = (
        np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]) if len(draws) else (float("nan"), float("nan"))
    )
    return Forecast(
        params=params,
        tokens=tokens,
        median=median,
        # few draws may all lie on one side of the centre
        lower=min(float(lower), median),
        upper=max(float(upper), median),
        level=level,
        draws=draws,
        forecaster=forecaster,
        baselines=known_losses or {},
        warnings=dict(fit.diagnostics) | _reach(fit, params, tokens),
    )


def widening(fit: Fit) -> float:
    """How much wider than the bootstrap an interval from n independent runs must be.

    A bootstrap of n runs and p parameters underestimates variance by (n - p) / n: sqrt(n / (n - p)). Where p is
    more than half of n, replicates with fewer different runs than parameters already spread over everything
    that the data allow, and the factor stays at sqrt(2).

    Example:
        >>> import numpy as np
        >>> from scaling_callback.fitting import Points, fit
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> found = fit(Points.of(N.ravel(), D.ravel(), (1.8 + 480 / N**0.35 + 2100 / D**0.37).ravel()))
        >>> round(widening(found), 2)
        1.31
    """
    clusters = fit.points.n_clusters
    used = len(fit.theta) - (PRIOR_DEGREES if fit.prior else 0)
    return float(np.sqrt(clusters / max(clusters - used, clusters / 2)))


def resolve_target(fit: Fit, target: Target) -> tuple[float, float]:
    """(N, D) of the target; for a target by compute alone the optimum under the fitted law."""
    if target.params is not None and target.tokens is not None:
        return target.params, target.tokens
    params, tokens = fit.law.optimum(fit.law.natural(fit.theta[None], fit.centre), target.compute)
    if not np.isfinite(params[0]):
        raise InputError(
            f"the fitted law has no compute-optimal size at {target.compute:.3g} FLOPs; give params=... and tokens=..."
        )
    return float(params[0]), float(tokens[0])


def baselines(runs: Sequence[Run]) -> dict[str, float]:
    """The two guesses that need no law: the best loss seen, and the loss of the run with the most compute."""
    finished = [run for run in runs if run.final is not None and not run.card.held_out]
    if not finished:
        return {}
    finals = [(run.planned_flops or 0.0, run.final.loss) for run in finished if run.final is not None]
    return {"best_loss": min(loss for _, loss in finals), "most_compute": max(finals)[1]}


def _reach(fit: Fit, params: float, tokens: float) -> dict[str, str]:
    """How far beyond the evidence the target lies."""
    largest = float((fit.points.params * fit.points.tokens).max())
    factor = params * tokens / largest
    if factor <= 1000:
        return {}
    return {
        "far_extrapolation": f"the target has {factor:.2g} times the compute of the largest run; "
        "no published forecast is reliable beyond about 1000"
    }
