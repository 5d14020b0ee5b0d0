"""The metrics of a snapshot, by the names that every logger sees (DESIGN 4.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scaling_callback.curves import Abstention
from scaling_callback.laws import get_law
from scaling_callback.records import Observation, Run
from scaling_callback.snapshot import Decision, Snapshot

PREFIX = "scaling"
"""What the name of every metric begins with, before a slash."""

PAUSE = 600.0
"""Seconds that a training may be silent between two observations without having paused."""

TOKENS = "scaling/tokens"
"""The step metric: what every other metric is drawn against."""

METRICS = (
    "scaling/loss",
    "scaling/target_loss",
    "scaling/target_loss_lower",
    "scaling/target_loss_upper",
    "scaling/run_final_loss",
    "scaling/run_final_loss_lower",
    "scaling/run_final_loss_upper",
    "scaling/optimal_params",
    "scaling/optimal_tokens",
    "scaling/tokens_per_param",
    "scaling/E",
    "scaling/alpha",
    "scaling/beta",
    "scaling/track_record_are",
    "scaling/runs",
    "scaling/observations",
    "scaling/refit_seconds",
    "scaling/run_flops",
    "scaling/device_hours",
    "scaling/stop_saved_flops",
)
"""Every metric but the step metric."""


def make_scalars(snapshot: Snapshot, run: str, decision: Decision = Decision()) -> dict[str, float]:  # noqa: B008 (frozen)
    """What can be said, by metric; a value that cannot be said honestly is absent.

    `run` is the run that is logging: its own final loss is among the metrics. Once it has ended that is the
    measured one. `decision` is what rules say of it now.
    """
    level = snapshot.config.level
    values: dict[str, float | None] = {
        "scaling/track_record_are": snapshot.record.are,
        "scaling/runs": float(len(snapshot.runs)),
        "scaling/observations": float(sum(len(each.curve) for each in snapshot.runs)),
    }
    mine = next((each for each in snapshot.runs if each.name == run), None)
    calls = (*(mine.calls if mine is not None else ()), *decision.calls)
    if calls:
        values["scaling/stop_saved_flops"] = calls[0].saved_flops
    if mine is not None:
        values["scaling/device_hours"] = _device_hours(mine)
        if len(mine.curve):
            values["scaling/loss"] = float(mine.curve.loss[-1])
            values["scaling/run_flops"] = mine.flops_per_token * float(mine.curve.tokens[-1])
    if snapshot.forecast is not None:
        values["scaling/target_loss"] = snapshot.forecast.median
        values["scaling/target_loss_lower"] = snapshot.forecast.lower
        values["scaling/target_loss_upper"] = snapshot.forecast.upper
    if snapshot.allocation is not None and snapshot.allocation.fixed is None:
        values["scaling/optimal_params"] = snapshot.allocation.params
        values["scaling/optimal_tokens"] = snapshot.allocation.tokens
        values["scaling/tokens_per_param"] = snapshot.allocation.tokens_per_param
    if snapshot.fit is not None:
        fitted = snapshot.fit.params
        values |= {f"scaling/{name}": fitted.get(name) for name in ("E", "alpha", "beta")}
    own = snapshot.finals.get(run)
    if own is not None and not isinstance(own, Abstention):
        lower, upper = own.interval(level)
        values["scaling/run_final_loss"] = own.median
        values["scaling/run_final_loss_lower"], values["scaling/run_final_loss_upper"] = lower, upper
    if mine is not None and mine.final is not None:
        for suffix in ("", "_lower", "_upper"):
            values[f"scaling/run_final_loss{suffix}"] = mine.final.loss
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def make_observed(seen: Observation, flops_per_token: float) -> dict[str, float]:
    """What an observation says by itself, between two refits; a loss that is no number is absent.

    Example:
        >>> make_observed(Observation(1e6, 3.5), 6e6)
        {'scaling/tokens': 1000000.0, 'scaling/loss': 3.5, 'scaling/run_flops': 6000000000000.0}
    """
    values = {TOKENS: seen.tokens, "scaling/loss": seen.loss, "scaling/run_flops": flops_per_token * seen.tokens}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def explain_absences(snapshot: Snapshot, run: str, present: Mapping[str, float]) -> dict[str, str]:
    """The reason in words for every metric that is not `present`."""
    no_fit = snapshot.absent.get("fit", "")
    reasons: dict[str, str] = {}
    for name in METRICS:
        if name in present:
            continue
        if "target_loss" in name:
            reasons[name] = no_fit or snapshot.absent.get("forecast", "")
        elif "optimal" in name or "tokens_per_param" in name:
            refusals = snapshot.allocation.reasons.values() if snapshot.allocation else ()
            missing = no_fit or snapshot.absent.get("allocation") or "no target and no budget was given"
            given = snapshot.allocation.fixed if snapshot.allocation else None
            reasons[name] = f"{given} are given, not chosen" if given else "; ".join(refusals) or missing
        elif "run_final" in name:
            own = snapshot.finals.get(run)
            reasons[name] = own.reason if isinstance(own, Abstention) else "this run has no observation yet"
        elif "track_record" in name:
            reasons[name] = snapshot.absent.get("track_record", "")
        elif name in ("scaling/loss", "scaling/run_flops"):
            reasons[name] = "this run has no observation yet, or its last loss is no number"
        elif "stop_saved" in name:
            reasons[name] = "no stopping rule has called for the end of this run, or its plan is not known"
        elif "device_hours" in name:
            reasons[name] = "it takes two observations with their times, and the number of devices in the run's card"
        else:
            reasons[name] = no_fit or f"the law {get_law(snapshot.config.law).name!r} has no such parameter"
    return reasons


def _device_hours(run: Run) -> float | None:
    """Hours of all devices that the run has taken; `None` where times or devices are not known.

    The time between observations, and before the first as long as its tokens take at the median pace. A gap that is
    ten times as long as usual, and longer than ten minutes, is a pause: it counts as its tokens usually take.
    """
    gaps, tokens = np.diff(run.curve.wall_time), np.diff(run.curve.tokens)
    known = np.isfinite(gaps) & (gaps >= 0)
    try:
        devices = float(run.card.extra.get("devices", ""))
    except ValueError:
        return None
    if not known.any():
        return None
    gaps, tokens = gaps[known], tokens[known]
    pace = float(np.median(gaps / tokens))
    paused = gaps > np.maximum(PAUSE, 10.0 * pace * tokens)
    seconds = float(np.where(paused, pace * tokens, gaps).sum()) + pace * float(run.curve.tokens[-1] - tokens.sum())
    return seconds * devices / 3600.0
