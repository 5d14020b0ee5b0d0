"""Coverage: how often a 90% interval holds the truth at 10 times the compute of the largest run.

Ladders are planted on the Chinchilla form with exponents that the weak prior does not know, in the designs that people
train; each is forecast from its runs alone and compared with its law. The forecast is that of one fitted law; a user's
combines several (`benchmarks/accuracy.py`). CPU minutes; run with OMP_NUM_THREADS=1.

    python benchmarks/coverage.py [--ladders 400] [--runs 5 6 7 8 12 20 30] [--write docs/coverage.md] [--detail]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scaling_callback import fit, read_table
from scaling_callback.forecasting import best_runs, forecast_target
from scaling_callback.records import Array, Curve, Run, RunCard, Target, same_count
from scaling_callback.snapshot import Config
from scaling_callback.testing import planted_loss

CELLS = (5, 6, 7, 8, 12, 20, 30)
LADDERS = 400
LEVEL = 0.9
REACH = 10.0
CHECKPOINTS = 20
AR1 = 0.8
"""Correlation between the noise of neighbouring checkpoints of a run."""

PATHS = {
    "default": Config(level=LEVEL),
    "no prior": Config(level=LEVEL, evidence="finals", prior=False),
}
"""The fit that is shown to a user (finals and guesses, weak prior), and the same bootstrap without prior."""

LABELS = {"default": "shown fit"}
"""Words of the table where they differ: `default` is the evidence of that fit, not the forecast of that name."""


@dataclass(frozen=True)
class Planted:
    """A ladder whose truth is known.

    Attributes:
        runs: What was trained.
        target: What is forecast.
        expected: The loss of the law there.
        measured: The loss that one run would show there.
        design: How sizes and tokens were chosen.
        truth: Parameters of the law.
        noise: Standard deviation of ln L of one final.
    """

    runs: tuple[Run, ...]
    target: Target
    expected: float
    measured: float
    design: str
    truth: dict[str, float]
    noise: float


@dataclass(frozen=True)
class Outcome:
    """One forecast of one planted ladder."""

    planted: Planted
    lower: float
    upper: float
    median: float
    too_few_runs: bool

    @property
    def holds_expected(self) -> bool:
        """Whether the interval holds the loss of the law."""
        return self.lower <= self.planted.expected <= self.upper

    @property
    def holds_measured(self) -> bool:
        """Whether the interval holds one measured loss."""
        return self.lower <= self.planted.measured <= self.upper

    @property
    def width(self) -> float:
        """Width of the interval over the expected loss."""
        return (self.upper - self.lower) / self.planted.expected

    @property
    def error(self) -> float:
        """Distance of the median from the expected loss, over it."""
        return abs(self.median / self.planted.expected - 1)


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ladders", type=int, default=LADDERS, help="planted ladders a cell")
    parser.add_argument("--runs", type=int, nargs="+", default=CELLS, help="numbers of runs, a cell each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="page whose tables are replaced")
    parser.add_argument("--detail", action="store_true", help="also by design, exponents and noise")
    parser.add_argument("--real", type=Path, help="folder of measured ladders, looked at instead")
    options = parser.parse_args()
    if options.real:
        show_real(options.real)
        return
    rows: list[str] = []
    for name, config in PATHS.items():
        for count in options.runs:
            outcomes = measure(count, options.ladders, config, seed=options.seed)
            rows.append(row(LABELS.get(name, name), count, outcomes))
            print(rows[-1], flush=True)
            if options.detail:
                print("\n".join(details(outcomes)), flush=True)
    if options.write:
        write(options.write, rows)


HEADER = (
    "| path | runs | expected loss | measured loss | width, median | width, mean | error, median | `too_few_runs` |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"


@dataclass(frozen=True)
class Real:
    """A measured ladder and what is held out of it.

    Attributes:
        file: Its table.
        where: Rows that are kept.
        best: Whether only the best run of each size and horizon is.
        largest: Whether the runs of the largest size are held out, else the 15% with the most compute.
        diverged: Final loss from which a run is left out as diverged.
    """

    file: str
    where: dict[str, str] = field(default_factory=dict[str, str])
    best: bool = False
    largest: bool = True
    diverged: float = math.inf


REAL = (
    Real("olmo_ladder.csv"),
    Real("misfitting.csv", best=True),
    *(
        Real(f"xlstm_isoflop_llama_ctx{length}.csv", {"loss_kind": "train"}, largest=False, diverged=8.0)
        for length in (2048, 8192, 16384)
    ),
    Real("supercollapse_c5m.csv"),
    Real("chinchilla_epoch.csv", largest=False),
)


def show_real(folder: Path) -> None:
    """Print how often the intervals of real ladders hold what was measured of the runs held out of them."""
    print("| ladder | runs | held out | reach in compute | measured loss | width, mean | error, mean |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for real in REAL:
        runs = [run for run in read_table(folder / real.file, where=[*real.where.items()]) if run.final is not None]
        runs = [run for run in runs if run.final and run.final.loss < real.diverged]
        runs = sorted(best_runs(runs) if real.best else runs, key=lambda run: run.params * (run.horizon or 0.0))
        cut = int(0.85 * len(runs))
        edge = max(run.params for run in runs)
        held = [run for run in runs if same_count(run.params, edge)] if real.largest else runs[cut:]
        kept = [run for run in runs if run not in held]
        print(f"| {real.file.removesuffix('.csv')} | {len(kept)} | {len(held)} | {describe(kept, held)} |", flush=True)


def describe(kept: Sequence[Run], held: Sequence[Run]) -> str:
    """Reach, coverage, width and error of the forecasts of `held` from `kept`."""
    config = PATHS["default"]
    fitted = fit(kept, config)
    compute = [run.params * run.final.tokens for run in held if run.final]
    inside: list[bool] = []
    widths: list[float] = []
    errors: list[float] = []
    for run in held:
        assert run.final is not None
        target = Target(params=run.params, tokens=run.final.tokens)
        made = forecast_target(fitted, target, level=config.level, seed=config.seed)
        inside.append(made.lower <= run.final.loss <= made.upper)
        widths.append((made.upper - made.lower) / run.final.loss)
        errors.append(abs(made.median / run.final.loss - 1))
    reach = max(compute) / float((fitted.points.params * fitted.points.tokens).max())
    return f"{reach:.1f} | {np.mean(inside):.0%} | {np.mean(widths):.2%} | {np.mean(errors):.2%}"


def row(name: str, count: int, outcomes: Sequence[Outcome]) -> str:
    """One row of the table."""
    widths = [outcome.width for outcome in outcomes]
    shares = [
        np.mean([outcome.holds_expected for outcome in outcomes]),
        np.mean([outcome.holds_measured for outcome in outcomes]),
        np.median(widths),
        np.mean(widths),
        np.median([outcome.error for outcome in outcomes]),
        np.mean([outcome.too_few_runs for outcome in outcomes]),
    ]
    formats = (".1%", ".1%", ".2%", ".2%", ".2%", ".0%")
    return f"| {name} | {count} | " + " | ".join(format(s, f) for s, f in zip(shares, formats, strict=True)) + " |"


def details(outcomes: Sequence[Outcome]) -> list[str]:
    """Coverage of the expected and of the measured loss in halves that an average could hide."""
    middle = math.sqrt(0.15 * 0.8)
    splits: dict[str, Callable[[Planted], str]] = {
        "design": lambda p: p.design,
        "alpha": lambda p: "low" if p.truth["alpha"] < middle else "high",
        "beta": lambda p: "low" if p.truth["beta"] < middle else "high",
        "noise": lambda p: "low" if p.noise < 0.0022 else "high",
    }
    lines: list[str] = []
    for name, split in splits.items():
        for value in sorted({split(outcome.planted) for outcome in outcomes}):
            part = [outcome for outcome in outcomes if split(outcome.planted) == value]
            expected, measured = (
                np.mean([getattr(o, f"holds_{what}") for o in part]) for what in ("expected", "measured")
            )
            lines.append(f"    {name:>8} {value:<8} {len(part):4} {expected:7.1%} {measured:7.1%}")
    return lines


def write(page: Path, rows: Sequence[str]) -> None:
    """Replace the table of the page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n".join([*HEADER, *rows]) + "\n" + END + after, encoding="utf-8")


