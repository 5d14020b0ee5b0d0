"""Broken runs that `OffLaw` calls, how soon, and the healthy ones that it calls as well.

A run is judged at each of its observations, with the runs before it by planned compute as its ladder; runs of its size
and horizon train side by side with it. Two measures, defined here once:

- The noise of a run in ln loss is sqrt(own^2 + seed^2): its own is the robust deviation of its observations from the
  middle of their neighbours, that of seeds the deviation of finals between repeats in the table, 0.2% where there are
  none.
- A fault shows at the first observation from which on, for a tenth of the run, the curve lies more than three times
  the noise above that of its healthy twin. It is called in time within a tenth of the run after that. One that never
  shows is no fault to be found, and no call of one that has not shown yet counts as false.

Steps and shuffled labels are planted in measured curves: 0.1 nats more from 40% on; from 60% on a rise towards the
loss that the run began with, by e in each tenth of the run. Rates and repeated data are measured runs, and a small
language model is really trained with each fault (`tiny_faults.py`). CPU seconds of this process.

    python benchmarks/stopping_faults.py [TINY.csv]     # what tiny_faults.py wrote; default: tests/data/tiny_faults.csv
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from ladders import SHARED, TRAIN, Where

from scaling_callback import read_table, refresh
from scaling_callback.curves.expected import FEWEST
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.forecasting import best_runs
from scaling_callback.records import Curve, Observation, Run, RunCard
from scaling_callback.snapshot import Config
from scaling_callback.stopping import OffLaw, Rule, Streaks, decide

TINY = Path(__file__).parents[1] / "tests" / "data" / "tiny_faults.csv"
SHOWN = 3.0  # times its noise that a fault lies above its healthy twin
IN_TIME = 0.1  # share of the run within which it is to be called, and for which it must show
RULE = OffLaw()


@dataclass(frozen=True, eq=False)
class Case:
    """A broken run, its healthy twin, the noise of seeds, the ladder before it and the runs beside it."""

    run: Run
    twin: Run
    seeds: float
    before: Sequence[Run]
    beside: Sequence[Run] = ()


@dataclass
class Score:
    """What became of some cases: counts, and the CPU seconds that the looks took."""

    planted: int = 0
    alone: int = 0
    unseen: int = 0
    in_time: int = 0
    late: int = 0
    missed: int = 0
    seconds: float = 0.0


def main() -> None:
    """Print both tables."""
    tiny = read_tiny(Path(sys.argv[1]) if len(sys.argv) > 1 else TINY)
    show_healthy(tiny)
    show_faults(tiny)


def show_healthy(tiny: Sequence[Run]) -> None:
    """The healthy runs that are called, ladder by ladder."""
    print(f"{'ladder':30}{'runs':>6}{'called':>8}{'looks':>8}{'ms a look':>11}")
    measured = ((name, read(name, where, best=best)) for name, where, best in HEALTHY)
    for name, runs in (("tiny trainings", [run for run in tiny if not fault_of(run)]), *measured):
        began, called, looks = time.process_time(), list[str](), 0
        for run, before, beside in walk(runs):
            call, count = judge(run, before, beside)
            looks += count
            if call is not None:
                called.append(f"{printable(run.name)} at {call.at:.0%}: {call.reason}")
        spent = 1e3 * (time.process_time() - began) / max(looks, 1)
        print(f"{name:30}{len(runs):6}{len(called):8}{looks:8}{spent:11.1f}")
        for line in called:
            print(f"    {line}")


def show_faults(tiny: Sequence[Run]) -> None:
    """The faults, and when they are called."""
    print(f"\n'too few' have no {FEWEST} other runs that came as far, so that the rule says nothing; 'in time' is of")
    print("those that show. Share: in time of all that show and are not too few.\n")
    titles = ("planted", "too few", "unshown", "in time", "late", "missed")
    print(f"{'ladder':16}{'fault':20}" + "".join(f"{title:>9}" for title in titles) + f"{'share':>8}{'CPU s':>8}")
    total: list[Score] = []
    for ladder, fault, cases in (*plant(), *measured_cases(), *tiny_cases(tiny)):
        score = assess(cases)
        total.append(score)
        show(ladder, fault, score)
    fields = ("planted", "alone", "unseen", "in_time", "late", "missed", "seconds")
    show("all", "", Score(**{name: sum(getattr(score, name) for score in total) for name in fields}))


def show(ladder: str, fault: str, score: Score) -> None:
    """One line."""
    counts = (score.planted, score.alone, score.unseen, score.in_time, score.late, score.missed)
    shown = score.in_time + score.late + score.missed
    share = f"{score.in_time / shown:.0%}" if shown else ""
    print(f"{ladder:16}{fault:20}" + "".join(f"{count:9}" for count in counts) + f"{share:>8}{score.seconds:8.1f}")


def assess(cases: Iterable[Case]) -> Score:
    """When each of the cases is called."""
    score, began = Score(), time.process_time()
    for case in cases:
        score.planted += 1
        shown = find_shown(case)
        others = [run for run in (*case.before, *case.beside) if len(run.curve) > 2]
        call = judge(case.run, case.before, case.beside)[0]
        if shown is None:
            score.unseen += 1
        elif len(others) < FEWEST:
            score.alone += 1
        elif call is None:
            score.missed += 1
        elif call.at <= shown + IN_TIME + 1e-9:
            score.in_time += 1
        else:
            score.late += 1
    score.seconds = time.process_time() - began
    return score


def find_shown(case: Case) -> float | None:
    """The progress from which the fault shows, or `None`."""
    x, noise = case.run.progress, measure_noise(case)
    twin = np.interp(np.log(x), np.log(case.twin.progress), np.log(case.twin.curve.loss))
    above = np.log(case.run.curve.loss) - twin > SHOWN * noise
    for index in np.flatnonzero(above).tolist():
        if above[(x >= x[index]) & (x <= x[index] + IN_TIME)].all() and x[index] < 1.0 - IN_TIME:
            return float(x[index])
    return None


def measure_noise(case: Case) -> float:
    """Deviation in ln loss of one observation of the run: its own, and that of seeds."""
    loss = np.log(case.twin.curve.loss[case.twin.progress >= RULE.min_progress])
    off = loss[1:-1] - 0.5 * (loss[:-2] + loss[2:])
    own = 1.4826 * float(np.median(np.abs(off))) / np.sqrt(1.5) if len(off) else 0.0
    return float(np.hypot(own, case.seeds))


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


@dataclass(frozen=True)
class Called:
    """When a run was called, and why."""

    at: float
    reason: str


def judge(run: Run, before: Sequence[Run], beside: Sequence[Run], rule: Rule = RULE) -> tuple[Called | None, int]:
    """The call that ends a run that is looked at with every observation, and how many looks there were."""
    nothing = refresh((), (), Config(fits=False))
    streaks: Streaks = {}
    looks = 0
    for tokens in run.curve.tokens.tolist():
        prefix = run.until(tokens)
        if prefix.final is not None:
            break
        if float(prefix.progress[-1]) < rule.min_progress:
            continue
        along = (peer.until(tokens * (1 + 1e-9)) for peer in beside)
        snapshot = replace(nothing, runs=(*before, *(peer for peer in along if len(peer.curve)), prefix))
        decision, streaks = decide([rule], snapshot, run.name, streaks)
        looks += 1
        if decision.stop:
            return Called(float(prefix.progress[-1]), decision.reason or ""), looks
    return None, looks


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


def plant() -> Iterator[tuple[str, str, list[Case]]]:
    """Steps and shuffled labels in measured curves."""
    for name in ("olmo_ladder", "supercollapse_c5m"):
        runs = read(name)
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


def measured_cases() -> Iterator[tuple[str, str, list[Case]]]:
    """Runs that were measured with a fault: four times the best rate, and data repeated at least ten times."""
    runs = read("misfitting")
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
    runs = read("datablations_curves")
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


def read(name: str, where: Where = (), *, best: bool = False) -> list[Run]:
    """A measured ladder."""
    runs = read_table(SHARED / f"{name}.csv", where=where)
    return list(best_runs(runs)) if best else list(runs)


def printable(name: str) -> str:
    """The beginning of a name, as one line."""
    return " ".join(name.split())[:60]


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

if __name__ == "__main__":
    main()
