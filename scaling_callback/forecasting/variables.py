"""Variables of a run beyond params and tokens, for laws that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scaling_callback.fitting import OWN_COLUMNS
from scaling_callback.records import Run, as_count


def further_variables(run: Run, tokens: float) -> dict[str, float]:
    """What the run's card says in positive numbers, and its compute at `tokens` where its FLOPs were measured.

    Example:
        >>> from scaling_callback.records import Curve, RunCard
        >>> card = RunCard(name="a", params=1e6, extra={"unique_tokens": "2e9", "framework": "torch"})
        >>> further_variables(Run(card, Curve.of([])), 1e9)
        {'unique_tokens': 2000000000.0}
    """
    counts = {name: as_count(text) for name, text in run.card.extra.items()}
    found = {name: count for name, count in counts.items() if count is not None}
    if run.card.flops_per_token is not None:
        found["compute"] = run.card.flops_per_token * tokens
    return found


def shared_columns(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Columns of the variables that every row knows; a column with holes would be a column of guesses.

    Where some runs measured their FLOPs and others did not, there is no column of compute, and it is 6 N D for all.

    Example:
        >>> shared_columns([{"unique_tokens": 1e9, "seed": 1.0}, {"unique_tokens": 2e9}])
        {'unique_tokens': [1000000000.0, 2000000000.0]}
    """
    shared = set[str].intersection(*(set(row) for row in rows)) - {*OWN_COLUMNS}
    return {name: [row[name] for row in rows] for name in sorted(shared)}
