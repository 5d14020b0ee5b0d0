"""Splits of a budget: what measured ladders say of it, what they refuse, and how exact the optimum is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pages import clock, met, table

from scaling_callback import allocate, read_table
from scaling_callback.allocating import Allocation, Constraints, estimate_frontiers
from scaling_callback.costs import SIX_ND
from scaling_callback.laws import LAWS
from scaling_callback.laws.optima import search_optimum
from scaling_callback.records import Run
from scaling_callback.snapshot import Config

CHINCHILLA = 5.88e23
"""Compute of Chinchilla."""

OUTLIERS = 5
"""Runs of highest loss that the published fit leaves out."""

DRAWS = 1000
CLOSED = 1e-9
"""Relative difference that closed form and search may have."""

SERVED = 2e12
BRUTE = 1e-6


@dataclass(frozen=True)
class Case:
    """A ladder and a budget, and whether the ladder holds its split."""

    name: str
    file: str
    flops: float
    identified: bool
    keep: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    runs: Literal["all", "best"] = "all"
    count: str = "params"


CASES = (
    Case("Chinchilla, 240 runs", "chinchilla_epoch", CHINCHILLA, identified=True),
    Case("llama3_isoflop", "llama3_isoflop", 1e22, identified=True),
    Case("Chinchilla, N up to 100M", "chinchilla_epoch", CHINCHILLA, identified=False, keep={"params": (0, 1e8)}),
    Case(
        "misfitting, best runs, N with embeddings",
        "misfitting",
        CHINCHILLA,
        identified=False,
        runs="best",
        count="params_total",
    ),
    Case("misfitting", "misfitting", CHINCHILLA, identified=False),
    Case(
        "Chinchilla at 18 to 22 tokens per parameter",
        "chinchilla_epoch",
        1e22,
        identified=False,
        keep={"ratio": (18, 22)},
    ),
    Case("olmo, the smallest size", "olmo_ladder", 1e22, identified=False, keep={"params": (0, 2e8)}),
)

PUBLISHED = {
    "base_long_kaplan_kaplan_train": (0.70, 0.88),
    "base_long_kaplan_standard_val": (0.70, 0.70),
    "base_short_kaplan_standard_val": (0.60, 0.60),
    "base_short_chinchilla_standard_val": (0.57, 0.57),
    "tuned_short_const_standard_val": (0.50, 0.52),
}
"""Exponents of N* of Porian et al. 2024 (arXiv 2406.19146), lowest and highest over its two corpora."""

ROUNDING = 0.005
"""Half of the last digit that is published."""


def show_splits(data: Path) -> str:
    """Every table of the section."""
    return "\n\n".join([show_cases(data), show_published(data), show_exactness(data)])


def read_chinchilla(data: Path) -> tuple[Run, ...]:
    """The 240 runs of the published fit."""
    runs = read_table(data / "chinchilla_epoch.csv")
    worst = sorted(runs, key=lambda run: -float(run.curve.loss[-1]))[:OUTLIERS]
    return tuple(run for run in runs if run not in worst)


def read_case(data: Path, case: Case) -> tuple[Run, ...]:
    """Its runs."""
    if case.file == "chinchilla_epoch":
        runs = read_chinchilla(data)
    else:
        runs = read_table(data / f"{case.file}.csv", params=case.count)
    low, high = case.keep.get("params", (0.0, math.inf))
    least, most = case.keep.get("ratio", (0.0, math.inf))
    return tuple(
        run for run in runs if low < run.params <= high and least <= float(run.curve.tokens[-1]) / run.params <= most
    )


def show_cases(data: Path) -> str:
    """Whether each ladder holds the split of its budget, and what it says."""
    rows: list[Sequence[str]] = []
    for case in CASES:
        split = allocate(read_case(data, case), case.flops, Config(runs=case.runs, replicates=1000, level=0.8))
        if split.identified and split.tokens_per_param is not None:
            low, high = split.intervals["tokens_per_param"]
            said = f"{split.tokens_per_param:.1f} tokens per parameter, 80%: {low:.1f} to {high:.1f}"
        else:
            said = "refused: " + ", ".join(f"`{name}`" for name in split.reasons)
        rows.append((case.name, f"{case.flops:.3g}", said, met(split.identified == case.identified)))
    head = ("ladder", "FLOPs", "what is said", "identified only where it should be")
    return table(head, rows) + "\n\n" + show_chinchilla(data)


def show_chinchilla(data: Path) -> str:
    """The published optimum of the 240 runs."""
    split = allocate(read_chinchilla(data), CHINCHILLA, Config(replicates=1000, level=0.8))
    assert split.tokens_per_param is not None
    low, high = split.intervals["tokens_per_param"]
    grown = split.growth["params"]
    within = abs(low / 10.6 - 1) <= 0.15 and abs(high / 30.1 - 1) <= 0.15
    beside = "; ".join(describe_approach(split, name) for name in ("isoflop", "parametric"))
    return (
        f"Published for the 240 runs (Besiroglu et al. 2024): 17.9 tokens per parameter, 80%: 10.6 to 30.1, and an "
        f"exponent of .513. Here {split.tokens_per_param:.2f} ({met(abs(split.tokens_per_param - 17.9) <= 0.3)}), "
        f"{low:.1f} to {high:.1f} ({met(within)}), {grown.exponent:.3f} ({met(abs(grown.exponent - 0.513) <= 0.01)}). "
        f"Approaches side by side: {beside}."
    )


def describe_approach(split: Allocation, name: str) -> str:
    """One approach in words."""
    found = next(found for found in split.approaches if found.name == name)
    low, high = found.intervals["tokens_per_param"]
    bias = "" if found.bias is None else f", of which the approach itself makes a factor of {found.bias:.2f}"
    return f"{name} {found.tokens_per_param:.1f} ({low:.1f} to {high:.1f}){bias}"


def show_published(data: Path) -> str:
    """Published exponents, and those of the approaches that know no law."""
    rows: list[Sequence[str]] = []
    for setting, (least, most) in PUBLISHED.items():
        for corpus in ("owt2", "rw"):
            runs = read_table(data / "porian_isoflop.csv", where=(("family", f"porian_{corpus}_{setting}"),))
            envelope, isoflop = estimate_frontiers(runs, 1e20)
            ends = isoflop.intervals["exponent"]
            kept = ends[0] - ROUNDING <= most and least <= ends[1] + ROUNDING
            published = f"{least:.2f}" if least == most else f"{least:.2f} to {most:.2f}"
            said = [
                f"{f.exponent:.3f} ({f.intervals['exponent'][0]:.3f} to {f.intervals['exponent'][1]:.3f})"
                for f in (isoflop, envelope)
            ]
            rows.append((f"{setting}, {corpus}", published, *said, met(kept)))
    return table(("setting, corpus", "published", "IsoFLOP, 90%", "envelope, 90%", "IsoFLOP holds it"), rows)


def show_exactness(data: Path) -> str:
    """Closed form against search, and tokens to serve against brute force."""
    rng = np.random.default_rng(0)
    rows: list[Sequence[str]] = []
    for law in LAWS.values():
        natural = np.array([law.typical]) * np.exp(rng.uniform(-0.3, 0.3, (DRAWS, len(law.typical))))
        closed = law.split(natural, 1e22)
        if closed is not None:
            (found, _), seconds = clock(lambda law=law, natural=natural: search_optimum(law, natural, 1e22, {}, SIX_ND))
            usable = np.isfinite(found)
            worst = float(np.abs(found[usable] / closed[0][usable] - 1).max())
            rows.append(
                (law.name, f"{int(usable.sum())} of {DRAWS}", f"{worst:.1e}", f"{seconds:.2f}", met(worst < CLOSED))
            )
    exact = table(("law", "draws with an optimum", "largest difference of N*", "CPU s of the search", ""), rows)
    return exact + "\n\n" + show_serving(data)


def show_serving(data: Path) -> str:
    """The optimum with tokens to serve, beside a fine grid."""
    runs = read_chinchilla(data)
    alone = allocate(runs, CHINCHILLA)
    served = allocate(runs, CHINCHILLA, Config(constraints=Constraints(inference_tokens=SERVED)))
    assert alone.params is not None
    assert alone.tokens is not None
    assert served.params is not None
    assert served.tokens is not None
    assert served.loss is not None
    least = brute_force(runs, served)
    return (
        f"With {SERVED:.0e} tokens to serve, the 240 runs ask of {CHINCHILLA:.3g} FLOPs for {served.params / 1e9:.1f}B "
        f"parameters on {served.tokens / 1e12:.2f}T tokens in place of {alone.params / 1e9:.1f}B on "
        f"{alone.tokens / 1e12:.2f}T ({met(served.params < alone.params and served.tokens > alone.tokens)}). A grid of "
        f"a million sizes finds a loss of {least:.9f} there, the search {served.loss:.9f} "
        f"({met(abs(served.loss / least - 1) < BRUTE)})."
    )


def brute_force(runs: Sequence[Run], served: Allocation) -> float:
    """The lowest loss over a million sizes, each with the tokens that 6 N D + 2 N D_inf leaves it."""
    from scaling_callback.pipeline import DEFAULTS, gather

    found = DEFAULTS.fitted.fit(gather(runs, DEFAULTS))
    params = np.geomspace(1e9, 1e12, 1_000_000)
    tokens = (CHINCHILLA - 2 * params * served.cost.inference_tokens) / (6 * params)
    left = tokens > 1
    return float(found.predict(params[left], tokens[left]).min())
