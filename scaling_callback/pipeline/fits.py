"""What the evidence of a ladder holds: points, a fit, the split of a budget, and how each turns on choices."""

from __future__ import annotations

from collections.abc import Sequence

from scaling_callback.allocating import Allocation
from scaling_callback.fitting import Fit, Progress
from scaling_callback.fitting.procedures import PROCEDURE_REPLICATES
from scaling_callback.forecasting import Evidence, Forecaster, get_policy, included
from scaling_callback.pipeline.steps import cluster_by, describe_split, fit_evidence, gather_evidence, select
from scaling_callback.records import Array, Run
from scaling_callback.sensitivity import Panel, as_asked, compare_choices
from scaling_callback.snapshot import Config

DEFAULTS = Config()

FIT_DEFAULTS = Config(evidence="finals", prior=False, replicates=0)
"""A plain fit is the published procedure: finals, no prior, no bootstrap."""


def gather(runs: Sequence[Run], config: Config = FIT_DEFAULTS) -> Evidence:
    """The points that a fit of these runs sees, and what became of each run.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> len(gather(planted_ladder()).used)
        12
    """
    return gather_evidence(runs, select(runs, config), config)


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
    return fit_evidence(gather(runs, config), config, progress)


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
    found = fit_evidence(gather(runs, config), config, progress)
    return describe_split(found, select(runs, config), flops, config, beside=True)


def forecast_by(
    forecaster: Forecaster, runs: Sequence[Run], places: Sequence[tuple[float, float]], config: Config = DEFAULTS
) -> Array:
    """The losses that one forecaster says of m places (N, D), shape (m,), without intervals.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs to fit.
    """
    kept = select(runs, config)
    made = forecaster.fit(forecaster.gather(kept, cluster_by(kept, config)), seed=config.seed)
    params, tokens = zip(*places, strict=True)
    return made.predict(params, tokens)


def vary_choices(
    runs: Sequence[Run],
    config: Config = FIT_DEFAULTS,
    progress: Progress | None = None,
    *,
    groups: Sequence[str] | None = None,
    procedure_replicates: int = PROCEDURE_REPLICATES,
) -> Panel:
    """The answers under every other choice of loss, law, filter, counting, learning rate and optimiser.

    The budget is `config.flops`, else the target's compute, else ten times what the largest run takes, counted as the
    rows count it. Where replicates are asked for, each row has intervals; those of published procedures are from fewer,
    as each is a whole search.

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
    kept = included(runs)
    return compare_choices(
        kept,
        base,
        cluster=cluster_by(kept, config),
        flops=config.flops,
        target=config.target,
        known=config.further,
        cost=config.constraints.cost,
        groups=groups,
        replicates=config.replicates,
        level=config.level,
        seed=config.seed,
        procedure_replicates=procedure_replicates,
        progress=progress,
    )
