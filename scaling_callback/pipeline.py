"""`refresh`: from runs to a snapshot. Callback, command line and notebooks all go through here.

Every function is pure: the same runs and configuration give the same numbers to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback import allocating, planning
from scaling_callback.allocating import Allocation
from scaling_callback.curves import Abstention, FinalForecast, forecast_final
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Fit, Progress, Status
from scaling_callback.forecasting import (
    MEMBERS,
    Backtest,
    ClusterOf,
    Evidence,
    Forecast,
    Forecaster,
    Part,
    backtest,
    baselines,
    best_runs,
    combine,
    cool_down,
    fit_runs,
    forecast_target,
    get_policy,
    name_phase,
    others_of,
    resolve_target,
    score_issued,
    take_interval,
    trunks,
)
from scaling_callback.planning import Costs, Place, Plan
from scaling_callback.records import Array, IssuedForecast, Run, Target
from scaling_callback.sensitivity import ANALYSIS, Panel, as_asked, compare_choices
from scaling_callback.snapshot import Config, Snapshot

FIT_DEFAULTS = Config(evidence="finals", prior=False, replicates=0)
"""A plain fit is the published procedure: finals, no prior, no bootstrap."""

DEFAULTS = Config()


def refresh(
    runs: Sequence[Run],
    issued: Sequence[IssuedForecast] = (),
    config: Config = DEFAULTS,
    progress: Progress | None = None,
) -> Snapshot:
    """Everything that these runs say about `config.target`; what they cannot say is named, not raised.

    Args:
        runs: The ladder so far.
        issued: Forecasts that were issued while it was trained.
        config: What is asked.
        progress: Told of the bootstrap replicates done.

    Raises:
        InputError: The configuration names something that does not exist.
    """
    kept = select(runs, config)
    cluster = _cluster_by(kept, config)
    evidence = config.fitted.gather(kept, cluster)
    absent: dict[str, str] = {}
    found: Fit | None = None
    forecast: Forecast | None = None
    allocation: Allocation | None = None
    try:
        found = _fit(evidence, config, progress)
    except NotEnoughData as reason:
        absent["fit"] = str(reason)
    finished = [run for run in kept if run.name in evidence.used and run.final is not None]
    budget = config.flops or (config.target.compute if config.target else None)
    panel = vary_choices(runs, config) if found is not None and config.sensitivity else None
    if found is not None and budget is not None:
        allocation = allocating.allocate(
            found,
            budget,
            level=config.level,
            seed=config.seed,
            further=config.further,
            other_ratios=panel.analyses if panel else None,
        )
    clusters = {run.name: cluster(run) for run in finished}
    forecasters = MEMBERS if config.combines else (config.fitted,)
    past = backtest(finished, clusters, forecasters, level=config.level, seed=config.seed)
    if not past.record.scores:
        absent["track_record"] = "no run finished after three others: no forecast can have been checked yet"
    if config.target is None:
        absent["forecast"] = "no target was given"
    elif (cooled := _cool_down(kept, finished, config)) is not None:
        forecast = cooled  # the model itself is in hand, but for its cooldown: no fit of others knows it better
    elif found is None:
        absent["forecast"] = absent["fit"]
    elif config.target.flops is not None and allocation is not None and not allocation.identified:
        reasons = "; ".join(allocation.reasons.values())
        absent["forecast"] = f"the target is a budget, and its optimal split cannot be told: {reasons}"
    else:
        try:
            forecast = forecast_target(
                found,
                config.target,
                level=config.level,
                seed=config.seed,
                forecaster=config.forecaster,
                known_losses=baselines(finished),
                record=past.record,
                further=config.further,
            )
            forecast = replace(forecast, warnings={**forecast.warnings, **name_phase(finished)})
            if config.combines:
                forecast = _combine(forecast, kept, cluster, past, config)
        except NotEnoughData as reason:
            forecast = None
            absent["forecast"] = str(reason)
    return Snapshot(
        config=config,
        runs=kept,
        evidence=evidence,
        fit=found,
        forecast=forecast,
        allocation=allocation,
        finals=_finals(kept, evidence),
        record=past.record,
        member_records=past.members,
        live_record=score_issued(runs, issued),
        absent=absent,
        sensitivity=panel,
    )


def _combine(made: Forecast, runs: Sequence[Run], cluster: ClusterOf, past: Backtest, config: Config) -> Forecast:
    """The forecast of the combination, with target, baselines and doubts of the one that the shown fit made."""
    clusters = tuple(cluster(run) for run in runs)
    fits = [
        # the law of first choice lends its draws
        fit_runs(tuple(runs), clusters, member, config.replicates if i == 0 else 0, config.seed)
        for i, member in enumerate(MEMBERS)
    ]
    params, tokens = np.array([made.params]), np.array([made.tokens])
    combined = combine(fits, params, tokens, history=past.history, seed=config.seed)
    median, draws = float(combined.median[0]), combined.draws[:, 0]
    lower, upper = take_interval(draws, config.level, median)
    names = [member.name for member in MEMBERS]
    parts = zip(combined.medians[0].tolist(), combined.weights[0].tolist(), strict=True)
    unsettled = {
        f"not_converged_{name}": f"{name}: {fit.status.value}"
        for name, fit in zip(names, fits, strict=True)
        if fit.status is Status.NOT_CONVERGED
    }
    return replace(
        made,
        median=median,
        lower=lower,
        upper=upper,
        draws=draws,
        warnings={**made.warnings, **unsettled},
        parts={name: Part(*part) for name, part in zip(names, parts, strict=True)},
    )


def _cool_down(runs: Sequence[Run], finished: Sequence[Run], config: Config) -> Forecast | None:
    """The forecast of a target that a run in hand can be cooled down to, or `None` where there is no such run."""
    target = config.target
    if not config.combines or target is None or target.params is None or target.tokens is None:
        return None
    cooled = cool_down(runs, target.params, target.tokens)
    if cooled is None:
        return None
    guess, trunk = cooled
    chance = np.random.default_rng(config.seed).standard_normal(config.replicates)
    draws = guess.median * np.exp(guess.spread / guess.median * chance)
    lower, upper = guess.interval(config.level)
    return Forecast(
        params=target.params,
        tokens=target.tokens,
        median=guess.median,
        lower=lower,
        upper=upper,
        level=config.level,
        draws=draws,
        forecaster=config.forecaster,
        baselines=baselines(finished),
        warnings={},
        parts={f"cooldown of {trunk}": Part(guess.median, 1.0)},
    )


def forecast_by(
    forecaster: Forecaster, runs: Sequence[Run], places: Sequence[tuple[float, float]], config: Config = DEFAULTS
) -> Array:
    """The losses that one forecaster says of m places (N, D), shape (m,), without intervals.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
    """
    kept = select(runs, config)
    made = forecaster.fit(forecaster.gather(kept, _cluster_by(kept, config)), seed=config.seed)
    params, tokens = zip(*places, strict=True)
    return made.predict(params, tokens)


def gather(runs: Sequence[Run], config: Config = FIT_DEFAULTS) -> Evidence:
    """The points that a fit of these runs sees, and what became of each run.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> len(gather(planted_ladder()).used)
        12
    """
    kept = select(runs, config)
    return config.fitted.gather(kept, _cluster_by(kept, config))


def fit(runs: Sequence[Run], config: Config = FIT_DEFAULTS, progress: Progress | None = None) -> Fit:
    """Fit a law to a ladder; by default to its finals, without prior or bootstrap.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
        InputError: The configuration names something that does not exist.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> found = fit(planted_ladder(seed=1, noise=0.0))
        >>> {name: round(value, 3) for name, value in found.params.items()}
        {'E': 1.8, 'A': 480.0, 'B': 2100.0, 'alpha': 0.35, 'beta': 0.37}
    """
    return _fit(gather(runs, config), config, progress)


def forecast(
    runs: Sequence[Run], target: Target, config: Config = DEFAULTS, progress: Progress | None = None
) -> Forecast:
    """The loss expected of `target`, with its interval.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit, or the target is a budget whose split they
            do not determine.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> made = forecast(planted_ladder(seed=1), Target(params=1e10, tokens=2e11))
        >>> truth = 1.8 + 480 / 1e10**0.35 + 2100 / 2e11**0.37
        >>> made.lower < truth < made.upper
        True
    """
    made = refresh(runs, (), replace(config, target=target), progress)
    if made.forecast is None:
        raise NotEnoughData(made.absent["forecast"])
    return made.forecast


def allocate(
    runs: Sequence[Run], flops: float, config: Config = DEFAULTS, progress: Progress | None = None
) -> Allocation:
    """The compute-optimal split of `flops`, or the reasons why these runs do not hold one.

    Other losses, widths and the tied law are fitted beside: a split that turns on such a choice is refused.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
        InputError: The budget is not a positive, finite number.
    """
    found = _fit(gather(runs, config), config, progress)
    others = vary_choices(runs, replace(config, flops=flops), groups=ANALYSIS).analyses
    return allocating.allocate(
        found, flops, level=config.level, seed=config.seed, further=config.further, other_ratios=others
    )


def vary_choices(
    runs: Sequence[Run],
    config: Config = FIT_DEFAULTS,
    progress: Progress | None = None,
    *,
    groups: Sequence[str] | None = None,
) -> Panel:
    """The answers under every other choice of loss, law, filter, counting, learning rate and optimiser.

    The budget is `config.flops`, else the target's compute, else ten times that of the largest run.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
        InputError: The budget is not a positive, finite number.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> panel = vary_choices(planted_ladder(noise=0.0), groups=("loss", "delta"))
        >>> [round(row.params["alpha"], 3) for row in panel.rows][:3]
        [0.35, 0.35, 0.35]
    """
    base = as_asked(
        config.law,
        config.objective,
        prior=config.prior,
        ridges=config.ridges,
        borrowed=config.borrowed,
        policy=get_policy(config.evidence),
        best=config.runs == "best",
    )
    return compare_choices(
        runs,
        base,
        cluster=_cluster_by(runs, config),
        flops=config.flops,
        target=config.target,
        known=config.further,
        groups=groups,
        progress=progress,
    )


def select(runs: Sequence[Run], config: Config) -> tuple[Run, ...]:
    """The runs that `config.runs` asks for."""
    return best_runs(runs) if config.runs == "best" else tuple(runs)


def _cluster_by(runs: Sequence[Run], config: Config) -> ClusterOf:
    """What each of these runs shares its noise with."""
    stems = trunks(runs)
    return lambda run: _cluster(run, config.cluster, stems)


def _fit(evidence: Evidence, config: Config, progress: Progress | None) -> Fit:
    return config.fitted.fit(evidence, replicates=config.replicates, seed=config.seed, progress=progress)


def _cluster(run: Run, column: str | None, stems: Mapping[str, str]) -> str:
    if column is None:
        return stems[run.name]
    if column == "run":
        return run.name
    value = getattr(run.card, column, None)
    value = run.card.extra.get(column) if value is None else value
    if value is None:
        known = sorted({"run", "parent", "seed", "params", "horizon", "schedule", *run.card.extra})
        raise InputError(f"run {run.name!r} has no {column!r} to cluster by; choose one of: {', '.join(known)}")
    return str(value)


def _finals(runs: Sequence[Run], evidence: Evidence) -> dict[str, FinalForecast | Abstention]:
    """Forecast finals of unfinished runs, held-out ones included."""
    return {
        run.name: evidence.guessed.get(run.name) or forecast_final(run, others_of(run, runs))
        for run in runs
        if run.final is None
    }


def plan(
    runs: Sequence[Run],
    target: Target,
    flops: float,
    config: Config = DEFAULTS,
    progress: Progress | None = None,
    *,
    candidates: Sequence[Place] | None = None,
    cost: Costs | None = None,
) -> Plan:
    """The runs to train next: those that narrow the interval of `target` most for `flops`.

    Fewer than three finished runs hold no fit, and none at all are no mistake: what is usual of laws proposes the first
    ladder. Runs that are still training count as if they had finished. `candidates` are (N, D) to choose from, `cost`
    says what each costs; by default both are those of `planning.plan`.

    Raises:
        InputError: The budget is no positive, finite number or pays for no run, or a target by compute alone has
            no optimum under the law.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> made = plan(planted_ladder(), Target(params=1e10, tokens=2e11), 1e20)
        >>> made.runs[-1].expected_interval_width < made.width_now
        True
    """
    kept = [run for run in select(runs, config) if not run.card.held_out]
    cluster = _cluster_by(kept, config)
    try:
        if config.combines:
            fit = fit_runs(tuple(kept), tuple(map(cluster, kept)), MEMBERS[0], config.replicates, config.seed)
        else:
            fit = _fit(config.fitted.gather(kept, cluster), config, progress)
        params, tokens = resolve_target(fit, target, config.further)
        target = Target(params=params, tokens=tokens)
    except NotEnoughData:
        fit = None
    snapshot = refresh(kept, (), replace(config, target=target), progress)
    return planning.plan(
        target,
        flops,
        fit=fit,
        forecast=snapshot.forecast,
        known=[(run.params, run.final.tokens) for run in kept if run.final is not None],
        coming=[(run.params, run.horizon) for run in kept if run.final is None and run.horizon is not None],
        candidates=candidates,
        cost=cost,
        level=config.level,
        further=config.further,
        seed=config.seed,
    )
