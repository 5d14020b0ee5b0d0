"""Results as plain data, ready for JSON: the contract of the command line (DESIGN 4.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from scaling_callback.allocating import Allocation, Frontier
from scaling_callback.comparing import Comparison
from scaling_callback.fitting import Fit
from scaling_callback.forecasting import Evidence, TrackRecord
from scaling_callback.planning import Plan
from scaling_callback.records import Run
from scaling_callback.replaying import Replay
from scaling_callback.reporting.audit.facts import group_notes
from scaling_callback.sensitivity import Panel
from scaling_callback.snapshot import Snapshot
from scaling_callback.tables import NO_PLAN, list_names


def describe_fit(fit: Fit, level: float) -> dict[str, Any]:
    """What `fit --json` prints."""
    return {
        "law": fit.law.name,
        "equation": fit.law.equation,
        "params": fit.params,
        "objective": fit.objective,
        "minimised": fit.criterion.name,
        "borrowed": describe_borrowed(fit),
        "status": fit.status.name.lower(),
        "diagnostics": dict(fit.diagnostics),
        "intervals": {name: list(ends) for name, ends in fit.intervals(level).items()},
        "level": level,
        "noise": fit.noise,
        "certificate": {
            "starts": fit.certificate.starts,
            "given": fit.certificate.given,
            "agreeing": fit.certificate.agreeing,
            "gradient": fit.certificate.gradient,
            "runner_up": fit.certificate.runner_up,
            "margin": fit.certificate.margin,
            "rival": fit.certificate.rival,
            "at_bound": list(fit.certificate.at_bound),
        },
        "n_observations": len(fit.points),
        "n_runs": fit.points.n_runs,
        "seconds": fit.seconds,
    }


def describe_evidence(evidence: Evidence, runs: Sequence[Run]) -> dict[str, Any]:
    """What became of the runs: what every answer from them says beside itself."""
    return {
        "runs_used": len(evidence.used),
        "left_out": dict(evidence.left_out),
        "notes": [*gather_notes(runs).values()],
    }


def describe_borrowed(fit: Fit) -> dict[str, dict[str, Any]]:
    """Parameters that were held fixed, by name, each with its value and where it comes from."""
    if fit.borrowed is None:
        return {}
    return {name: {"value": value, "source": fit.borrowed.source} for name, value in fit.borrowed.values}


def describe_sensitivity(panel: Panel) -> dict[str, Any]:
    """What `fit --sensitivity --json` adds."""
    rows = [
        {
            "choice": row.choice,
            "group": row.group,
            "status": row.status,
            "E": row.params.get("E"),
            "alpha": row.params.get("alpha"),
            # a law with one exponent has it for both
            "beta": row.params.get("beta", row.params.get("alpha")),
            "params": dict(row.params),
            "tokens_per_param": row.tokens_per_param,
            "loss": row.loss,
            "over_optimum": row.over_optimum,
            "n_observations": row.points,
            "diagnostics": dict(row.diagnostics),
            "verdict": row.verdict,
            "success": row.success,
            # by name of a parameter, tokens_per_param and loss: those that have one
            "intervals": {name: list(ends) for name, ends in row.intervals.items()},
        }
        for row in panel.rows
    ]
    spread = {
        among: {value: asdict(panel.spread(value, converged=only)) for value in ("loss", "tokens_per_param")}
        for among, only in (("converged", True), ("all", False))
    }
    return {
        "flops": panel.flops,
        "level": panel.level,
        "rows": rows,
        "spread": spread,
        "skipped": dict(panel.skipped),
    }


def describe_forecast(snapshot: Snapshot) -> dict[str, Any]:
    """What `forecast --json` prints; the snapshot holds a forecast."""
    forecast = snapshot.forecast
    assert forecast is not None
    return {
        "target": {"params": forecast.params, "tokens": forecast.tokens},
        "median": forecast.median,
        "interval": {"level": forecast.level, "lower": forecast.lower, "upper": forecast.upper},
        "forecaster": forecast.forecaster,
        "baselines": dict(forecast.baselines),
        "combines": {name: asdict(part) for name, part in forecast.parts.items()},
        "track_record": describe_record(snapshot.record)
        | {"members": {name: describe_record(record) for name, record in snapshot.member_records.items()}}
        | {"live": describe_record(snapshot.live_record)},
        "warnings": [f"{name}: {sentence}" for name, sentence in forecast.warnings.items()],
        **describe_evidence(snapshot.evidence, snapshot.runs),
    }


def describe_answers(snapshot: Snapshot) -> dict[str, Any]:
    """What `fit`, `forecast` and `allocate` would print of the snapshot, by name; what it does not hold is left out."""
    level, answers = snapshot.config.level, dict[str, Any]()
    if snapshot.fit is not None:
        answers["fit"] = describe_fit(snapshot.fit, level)
    if snapshot.forecast is not None:
        answers["forecast"] = describe_forecast(snapshot)
    if snapshot.allocation is not None:
        answers["allocation"] = describe_allocation(snapshot.allocation)
    return cast("dict[str, Any]", to_json_values(answers))


def describe_record(record: TrackRecord) -> dict[str, Any]:
    """What earlier forecasts missed by."""
    return {"are": record.are, "bias": record.bias, "coverage": record.coverage, "forecasts": len(record.scores)}


def describe_replay(made: Replay, typed: Mapping[str, float]) -> dict[str, Any]:
    """What `replay --json` prints; `typed` are the fractions as they were asked for."""
    rows = [
        {
            "fraction": row.fraction,
            "target": {
                "params": row.goal.params,
                "tokens": row.goal.tokens,
                "loss": row.goal.loss,
                "run": row.goal.run,
            },
            "forecaster": row.forecaster,
            "median": row.median,
            "lower": row.lower,
            "upper": row.upper,
            "reason": row.reason,
            "warnings": list(row.warnings),
        }
        for row in made.rows
    ]
    summary = {
        forecaster: {key: asdict(by_fraction[fraction]) for key, fraction in typed.items()}
        for forecaster, by_fraction in made.summary().items()
    }
    return {"rows": rows, "summary": summary}


def describe_allocation(allocation: Allocation) -> dict[str, Any]:
    """What `allocate --json` prints."""
    cost, params, tokens = allocation.cost, allocation.params, allocation.tokens
    spent = None if params is None or tokens is None else cost.training_flops(params, tokens)
    return _describe_split(allocation) | {
        "level": allocation.level,
        "fixed": allocation.fixed,
        "excess_loss": allocation.excess,
        "training_flops": spent,
        "inference_flops": None if params is None else cost.inference_flops(params),
        "cost": asdict(cost),
        "growth": {name: asdict(grown) for name, grown in allocation.growth.items()},
        "valleys": [asdict(valley) for valley in allocation.valleys],
        "budgets": [_describe_split(other) for other in allocation.budgets],
        "approaches": [_describe_frontier(found) for found in allocation.approaches],
        "doubts": [f"{name}: {sentence}" for name, sentence in allocation.doubts.items()],
    }


def _describe_split(allocation: Allocation) -> dict[str, Any]:
    return {
        "flops": allocation.flops,
        "params": allocation.params,
        "tokens": allocation.tokens,
        "tokens_per_param": allocation.tokens_per_param,
        "loss": allocation.loss,
        "intervals": {name: list(ends) for name, ends in allocation.intervals.items()},
        "identified": allocation.identified,
        "reasons": [f"{name}: {sentence}" for name, sentence in allocation.reasons.items()],
    }


def _describe_frontier(found: Frontier) -> dict[str, Any]:
    return {
        "name": found.name,
        "source": found.source,
        "exponent": found.exponent,
        "params": found.params,
        "tokens": found.tokens,
        "tokens_per_param": found.tokens_per_param,
        "intervals": {name: list(ends) for name, ends in found.intervals.items()},
        "optima": [list(pair) for pair in found.optima],
        "bias": found.bias,
        "notes": [f"{name}: {sentence}" for name, sentence in found.notes.items()],
        "reason": found.reason and f"{found.reason[0]}: {found.reason[1]}",
    }


def describe_comparison(made: Comparison, sources: tuple[str, str]) -> dict[str, Any]:
    """What `compare --json` prints; `sources` name the ladders of A and B."""
    sides = {
        name: {
            "source": source,
            "median": forecast.median,
            "lower": forecast.lower,
            "upper": forecast.upper,
            "warnings": [f"{doubt}: {sentence}" for doubt, sentence in forecast.warnings.items()],
        }
        for name, source, forecast in zip(("a", "b"), sources, made.losses, strict=True)
    }
    lower, upper = made.interval
    return {
        "target": {"params": made.params, "tokens": made.tokens},
        "better": made.better,
        "difference": made.difference,
        "interval": {"level": made.level, "lower": lower, "upper": upper},
        "probability": made.probability,
        "method": made.method,
        "pairs": made.pairs,
        **sides,
        "warnings": [f"{name}: {sentence}" for name, sentence in made.warnings.items()],
    }


def describe_plan(plan: Plan) -> dict[str, Any]:
    """What `plan --json` prints."""
    return {
        "target": {"params": plan.params, "tokens": plan.tokens},
        "budget": plan.budget,
        "flops": plan.flops,
        "level": plan.level,
        "interval_width": plan.width_now,
        "runs": [asdict(run) for run in plan.runs],
        "notes": [f"{name}: {sentence}" for name, sentence in plan.notes.items()],
    }


def describe_source(runs: Sequence[Run], problems: Sequence[str]) -> dict[str, Any]:
    """What `validate --json` prints; what was odd about the records of the runs is a problem too."""
    notes = gather_notes(runs)
    last: list[dict[str, Any]] = []
    for run in runs:
        if len(run.curve):
            seen = run.curve[len(run.curve) - 1]
            progress = float(run.progress[-1])
            last.append(
                {
                    "run": run.name,
                    "params": run.params,
                    "tokens": seen.tokens,
                    "loss": seen.loss,
                    "progress": progress,
                }
            )
    return {
        "runs": len(runs),
        "observations": sum(len(run.curve) for run in runs),
        "last": last,
        "excluded": {run.name: run.card.excluded for run in runs if run.card.excluded},
        "problems": [*problems, *(sentence for note, sentence in notes.items() if note != NO_PLAN)],
        "assumed": [sentence for note, sentence in notes.items() if note == NO_PLAN],
    }


def gather_notes(runs: Sequence[Run]) -> dict[str, str]:
    """The notes of the runs: one sentence for each, with the runs that share it."""
    return {
        note: f"run {shared[0]}: {note}"
        if len(shared) == 1
        else f"{len(shared)} runs ({list_names(shared, most=3)}): {note}"
        for note, shared in group_notes(runs).items()
    }


def to_json_values(value: Any) -> Any:
    """The same data with `None` for every number that JSON cannot hold.

    Example:
        >>> to_json_values({"a": [1.0, float("nan")], "b": (float("inf"),)})
        {'a': [1.0, None], 'b': [None]}
    """
    if isinstance(value, Mapping):
        return {str(k): to_json_values(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [to_json_values(v) for v in cast("Sequence[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
