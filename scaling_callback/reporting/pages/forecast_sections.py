"""What a report says of the forecast, of the law behind it, of earlier forecasts, and of the runs."""

from __future__ import annotations

from collections.abc import Mapping

from scaling_callback.forecasting import TrackRecord
from scaling_callback.reporting.pages.blocks import (
    Block,
    Cell,
    Column,
    Fact,
    Facts,
    Heading,
    Table,
    Value,
    Words,
    give,
    span,
    start,
    word,
)
from scaling_callback.reporting.pages.split_sections import explain_absence
from scaling_callback.reporting.tables import (
    BASELINES,
    HeldOut,
    RunRow,
    ScoreRow,
    list_held_out,
    list_parameters,
    list_runs,
    list_scores,
)
from scaling_callback.reporting.units import (
    format_count,
    format_flops,
    format_level,
    format_loss,
    format_percent,
    format_value,
)
from scaling_callback.snapshot import Snapshot

TALL = 60
"""Rows of a table beyond which a page shows a part of it and scrolls."""


def signed(share: float | None) -> str:
    """A difference as a percentage with its sign."""
    return format_percent(share, signed=True)


def describe_forecast(snapshot: Snapshot, measured: HeldOut | None, unit: str = "") -> tuple[Block, ...]:
    """The forecast in figures, in the loss's unit if that is known, and what stands beside it; nothing without one."""
    made = snapshot.forecast
    if made is None:
        return ()
    place = f"{format_count(made.params)} on {format_count(made.tokens)} tokens"
    ends = span((made.lower, made.upper), format_loss, none="none")
    level = format_level(made.level)
    meant = (
        f"in {level} of forecasts made like this one, the loss that is then measured lies inside"
        if ends.value
        else "no bootstrap was made"
    )
    facts = [
        Fact("loss", f"Forecast loss{f', {unit}' if unit else ''}", give(made.median, format_loss), place),
        Fact("interval", f"{level} interval", ends, meant),
    ]
    if measured is not None:
        inside = {None: "without an interval", True: "inside the interval", False: "outside the interval"}
        facts += [
            Fact("measured", "Measured", give(measured.measured, format_loss), "on a held-out run"),
            Fact("error", "Error", give(measured.error, signed), inside[measured.covered]),
        ]
    else:
        used, known = len(snapshot.evidence.used), len(snapshot.runs) + len(snapshot.set_aside)
        facts += [
            Fact("flops", "Compute", give(6 * made.params * made.tokens, format_flops), "FLOPs, 6ND"),
            Fact("runs", "Evidence", Cell(used, str(used)), f"runs of {known}"),
        ]
    values: dict[str, Value] = {
        "params": made.params,
        "tokens": made.tokens,
        "level": made.level,
        "forecaster": made.forecaster,
        "loss_unit": unit or None,
    }
    blocks: list[Block] = [Facts("target", tuple(facts), values)]
    if made.baselines:
        errors = measured.baseline_errors if measured else {}
        blocks.append(
            Table(
                "baselines",
                "Baselines",
                (
                    Column("baseline", "Beside it, the guesses that need no law"),
                    Column("loss", "Loss", number=True),
                    *((Column("error", "Error", number=True),) if measured else ()),
                ),
                tuple(
                    {
                        "baseline": Cell(name, start(BASELINES.get(name, name))),
                        "loss": give(loss, format_loss),
                        "error": give(errors.get(name), signed),
                    }
                    for name, loss in made.baselines.items()
                ),
            )
        )
    if made.parts:
        blocks.append(_show_parts(snapshot))
    held = list_held_out(snapshot)
    if len(held) > 1:
        blocks.append(
            Table(
                "held_out",
                "Held-out runs",
                (
                    Column("run", "Held-out run of the target's size and tokens", name=True),
                    Column("measured", "Measured", number=True),
                    Column("error", "Error", number=True),
                ),
                tuple(
                    {
                        "run": word(run.run),
                        "measured": give(run.measured, format_loss),
                        "error": give(run.error, signed),
                    }
                    for run in held
                ),
            )
        )
    return tuple(blocks)


def _show_parts(snapshot: Snapshot) -> Table:
    assert snapshot.forecast is not None
    rows: list[Mapping[str, Cell]] = []
    for name, part in snapshot.forecast.parts.items():
        past = snapshot.member_records.get(name)
        error = past.are if past else None
        rows.append(
            {
                "forecaster": word(name),
                "loss": give(part.median, format_loss),
                "weight": give(part.weight, format_percent),
                "are": give(error, format_percent),
            }
        )
    columns = (
        Column("forecaster", "The forecast combines", name=True),
        Column("loss", "Loss", number=True),
        Column("weight", "Weight", number=True),
        Column("are", "Missed by, on average", number=True),
    )
    return Table("combines", "What the forecast combines", columns, tuple(rows))


