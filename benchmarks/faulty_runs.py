"""Broken runs and their healthy twins: planted in measured curves, measured, and trained (`tiny_faults.py`)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from ladders import TRAIN, Where

from scaling_callback import read_table
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.forecasting import best_runs
from scaling_callback.records import Curve, Observation, Run, RunCard

HEALTHY: tuple[tuple[str, Where, bool], ...] = (
    ("olmo_ladder", (), False),
    ("supercollapse_c5m", (), False),
    ("supercollapse_c5m_schedules", (), False),
    ("supercollapse_mlp", (), False),
    ("multipowerlaw", (), False),
    ("gemstones_hot", (), False),
    ("misfitting", (), True),
    *((f"xlstm_isoflop_llama_ctx{length}", TRAIN, False) for length in (2048, 8192, 16384)),
)
"""Ladders that were trained as planned: name, rows, and whether only the best run of each place is kept."""


@dataclass(frozen=True, eq=False)
class Case:
    """A broken run, its healthy twin, the noise of seeds, the ladder before it and the runs beside it."""

    run: Run
    twin: Run
    seeds: float
    before: Sequence[Run]
    beside: Sequence[Run] = ()


def walk(runs: Sequence[Run]) -> Iterator[tuple[Run, list[Run], list[Run]]]:
    """Each run with those before it by planned compute and those beside it."""
    ordered = sorted(runs, key=lambda run: (run.planned_flops or 0.0, run.name))
    for run in ordered:
        beside = [other for other in ordered if other is not run and place(other) == place(run)]
        before = [other for other in ordered[: ordered.index(run)] if place(other) != place(run)]
        yield run, before, beside


def place(run: Run) -> tuple[float, float | None]:
    """What runs share that train side by side."""
    return run.params, run.horizon


def plant(data: Path) -> Iterator[tuple[str, str, list[Case]]]:
    """Steps and shuffled labels in measured curves."""
    for name in ("olmo_ladder", "supercollapse_c5m"):
        runs = read(data, name)
        seeds = measure_seeds(runs)
        for fault, make in (("step of 0.1 nats", add_step), ("labels shuffled", shuffle)):
            yield name, fault, [Case(make(run), run, seeds, *ladder) for run, *ladder in walk(runs)]


def add_step(run: Run) -> Run:
    """The run with 0.1 nats more from 40% on."""
    return replace(run, curve=replace(run.curve, loss=run.curve.loss + 0.1 * (run.progress >= 0.4)))


def shuffle(run: Run) -> Run:
    """The run with a loss that from 60% on goes back to where it began."""
    loss = run.curve.loss
    lost = 1.0 - np.exp(-np.maximum(run.progress - 0.6, 0.0) / 0.1)
    return replace(run, curve=replace(run.curve, loss=loss + (loss[0] - loss) * lost))


def measured_cases(data: Path) -> Iterator[tuple[str, str, list[Case]]]:
    """Runs that were measured with a fault: four times the best rate, and data repeated at least ten times."""
    runs = read(data, "misfitting")
    kept = best_runs(runs)
    twins = {place(run): run for run in kept}
    rated = [run for run in runs if _ratio(run, twins[place(run)]) >= 3.9 and len(run.curve) > 2]
    ladders = {run.name: before for run, before, _ in walk(kept)}
    cases = [
        Case(run, twin, measure_seeds(kept), [*ladders[twin.name], twin])
        for run in rated
        for twin in [twins[place(run)]]
    ]
    yield "misfitting", "rate times 4", cases
    runs = read(data, "datablations_curves")
    for text in ("c4", "oscar"):
        alike = [run for run in runs if f"_{text}_" in run.name]
        usual = [run for run in alike if float(run.card.extra["epochs"]) <= 4]
        repeated = [run for run in alike if float(run.card.extra["epochs"]) >= 10]
        yield "datablations", f"{text} repeated", [case for run in repeated if (case := _repeat(run, usual))]


def _ratio(run: Run, twin: Run) -> float:
    return (run.card.peak_lr or 0.0) / (twin.card.peak_lr or np.inf)


def _repeat(run: Run, usual: Sequence[Run]) -> Case | None:
    ladder = [other for other in usual if other.params <= run.params]
    alike = (other for other in ladder if other.params == run.params and float(other.card.extra["epochs"]) == 1)
    twin = next(alike, None)
    return None if twin is None else Case(run, twin, measure_seeds(usual), ladder)


def tiny_cases(tiny: Sequence[Run]) -> Iterator[tuple[str, str, list[Case]]]:
    """Small models that were trained with a fault, one at a time above a ladder of one seed."""
    healthy = {run.name: run for run in tiny if not fault_of(run)}
    ladder = [run for run in healthy.values() if run.card.seed == "0"]
    broken = sorted((run for run in tiny if fault_of(run)), key=fault_of)
    for fault, runs in groupby(broken, key=fault_of):
        yield (
            "tiny trainings",
            fault,
            [tiny_case(run, run.name.removesuffix(f" {fault}"), healthy, ladder) for run in runs],
        )
    judged = [run for run in healthy.values() if any(place(run) == place(other) for other in broken)]
    steps = [tiny_case(add_step(run), run.name, healthy, ladder) for run in judged]
    yield "tiny trainings", "step of 0.1 nats", steps


def tiny_case(run: Run, twin: str, healthy: Mapping[str, Run], ladder: Sequence[Run]) -> Case:
    """A broken run above the smaller ones of the ladder."""
    assert run.planned_flops is not None
    before = [other for other in ladder if (other.planned_flops or 0.0) < run.planned_flops * (1 - 1e-9)]
    return Case(run, healthy[twin], measure_seeds(list(healthy.values())), before)


def read_tiny(table: Path) -> list[Run]:
    """The small trainings, if they were made."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return [_read_row(row) for row in csv.DictReader(file)]


