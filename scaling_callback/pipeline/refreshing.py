"""`refresh`: from runs to a snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.allocating import Allocation
from scaling_callback.curves import Abstention, FinalForecast, forecast_final
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import Fit, Progress, Status, fewest_replicates
from scaling_callback.forecasting import (
    MEMBERS,
    Backtest,
    ClusterOf,
    Evidence,
    Forecast,
    Forecaster,
    Part,
    PastForecast,
    TrackRecord,
    backtest,
    baselines,
    combine,
    cool_down,
    fit_runs,
    forecast_target,
    included,
    name_excluded,
    name_phase,
    others_of,
    place_issued,
    recompute_past,
    score_issued,
    take_interval,
)
from scaling_callback.pipeline.fits import DEFAULTS, vary_choices
from scaling_callback.pipeline.steps import (
    cluster_by,
    describe_split,
    fit_evidence,
    gather_evidence,
    select,
    split_budget,
)
from scaling_callback.records import IssuedForecast, Run, Target
from scaling_callback.sensitivity import Panel
from scaling_callback.snapshot import Config, Snapshot

ROW_REPLICATES = 200
"""Most replicates of an answer under another choice, or as many as the level needs: of 30 runs they take a quarter of a
refresh, and 1000 would take more than all the rest of it."""


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
        progress: Told of the bootstrap replicates done, and then of the other choices.

    Raises:
        InputError: The configuration names something that does not exist.
    """
    kept = select(runs, config)
    if config.fits:
        return _answer(runs, kept, issued, config, progress)
    return _look(runs, kept, issued, config)


def _answer(
    runs: Sequence[Run],
    kept: tuple[Run, ...],
    issued: Sequence[IssuedForecast],
    config: Config,
    progress: Progress | None,
) -> Snapshot:
    """Everything, with a law."""
    names = {run.name for run in kept}
    cluster = cluster_by(kept, config)
    evidence = gather_evidence(runs, kept, config)
    absent: dict[str, str] = {}
    found: Fit | None = None
    forecast: Forecast | None = None
    members: dict[str, Fit] = {}
    try:
        found = fit_evidence(evidence, config, progress)
    except NotEnoughData as reason:
        absent["fit"] = str(reason)
    finished = [run for run in kept if run.name in evidence.used and run.final is not None]
    allocation, panel = None, None
    if found is not None:
        try:
            allocation, panel = _split(runs, kept, found, config, progress)
        except InputError as reason:  # the budget does not reach for what it must pay, or nobody knows what that is
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
                members = _fit_members(kept, cluster, config)
                forecast = _combine(forecast, members, past, config)
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
        members=members,
        live_record=score_issued(included(runs), issued),
        absent=absent,
        sensitivity=panel,
        excluded=tuple(run for run in runs if run.card.excluded),
        set_aside=tuple(run for run in included(runs) if run.name not in names),
        past=_recall(forecast, finished, clusters, forecasters, included(runs), issued, config),
    )


def _look(runs: Sequence[Run], kept: tuple[Run, ...], issued: Sequence[IssuedForecast], config: Config) -> Snapshot:
    """What is known without a law: the runs, and where those that are under way will end."""
    unasked = "no law was asked for"
    evidence = Evidence(None, (), dict(name_excluded(runs)))
    names = {run.name for run in kept}
    return Snapshot(
        config=config,
        runs=kept,
        evidence=evidence,
        fit=None,
        forecast=None,
        allocation=None,
        finals=_finals(kept, evidence),
        record=TrackRecord(()),
        live_record=score_issued(included(runs), issued),
        absent=dict.fromkeys(("fit", "forecast", "track_record"), unasked),
        excluded=tuple(run for run in runs if run.card.excluded),
        set_aside=tuple(run for run in included(runs) if run.name not in names),
    )


def _recall(
    forecast: Forecast | None,
    finished: Sequence[Run],
    clusters: Mapping[str, str],
    forecasters: Sequence[Forecaster],
    runs: Sequence[Run],
    issued: Sequence[IssuedForecast],
    config: Config,
) -> tuple[PastForecast, ...]:
    """Earlier forecasts of what is forecast now, whoever says it now."""
    if forecast is None or not config.past:
        return ()
    target = Target(params=forecast.params, tokens=forecast.tokens)
    recomputed = recompute_past(
        finished,
        clusters,
        forecasters,
        config.fitted,
        target,
        level=config.level,
        seed=config.seed,
        further=config.further,
    )
    return (*recomputed, *place_issued(runs, issued, target))


def _split(
    runs: Sequence[Run], kept: Sequence[Run], found: Fit, config: Config, progress: Progress | None
) -> tuple[Allocation | None, Panel | None]:
    """The split of the budget and the answers under other choices, as far as they are asked for.

    Raises:
        InputError: The budget does not reach for what it must pay, or what the runs measured is no cost of theirs.
    """
    allocation: Allocation | None = None
    if config.budget is not None and config.splits:
        allocation = describe_split(found, kept, config.budget, config, beside=config.sensitivity)
    if not config.sensitivity:
        return allocation, None
    # a bootstrap of whole searches would take longer than everything else together
    fewer = replace(config, replicates=min(config.replicates, max(ROW_REPLICATES, fewest_replicates(config.level))))
    return allocation, vary_choices(runs, fewer, progress, procedure_replicates=0)


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
        allocation = split_budget(found, runs, target.flops, config)
    if not allocation.identified:
        reasons = "; ".join(allocation.reasons.values())
        raise NotEnoughData(f"the target is a budget, and its optimal split cannot be told: {reasons}")
    return Target(params=allocation.params, tokens=allocation.tokens)


def _fit_members(runs: Sequence[Run], cluster: ClusterOf, config: Config) -> dict[str, Fit]:
    """The fits that the forecast combines, the law of first choice, which lends its draws, first."""
    clusters = tuple(cluster(run) for run in runs)
    return {
        member.name: fit_runs(tuple(runs), clusters, member, config.replicates if i == 0 else 0, config.seed)
        for i, member in enumerate(MEMBERS)
    }


def _combine(made: Forecast, members: Mapping[str, Fit], past: Backtest, config: Config) -> Forecast:
    """The forecast of the combination, with target, baselines and doubts of the one that the shown fit made."""
    fits = [*members.values()]
    params, tokens = np.array([made.params]), np.array([made.tokens])
    combined = combine(fits, params, tokens, history=past.history, seed=config.seed)
    median, draws = float(combined.median[0]), combined.draws[:, 0]
    lower, upper = take_interval(draws, config.level, median)
    parts = zip(combined.medians[0].tolist(), combined.weights[0].tolist(), strict=True)
    unsettled = {
        f"not_converged_{name}": f"{name}: {fit.status.value}"
        for name, fit in members.items()
        if fit.status is Status.NOT_CONVERGED
    }
    return replace(
        made,
        median=median,
        lower=lower,
        upper=upper,
        draws=draws,
        warnings={**made.warnings, **unsettled},
        parts={name: Part(*part) for name, part in zip(members, parts, strict=True)},
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


def _finals(runs: Sequence[Run], evidence: Evidence) -> dict[str, FinalForecast | Abstention]:
    """Forecast finals of unfinished runs, held-out ones included."""
    return {
        run.name: evidence.guessed.get(run.name) or forecast_final(run, others_of(run, runs))
        for run in runs
        if run.final is None
    }