def describe_law(snapshot: Snapshot) -> tuple[Block, ...]:
    """The fitted law and its parameters."""
    fit = snapshot.fit
    if fit is None:
        return (Words(f"No law is fitted: {explain_absence(snapshot, 'forecast')}."),)
    level = format_level(snapshot.config.level)
    rows = tuple(
        {
            "parameter": word(row.name),
            "value": give(row.value, format_value),
            "interval": span((row.lower, row.upper), format_value, none="none"),
            "meaning": Cell(row.meaning, start(row.meaning)),
        }
        for row in list_parameters(snapshot)
    )
    columns = (
        Column("parameter", "Parameter"),
        Column("value", "Value", number=True),
        Column("interval", f"{level} interval", number=True),
        Column("meaning", "Meaning"),
    )
    made = snapshot.forecast
    beside = (
        " It splits budgets and is drawn in the figures; the forecast of the loss combines laws that use the "
        "checkpoints as well, and may lie off its line."
        if made is not None and made.parts
        else ""
    )
    return (
        Words(fit.law.equation, "equation"),
        Table("parameters", "Fitted parameters", columns, rows),
        Words(
            f"Fitted to {len(fit.points)} points of {fit.points.n_independent} independent runs, each off by about "
            f"{format_percent(fit.noise)} by chance. {start(fit.status.value)}.{beside}",
            "small",
            {"law": fit.law.name, "status": fit.status.name.lower(), "objective": fit.objective, "noise": fit.noise},
        ),
    )


def describe_record(snapshot: Snapshot) -> tuple[Block, ...]:
    """What earlier forecasts of this ladder missed by."""
    blocks: list[Block] = []
    recomputed = list_scores(snapshot, snapshot.record)
    live = list_scores(snapshot, snapshot.live_record)
    if recomputed:
        blocks += _show_record(
            "recomputed",
            "Recomputed: after 3, 4, 6, 8, 12, ... runs, of each later run",
            snapshot,
            snapshot.record,
            recomputed,
        )
    if live:
        blocks += _show_record("live", "Live: issued while training", snapshot, snapshot.live_record, live)
    if not recomputed:
        why = snapshot.absent.get("track_record", "no forecast could be made from the runs before")
        blocks.append(Words(f"There is no record yet: {why}."))
    return tuple(blocks)


def _show_record(
    key: str, title: str, snapshot: Snapshot, record: TrackRecord, scores: tuple[ScoreRow, ...]
) -> tuple[Block, ...]:
    level, count = format_level(snapshot.config.level), len(record.scores)
    share = "" if record.coverage is None else format_level(record.coverage)
    held = f" {share} of the {level} intervals held the measured loss." if share else ""
    words = (
        f"{count} forecast{'s' if count > 1 else ''}, off by {format_percent(record.are)} on average (bias "
        f"{signed(record.bias)}).{held}"
    )
    inside = {
        None: Cell(None, ""),
        True: Cell(value=True, text="yes"),
        False: Cell(value=False, text="no", mark="asked"),
    }
    rows = tuple(
        {
            "run": word(row.run),
            "params": give(row.params, format_count),
            "tokens": give(row.tokens, format_count),
            "median": give(row.median, format_loss),
            "interval": span((row.lower, row.upper), format_loss, none="none"),
            "measured": give(row.measured, format_loss),
            "error": give(row.error, signed),
            "covered": inside[row.covered],
        }
        for row in scores
    )
    columns = (
        Column("run", "Run", name=True),
        Column("params", "N", number=True),
        Column("tokens", "D", number=True),
        Column("median", "Forecast", number=True),
        Column("interval", "Interval", number=True),
        Column("measured", "Measured", number=True),
        Column("error", "Error", number=True),
        Column("covered", "Inside"),
    )
    missed = {"forecasts": count, "are": record.are, "bias": record.bias, "coverage": record.coverage}
    return (
        Heading(title),
        Words(words, values={f"{key}_record": missed}),
        Table(key, title, columns, rows, tall=len(rows) > TALL),
    )


def describe_runs(snapshot: Snapshot) -> tuple[Block, ...]:
    """Every run: what was seen of it, and what became of it."""
    rows = tuple(_show_run(row) for row in list_runs(snapshot))
    if not rows:
        return (Words("There are none."),)
    columns = (
        Column("run", "Run", name=True),
        Column("note", under="run", name=True),
        Column("params", "N", number=True),
        Column("horizon", "D planned", number=True),
        Column("seen", "Seen", number=True),
        Column("last_loss", "Last loss", number=True),
        Column("final_loss", "Final loss", number=True),
        Column("fitted_loss", "Law says", number=True),
        Column("residual", "Residual", number=True),
        Column("forecast", "Forecast final", number=True),
        Column("interval", under="forecast", number=True),
        Column("phase", "Phase"),
        Column("role", "In the fit"),
        Column("why", under="role", name=True),
        Column("stopping", under="role", name=True),
    )
    return (Table("runs", "Runs", columns, rows, tall=len(rows) > TALL),)


def _show_run(row: RunRow) -> Mapping[str, Cell]:
    seen = format_level(row.progress) if row.progress is not None else format_count(row.tokens)
    return {
        "run": word(row.name),
        "note": Cell(row.note, row.note or ""),
        "params": give(row.params, format_count),
        "horizon": give(row.horizon, format_count),
        "seen": Cell(row.progress, seen),
        "last_loss": give(row.last_loss, format_loss),
        "final_loss": give(row.final_loss, format_loss),
        "fitted_loss": give(row.fitted_loss, format_loss),
        "residual": give(row.residual, signed),
        "forecast": give(row.forecast, format_loss),
        "interval": span((row.lower, row.upper), format_loss, none=""),
        "phase": word(row.phase),
        "role": word(row.role, row.role.split()[0]),
        "why": Cell(row.why, row.why if row.role != "used" else ""),
        # what was left out for its stop says so already
        "stopping": Cell(row.stopping or None, "" if row.stopping in row.why else row.stopping),
    }
