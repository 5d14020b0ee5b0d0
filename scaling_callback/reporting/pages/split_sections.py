"""What a report says of the split of the compute, and of the answers under other choices."""

from __future__ import annotations

from collections.abc import Mapping

from scaling_callback.allocating import Allocation, Frontier
from scaling_callback.reporting.pages.blocks import (
    Block,
    Cell,
    Column,
    Reasons,
    Table,
    Value,
    Words,
    give,
    span,
    start,
    word,
)
from scaling_callback.reporting.units import (
    MINUS,
    UNKNOWN,
    format_count,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
    name_cost,
)
from scaling_callback.snapshot import Snapshot

VALUES = (
    ("params", "Parameters N", format_count),
    ("tokens", "Tokens D", format_count),
    ("tokens_per_param", "Tokens per parameter", format_value),
    ("loss", "Loss", format_loss),
)
"""What a split says, each with its words and its form."""


def explain_absence(snapshot: Snapshot, name: str) -> str:
    """Why the snapshot holds no `forecast` or `allocation`; without a fit that is why there is no fit.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> explain_absence(refresh(planted_ladder(seed=1)), "allocation")
        'no target and no budget was given'
    """
    reason = snapshot.absent.get("fit") or snapshot.absent.get(name)
    return (reason or "no target and no budget was given").rstrip(".")


def describe_split(snapshot: Snapshot) -> tuple[Block, ...]:
    """The split of the budget with its valley, or why it is refused; and what other approaches say."""
    split = snapshot.allocation
    if split is None:
        return (Words(f"No split is given: {explain_absence(snapshot, 'allocation')}."),)
    head = f"For {format_flops(split.flops)} FLOPs ({name_cost(split.cost.source, split.cost.inference_tokens)})"
    values: dict[str, Value] = {
        "flops": split.flops,
        "identified": split.identified,
        "fixed": split.fixed,
        "cost": split.cost.source,
        "inference_tokens": split.cost.inference_tokens,
        "excess_loss": split.excess,
        "level": split.level,
    }
    blocks: list[Block]
    if split.identified:
        blocks = [Words(f"{head} {_say_optimum(split)}", values=values), _show_values(split)]
        blocks += [*_show_valleys(split), *_show_budgets(split)]
    else:
        blocks = [
            Words(f"{head} these runs do not say how to split it:", values=values),
            Reasons("reasons", tuple((name, f"{start(reason)}.") for name, reason in split.reasons.items())),
        ]
    if split.approaches:
        blocks += _show_approaches(split)
    if split.doubts:
        blocks.append(Reasons("doubts", tuple((name, f"{start(doubt)}.") for name, doubt in split.doubts.items())))
    return tuple(blocks)


def _say_optimum(split: Allocation) -> str:
    what = f"the other follows from the {split.fixed} that are given" if split.fixed else "the fitted law is lowest"
    place = f"{what} at {format_count(split.params)} parameters on {format_count(split.tokens)} tokens."
    if not split.fixed:
        return f"{place} The optimum is flat, so its place is far less certain than its loss."
    above = f" That loss is {format_percent(split.excess)} above the free optimum." if split.excess is not None else ""
    return place + above


def _show_values(split: Allocation) -> Table:
    rows: list[Mapping[str, Cell]] = [
        {
            "what": Cell(name, label),
            "value": give(getattr(split, name), form),
            "interval": span(split.intervals.get(name), form, none="none"),
        }
        for name, label, form in VALUES
    ]
    rows += [
        {
            "what": Cell(f"{name}_exponent", f"Exponent of C with which {'N' if name == 'params' else 'D'} grows"),
            "value": give(grown.exponent, _exponent),
            "interval": span((grown.lower, grown.upper), _exponent, none="none"),
        }
        for name, grown in split.growth.items()
    ]
    columns = (
        Column("what", "What follows" if split.fixed else "Compute-optimal"),
        Column("value", "Value", number=True),
        Column("interval", f"{format_level(split.level)} interval", number=True),
    )
    return Table("optimum", "Compute-optimal split", columns, tuple(rows))


def _show_valleys(split: Allocation) -> list[Block]:
    if not split.valleys:
        return []
    rows = tuple(
        {
            "excess": give(valley.excess, format_percent),
            "params": span(valley.params, format_count, none="none"),
            "tokens": span(valley.tokens, format_count, none="none"),
            "sure": span(valley.sure, format_count, none="none"),
        }
        for valley in split.valleys
    )
    columns = (
        Column("excess", "Loss higher by less than"),
        Column("params", "Parameters N", number=True),
        Column("tokens", "On tokens D", number=True),
        Column("sure", "Parameters, surely", number=True),
    )
    words = (
        "Where the loss is nearly as low, which is what can be chosen from: with fewer parameters there are more "
        "tokens. Surely means under nearly every replicate."
    )
    return [Words(words), Table("valleys", "Splits that are nearly as good", columns, rows)]