def _read_row(row: Mapping[str, str]) -> Run:
    losses, horizon = [float(loss) for loss in row["losses"].split()], float(row["total_tokens"])
    tokens = horizon * np.arange(1, len(losses) + 1) / len(losses)
    card = RunCard(
        name=row["run"],
        params=float(row["params"]),
        horizon=horizon,
        schedule="cosine",
        seed=row["seed"],
        extra={"fault": row["fault"]},
    )
    return Run(card, Curve.of([Observation(*seen) for seen in zip(tokens.tolist(), losses, strict=True)]))


def fault_of(run: Run) -> str:
    """What went wrong in a small training."""
    return run.card.extra.get("fault", "")


def recipe(run: Run) -> tuple[str, ...]:
    """What else must be the same for two runs to be repeats."""
    return tuple(run.card.extra.get(name, "") for name in ("fault", "epochs", "family"))


def read(data: Path, name: str, where: Where = (), *, best: bool = False) -> list[Run]:
    """A measured ladder."""
    runs = read_table(data / f"{name}.csv", where=where)
    return list(best_runs(runs)) if best else list(runs)


def measure_seeds(runs: Sequence[Run]) -> float:
    """Deviation of ln final loss between repeats of one size, horizon and recipe; the usual one without any."""
    finals: dict[tuple[object, ...], list[float]] = {}
    for run in runs:
        if run.final is not None:
            known = (run.params, run.horizon, run.card.peak_lr, run.card.schedule, *recipe(run))
            finals.setdefault(known, []).append(float(np.log(run.final.loss)))
    repeats = [np.array(losses) for losses in finals.values() if len(losses) > 1]
    if not repeats:
        return SEED_NOISE
    squares = sum(float(((losses - losses.mean()) ** 2).sum()) for losses in repeats)
    return float(np.sqrt(squares / sum(len(losses) - 1 for losses in repeats)))
