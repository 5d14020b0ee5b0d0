"""Accuracy beside time, in one run: this solver against the procedures that were published.

Besiroglu et al. 2024 fit from a grid of 4500 starts with L-BFGS-B and finite differences, and each of 4000 bootstrap
replicates by BFGS with the gradient, from Chinchilla's published values. A stated share of both is timed and
extrapolated; every accuracy is that of what was run. CPU seconds of this process; run with OMP_NUM_THREADS=1.

    python benchmarks/fit.py [TABLE]     # default: ../shared/data/chinchilla_epoch.csv, else a planted table
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import published

from scaling_callback import read_table, refresh
from scaling_callback.fitting import Fit, Points, fit
from scaling_callback.records import Array, Target
from scaling_callback.snapshot import Config
from scaling_callback.testing import planted_ladder, planted_loss

SHARED = Path(__file__).parents[2] / "shared" / "data" / "chinchilla_epoch.csv"
REPLICATES = 4000
SAMPLE = 0.05  # of the 4500 starts and of the 4000 replicates
CHECKED = 40  # replicates whose certified optimum is found beside
KEPT = 240  # the published fit leaves out the five highest losses


def main() -> None:
    """Print the tables."""
    points, name = load()
    print(f"{name}: {len(points)} points\n")
    best = show_fits(points)
    show_bootstraps(points, best)
    show_sizes()
    show_refresh()


def show_fits(points: Points) -> Fit:
    """Fits, each with its objective over the certified one."""
    best, ours = clock(lambda: fit(points), repeat=5)
    agreeing = f"{best.certificate.agreeing} of {best.certificate.starts} searches agree"
    print(f"{'procedure':48}{'CPU s':>9}{'objective':>17}{'/ best':>11}{'alpha':>9}{'beta':>9}  optimiser")
    theta = in_published_terms(best)
    show("this solver, certified", ours, published.cost(theta, points), theta, best, agreeing)

    for start, words in ((published.CHINCHILLA, "Chinchilla's values"), (projected_start(points), "a projection")):
        for search, name in ((published.search, "L-BFGS-B"), (published.search_least_squares, "least_squares")):
            found, seconds = clock(lambda search=search, start=start: search(start, points), repeat=3)
            said = "reports success" if found[2] else "reports no success"
            show(f"one {name} from {words}", seconds, found[0], found[1], best, said)

    chosen = sample(len(published.GRID))
    ends, seconds = clock(lambda: [published.search(published.GRID[i], points) for i in chosen], repeat=1)
    total = seconds / len(chosen) * len(published.GRID)
    objective, theta, _ = min(ends, key=lambda end: end[0])
    claims = f"{sum(end[2] for end in ends)} of {len(ends)} report success"
    show(f"4500 L-BFGS-B ({len(chosen)} = {SAMPLE:.0%} timed)", total, objective, theta, best, claims)
    median = float(np.median([end[0] for end in ends]))
    print(f"{'  the median of these starts':48}{'':9}{median:>17.11f}{median / best.objective:>11.6f}")
    print(f"{'ratio of CPU seconds':48}{ours / total:>9.6f}   this solver takes 1/{total / ours:.0f}\n")
    return best


def show(name: str, seconds: float, objective: float, theta: Array, best: Fit, optimiser: str) -> None:
    """One row of the table of fits."""
    over = objective / best.objective
    print(f"{name:48}{seconds:>9.3f}{objective:>17.11f}{over:>11.6f}{theta[3]:>9.5f}{theta[4]:>9.5f}  {optimiser}")


def show_bootstraps(points: Points, best: Fit) -> None:
    """The bootstrap of this solver, and the published one replicate by replicate."""
    draws, seconds = clock(lambda: fit(points, replicates=REPLICATES), repeat=2)
    print(f"{f'{REPLICATES} replicates':48}{'CPU s':>9}  95% intervals")
    ends = ", ".join(
        f"{n} {low:.3f} to {high:.3f}" for n, (low, high) in draws.intervals(0.95).items() if n not in "AB"
    )
    print(f"{'this bootstrap, re-converged':48}{seconds:>9.2f}  {ends}")

    count = int(SAMPLE * REPLICATES)
    drawn = [published.resample(points, seed) for seed in range(count)]
    certified = [fit(again).objective for again in drawn[:CHECKED]]
    each = {"BFGS from Chinchilla's values": (published.search_bfgs, published.CHINCHILLA),
            "L-BFGS-B from the optimum": (published.search, in_published_terms(best))}  # fmt: skip
    for name, (search, start) in each.items():
        found, sampled = clock(lambda search=search, start=start: [search(start, again) for again in drawn], repeat=2)
        total = sampled / count * REPLICATES
        print(f"{f'{name} ({count} = {SAMPLE:.0%} timed)':48}{total:>9.1f}  {quantiles([end[1] for end in found])}")
        over = [end[0] / optimum for end, optimum in zip(found, certified, strict=False)]
        claims = f"{sum(end[2] for end in found)} of {count} report success"
        print(f"{'':59}objective / certified: median {np.median(over):.4f}, worst {max(over):.4f}; {claims}")
        print(f"{'  ratio of CPU seconds':48}{seconds / total:>9.6f}  this bootstrap takes 1/{total / seconds:.0f}")
    print()


def quantiles(thetas: Sequence[Array]) -> str:
    """95% intervals of published parameters, in words."""
    values = np.array(thetas)
    columns = {"E": np.exp(values[:, 2]), "alpha": values[:, 3], "beta": values[:, 4]}
    ends = {name: np.quantile(column, [0.025, 0.975]) for name, column in columns.items()}
    return ", ".join(f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in ends.items())


def show_sizes() -> None:
    """One fit of ever more points."""
    print(f"{'one fit by number of points':48}{'CPU s':>9}{'per point':>12}")
    for count in (10, 100, 1000, 10_000):
        many = planted(count)
        _, seconds = clock(lambda many=many: fit(many), repeat=3)
        print(f"{count:<44}{seconds:>9.4f}{seconds / count:>12.2e}")


def show_refresh() -> None:
    """What a callback pays at each evaluation."""
    runs = planted_ladder(sizes=tuple(np.geomspace(1e7, 1e9, 20)), ratios=(5, 10, 20, 40, 80), points=200)
    config = Config(target=Target(params=1e11, tokens=2e12), replicates=200)
    _, cold = clock(lambda: refresh(runs, (), config), repeat=1)
    _, warm = clock(lambda: refresh(runs, (), config), repeat=3)
    print(f"\n{'refresh, 100 runs of 200 observations':48}{'CPU s':>9}")
    print(f"{'cold (the record is computed)':48}{cold:>9.2f}\n{'warm':48}{warm:>9.2f}")


def sample(count: int) -> Sequence[int]:
    """Places of a share of so many starts, drawn once and for all."""
    return np.random.default_rng(0).choice(count, int(SAMPLE * count), replace=False).tolist()


def load() -> tuple[Points, str]:
    """The table to fit."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    if not path.exists():
        return planted(KEPT), "planted table"
    finals = sorted((run.final.loss, run.params, run.final.tokens) for run in read_table(path) if run.final)[:KEPT]
    losses, params, tokens = zip(*finals, strict=True)
    return Points.of(params, tokens, losses), path.name


