"""Variables of a run beyond params and tokens, for laws that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.errors import InputError
from scaling_callback.fitting import OWN_COLUMNS, Fit
from scaling_callback.laws.muennighoff import PUBLISHED_DECAYS, UNIQUE
from scaling_callback.laws.muennighoff import heed_repetition as heed_in_law
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


def heed_repetition(fit: Fit, known: Mapping[str, float]) -> Fit:
    """The fit as it answers where `known` holds the unique tokens there are (`laws.muennighoff.heed_repetition`).

    Raises:
        InputError: Its law has no form for repeated tokens.
    """
    if UNIQUE not in known or UNIQUE in fit.law.variables:
        return fit
    law, natural = heed_in_law(fit.law, fit.law.natural(fit.theta[None], fit.centre), known)
    if law is fit.law:
        raise InputError(
            f"the law {law.name} has no form for repeated tokens; ask for unique tokens with the law chinchilla, or "
            "with muennighoff where the runs repeat theirs"
        )
    centre = np.append(fit.centre, fit.centre[1])
    _, draws = heed_in_law(fit.law, fit.natural_draws, known)
    return replace(fit, law=law, centre=centre, theta=law.working(natural, centre)[0], draws=law.working(draws, centre))


def doubt_repetition(fit: Fit, known: Mapping[str, float]) -> dict[str, str]:
    """What is to be known of a fit that is asked about repeated tokens, by name."""
    if UNIQUE not in known or UNIQUE in fit.law.variables:
        return {}
    return {
        "borrowed_decay": (
            "how repeated tokens lose their worth is borrowed, and not in the intervals: "
            f"R_N = {PUBLISHED_DECAYS[0]:g} and R_D = {PUBLISHED_DECAYS[1]:g} of Muennighoff et al. 2023; fit --law "
            "muennighoff to runs that repeat theirs"
        )
    }
