"""What makes two ladders hard to compare, and the answer doubtful."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from scaling_callback.forecasting import Evidence, Forecast
from scaling_callback.records import Run

FEW_PAIRS = 8
"""Pairs below which intervals hold a measured difference less often than they say (docs/accuracy.md)."""

SHARED_FIELDS = ("tokenizer", "vocabulary", "metric", "validation")
"""Parts of a recipe that are no recipe but the ruler: where they differ losses are not comparable."""


class Side(NamedTuple):
    """One of the two recipes.

    Attributes:
        runs: Its ladder.
        evidence: The finals of its finished runs.
        forecast: What they say of the target by themselves.
        shared: Names of the runs that the other ladder holds too.
    """

    runs: Sequence[Run]
    evidence: Evidence
    forecast: Forecast
    shared: frozenset[str]

    @property
    def finished(self) -> list[Run]:
        """The runs behind the evidence."""
        return [run for run in self.runs if run.name in self.evidence.used]


def are_same(a: Side, b: Side) -> bool:
    """Whether both ladders hold the very same runs."""
    return all(len(side.shared) == len(side.runs) for side in (a, b))


UNDETERMINED = ("one_size", "one_horizon", "no_variation", "floor_unidentified", "disagreeing_basins", "poor_fit")
"""Doubts of a forecast under which its ladder does not say what a far target loses, or its law does not."""


def find_doubts(a: Side, b: Side, pairs: int, *, paired: bool) -> dict[str, str]:
    """What makes the two hard to compare, and what makes the answer doubtful, by name with a sentence each."""
    own = {f"{name}_{of}": text for of, side in zip("AB", (a, b), strict=True) for name, text in _own(side, paired)}
    return {
        **_find_overlap(a, b),
        **_find_rulers(a, b),
        **_find_weakness(a, b, pairs, paired),
        **_find_reach(a, b),
        **own,
    }


def forbid(doubts: Mapping[str, str]) -> bool:
    """Whether these doubts allow no verdict: losses of two rulers, or a ladder that does not say its own."""
    rulers = {"same_runs", "loss_kinds_differ", "phases_differ", *(f"{key}_differs" for key in SHARED_FIELDS)}
    return bool(doubts.keys() & rulers) or any(f"{name}_{of}" in doubts for name in UNDETERMINED for of in "AB")


def _own(side: Side, paired: bool) -> list[tuple[str, str]]:
    """What the forecast of one side is doubted for; where pairs answer, only that its losses do not vary."""
    doubts = side.forecast.warnings
    names = [name for name in doubts if name in UNDETERMINED]
    if paired:
        names = [name for name in names if name == "no_variation"]
    return [(name, doubts[name]) for name in names]


def _find_overlap(a: Side, b: Side) -> dict[str, str]:
    """Runs of which no difference can be learned."""
    if are_same(a, b):
        return {"same_runs": "A and B are the very same runs: there is nothing to compare; name two recipes"}
    if a.shared:
        names = ", ".join(sorted(a.shared)[:3])
        return {
            "shared_runs": f"{len(a.shared)} run(s) of A are in B too ({names}); no difference is learned from them"
        }
    return {}


def _find_rulers(a: Side, b: Side) -> dict[str, str]:
    """Signs that the losses of A and of B are not measured alike."""
    rulers: dict[str, tuple[str, Callable[[Run], str | None], str]] = {
        "loss_kinds_differ": ("loss kind", lambda run: run.card.loss_kind, "losses are not comparable"),
        "phases_differ": ("phase", lambda run: run.phase, "a loss before annealing is no match for one after it"),
    }
    for key in SHARED_FIELDS:
        rulers[f"{key}_differs"] = (key, lambda run, key=key: run.card.recipe.get(key), "losses are not comparable")
    doubts: dict[str, str] = {}
    for name, (what, read, so) in rulers.items():
        values = [sorted({value for run in side.finished if (value := read(run))}) for side in (a, b)]
        if all(values) and values[0] != values[1]:
            doubts[name] = f"{what} of A is {' and '.join(values[0])}, of B {' and '.join(values[1])}: {so}"
    return doubts


def _find_weakness(a: Side, b: Side, pairs: int, paired: bool) -> dict[str, str]:
    """What the method lacks."""
    if paired and pairs < FEW_PAIRS:
        return {
            "few_pairs": (
                f"{pairs} pairs; below {FEW_PAIRS} little is known of the noise and the trend of their ratio, and the "
                "interval may be too narrow: train both recipes at more sizes"
            )
        }
    if paired or are_same(a, b):
        return {}
    return {
        "unpaired": (
            f"{pairs} size(s) and horizon(s) are in both ladders, too few: two independent forecasts are compared, "
            "which tells large differences only; train both recipes at the same sizes and horizons"
        )
    }


def _find_reach(a: Side, b: Side) -> dict[str, str]:
    """Where the target lies."""
    far = [side.forecast.warnings.get("far_extrapolation") for side in (a, b)]
    if sentences := [sentence for sentence in far if sentence]:
        return {"far_extrapolation": sentences[0]}
    points = [side.evidence.points for side in (a, b)]
    wanted = a.forecast.params * a.forecast.tokens
    if all(p is not None and (p.params * p.tokens).max() > wanted for p in points):
        return {"within_ladders": "both ladders hold runs of more compute than the target: this is no extrapolation"}
    return {}