def measure(count: int, ladders: int, config: Config, *, seed: int = 0) -> list[Outcome]:
    """Forecast `ladders` planted ladders of `count` runs."""
    return [judge(plant(count, seed=seed * 1_000_003 + index), config) for index in range(ladders)]


def judge(planted: Planted, config: Config) -> Outcome:
    """Forecast one ladder by the fit that `refresh` shows, without the other laws that its forecast combines."""
    made = forecast_target(fit(planted.runs, config), planted.target, level=config.level, seed=config.seed)
    return Outcome(planted, made.lower, made.upper, made.median, "too_few_runs" in made.warnings)


def plant(count: int, *, seed: int) -> Planted:
    """A ladder of `count` runs, with everything about it drawn from `seed`.

    Sizes span one to two decades from 10 to 100 million on; exponents are log-uniform in .15 to .8, floors uniform
    in 1.5 to 2.2, and each of the two other terms log-uniform in .15 to 1.2 at the middle of the ladder. A final
    carries seed noise, log-uniform in .1 to .4%, and the AR(1) noise of its run, a third to the whole of that.
    """
    rng = np.random.default_rng([count, seed])
    design = list(DESIGNS)[int(rng.integers(len(DESIGNS)))]
    smallest = 10 ** rng.uniform(7, 8)
    params, tokens = DESIGNS[design](rng, count, smallest, smallest * 10 ** rng.uniform(1, 2))
    alpha, beta = log_uniform(rng, 0.15, 0.8), log_uniform(rng, 0.15, 0.8)
    size_term, data_term = log_uniform(rng, 0.15, 1.2), log_uniform(rng, 0.15, 1.2)
    truth = {
        "E": float(rng.uniform(1.5, 2.2)),
        "A": size_term * math.exp(alpha * float(np.log(params).mean())),
        "B": data_term * math.exp(beta * float(np.log(tokens).mean())),
        "alpha": alpha,
        "beta": beta,
    }
    between = log_uniform(rng, 1e-3, 4e-3)
    within = between * rng.uniform(1 / 3, 1)
    runs = tuple(
        plant_run(rng, f"run-{index:02}", n, d, truth, between, within)
        for index, (n, d) in enumerate(zip(params.tolist(), tokens.tolist(), strict=True))
    )
    ratios = tokens / params
    ratio = log_uniform(rng, ratios.min(), ratios.max())
    size = math.sqrt(REACH * float((params * tokens).max()) / ratio)
    target = Target(params=size, tokens=ratio * size)
    expected = planted_loss(size, ratio * size, truth)
    noise = math.hypot(between, within)
    measured = expected * math.exp(noise * rng.standard_normal())
    return Planted(runs, target, expected, measured, design, truth, noise)