def _show_budgets(split: Allocation) -> list[Block]:
    if not split.budgets:
        return []
    rows = tuple(
        {
            "flops": give(other.flops, format_flops),
            "params": give(other.params, format_count) if other.identified else Cell(None, "not known"),
            "tokens": give(other.tokens, format_count),
            "tokens_per_param": give(other.tokens_per_param, format_value),
            "interval": span(other.intervals.get("tokens_per_param"), format_value),
            "loss": give(other.loss, format_loss),
            "reasons": Cell(list(other.reasons), ", ".join(other.reasons)),
        }
        for other in split.budgets
    )
    columns = (
        Column("flops", "FLOPs"),
        Column("params", "Parameters N", number=True),
        Column("reasons", under="params"),
        Column("tokens", "Tokens D", number=True),
        Column("tokens_per_param", "Tokens per parameter", number=True),
        Column("interval", f"{format_level(split.level)} interval", number=True),
        Column("loss", "Loss", number=True),
    )
    return [Words("For other budgets:"), Table("budgets", "Splits of other budgets", columns, rows)]


def _show_approaches(split: Allocation) -> list[Block]:
    columns = (
        Column("approach", "Approach"),
        Column("reason", under="approach"),
        Column("exponent", "N grows as C to the", number=True),
        Column("exponent_interval", "Interval", number=True),
        Column("tokens_per_param", "Tokens per parameter", number=True),
        Column("interval", "Interval", number=True),
        Column("bias", "Over the law's own", number=True),
    )
    words = (
        "Three approaches side by side: the envelope of the training curves, parabolas along lines of equal compute, "
        "and the fitted law. The last column is what an approach adds of its own: its tokens per parameter on "
        "noise-free losses of the fitted law at these very points, over those of that law."
    )
    notes = tuple(
        (name, f"{start(found.name)}: {note}.")
        for found in split.approaches
        for name, note in found.notes.items()
        if name != "bias"
    )
    table = Table("approaches", "Three approaches", columns, tuple(map(_show_approach, split.approaches)))
    return [Words(words), table, *([Reasons("notes", notes)] if notes else [])]


def _show_approach(found: Frontier) -> Mapping[str, Cell]:
    reason = ": ".join(found.reason) if found.reason else None
    return {
        "approach": Cell(found.name, start(found.name)),
        "reason": Cell(reason, found.reason[1] if found.reason else ""),
        "exponent": give(found.exponent, _exponent),
        "exponent_interval": span(found.intervals.get("exponent"), _exponent),
        "tokens_per_param": give(found.tokens_per_param, format_value),
        "interval": span(found.intervals.get("tokens_per_param"), format_value),
        "bias": give(found.bias, format_value),
    }


def describe_choices(snapshot: Snapshot) -> tuple[Block, ...]:
    """How the answers move under other choices; nothing where that was not asked for."""
    panel = snapshot.sensitivity
    if panel is None:
        return ()
    losses, ratios = (panel.spread(name, converged=True) for name in ("loss", "tokens_per_param"))
    loss = span((losses.lowest, losses.highest), format_loss).text
    ratio = span((ratios.lowest, ratios.highest), format_value).text
    rows = tuple(
        {
            "choice": Cell(row.choice, start(row.choice)),
            "points": Cell(row.points, str(row.points)),
            "loss": give(row.loss, format_loss),
            "loss_interval": span(row.intervals.get("loss"), format_loss),
            "tokens_per_param": give(row.tokens_per_param, format_value),
            "interval": span(row.intervals.get("tokens_per_param"), format_value),
            "search": word(row.verdict or row.status.replace("_", " ")),
        }
        for row in panel.rows
    )
    bounded = any(row.intervals for row in panel.rows)
    interval = f"{format_level(panel.level)} interval"
    columns = (
        Column("choice", "Choice"),
        Column("points", "Points", number=True),
        Column("loss", "Loss", number=True),
        *((Column("loss_interval", interval, number=True),) if bounded else ()),
        Column("tokens_per_param", "Tokens per parameter", number=True),
        *((Column("interval", interval, number=True),) if bounded else ()),
        Column("search", "Search"),
    )
    words = (
        "Each row changes one thing; published procedures fit the Chinchilla form, without a prior. Over certified "
        f"optima the loss runs from {loss}, the optimal tokens per parameter for {format_flops(panel.flops)} FLOPs "
        f"from {ratio}."
    )
    if bounded and not any(row.intervals for row in panel.rows if row.group == "procedure"):
        words += (
            " Procedures have no intervals here: fit --sensitivity --bootstrap N searches long enough to give them."
        )
    return Words(words, values={"flops": panel.flops}), Table("choices", "Answers under other choices", columns, rows)


def _exponent(value: float | None) -> str:
    return f"{value:.3f}".replace("-", MINUS) if value is not None else UNKNOWN
