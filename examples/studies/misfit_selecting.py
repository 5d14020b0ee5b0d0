"""Which checkpoints the published rows of checkpoints were made of: what each of several selections gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from misfit_ladders import Ladder, lowest_checkpoints, lowest_of_each_place
from misfit_published import BUDGET, PUBLISHED, differs
from misfit_showing import show, show_exact
from page import table

from scaling_callback import Run
from scaling_callback.forecasting import best_runs, checkpoints_beyond
from scaling_callback.sensitivity import Choice, as_asked, compare_choices

ROWS = {0.0: "lowest at each N and D, every checkpoint", 0.5: "lowest at each N and D, beyond 50%"}
"""The choices that stand for the published rows, by the cut."""


@dataclass(frozen=True)
class Selected:
    """What one selection of checkpoints gives.

    Attributes:
        selection: Which checkpoints, in words.
        counting: How N is counted.
        cut: Share of a run beyond which they are taken.
        points: How many.
        values: E, alpha, beta and D/N.
        meets: Whether the published row of this cut is met; `None` where none is published.
    """

    selection: str
    counting: str
    cut: float
    points: int
    values: dict[str, float]
    meets: bool | None


def list_selections(cut: float) -> tuple[Choice, ...]:
    """The selections of checkpoints beyond a cut that were tried."""
    base = as_asked(policy=checkpoints_beyond(cut))
    return (
        replace(base, name="of the best run of each size and horizon", select=best_runs),
        replace(base, name="of every run"),
        replace(
            base, name="the lowest at each size, horizon and D", select=partial(lowest_checkpoints, same_horizon=True)
        ),
        replace(base, name="the lowest at each size and D of those beyond", keep=lowest_of_each_place),
        replace(base, name="the lowest at each size and D of all, then the cut", select=lowest_checkpoints),
    )


def try_selections(ladder: Ladder, runs: Sequence[Run]) -> tuple[Selected, ...]:
    """Every selection, N in either counting."""
    published = {row.choice: row for row in PUBLISHED[ladder.table]}
    others = [ladder.other] if ladder.other else []
    made: list[Selected] = []
    for counting, counted in ((ladder.params, runs), *((name, _recount(runs, name)) for name in others)):
        for cut, choice_published in ROWS.items():
            row = published.get(choice_published)
            compare = partial(compare_choices, counted, flops=BUDGET, groups=())
            for choice in list_selections(cut):
                found = compare(choice).rows[0]
                values = {**found.params, "tokens_per_param": found.tokens_per_param or np.nan}
                meets = None if row is None else not differs(row, values)
                made.append(Selected(choice.name, counting, cut, found.points, values, meets))
    return tuple(made)


def _recount(runs: Sequence[Run], name: str) -> tuple[Run, ...]:
    return tuple(replace(run, card=replace(run.card, params=run.card.sizes[name])) for run in runs)


def show_selections(selected: Sequence[Selected]) -> str:
    """What each gives, and which meets the published rows."""
    rows = [
        (
            each.selection,
            each.counting,
            f"{each.cut:.0%}",
            f"{each.points:,}",
            *(show_exact(each.values[name]) for name in ("E", "alpha", "beta")),
            show(each.values["tokens_per_param"]),
            "–" if each.meets is None else "met" if each.meets else "differs",
        )
        for each in selected
    ]
    head = ("checkpoints", "N from", "beyond", "points", "E", "alpha", "beta", "D/N", "published row")
    return table(head, rows, text=3, tail=1)


def tell_selections(selected: Sequence[Selected]) -> str:
    """Which selection meets every published row of checkpoints."""
    judged = [each for each in selected if each.meets is not None]
    kinds = dict.fromkeys((each.selection, each.counting) for each in judged)
    whole = [
        f"{selection} (N from `{counting}`)"
        for selection, counting in kinds
        if all(each.meets for each in judged if (each.selection, each.counting) == (selection, counting))
    ]
    cuts = ", ".join(f"{cut:.0%}" for cut in sorted({each.cut for each in judged}))
    return (
        "Which checkpoints the published rows were made of was not said. Each selection below was fitted in the same "
        f"way. Both published rows (beyond {cuts}) are met by: {'; '.join(whole) or 'none of them'}. Checkpoints are "
        "taken as finished runs here, which they are not: their losses lie above those of runs that end there."
    )
