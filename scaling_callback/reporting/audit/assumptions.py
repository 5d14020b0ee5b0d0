"""What a law takes for granted, and what these runs say to it."""

from __future__ import annotations

import numpy as np

from scaling_callback.fitting import Fit
from scaling_callback.records import as_count
from scaling_callback.reporting.audit.facts import Known, list_values
from scaling_callback.reporting.units import format_level, format_value
from scaling_callback.snapshot import Snapshot


def judge_form(snapshot: Snapshot) -> str:
    """Whether other forms of the law explain the same points better or worse."""
    panel = snapshot.sensitivity
    rows = [row for row in panel.rows if row.group == "law"] if panel else []
    if not rows:
        return "Other forms were not compared."
    rejected = [row.choice for row in rows if "rejected_law" in row.diagnostics]
    serving = [row.choice for row in rows if "rejected_law" not in row.diagnostics]
    words = [
        f"rejected by these points: {list_values(rejected)}" * bool(rejected),
        f"not rejected: {list_values(serving)}" * bool(serving),
    ]
    return f"Of other forms {'; '.join(word for word in words if word)}."


def judge_tie(fit: Fit, level: float) -> str:
    """Whether the two exponents may be one; empty for a law that has not both, and without a bootstrap."""
    if not {"alpha", "beta"} <= {*fit.law.names} or not len(fit.draws):
        return ""
    draws = fit.natural_draws
    apart = draws[:, fit.law.names.index("alpha")] - draws[:, fit.law.names.index("beta")]
    lower, upper = np.quantile(apart, [(1 - level) / 2, (1 + level) / 2]).tolist()
    tied = "are not told apart" if lower <= 0 <= upper else "differ"
    ends = f"{format_value(lower)} to {format_value(upper)}"
    return f"The exponents {tied}: alpha less beta has the {format_level(level)} interval {ends}."


def judge_repetition(known: Known) -> str:
    """Whether every token is new, as a law that knows nothing of repetition takes it."""
    fit = known.snapshot.fit
    if fit is not None and "unique_tokens" in fit.law.variables:
        return "Repeated tokens are a variable of the law."
    said = known.find("unique_tokens")
    unique = as_count(said.text) if said else None
    longest = max((run.horizon or 0.0 for run in known.snapshot.runs), default=0.0)
    _, most, counted = count_passes(known)
    passes, limit = (longest / unique, "") if unique else (most, known.limit(counted))
    if not passes:
        return "Every token counts as new; whether they are is not known."
    if passes <= 1:
        return (
            f"Every token counts as new, and the longest run makes {format_value(passes)} passes over the data{limit}."
        )
    return (
        f"Every token counts as new, though the longest run makes {format_value(passes)} passes over the data{limit}: "
        "a law of unique tokens may serve better."
    )


def count_passes(known: Known) -> tuple[float, float, int]:
    """Fewest and most passes of a run over its data set, and how many runs' loaders said them; 0 where none did."""
    passes: list[float] = []
    for run in known.snapshot.runs:
        tokens = as_count(run.card.extra.get("pass_tokens", ""))
        if tokens is not None and run.horizon is not None:
            passes.append(run.horizon / tokens)
    return (min(passes), max(passes), len(passes)) if passes else (0.0, 0.0, 0)
