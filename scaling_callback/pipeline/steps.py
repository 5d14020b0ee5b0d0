"""What every question to a ladder begins with: which runs, what they share their noise with, a fit, a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from scaling_callback import allocating
from scaling_callback.allocating import Allocation, estimate_frontiers, estimate_isoflop, set_beside
from scaling_callback.costs import Cost
from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit, Progress
from scaling_callback.forecasting import ClusterOf, Evidence, best_runs, included, name_excluded, trunks
from scaling_callback.laws.muennighoff import UNIQUE
from scaling_callback.records import Run
from scaling_callback.sensitivity import fit_analyses
from scaling_callback.snapshot import Config

BUDGETS = (0.01, 0.1, 10.0, 100.0)
"""Further budgets of the table beside a split, over the one that was asked for."""

NO_APPROACHES = {
    "no_approaches": "envelope and IsoFLOP lines do not stand beside: they know the training of unrepeated tokens alone"
}


def select(runs: Sequence[Run], config: Config) -> tuple[Run, ...]:
    """The runs that `config.runs` asks for; none that its card excludes is among them, whatever is asked."""
    return best_runs(runs) if config.runs == "best" else included(runs)


def gather_evidence(runs: Sequence[Run], kept: Sequence[Run], config: Config) -> Evidence:
    """The points that a fit of the selected runs sees, and what became of all of them."""
    evidence = config.fitted.gather(kept, cluster_by(kept, config))
    return replace(evidence, left_out={**evidence.left_out, **name_excluded(runs)})


def cluster_by(runs: Sequence[Run], config: Config) -> ClusterOf:
    """What each of these runs shares its noise with."""
    stems = trunks(runs)
    return lambda run: _cluster(run, config.cluster, stems)


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


def fit_evidence(evidence: Evidence, config: Config, progress: Progress | None) -> Fit:
    """The fit that is shown and that splits budgets."""
    return config.fitted.fit(evidence, replicates=config.replicates, seed=config.seed, progress=progress)


def split_budget(found: Fit, runs: Sequence[Run], flops: float, config: Config) -> Allocation:
    """The split of a budget by the fit of these runs, with what other analyses of the same points say of it."""
    return _ask(found, config, config.constraints.cost(runs))(flops)


def describe_split(found: Fit, runs: Sequence[Run], flops: float, config: Config, *, beside: bool) -> Allocation:
    """The same with the splits of other budgets, and with what other approaches say `beside`."""
    cost = config.constraints.cost(runs)
    ask = _ask(found, config, cost)
    made = ask(flops)
    made = replace(made, doubts={**made.doubts, **config.constraints.doubt_cost(runs)})
    if made.fixed:  # another budget may leave nothing for what is not
        return made
    others = [b for b in (flops * f for f in BUDGETS) if math.isfinite(b) and cost.tokens(1.0, b) > 1]
    budgets = [made, *(ask(budget) for budget in others)]
    made = replace(made, budgets=tuple(sorted(budgets, key=lambda split: split.flops)))
    if cost.inference_tokens or UNIQUE in config.further:
        return replace(made, doubts={**made.doubts, **NO_APPROACHES}) if beside else made
    known = [run for run in runs if not run.card.held_out]  # an answer is compared with those
    if not beside:
        return replace(made, profiles=estimate_isoflop(known, flops, cost=cost, replicates=0).profiles)
    frontiers = estimate_frontiers(
        known,
        flops,
        fit=found,
        cost=cost,
        level=config.level,
        seed=config.seed,
        replicates=config.replicates,
        further=config.further,
    )
    return set_beside(made, frontiers, found.law.name)


def _ask(found: Fit, config: Config, cost: Cost) -> Callable[[float], Allocation]:
    """The split of any budget."""
    return partial(
        allocating.allocate,
        found,
        level=config.level,
        seed=config.seed,
        further=config.further,
        cost=cost,
        constraints=config.constraints,
        analyses=fit_analyses(found),
    )
