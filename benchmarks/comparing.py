"""Comparing: how often equal recipes are told apart, how often unequal ones are, and whether intervals hold.

Halves of one recipe; two learning rates beyond the sizes that were trained; planted pairs; pairs of measured recipes,
each forecast from smaller ones. Half a CPU hour, most of it for the halves; `--splits 5` takes two minutes.

    python benchmarks/comparing.py [--data ../shared/data] [--splits 5]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ladders import SHARED
from pages import met, percent, table_row

from scaling_callback import Config, Run, Target, read_table
from scaling_callback.comparing import Comparison, Pairs, extrapolate, match
from scaling_callback.comparing.comparison import MIN_PAIRS
from scaling_callback.fitting import SEED_NOISE, Points
from scaling_callback.forecasting import finals
from scaling_callback.pipeline import compare
from scaling_callback.testing import TRUTH, planted_ladder

LEVEL = 0.9
DIVERGED = 8.0
"""Final loss from which a run is left out as diverged."""

RECIPES = {
    "olmo": ("olmo_ladder", ()),
    "misfitting, rate 2e-3": ("misfitting", (("peak_lr", "0.002"),)),
    "misfitting, rate 1e-3": ("misfitting", (("peak_lr", "0.001"),)),
    "chinchilla": ("chinchilla_epoch", ()),
    "ctx8192": ("xlstm_isoflop_llama_ctx8192", (("loss_kind", "val:dclm"),)),
    "porian": ("porian_isoflop", (("family", "porian_rw_base_long_kaplan_standard_val"),)),
}
"""One recipe each: what is halved."""

SPLITS = 100
EQUAL = 0.9
"""Random halves of each recipe, and the share of them that must not be told apart."""

BEYOND = 10.0
"""Compute of the target over that of the largest run."""


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of measured ladders")
    parser.add_argument("--splits", type=int, default=SPLITS, help="random halves of each recipe")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"comparing: no measured ladders at {options.data}; name their folder with --data")
        return
    print(show_comparing(options.data, options.splits))


def show_comparing(data: Path, splits: int = SPLITS, workers: int = 2) -> str:
    """The section of a page: four tables, each with a sentence."""
    halves = (
        f"Two random halves of one recipe ({splits} splits) at {BEYOND:g} times the compute of its largest run. No "
        "places are common but by chance, so the forecasts are compared as independent ones."
    )
    rates = (
        "Rates 1e-3 (A) and 2e-3 (B) of `misfitting` at 393M parameters, from runs of up to 199M; measured is ln L_A - "
        "ln L_B of the two runs there, in percent. All pairs of the smaller runs say B: a crossover has to be forecast."
    )
    power = (
        f"Planted pairs of which A is better by that much everywhere, {PLANTED} ladders a cell; noise is that of one "
        "run. Shares in percent of ladders in which a recipe is named, at that compute over the largest run's."
    )
    coverage = (
        f"Measured pairs, each from those of smaller sizes alone, at every cut that leaves {FEWEST} pairs. Held: "
        "intervals that hold the ratio of the two measured runs. Right and wrong: the named recipe had the lower or "
        "the higher loss."
    )
    parts = (
        (halves, show_halves(data, splits, workers)),
        (rates, show_rates(data)),
        (power, show_power()),
        (coverage, show_coverage(data)),
    )
    return "\n\n".join("\n".join([words, "", *lines]) for words, lines in parts)


# --- halves of one recipe ---


def show_halves(data: Path, splits: int, workers: int) -> list[str]:
    """How often one half is called better than the other."""
    lines = [
        "| recipe | runs | no difference | | pairs | rms difference, % | half-width, % |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for name in RECIPES:
            made = [*pool.map(partial(compare_halves, data, name), range(splits), chunksize=5)]
            pairs = sum(m.method == "paired" for m in made)
            off = math.sqrt(float(np.mean([m.difference**2 for m in made])))
            width = float(np.median([(m.interval[1] - m.interval[0]) / 2 for m in made]))
            none = sum(m.better is None for m in made)
            kept = met(none >= EQUAL * splits)
            cells = (f"{none} of {splits}", kept, str(pairs), percent(off), percent(width))
            lines.append(table_row(name, str(len(read_recipe(data, name))), *cells))
    return lines


@cache
def read_recipe(data: Path, name: str) -> tuple[Run, ...]:
    """Its finished runs."""
    file, where = RECIPES[name]
    runs = read_table(data / f"{file}.csv", where=where)
    return tuple(run for run in runs if run.final and run.final.loss < DIVERGED)


def compare_halves(data: Path, name: str, seed: int) -> Comparison:
    """Two random halves of a recipe, at some times the compute of its largest run."""
    runs = read_recipe(data, name)
    largest = max(runs, key=lambda run: run.planned_flops or 0.0)
    assert largest.horizon is not None
    reach = math.sqrt(BEYOND)
    target = Target(params=largest.params * reach, tokens=largest.horizon * reach)
    return compare(*halve(runs, seed), target, Config(level=LEVEL))


def halve(runs: Sequence[Run], seed: int) -> tuple[list[Run], list[Run]]:
    """Two random halves, each in the order of the whole."""
    order = np.random.default_rng(seed).permutation(len(runs))
    middle = len(runs) // 2
    one, other = ([runs[index] for index in sorted(part)] for part in (order[:middle], order[middle:]))
    return one, other


# --- two learning rates ---


def show_rates(data: Path) -> list[str]:
    """What is said of two learning rates at a size that neither ladder holds, beside what was measured."""
    lines = [
        "| tokens | measured | A over B, % | interval | probability that A is better | named |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    a, b = (read_table(data / "misfitting.csv", where=[("peak_lr", rate)]) for rate in ("0.001", "0.002"))
    small = [[run for run in runs if run.params < 2.1e8] for runs in (a, b)]
    goals, _ = match(*(points_of([run for run in runs if 3.5e8 < run.params < 4.5e8]) for runs in (a, b)))
    for params, tokens, ratio in sorted(zip(goals.params, goals.tokens, goals.ratio, strict=True)):
        made = compare(small[0], small[1], Target(params=float(params), tokens=float(tokens)), Config(level=LEVEL))
        ends = " to ".join(f"{100 * end:+.2f}" for end in made.interval)
        cells = (f"{tokens / 1e9:.2f}B", f"{100 * ratio:+.2f}", f"{100 * made.difference:+.2f}", ends)
        lines.append(table_row(*cells, f"{made.probability:.2f}", made.better or "none"))
    return lines


# --- planted pairs ---

PLANTED = 50
GAINS = (0.0, 0.005, 0.01, 0.02)
NOISES = (0.001, 0.002, 0.004)
DESIGNS = {
    "12 pairs, 4 sizes at 3 ratios": [(n, n * r) for n in (1e7, 3e7, 1e8, 3e8) for r in (5.0, 20.0, 80.0)],
    "5 pairs along a line": [(n, 20 * n) for n in (1e7, 3e7, 1e8, 3e8, 1e9)],
}
FORECAST = 8
"""Ladders a cell where each is forecast, which takes seconds."""


def show_power() -> list[str]:
    """How often a recipe is named, by its gain."""
    lines = [
        "| design | reach | noise, % | " + " | ".join(f"{100 * gain:g}% better" for gain in GAINS) + " |",
        "| --- |" + " --- |" * (len(GAINS) + 2),
    ]
    rng = np.random.default_rng(0)
    for design, places in DESIGNS.items():
        params, tokens = np.array(places).T
        for reach in (10.0, 100.0):
            place = [float(values.max()) * math.sqrt(reach) for values in (params, tokens)]
            for noise in NOISES:
                cells: list[str] = []
                for gain in GAINS:
                    spreads = [
                        extrapolate(plant_pairs(params, tokens, gain, noise, rng), place[0], place[1])
                        for _ in range(PLANTED)
                    ]
                    below = np.array([spread.below(0.0) for spread in spreads])
                    cells.append(f"{100 * np.mean(np.maximum(below, 1 - below) >= LEVEL):.0f}")
                lines.append(table_row(design, f"{reach:g}", f"{100 * noise:g}", *cells))
    cells = [f"{100 * np.mean([name_unpaired(gain, seed) for seed in range(FORECAST)]):.0f}" for gain in GAINS]
    lines.append(table_row(f"12 runs each at other ratios, unpaired ({FORECAST} ladders)", "10", "0.2", *cells))
    return lines


def plant_pairs(params: np.ndarray, tokens: np.ndarray, gain: float, noise: float, rng: np.random.Generator) -> Pairs:
    """Pairs as they are found where seed noise is not known."""
    ratio = math.log1p(-gain) + rng.normal(0, math.sqrt(2) * noise, len(params))
    return Pairs(params, tokens, ratio, np.full(len(params), 2 * SEED_NOISE**2), 2 * SEED_NOISE**2, len(params))


def name_unpaired(gain: float, seed: int) -> bool:
    """Whether a recipe is named from ladders that share no place."""
    truth = {**TRUTH, **{name: TRUTH[name] * (1 - gain) for name in "EAB"}}
    a = planted_ladder(seed=2 * seed, truth=truth)
    b = planted_ladder(seed=2 * seed + 1, ratios=(8.0, 32.0, 128.0))
    return compare(a, b, Target(params=1e9, tokens=8e10), Config(level=LEVEL)).better is not None


# --- measured pairs ---

FEWEST = MIN_PAIRS
MOST_GOALS = 4
"""Pairs that each cut is asked for, evenly over those beyond it."""


@dataclass(frozen=True)
class Asked:
    """One pair that was forecast from smaller ones."""

    held: bool
    width: float
    error: float
    named: float
    ratio: float


def show_coverage(data: Path) -> list[str]:
    """How often intervals of measured pairs hold."""
    lines = [
        "| recipes | sets | asked | held | median half-width, % | median error, % | right | wrong |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, gather in SETS.items():
        sets = [pairs for pairs in gather(data) if len(pairs) > FEWEST]
        asked = [one for pairs in sets for one in ask(pairs)]
        right = np.mean([one.named * one.ratio > 0 for one in asked])
        wrong = np.mean([one.named * one.ratio < 0 for one in asked])
        lines.append(
            table_row(
                name,
                str(len(sets)),
                str(len(asked)),
                f"{np.mean([one.held for one in asked]):.0%}",
                percent(float(np.median([one.width for one in asked]))),
                percent(float(np.median([one.error for one in asked]))),
                f"{right:.0%}",
                f"{wrong:.1%}",
            )
        )
    return lines


def ask(pairs: Pairs) -> Iterable[Asked]:
    """Every cut by size, and some of the pairs beyond each."""
    for cut in np.unique(pairs.params)[:-1]:
        seen, later = pairs.params <= cut * 1.001, np.flatnonzero(pairs.params > cut * 1.001)
        if seen.sum() < FEWEST or not len(later):
            continue
        known = pairs.take(seen)
        for index in np.unique(later[np.linspace(0, len(later) - 1, MOST_GOALS).astype(int)]):
            spread = extrapolate(known, float(pairs.params[index]), float(pairs.tokens[index]))
            lower, upper = spread.quantile((1 - LEVEL) / 2), spread.quantile((1 + LEVEL) / 2)
            below, ratio = spread.below(0.0), float(pairs.ratio[index])
            named = -1.0 if below >= LEVEL else 1.0 if below <= 1 - LEVEL else 0.0
            yield Asked(lower <= ratio <= upper, (upper - lower) / 2, abs(spread.mean - ratio), named, ratio)


def pair_all(groups: Iterable[Sequence[Run]]) -> list[Pairs]:
    """The pairs of every two recipes."""
    known = [points_of(runs) for runs in groups]
    return [match(one, other)[0] for one, other in combinations(known, 2)]


def points_of(runs: Sequence[Run]) -> Points | None:
    """The finals of the runs that ended."""
    ended = [run for run in runs if run.final is not None and run.final.loss < DIVERGED]
    return finals(ended, lambda run: run.cluster).points if ended else None


def split_by(runs: Iterable[Run], key: Callable[[Run], object]) -> dict[object, list[Run]]:
    """Runs by what is the same in them."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def pair_rates(data: Path) -> list[Pairs]:
    """Peak rates of `misfitting`."""
    runs = read_table(data / "misfitting.csv")
    return pair_all(list(split_by(runs, lambda run: run.card.peak_lr).values()))