def plant_run(
    rng: np.random.Generator,
    name: str,
    params: float,
    tokens: float,
    truth: dict[str, float],
    between: float,
    within: float,
) -> Run:
    """One run under a cosine schedule, whose gap above the law closes with progress."""
    progress = np.linspace(1 / CHECKPOINTS, 1.0, CHECKPOINTS)
    law = truth["E"] + truth["A"] / params ** truth["alpha"] + truth["B"] / (tokens * progress) ** truth["beta"]
    noise = between * rng.standard_normal() + within * ar1(rng, CHECKPOINTS)
    curve = Curve(
        tokens=tokens * progress,
        loss=(law + 0.08 * (1 - progress)) * np.exp(noise),
        step=100.0 * CHECKPOINTS * progress,
        lr=1e-3 * (0.55 + 0.45 * np.cos(np.pi * progress)),
        wall_time=np.full(CHECKPOINTS, np.nan),
        is_final=np.zeros(CHECKPOINTS, bool),
    )
    card = RunCard(name=name, params=params, horizon=tokens, schedule="cosine", peak_lr=1e-3)
    return Run(card, curve, completed=True)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def ar1(rng: np.random.Generator, length: int) -> Array:
    """A stationary AR(1) series of unit variance."""
    series = rng.standard_normal(length)
    for index in range(1, length):
        series[index] = AR1 * series[index - 1] + math.sqrt(1 - AR1**2) * series[index]
    return series


def grid(rng: np.random.Generator, count: int, smallest: float, largest: float) -> tuple[Array, Array]:
    """Every size at every ratio D/N, without the dearest where the grid has more places than there are runs."""
    ratios = int(rng.integers(2, 5)) if count > 6 else 2
    sizes = math.ceil(count / ratios)
    first = log_uniform(rng, 3, 20)
    spread = np.geomspace(first, first * log_uniform(rng, 8, 40), ratios)
    params, ratio = (axis.ravel() for axis in np.meshgrid(np.geomspace(smallest, largest, sizes), spread))
    cheapest = np.argsort(params * params * ratio, kind="stable")[:count]
    return params[cheapest], (params * ratio)[cheapest]


def isoflop(rng: np.random.Generator, count: int, smallest: float, largest: float) -> tuple[Array, Array]:
    """Lines of equal compute, each with sizes a factor of 4 to 10 around its middle."""
    lines = max(2, min(6, count // int(rng.integers(3, 7))))
    middles = np.geomspace(smallest * 2, largest / 2, lines)
    half = math.sqrt(log_uniform(rng, 4, 10))
    ratio = log_uniform(rng, 10, 40)
    line = np.arange(count) * lines // count
    place = np.concatenate([np.linspace(-1.0, 1.0, int((line == index).sum())) for index in range(lines)])
    params = middles[line] * half**place
    return params, ratio * middles[line] ** 2 / params


def irregular(rng: np.random.Generator, count: int, smallest: float, largest: float) -> tuple[Array, Array]:
    """Sizes and ratios D/N drawn log-uniformly, as a ladder that grew over time."""
    params = np.exp(rng.uniform(math.log(smallest), math.log(largest), count))
    return params, params * np.exp(rng.uniform(math.log(5), math.log(100), count))


DESIGNS: dict[str, Callable[[np.random.Generator, int, float, float], tuple[Array, Array]]] = {
    "grid": grid,
    "isoflop": isoflop,
    "random": irregular,
}


if __name__ == "__main__":
    main()
