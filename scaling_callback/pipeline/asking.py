"""One question about a target: its loss, the runs to train next, and which of two recipes is better there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scaling_callback import comparing, planning
from scaling_callback.comparing import Comparison
from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import MIN_RUNS, Fit, Progress
from scaling_callback.forecasting import MEMBERS, Forecast, finals, fit_runs
from scaling_callback.pipeline.fits import DEFAULTS
from scaling_callback.pipeline.refreshing import refresh
from scaling_callback.pipeline.steps import cluster_by, fit_evidence, select
from scaling_callback.planning import Costs, Place, Plan, place_target
from scaling_callback.records import Run, Target
from scaling_callback.snapshot import Config


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
    ladder. Runs that are still training count as if they had finished, those that diverged do not. `candidates` are
    (N, D) to choose from, `cost` says what each costs; by default a grid below the target, and what
    `config.constraints` count of training.

    Raises:
        InputError: The budget is no positive, finite number or pays for no run, or a target by compute alone has
            no optimum under the law.
        NotEnoughData: The law needs a variable that the runs or the target do not say.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> made = plan(planted_ladder(), Target(params=1e10, tokens=2e11), 1e20)
        >>> made.runs[-1].expected_interval_width < made.width_now
        True
    """
    kept = [run for run in select(runs, config) if not run.card.held_out]
    cluster = cluster_by(kept, config)
    finished = [run for run in kept if run.final is not None]
    found: Fit | None = None
    if len({cluster(run) for run in finished}) >= MIN_RUNS:  # with fewer what is usual of laws stands in
        if config.combines:
            found = fit_runs(tuple(kept), tuple(map(cluster, kept)), MEMBERS[0], config.replicates, config.seed)
        else:
            found = fit_evidence(config.fitted.gather(kept, cluster), config, progress)
    law = MEMBERS[0].law if config.combines else config.law
    counted = config.constraints.cost(kept)
    goal = place_target(target, found, law=law, further=config.further, cost=counted)
    asked = replace(config, target=Target(params=goal[0], tokens=goal[1]), splits=False, past=False, sensitivity=False)
    used = finals(kept, cluster).used
    return planning.plan(
        goal,
        flops,
        fit=found,
        law=law,
        forecast=refresh(kept, (), asked, progress).forecast,
        known=[(run.params, run.final.tokens) for run in finished if run.final and run.name in used],
        coming=[(run.params, run.horizon) for run in kept if _trains(run) and run.horizon is not None],
        candidates=candidates,
        cost=cost or replace(counted, inference_tokens=0.0),
        level=config.level,
        further=config.further,
        seed=config.seed,
    )


def _trains(run: Run) -> bool:
    """Whether a run may still finish: one whose last loss is no number has diverged."""
    return run.final is None and len(run.curve) > 0 and bool(np.isfinite(run.curve.loss[-1]))


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
        snapshot = refresh(runs, (), replace(config, target=target, splits=False, past=False, sensitivity=False))
        if snapshot.forecast is None:
            raise NotEnoughData(f"{name}: {snapshot.absent['forecast']}")
        kept.append(snapshot.runs)
        made.append(snapshot.forecast)
    return comparing.compare(kept[0], kept[1], (made[0], made[1]), level=config.level)
