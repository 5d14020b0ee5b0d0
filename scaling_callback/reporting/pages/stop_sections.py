"""What a report says of runs that stopping rules called for the end of."""

from __future__ import annotations

from collections.abc import Mapping

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
    True: Cell("false", "false stop", "asked"),
    False: Cell("right", "right", "used"),
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
    Column("outcome", "A stop was"),
)


def describe_stops(snapshot: Snapshot) -> tuple[Block, ...]:
    """The runs that rules called for the end of, and whether that was right; nothing where there were no calls."""
    runs = {run.name: run for run in (*snapshot.runs, *snapshot.set_aside)}
    made = score_calls(tuple(runs.values()))
    if not made.calls:
        return ()
    watched = [call for call in made.calls if runs[call.run].stopped is None]
    ended = made.stopped - len(watched)
    blocks: list[Block] = []
    if ended:
        blocks.append(Words(_say_ended(made, runs), values={"stopped": ended}))
    if watched:
        blocks.append(Words(say_score(made, len(watched)), values={"score": _describe_score(made, len(watched))}))
    rows = tuple(_show_call(snapshot, runs[call.run], call) for call in made.calls)
    return (*blocks, Table("calls", "Calls of stopping rules", COLUMNS, rows, tall=len(rows) > TALL))


def say_score(made: StopAudit, watched: int) -> str:
    """Whether trust in rules that only watch is earned so far.

    Args:
        made: The scored calls.
        watched: How many of them were not acted on.
    """
    calls = f"{number(watched, 'run')} went on though a rule called for {'its' if watched == 1 else 'their'} end"
    if not made.scored:
        return f"{calls}; whether that would have been right is not known before they and another of their group end."
    if made.scored < watched:
        calls += f"; {made.scored} of these calls can be judged"
    bound = (
        f"so far no more than {format_level(bound_rate(made.false_stops, made.scored))} of such calls need be feared "
        f"to be false ({format_level(CONFIDENCE)} confidence)"
    )
    regret = "" if made.regret is None else f", at a regret of {format_percent(made.regret)}"
    saved = f"acting on them would have saved {format_percent(made.compute_saved)} of the compute{regret}"
    return f"{calls}, {say_false(made.false_stops)}: {bound}; {saved}."


def bound_rate(false: int, scored: int) -> float:
    """The rate below which false stops lie, with `CONFIDENCE`, after so many of so many (Clopper and Pearson 1934).

    Example:
        >>> round(bound_rate(0, 22), 3), round(bound_rate(1, 22), 3), bound_rate(3, 3)
        (0.099, 0.166, 1.0)
    """
    from scipy.special import betaincinv  # importing the package must not wait for it

    return 1.0 if false == scored else float(betaincinv(false + 1, scored - false, CONFIDENCE))


def _say_ended(made: StopAudit, runs: Mapping[str, Run]) -> str:
    ended = [stopped for run in runs.values() if (stopped := run.stopped) is not None]
    saved = sum(call.saved_flops or 0.0 for call in ended)
    whole = sum(group.flops for group in made.groups) + saved
    share = format_percent(saved / whole) if whole else ""
    return f"{number(len(ended), 'run')} ended early, which saved {format_flops(saved)} FLOPs, {share} of what was planned."


def _describe_score(made: StopAudit, watched: int) -> Mapping[str, float | str | None]:
    return {
        "called": watched,
        "scored": made.scored,
        "false_stops": made.false_stops,
        "false_stops_at_most": bound_rate(made.false_stops, made.scored) if made.scored else None,
        "compute_saved": made.compute_saved,
        "regret": made.regret,
    }


def _show_call(snapshot: Snapshot, run: Run, scored: ScoredCall) -> Mapping[str, Cell]:
    stopped = run.stopped
    call = stopped or scored.call
    final = give(scored.final, format_loss)
    guess = snapshot.finals.get(run.name)
    if scored.final is None and guess is not None and not isinstance(guess, Abstention):
        final = Cell(guess.median, f"{format_loss(guess.median)} (forecast)")
    return {
        "run": word(run.name),
        "reason": word(call.reason),
        "rule": word(call.rule),
        "progress": give(None if run.horizon is None else call.tokens / run.horizon, format_percent),
        "saved_flops": give(call.saved_flops, format_flops),
        "final": final,
        "best_kept": give(scored.best_kept, format_loss),
        "outcome": Cell("made", "made", "guessed") if stopped is not None else ENDS[scored.false],
    }
