"""What an analyst may choose otherwise: each choice is the base with one thing changed.

After the table of Li et al. 2025 (arXiv 2502.18969): the loss and its width, the tying of exponents, how early
checkpoints may be, caps on size and on D/N, how N is counted, which learning rates, and how the optimiser is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from scaling_callback.fitting import OBJECTIVES, Borrowed, Objective, get_objective
from scaling_callback.fitting.procedures import PROCEDURES, Procedure
from scaling_callback.forecasting import Policy, best_runs, checkpoints_beyond, finals
from scaling_callback.laws import LAWS, Law, get_law
from scaling_callback.records import Run
from scaling_callback.sensitivity.filters import (
    Keep,
    Select,
    all_points,
    at_rate,
    between_ratios,
    every_run,
    half_of_ratios,
    no_run,
    recount,
    up_to_size,
    without_third,
)

BASE = "as asked"

ANALYSIS = (BASE, "loss", "delta", "law")
"""Groups that leave the points and the meaning of N as they are: other analyses of the same evidence."""

EARLY = (0.0, 0.1, 0.2, 0.5)
"""Shares of a run beyond which its checkpoints are taken as finished runs, as in the study."""

DELTAS = (0.1, 10.0)
"""Factors on the width of the Huber loss."""

TIED = {"chinchilla": "chinchilla-tied", "chinchilla-tied": "chinchilla"}
"""A law with free exponents and the same with one, either way."""


@dataclass(frozen=True)
class Choice:
    """One way to analyse a ladder.

    Attributes:
        name: What is done, in words.
        group: What kind of choice it is.
        law: The law.
        objective: What is minimised.
        prior: Whether the weak prior takes part.
        ridges: Whether the lines of published fits do.
        borrowed: Parameters held at values from elsewhere.
        policy: Which points are made of the runs.
        select: Which runs, and with which N.
        keep: Which points are fitted.
        procedure: The published procedure to fit by; `None` is the certified search.
        counting: The name of another counting of N; `None` is that of the runs as they are.
    """

    name: str
    group: str
    law: Law
    objective: Objective
    prior: bool
    ridges: bool
    borrowed: Borrowed | None
    policy: Policy
    select: Select
    keep: Keep = all_points
    procedure: Procedure | None = None
    counting: str | None = None


def list_choices(base: Choice, runs: Sequence[Run]) -> tuple[Choice, ...]:
    """The base and every other choice, whether or not these runs carry it."""
    return (
        base,
        *list_analyses(base),
        *_early_cuts(base),
        *_size_caps(base),
        *_ratio_caps(base),
        *_countings(base, runs),
        *_learning_rates(base, runs),
        *_procedures(base),
    )


def list_analyses(base: Choice) -> tuple[Choice, ...]:
    """Other analyses of the same points, with the same meaning of N: other losses, widths and the tied law."""
    return (*_losses(base), *_deltas(base), *_laws(base))


def cap_size(base: Choice, most: float) -> Choice:
    """Only points of at most that many parameters.

    Example:
        >>> from scaling_callback.testing import planted_ladder
        >>> capped = cap_size(as_asked(), 3e7)
        >>> capped.keep(capped.policy(planted_ladder(), lambda run: run.name).points).sum().item()
        6
    """
    return replace(base, name=f"N up to {most:.3g}", group="size cap", keep=partial(up_to_size, most=most))


def cap_ratio(base: Choice, *, below: float = np.inf, above: float = 0.0) -> Choice:
    """Only points whose D/N lies between the two."""
    ends = [f"above {above:.3g}"] * (above > 0) + [f"below {below:.3g}"] * (below < np.inf)
    keep = partial(between_ratios, above=above, below=below)
    return replace(base, name=f"D/N {' and '.join(ends)}", group="ratio cap", keep=keep)


def as_asked(
    law: str | Law = "chinchilla",
    objective: str | Objective = "log-huber",
    *,
    prior: bool = False,
    ridges: bool = False,
    borrowed: Borrowed | None = None,
    policy: Policy = finals,
    best: bool = False,
) -> Choice:
    """The base that every other choice changes in one thing."""
    select = best_runs if best else every_run
    return Choice(BASE, BASE, get_law(law), get_objective(objective), prior, ridges, borrowed, policy, select)


def _losses(base: Choice) -> list[Choice]:
    others = [objective for objective in OBJECTIVES.values() if objective.name != base.objective.name]
    return [replace(base, name=objective.words, group="loss", objective=objective) for objective in others]


def _deltas(base: Choice) -> list[Choice]:
    delta = base.objective.delta
    if not (0 < delta < np.inf):
        return []
    wide = [replace(base.objective, name=f"{base.objective.name} {delta * f:g}", delta=delta * f) for f in DELTAS]
    return [replace(base, name=f"delta {other.delta:g}", group="delta", objective=other) for other in wide]


def _laws(base: Choice) -> list[Choice]:
    if base.law.name not in TIED:
        return []
    other = LAWS[TIED[base.law.name]]
    # what is borrowed belongs to the other law
    return [replace(base, name=f"law {other.name}", group="law", law=other, ridges=False, borrowed=None)]


def _early_cuts(base: Choice) -> list[Choice]:
    words = [f"checkpoints beyond {cut:.0%}" if cut else "every checkpoint" for cut in EARLY]
    cuts = zip(words, EARLY, strict=True)
    return [replace(base, name=name, group="early cut", policy=checkpoints_beyond(cut)) for name, cut in cuts]


def _size_caps(base: Choice) -> list[Choice]:
    return [
        replace(
            base, name=f"without the {name} third", group="size cap", keep=partial(without_third, smallest=smallest)
        )
        for name, smallest in (("largest", False), ("smallest", True))
    ]


def _ratio_caps(base: Choice) -> list[Choice]:
    return [
        replace(base, name=f"D/N {name}", group="ratio cap", keep=partial(half_of_ratios, low=low))
        for name, low in (("up to its median", True), ("from its median on", False))
    ]


def _countings(base: Choice, runs: Sequence[Run]) -> list[Choice]:
    names = sorted({name for run in runs for name in run.card.sizes})
    others = [n for n in names if any(run.card.sizes.get(n, run.params) != run.params for run in runs)]
    if not others:
        none = partial(no_run, reason="N is known in one counting only; give a column params_... with another")
        return [replace(base, name="another counting of N", group="counting", select=none)]
    return [
        replace(
            base,
            name=f"N counted as {name}",
            group="counting",
            select=partial(recount, name=name, select=base.select),
            counting=name,
        )
        for name in others
    ]


def _learning_rates(base: Choice, runs: Sequence[Run]) -> list[Choice]:
    """Every run, the best of each size and horizon, and each rate that at least half of the sizes were trained at."""
    rates = sorted({run.card.peak_lr for run in runs if run.card.peak_lr is not None})
    if len(rates) < 2:
        none = partial(no_run, reason=f"{len(rates)} learning rate(s) known; give peak_lr of runs at two or more")
        return [replace(base, name="another learning rate", group="learning rate", select=none)]
    selects: dict[str, Select] = {"every learning rate": every_run, "best of each size and horizon": best_runs}
    half = 0.5 * len({run.params for run in runs})
    for rate in rates:
        if len({run.params for run in at_rate(runs, rate)}) >= half:
            selects[f"learning rate {rate:g}"] = partial(at_rate, rate=rate)
    return [
        replace(base, name=name, group="learning rate", select=select)
        for name, select in selects.items()
        if select is not base.select
    ]


def _procedures(base: Choice) -> list[Choice]:
    """On the form and the objective that these procedures are published for."""
    published = as_asked(policy=base.policy, best=base.select is best_runs)
    return [
        replace(published, name=name, group="procedure", procedure=procedure) for name, procedure in PROCEDURES.items()
    ]
