"""Planning: how well a target is forecast from the runs that `plan` chooses, beside other ways to choose them.

The runs of a measured ladder's small sizes are candidates, those beyond it targets. Every way begins with the three
cheapest runs, for a forecast needs three, and gets the same budget, theirs included: twenty budgets, from what the five
cheapest cost to what all do, in equal steps of ln FLOPs and without the last, where every way buys all.

- plan: knows its budget, asks for a plan for the geometric mean of the targets, buys its first run, sees what came
  out, and asks again, until nothing more can be bought or the plan has nothing that narrows the interval.
- increasing size: by params, then tokens.
- increasing compute: by planned FLOPs.
- random: permutations.

All but the plan take every run that can still be paid, and pass over what cannot. A run costs its planned FLOPs. What
is bought is scored by the default forecast (`refresh`) of every target: |ln(forecast / measured)|, and the width of the
90% interval over the forecast, averaged over targets and budgets.

    python benchmarks/planning.py [--data ../shared/data] [--ladder olmo] [--orders 20]

Forecasts are kept by the set of runs. A CPU minute for the plan and increasing size, and 4 to 8 seconds for each random
order.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from ladders import LADDERS, SHARED, read_ladder
from pages import met, table

from scaling_callback import refresh
from scaling_callback.forecasting import MEMBERS, backtest, combine, fit_runs, take_interval
from scaling_callback.pipeline import plan
from scaling_callback.planning import Place
from scaling_callback.records import Array, Run, Target
from scaling_callback.replaying import Goal
from scaling_callback.snapshot import Config

BUDGETS = 20
ORDERS = 200
BEGUN = 3
CONFIG = Config()

Indices = tuple[int, ...]
Strategy = Callable[[float], Indices]


@dataclass
class Bench:
    """A ladder whose runs can be bought.

    Attributes:
        runs: Its finished runs, the cheapest first.
        goals: What is forecast.
        scores: Error and width by the set of runs.
    """

    runs: tuple[Run, ...]
    goals: tuple[Goal, ...]
    scores: dict[frozenset[int], tuple[float, float]] = field(default_factory=dict[frozenset[int], tuple[float, float]])

    def __post_init__(self) -> None:
        self.cost = np.array([run.planned_flops for run in self.runs], dtype=float)
        self.places = [(run.params, run.final.tokens) for run in self.runs if run.final is not None]
        self.budgets = np.geomspace(self.cost[:5].sum(), self.cost.sum(), BUDGETS + 1)[:-1]
        self.params = np.array([goal.params for goal in self.goals])
        self.tokens = np.array([goal.tokens for goal in self.goals])
        self.losses = np.array([goal.loss for goal in self.goals])

    def flops(self, params: float, tokens: float) -> float:
        """What the run there cost; 6 N D where there is none."""
        found = [cost for place, cost in zip(self.places, self.cost.tolist(), strict=True) if place == (params, tokens)]
        return found[0] if found else 6.0 * params * tokens

    def take(self, order: Sequence[int], budget: float) -> Indices:
        """What the budget pays of an order, beyond the runs that every way begins with."""
        bought = [*range(BEGUN)]
        for index in order:
            if index not in bought and self.cost[[*bought, index]].sum() <= budget:
                bought.append(index)
        return tuple(bought)

    def follow(self, budget: float) -> Indices:
        """What the plan buys."""
        middle = Target(params=_mean(self.params), tokens=_mean(self.tokens))
        bought = [*range(BEGUN)]
        while True:
            left = budget - float(self.cost[bought].sum())
            free = [i for i in range(len(self.runs)) if i not in bought and self.cost[i] <= left]
            if not free:
                return tuple(bought)
            places: list[Place] = [self.places[i] for i in free]
            made = plan([self.runs[i] for i in sorted(bought)], middle, left, CONFIG, candidates=places, cost=self)
            if not made.runs:
                return tuple(bought)
            bought.append(free[places.index((made.runs[0].params, made.runs[0].tokens))])

    def score(self, bought: Indices) -> tuple[float, float]:
        """Mean error in ln L and relative width of the default forecast of every target (as `pipeline.refresh`)."""
        key = frozenset(bought)
        if key not in self.scores:
            runs = tuple(self.runs[i] for i in sorted(bought))
            clusters = {run.name: run.cluster for run in runs}
            history = backtest(runs, clusters, MEMBERS, level=CONFIG.level, seed=CONFIG.seed).history
            counts = (CONFIG.replicates, *(0 for _ in MEMBERS[1:]))
            fits = [
                fit_runs(runs, tuple(clusters.values()), member, count, CONFIG.seed)
                for member, count in zip(MEMBERS, counts, strict=True)
            ]
            made = combine(fits, self.params, self.tokens, history=history, seed=CONFIG.seed)
            ends = [
                take_interval(made.draws[:, i], CONFIG.level, float(middle)) for i, middle in enumerate(made.median)
            ]
            lower, upper = np.array(ends).T
            error = float(np.abs(np.log(made.median / self.losses)).mean())
            self.scores[key] = error, float(((upper - lower) / made.median).mean())
        return self.scores[key]

    def judge(self, strategy: Strategy) -> Array:
        """Mean error and width over the budgets, shape (2,)."""
        return np.array([self.score(strategy(float(budget))) for budget in self.budgets]).mean(0)


def _mean(values: Array) -> float:
    return float(np.exp(np.log(values).mean()))


def make_bench(data: Path, name: str) -> Bench:
    """The ladder of that name (`accuracy.LADDERS`)."""
    runs, goals = read_ladder(data, next(ladder for ladder in LADDERS if ladder.name == name))
    finished = [run for run in runs if run.final is not None and run.planned_flops is not None]
    return Bench(tuple(sorted(finished, key=lambda run: (run.planned_flops or 0.0, run.name))), tuple(goals))


def check(bench: Bench) -> None:
    """The score is that of a refresh: the forecast that a user gets."""
    bought = bench.take(range(len(bench.runs)), float(bench.budgets[BUDGETS // 2]))
    errors: list[float] = []
    for goal in bench.goals:
        asked = Config(target=Target(params=goal.params, tokens=goal.tokens))
        made = refresh([bench.runs[i] for i in sorted(bought)], (), asked).forecast
        assert made is not None
        errors.append(abs(float(np.log(made.median / goal.loss))))
    assert abs(float(np.mean(errors)) - bench.score(bought)[0]) < 1e-9, "the score is not that of the default forecast"


def show_planning(data: Path, name: str = "olmo", orders: int = ORDERS, workers: int = 2) -> str:
    """The table of ways to choose runs, and what it says of the plan."""
    bench = make_bench(data, name)
    check(bench)
    by_size = sorted(range(len(bench.runs)), key=lambda i: (bench.runs[i].params, bench.places[i][1]))
    planned = bench.judge(bench.follow)
    increasing = bench.judge(lambda budget: bench.take(by_size, budget))
    dearer = bench.judge(lambda budget: bench.take(range(len(bench.runs)), budget))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        random = np.array([*pool.map(partial(judge_order, data, name), range(orders))])
    middle = np.median(random, axis=0)
    rows = [
        _row("plan", planned),
        _row("increasing size", increasing),
        _row("increasing compute", dearer),
        _row(f"median of {orders} random orders", middle),
    ]
    words = (
        f"The plan errs by {1 - planned[0] / increasing[0]:.0%} less than increasing size, where 15% are asked "
        f"({met(planned[0] <= 0.85 * increasing[0])}), and less than {(random[:, 0] > planned[0]).mean():.0%} of the "
        f"random orders ({met(planned[0] < middle[0])}). Its interval is narrower than that of increasing size "
        f"({met(planned[1] < increasing[1])}) and than the median of random orders ({met(planned[1] < middle[1])})."
    )
    return table(("runs chosen by", "error, %", "width, %"), rows) + "\n\n" + words


@cache
def _known(data: Path, name: str) -> Bench:
    """The ladder of this process, with what it has forecast."""
    return make_bench(data, name)


def judge_order(data: Path, name: str, seed: int) -> Array:
    """Mean error and width of a random order."""
    bench = _known(data, name)
    order = np.random.default_rng(seed).permutation(len(bench.runs)).tolist()
    return bench.judge(lambda budget: bench.take(order, budget))


def _row(way: str, scored: Array) -> tuple[str, str, str]:
    return way, f"{100 * scored[0]:.2f}", f"{100 * scored[1]:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of measured ladders")
    parser.add_argument("--ladder", choices=[ladder.name for ladder in LADDERS], default="olmo")
    parser.add_argument("--orders", type=int, default=ORDERS, help="random orders to score (default: %(default)s)")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"planning: no measured ladders at {options.data}, so nothing is scored; name their folder with --data")
        return
    print(show_planning(options.data, options.ladder, options.orders), flush=True)


if __name__ == "__main__":
    main()
