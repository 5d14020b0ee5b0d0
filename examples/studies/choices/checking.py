"""The checklist of the study filled in for a ladder, and what a user of this library would have been told about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from page import table

from choices.ladders import Ladder, base_choice, hold_out
from choices.measuring import LEVEL
from choices.published import BUDGET
from scaling_callback import Config, Run, Target, forecast, refresh
from scaling_callback.reporting import Item, checklist, read_form
from scaling_callback.reporting.units import format_flops, format_level, format_loss, format_percent

CARD = Path(__file__).parents[1] / "misfitting_card.yaml"
"""What only a person can say of the ladder, and is known of it."""

CARDS = {"misfitting": CARD}
"""The cards there are, by table."""


@dataclass(frozen=True)
class Told:
    """What the library says of a ladder by default.

    Attributes:
        items: The checklist.
        split: The optimal D/N at the budget with its interval in words, or that it is refused.
        reasons: Why it is refused, by name.
        ahead: The loss that it forecasts of the largest model from the smaller sizes, and the ends of the interval.
        measured: What was measured of it.
        doubts: What it says against that forecast, by name.
    """

    items: tuple[Item, ...]
    split: str
    reasons: Mapping[str, str]
    ahead: tuple[float, float, float]
    measured: float
    doubts: Mapping[str, str]


def ask_default(ladder: Ladder, runs: Sequence[Run]) -> Told:
    """The library's own answers: nothing is chosen but which runs there are, and the budget."""
    config = Config(runs="best" if ladder.best else "all", target=Target(flops=BUDGET), level=LEVEL)
    select = base_choice(ladder).select
    kept = runs if ladder.best else select(runs)
    snapshot = refresh(kept, config=config)
    task = hold_out(runs, select)
    made = forecast(task.runs if ladder.best else select(task.runs), task.target, Config(runs=config.runs, level=LEVEL))
    allocation = snapshot.allocation
    if allocation is None:
        split, reasons = "none", dict(snapshot.absent)
    elif not allocation.identified or allocation.tokens_per_param is None:
        split, reasons = "refused", dict(allocation.reasons)
    else:
        low, high = allocation.intervals["tokens_per_param"]
        split, reasons = f"{allocation.tokens_per_param:.3g} ({low:.3g} to {high:.3g})", dict(allocation.doubts)
    card = CARDS.get(ladder.table)
    answers = read_form(card.read_bytes(), card.name) if card else {}
    return Told(
        checklist(snapshot, answers),
        split,
        reasons,
        (made.median, made.lower, made.upper),
        task.measured,
        dict(made.warnings),
    )


def table_checklist(items: Sequence[Item]) -> str:
    """The 26 items with their answers or questions."""
    rows = [(str(item.number), item.group, item.item, item.status, _escape(item.text)) for item in items]
    return table(("#", "part", "item", "status", "answer, or what is asked"), rows, text=5)


def count_items(items: Sequence[Item]) -> str:
    """How many items are answered, asked, and unanswered."""
    statuses = [item.status for item in items]
    counts = {status: statuses.count(status) for status in ("answered", "asked", "unanswered")}
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _escape(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").replace("*", "\\*")


def tell_default(name: str, told: Told) -> str:
    """What a user of this library would have been told, beside what was measured."""
    median, low, high = told.ahead
    within = "holds it" if low <= told.measured <= high else "does not hold it"
    doubts = "".join(f"\n  - `{key}`: {sentence}" for key, sentence in told.doubts.items())
    reasons = "".join(f"\n  - `{key}`: {sentence}" for key, sentence in told.reasons.items())
    return (
        f"**{name}**\n\n- *The loss of the largest model, from the smaller sizes*: {format_loss(median)}, "
        f"{format_level(LEVEL)} interval {format_loss(low)} to {format_loss(high)}; measured "
        f"{format_loss(told.measured)} ({format_percent(median / told.measured - 1, signed=True)}), and the interval "
        f"{within}."
        + (f" Doubts that stand beside it:{doubts}" if doubts else " No doubt stands beside it.")
        + f"\n- *Tokens per parameter at {format_flops(BUDGET)} FLOPs*: {told.split}."
        + (
            f" Because:{reasons}"
            if reasons and told.split in ("refused", "none")
            else f" Doubts:{reasons}"
            if reasons
            else ""
        )
    )