def planted(count: int) -> Points:
    """Points around a planted law, with noise."""
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7, 10, count), 10 ** rng.uniform(9, 12, count)
    losses = [planted_loss(n, d) for n, d in zip(params, tokens, strict=True)]
    return Points.of(params, tokens, np.array(losses) * np.exp(rng.normal(0, 0.005, count)))


def in_published_terms(found: Fit) -> Array:
    """(ln A, ln B, ln E, alpha, beta) of a fit."""
    e, a, b, alpha, beta = found.params.values()
    return np.array([np.log(a), np.log(b), np.log(e), alpha, beta])


def projected_start(points: Points) -> Array:
    """A start without knowledge: exponents of a half, and the coefficients by linear least squares on L."""
    design = np.stack([points.params**-0.5, points.tokens**-0.5, np.ones(len(points))], axis=1)
    scale = design.max(0)
    solved = np.linalg.lstsq(design / scale, points.loss, rcond=None)[0] / scale
    return np.array([*np.log(np.maximum(solved, 1e-3 / scale)), 0.5, 0.5])


def clock(run: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """The result and the least CPU seconds of some repetitions."""
    best, result = float("inf"), None
    for _ in range(repeat):
        began = time.process_time()
        result = run()
        best = min(best, time.process_time() - began)
    return result, best


if __name__ == "__main__":
    main()
