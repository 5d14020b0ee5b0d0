"""What a report says of runs that stopping rules called for the end of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaling_callback.curves import Abstention
from scaling_callback.records import Run
from scaling_callback.replaying import ScoredCall, StopAudit, score_calls
from scaling_callback.reporting.pages.blocks import Block, Cell, Column, Table, Words, give, word
from scaling_callback.reporting.pages.forecast_sections import TALL
from scaling_callback.reporting.units import format_flops, format_level, format_loss, format_percent, number
from scaling_callback.reporting.words.stops import say_false
from scaling_callback.snapshot import Snapshot

CONFIDENCE = 0.9
"""Of the bound on the rate of false stops."""

ENDS = {
    None: Cell(None, "not known yet"),
    True: Cell("false", "falsely called", "asked"),
    False: Cell("right", "rightly called", "used"),
}
"""What came of a call that was not acted on, by whether a stop would have been false."""

COLUMNS = (
    Column("run", "Run", name=True),
    Column("reason", under="run", name=True),
    Column("rule", "Rule", name=True),
    Column("progress", "After", number=True),
    Column("saved_flops", "Saves FLOPs", number=True),
    Column("final", "Final loss", number=True),
    Column("best_kept", "Best kept", number=True),
    Column("outcome", "What came of it"),
    Column("forecast", under="outcome"),
)


def describe_stops(snapshot: Snapshot) -> tuple[Block, ...]:
    """The runs that rules called for the end of, and whether that was right; nothing where there were no calls."""
    runs = {run.name: run for run in (*snapshot.runs, *snapshot.set_aside)}
    made = score_calls(tuple(runs.values()))
    if not made.calls:
        return ()
    watched = [call for call in made.calls if runs[call.run].stopped is None]
    blocks: list[Block] = []
    if len(watched) < made.stopped:
        blocks.append(_say_ended(made, [run for run in runs.values() if run.stopped is not None]))
    if watched:
        blocks.append(_say_score(made, watched))
    rows = tuple(_show_call(snapshot, runs[call.run], call) for call in made.calls)
    return (*blocks, Table("calls", "Calls of stopping rules", COLUMNS, rows, tall=len(rows) > TALL))


def _say_ended(made: StopAudit, ended: Sequence[Run]) -> Words:
    """What rules that acted saved."""
    saved = math.fsum(run.stopped.saved_flops or 0.0 for run in ended if run.stopped is not None)
    whole = math.fsum(group.flops for group in made.groups) + saved
    share = saved / whole if whole else 0.0
    words = f"{number(len(ended), 'run')} ended early, which saved {format_percent(share)} of the compute."
    return Words(words, values={"ended": {"runs": len(ended), "saved_flops": saved, "compute_saved": share}})


def _say_score(made: StopAudit, watched: Sequence[ScoredCall]) -> Words:
    """Whether trust in rules that only watch is earned so far."""
    scored, false = (sum(call.false in kinds for call in watched) for kinds in ((False, True), (True,)))
    bound = bound_rate(false, scored) if scored else None
    values: dict[str, float | str | None] = {
        "called": len(watched),
        "scored": scored,
        "false_stops": false,
        "false_stops_at_most": bound,
        "compute_saved": made.compute_saved,
        "regret": made.regret,
    }
    words = (
        f"{number(len(watched), 'run')} went on though a rule called for {'its' if len(watched) == 1 else 'their'} end"
    )
    if bound is None:
        words += "; whether that call was right is known once the run and another of its size and horizon have ended."
        return Words(words, values={"score": values})
    regret = "" if made.regret is None else f" at a regret of {format_percent(made.regret)}"
    if made.emptied:
        regret += f", and kept no finished run of {number(len(made.emptied), 'group')}"
    words += (
        f". Of these calls {scored} can be judged, of which {say_false(false)}. Acting on them would have saved "
        f"{format_percent(made.compute_saved)} of the compute{regret}. So many calls bound the rate of false ones at "
        f"{format_level(bound)} ({format_level(CONFIDENCE)} confidence)."
    )
    return Words(words, values={"score": values})


def bound_rate(false: int, scored: int) -> float:
    """The rate below which false stops lie, with `CONFIDENCE`, after so many of so many (Clopper and Pearson 1934).

    Example:
        >>> round(bound_rate(0, 22), 3), round(bound_rate(1, 22), 3), bound_rate(3, 3)
        (0.099, 0.166, 1.0)
    """
    from scipy.special import betaincinv  # importing the package must not wait for it

    return 1.0 if false == scored else float(betaincinv(false + 1, scored - false, CONFIDENCE))


def _show_call(snapshot: Snapshot, run: Run, scored: ScoredCall) -> Mapping[str, Cell]:
    stopped = run.stopped
    call = stopped or scored.call
    guess = snapshot.finals.get(run.name)
    forecast = None if guess is None or isinstance(guess, Abstention) else guess.median
    return {
        "run": word(run.name),
        "reason": word(call.reason),
        "rule": word(call.rule),
        "progress": give(None if run.horizon is None else call.tokens / run.horizon, format_percent),
        "saved_flops": give(call.saved_flops, format_flops),
        "final": give(scored.final, format_loss),
        "forecast": Cell(forecast, "" if forecast is None else f"forecast to end at {format_loss(forecast)}"),
        "best_kept": give(scored.best_kept, format_loss),
        "outcome": Cell("stopped", "stopped", "guessed") if stopped is not None else ENDS[scored.false],
    }