def pair_steps(data: Path) -> list[Pairs]:
    """Every fourth rate and batch of `steplaw_dense`, against twice the rate and twice the batch."""
    runs = read_table(data / "steplaw_dense.csv")
    # sizes were given slightly different roundings of one rate
    groups = split_by(runs, lambda run: (round(2 * math.log2(run.card.peak_lr or 1)), run.card.batch_tokens))
    keys = sorted((key for key in groups if isinstance(key, tuple)), key=str)[::4]
    others = [(key, other) for key in keys for other in ((key[0] + 2, key[1]), (key[0], 2 * key[1])) if other in groups]
    return [match(points_of(groups[key]), points_of(groups[other]))[0] for key, other in others]


def pair_settings(data: Path) -> list[Pairs]:
    """Settings of `porian_isoflop` with the same data and validation loss."""
    runs = read_table(data / "porian_isoflop.csv", where=[("loss_kind", "val")])
    groups = split_by(runs, lambda run: run.name.split("|")[0])
    return [
        pairs
        for text in ("owt2", "rw")
        for pairs in pair_all([runs for name, runs in groups.items() if f"_{text}_" in str(name)])
    ]


def pair_seeds(data: Path) -> list[Pairs]:
    """Seeds of `supercollapse_mlp`, which are equal recipes; what seeds differ by is not told."""
    runs = [replace(run, card=replace(run.card, seed=None)) for run in read_table(data / "supercollapse_mlp.csv")]
    return pair_all(list(split_by(runs, lambda run: run.name.split("|seed")[1].split("|")[0]).values()))


def pair_schedules(data: Path) -> list[Pairs]:
    """Schedules of `supercollapse_c5m_schedules`."""
    runs = read_table(data / "supercollapse_c5m_schedules.csv")
    return pair_all(list(split_by(runs, lambda run: run.card.schedule).values()))


SETS: dict[str, Callable[[Path], list[Pairs]]] = {
    "rates of misfitting": pair_rates,
    "rates and batches of steplaw": pair_steps,
    "settings of porian": pair_settings,
    "seeds of supercollapse_mlp": pair_seeds,
    "schedules of supercollapse_c5m": pair_schedules,
}


if __name__ == "__main__":
    main()
