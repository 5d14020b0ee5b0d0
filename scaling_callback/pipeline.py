"""`refresh`: from runs to a snapshot. Callback, command line and notebooks all go through here.

Every function is pure: the same runs and configuration give the same numbers to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from scaling_callback import allocating, comparing
from scaling_callback.allocating import Allocation, estimate_frontiers, set_beside
from scaling_callback.comparing import Comparison
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
    score_issued,
    take_interval,
    trunks,
)
from scaling_callback.records import Array, IssuedForecast, Run, Target
from scaling_callback.sensitivity import Panel, as_asked, compare_choices, fit_analyses
from scaling_callback.snapshot import Config, Snapshot

FIT_DEFAULTS = Config(evidence="finals", prior=False, replicates=0)
"""A plain fit is the published procedure: finals, no prior, no bootstrap."""

DEFAULTS = Config()

BUDGETS = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Budgets of the table beside a split, over the one that was asked for."""


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
    panel = vary_choices(runs, config) if found is not None and config.sensitivity else None
    if found is not None and config.budget is not None and config.splits:
        try:
            allocation = _allocate(found, kept, config.budget, config, beside=config.sensitivity)
        except InputError as reason:  # the budget does not reach for what it must pay
            absent["allocation"] = str(reason)
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
    else:
        try:
            forecast = forecast_target(
                found,
                _split_target(config.target, found, kept, allocation, config),
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
        except (NotEnoughData, InputError) as reason:
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


def _split_target(
    target: Target, found: Fit, runs: Sequence[Run], allocation: Allocation | None, config: Config
) -> Target:
    """The target with its N and D: for one by compute alone the optimal ones.

    Raises:
        NotEnoughData: They are not determined.
        InputError: The budget does not reach for what it must pay.
    """
    if target.flops is None:
        return target
    if allocation is None or allocation.flops != target.flops:
        allocation = _allocate(found, runs, target.flops, config, beside=False)
    if not allocation.identified:
        reasons = "; ".join(allocation.reasons.values())
        raise NotEnoughData(f"the target is a budget, and its optimal split cannot be told: {reasons}")
    return Target(params=allocation.params, tokens=allocation.tokens)


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

    Other losses, widths and the tied law are fitted beside: a split that turns on such a choice is refused. What else
    the budget must pay for, and what is fixed beforehand, is `config.constraints`.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
        InputError: The budget is not a positive, finite number.
    """
    found = _fit(gather(runs, config), config, progress)
    return _allocate(found, select(runs, config), flops, config, beside=True)


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
        cost=config.constraints.cost(runs),
        groups=groups,
        progress=progress,
    )


def select(runs: Sequence[Run], config: Config) -> tuple[Run, ...]:
    """The runs that `config.runs` asks for."""
    return best_runs(runs) if config.runs == "best" else tuple(runs)


def _allocate(found: Fit, runs: Sequence[Run], flops: float, config: Config, *, beside: bool) -> Allocation:
    """The split of a budget and of those around it, and what other approaches say `beside`."""
    cost = config.constraints.cost(runs)
    ask = partial(
        allocating.allocate,
        found,
        level=config.level,
        seed=config.seed,
        further=config.further,
        cost=cost,
        constraints=config.constraints,
        analyses=fit_analyses(found),
    )
    made = ask(flops)
    if made.fixed:  # another budget may leave nothing for what is not
        return made
    others = [flops * factor for factor in BUDGETS if cost.tokens(1.0, flops * factor) > 1]
    made = replace(made, budgets=tuple(ask(budget) for budget in others))
    if not beside or cost.inference_tokens:  # the other approaches know training alone
        return made
    frontiers = estimate_frontiers(
        runs,
        flops,
        fit=found,
        level=config.level,
        seed=config.seed,
        replicates=config.replicates,
        further=config.further,
    )
    return set_beside(made, frontiers, found.law.name)


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


def compare(
    runs_a: Sequence[Run],
    runs_b: Sequence[Run],
    target: Target,
    config: Config = DEFAULTS,
    *,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Which of two recipes is better at one target, from the ladder of each.

    `names` are what the ladders are called where one cannot be used.

    Raises:
        NotEnoughData: A ladder has too few finished runs to forecast.
        InputError: The target is a budget: each recipe has its own optimal split of it.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> one, other = planted_ladder(seed=1), planted_ladder(seed=2)
        >>> made = compare(one, other, Target(params=1e9, tokens=2e10), Config(replicates=20))
        >>> made.better, made.method, made.pairs
        (None, 'paired', 12)
    """
    if target.params is None or target.tokens is None:
        raise InputError(
            f"the target is a budget of {target.compute:g} FLOPs, of which each recipe has its own optimal split; give "
            "params=... and tokens=..."
        )
    kept: list[tuple[Run, ...]] = []
    made: list[Forecast] = []
    for name, runs in zip(names, (runs_a, runs_b), strict=True):
        snapshot = refresh(runs, (), replace(config, target=target, splits=False, sensitivity=False))
        if snapshot.forecast is None:
            raise NotEnoughData(f"{name}: {snapshot.absent['forecast']}")
        kept.append(snapshot.runs)
        made.append(snapshot.forecast)
    return comparing.compare(kept[0], kept[1], (made[0], made[1]), level=config.level)
