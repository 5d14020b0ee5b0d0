"""The rows of a ladder: beside the published values, with their intervals, and the failures of procedures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from page import table

from choices.measuring import Measured, error_of, read_values
from choices.published import PUBLISHED, WITHIN, Published, differs
from choices.showing import show, show_exact, with_interval
from choices.starts import tell_ends
from scaling_callback.reporting.units import format_count, format_loss, format_percent, number
from scaling_callback.sensitivity import Row

MET, CHOSEN, DIFFERS, MISSING = "met", "met by choice", "**differs**", "not made"

SYMBOLS = {"E": "E", "alpha": "alpha", "beta": "beta", "tokens_per_param": "D/N"}


def find_row(measured: Measured, choice: str) -> Row | None:
    """The row of a choice on the whole ladder; `None` where it could not be made."""
    return next((row for row in measured.panel.rows if row.choice == choice), None)


def judge_rows(measured: Measured) -> list[tuple[Published, Row | None, tuple[str, ...]]]:
    """Each published row with the row here, and which of its values are not met."""
    judged: list[tuple[Published, Row | None, tuple[str, ...]]] = []
    for published in PUBLISHED.get(measured.ladder.table, ()):
        row = find_row(measured, published.choice)
        judged.append((published, row, () if row is None else differs(published, read_values(row))))
    return judged


def name_verdict(published: Published, row: Row | None, wrong: Sequence[str]) -> str:
    """The verdict on a published row."""
    return MISSING if row is None else DIFFERS if wrong else CHOSEN if published.chosen else MET


def table_published(measured: Measured) -> str:
    """The published rows, each beside what was found here, with its verdict."""
    rows: list[list[str]] = []
    for published, row, wrong in judge_rows(measured):
        found = {} if row is None else read_values(row)
        cells = [f"{published.words}<br>*{published.choice}*"]
        for name in WITHIN:
            value = found.get(name)
            here = show(value) if name == "tokens_per_param" else show_exact(value)
            cells += [published.values.get(name, "–"), f"**{here}**" if name in wrong else here]
        verdict = name_verdict(published, row, wrong)
        if wrong:
            verdict += f": {', '.join(SYMBOLS[name] for name in wrong)}"
        cells.append(verdict if published.counted else f"{verdict}; explains the row above, and is not counted")
        rows.append(cells)
    head = ["published row<br>*choice here*"]
    for symbol in SYMBOLS.values():
        head += [f"{symbol} published", "here"]
    return table([*head, "verdict"], rows, tail=1)


def list_differing(measured: Measured) -> str:
    """Why each row that is not met differs, as far as the points can tell."""
    lines: list[str] = []
    for place, (published, row, wrong) in enumerate(judge_rows(measured)):
        if row is None:
            reason = measured.panel.skipped.get(published.choice, "the ladder does not carry it")
            lines.append(f"- *{published.words}* was not made: {reason}.")
        elif wrong:
            said = [
                f"{SYMBOLS[name]} is {show(read_values(row).get(name))}, not {published.values[name]}" for name in wrong
            ]
            reason = measured.beside.reasons.get(place, "")
            ends = tell_ends(measured, published) if row.group == "procedure" else ""
            own = f"It {row.verdict}" if row.verdict else _tell_diagnostics(row)
            sentences = [f"{', '.join(said)}", reason[:1].upper() + reason[1:], own, ends]
            lines.append(
                f"- *{published.words}* ({published.choice}): {'. '.join(part for part in sentences if part)}."
            )
    return "\n".join(lines)


def _tell_diagnostics(row: Row) -> str:
    return f"Of these points the fit says: {'; '.join(row.diagnostics.values())}" if row.diagnostics else ""


def table_intervals(measured: Measured) -> str:
    """Every choice that is a certified optimum, with intervals, forecast and diagnostics."""
    rows = [_list_cells(row, measured) for row in list_rows(measured) if row.group != "procedure"]
    found = measured.beside.isoflop
    ratio = with_interval(show(found.tokens_per_param), found.intervals.get("tokens_per_param"))
    names = [found.reason[0]] if found.reason else [*found.notes]
    rows.append(["IsoFLOP, below", f"{found.points}", *["–"] * 3, ratio, *["–"] * 2, ", ".join(names)])
    return table(("choice", "points", "E", "alpha", "beta", "D/N", "forecast", "error", "diagnostics"), rows, tail=1)


def list_rows(measured: Measured) -> list[Row]:
    """The rows of the panel, and that with C counted as it was measured."""
    rows = [*measured.panel.rows]
    if measured.beside.measured is not None:
        rows.append(measured.beside.measured)
    return rows


def _list_cells(row: Row, measured: Measured) -> list[str]:
    ahead = find_ahead(measured, row.choice)
    ends = row.intervals
    cells = [row.choice, f"{row.points}"]
    cells += [
        with_interval(show_exact(row.params.get(name)), ends.get(name), 3, row.params.get(name))
        for name in ("E", "alpha", "beta")
    ]
    cells.append(with_interval(show(row.tokens_per_param), ends.get("tokens_per_param"), value=row.tokens_per_param))
    if ahead is None:
        cells += ["–", "–"]
    else:
        cells.append(with_interval(format_loss(ahead.loss), ahead.intervals.get("loss"), 3, ahead.loss))
        cells.append(format_percent(error_of(ahead, measured.task), signed=True))
    names = [*row.diagnostics, *["not_converged"] * (row.status == "not_converged")]
    return [*cells, ", ".join(names)]


def find_ahead(measured: Measured, choice: str) -> Row | None:
    """The row of a choice on all sizes but the largest."""
    return next((row for row in measured.ahead.rows if row.choice == choice), None)


def table_procedures(measured: Measured) -> str:
    """The published procedures: where they stop, what the optimiser says, and whether their interval is right."""
    optimum = measured.panel.rows[0].tokens_per_param
    rows: list[list[str]] = []
    for row in measured.panel.rows:
        if row.group != "procedure":
            continue
        cells = _list_cells(row, measured)
        success = "success" if row.success else "no success"
        ahead = find_ahead(measured, row.choice)
        holds = (
            "–" if "tokens_per_param" not in row.intervals else "no" if "misses_optimum" in row.diagnostics else "yes"
        )
        over = show_exact(row.over_optimum)
        rows.append(
            [
                cells[0],
                row.status,
                over,
                success,
                *cells[2:6],
                holds,
                cells[6],
                cells[7],
                "–" if ahead is None else ahead.status,
                ", ".join(row.diagnostics),
            ]
        )
    return table(
        (
            "procedure",
            "status",
            "objective / optimum",
            "optimiser says",
            "E",
            "alpha",
            "beta",
            "D/N",
            f"interval holds {show(optimum)}",
            "forecast",
            "error",
            "status of the forecast's fit",
            "diagnostics",
        ),
        rows,
        text=2,
        tail=2,
    )


def explain_diagnostics(measured: Sequence[Measured]) -> str:
    """What the names in the tables mean, each in the library's own words of the first row that has it."""
    said: dict[str, str] = {}
    for each in measured:
        for row in list_rows(each):
            for name, sentence in row.diagnostics.items():
                said.setdefault(name, f"- `{name}`, as of *{row.choice}* on the {each.ladder.name}: {sentence}.")
    return "\n".join(said.values())


def tell_isoflop(measured: Measured) -> str:
    """What IsoFLOP profiles of the same finals say; they know no law, and so no E, alpha, beta or forecast."""
    found = measured.beside.isoflop
    if found.reason is not None or found.tokens_per_param is None or found.exponent is None:
        sentence = found.reason[1] if found.reason else "there is no frontier"
        return f"**IsoFLOP** ({found.source}): no D/N. {sentence[:1].upper() + sentence[1:]}."
    ends = found.intervals
    ratio, exponent = ends.get("tokens_per_param"), ends.get("exponent")
    optima = [flops for flops, _ in found.optima]
    return (
        f"**IsoFLOP** ({found.source}; {found.points} losses, {number(found.budgets, 'budget')} with a minimum inside "
        f"the sizes, the largest {max(optima):.2g} FLOPs): D/N {show(found.tokens_per_param)}{_range(ratio)} at the "
        f"budget, and N* grows as C to the {show_exact(found.exponent)}{_range(exponent)}. It assumes no law, so it "
        "has neither E, alpha, beta nor a forecast of the loss. The study's IsoFLOP, by Akima interpolation with a "
        "bootstrap of noise, was not run again: this is the library's own. "
        + " ".join(f"{note[:1].upper() + note[1:]}." for note in found.notes.values())
    )


def _range(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" ({show(ends[0])} to {show(ends[1])})"


def tell_task(measured: Measured) -> str:
    """What is forecast, and what was measured of it."""
    target, task = measured.task.target, measured.task
    return (
        f"*Forecast* is the loss of the largest model ({format_count(target.params)} parameters, "
        f"{format_count(target.tokens)} tokens) from the runs of all smaller sizes; measured was "
        f"{format_loss(task.measured)}. Its compute is {show(task.reach)} times that of the largest run that is fitted."
    )


def count_met(measured: Mapping[str, Measured]) -> Counter[str]:
    """How many published rows have which verdict."""
    judged = [each for ladder in measured.values() for each in judge_rows(ladder) if each[0].counted]
    return Counter(name_verdict(published, row, wrong) for published, row, wrong in judged)
