"""Stopping a ladder whose target is known well enough: what `Converged` saves, and whether the forecast then stays.

Each ladder is replayed with the rule in force (`replaying.audit_stops`): runs begin by increasing planned compute,
every one is looked at after `LOOKS` of its horizon, and those that the rule ends stay as they were. Beside it the
ladder runs on unstopped, and what it forecasts at every later look, and at the end of every later run, is compared with
the interval at the first stop. It is met where

- no later forecast lies farther from the one at the stop than the width of the interval there, and
- the stops save at least a fifth of the ladder's compute.

Counted beside: whether later forecasts left that interval at all (a false stop, in the rule's own words), whether it
holds what was then measured, and what the ladder forecasts at its end as it was stopped.

    python benchmarks/stopping_converged.py [--data ../shared/data] [--ladder olmo ...] [--width 0.05] [--targets 1]

Some four CPU minutes for olmo, as much for each other target.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ladders import LADDERS, SHARED, Ladder, read_ladder
from pages import clock, met, table

from scaling_callback import refresh
from scaling_callback.forecasting import Forecast
from scaling_callback.records import Run, StopCall, Target
from scaling_callback.replaying import Goal, audit_stops, sort_runs
from scaling_callback.snapshot import Config
from scaling_callback.stopping import Converged

DEFAULT = Converged()

LOOKS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8)
"""Shares of its horizon after which a run is looked at."""

SAVED = 0.2
"""Share of the ladder's compute that its stops must save."""

TARGETS = 1
"""Most targets of a ladder but the first, of whose targets all are: the middle ones by compute."""

SHOWN = LADDERS[:2]
"""Ladders that are walked for docs/accuracy.md; each further one takes minutes."""

LONGEST = 20
"""Characters of a name that is shown; the place of the target is, where its run is called something longer."""


@dataclass(frozen=True)
class Stop:
    """A ladder that the rule ended runs of.

    Attributes:
        at: Share of the ladder's compute after which it first did.
        saved: Share of the ladder's compute that all stops save.
        runs: How many runs it ended.
        call: What it said then.
        later: Forecast losses of the unstopped ladder at every later moment.
        end: What the ladder as it was stopped forecasts at its end.
    """

    at: float
    saved: float
    runs: int
    call: StopCall
    later: tuple[float, ...]
    end: Forecast

    @property
    def width(self) -> float:
        """Width of the interval, in units of the loss."""
        return self.call.evidence["upper"] - self.call.evidence["lower"]

    @property
    def moved(self) -> float:
        """How far the forecast moved afterwards, at most."""
        return max((abs(loss - self.call.evidence["median"]) for loss in self.later), default=0.0)

    @property
    def left(self) -> bool:
        """Whether it left the interval."""
        return not all(map(self.holds, self.later))

    @property
    def kept(self) -> bool:
        """Whether it moved by less than the width, and enough was saved."""
        return self.moved < self.width and self.saved >= SAVED

    def holds(self, loss: float) -> bool:
        """Whether the interval holds that loss."""
        return self.call.evidence["lower"] <= loss <= self.call.evidence["upper"]


def stop_ladder(runs: Sequence[Run], goal: Goal, rule: Converged) -> Stop | None:
    """What the rule makes of a ladder with that target; `None` where it ends no run."""
    config = Config(target=Target(params=goal.params, tokens=goal.tokens), splits=False)
    made = audit_stops(runs, [rule], config, looks=LOOKS)
    if not made.calls:
        return None
    ordered = sort_runs(runs)
    calls = {scored.run: scored.call for scored in made.calls}
    at = next(run.name for run in ordered if run.name in calls)
    stopped = [run.until(calls[run.name].tokens) if run.name in calls else run for run in ordered]
    end = refresh(stopped, (), replace(config, past=False)).forecast
    assert end is not None
    compute = np.array([run.planned_flops for run in ordered], dtype=float)
    place = [run.name for run in ordered].index(at)
    spent = compute[:place].sum() + calls[at].tokens * ordered[place].flops_per_token
    later = tuple(forecast_later(ordered, place, calls[at].tokens, replace(config, past=False)))
    return Stop(spent / compute.sum(), made.compute_saved, made.stopped, calls[at], later, end)


def forecast_later(ordered: Sequence[Run], place: int, tokens: float, config: Config) -> Iterator[float]:
    """The forecasts of a ladder that runs on from that run after so many tokens: at every look, and as runs end."""
    for index in range(place, len(ordered)):
        run, before = ordered[index], -1.0
        for share in (*LOOKS, 1.0):
            seen = run if share == 1.0 else run.until(share * (run.horizon or 0.0) * (1 + 1e-9))
            last = float(seen.curve.tokens[-1]) if len(seen.curve) else 0.0
            if last <= before or (index == place and last <= tokens):
                continue
            before = last
            made = refresh([*ordered[:index], seen], (), config).forecast
            if made is not None:
                yield made.median


def choose_goals(ladder: Ladder, goals: Sequence[Goal], most: int) -> list[Goal]:
    """All targets of the first ladder, and some of the others, by increasing compute."""
    ordered = sorted(goals, key=lambda goal: goal.params * goal.tokens)
    if ladder is LADDERS[0] or len(ordered) <= most:
        return ordered
    return [ordered[int((place + 0.5) / most * len(ordered))] for place in range(most)]


def describe(ladder: Ladder, goal: Goal, made: Stop | None, seconds: float) -> tuple[str, ...]:
    """One row of the table."""
    name = (
        goal.run if goal.run is not None and len(goal.run) <= LONGEST else f"N {goal.params:.3g}, D {goal.tokens:.3g}"
    )
    if made is None:
        return (ladder.name, name, "no stop", "", "", "", "", "", f"{goal.loss:.3f}", "", f"{seconds:.0f}")
    said = made.call.evidence
    later = f"{min(made.later):.3f} to {max(made.later):.3f}" + (" (left)" if made.left else "")
    return (
        ladder.name,
        name,
        f"{made.at:.0%}",
        str(made.runs),
        f"{made.saved:.0%}",
        f"{said['median']:.3f} ({said['lower']:.3f} to {said['upper']:.3f})",
        later if made.later else "",
        f"{made.end.median:.3f} ({made.end.lower:.3f} to {made.end.upper:.3f})",
        f"{goal.loss:.3f}" + ("" if made.holds(goal.loss) else " (not held)"),
        met(made.kept),
        f"{seconds:.0f}",
    )


HEAD = (
    "ladder",
    "target",
    "first stop at",
    "runs stopped",
    "saved",
    "forecast there",
    "later forecasts",
    "at its end, as stopped",
    "measured",
    "moves less than the width, and a fifth saved",
    "CPU s",
)


WORDS = f"""\
Each ladder is walked with `Converged` in force: runs begin by increasing planned compute, each is looked at after
{", ".join(map(str, LOOKS))} of its horizon, and those that the rule ends stay as they were. Beside it the ladder
runs on unstopped. The forecast must not move afterwards by more than the width of the interval at
the first stop, and the stops must save a fifth of the compute. *Left* says that a later forecast lies outside of that
interval, *not held* that what was then measured does. Of the first ladder all targets are asked, of others {TARGETS}.
For cost only {len(SHOWN)} of {len(LADDERS)} ladders stand here; `benchmarks/stopping_converged.py` walks all."""


def show_converged(
    data: Path, ladders: Sequence[Ladder] = SHOWN, rule: Converged = DEFAULT, most: int = TARGETS
) -> str:
    """The table of stopped ladders, and what it says of the rule."""
    rows: list[tuple[str, ...]] = []
    found: list[Stop] = []
    asked = 0
    for ladder in ladders:
        runs, goals = read_ladder(data, ladder)
        usual = [run for run in runs if run.final is not None and run.planned_flops is not None]
        for goal in choose_goals(ladder, goals, most):
            made, seconds = clock(lambda usual=usual, goal=goal: stop_ladder(usual, goal, rule))
            rows.append(describe(ladder, goal, made, seconds))
            found += [] if made is None else [made]
            asked += 1
    words = [WORDS] if ladders is SHOWN else []
    return "\n\n".join([*words, table(HEAD, rows), summarise(rule, found, asked)])


def summarise(rule: Converged, found: Sequence[Stop], asked: int) -> str:
    """How often the forecast left the interval afterwards, in words."""
    if not found:
        return f"Of {asked} targets the rule ended runs for none."
    left = sum(stop.left for stop in found)
    beyond = sum(stop.moved >= stop.width for stop in found)
    return (
        f"With a width of {rule.width:.0%} the rule ended runs for {len(found)} of {asked} targets. Afterwards the "
        f"forecast left its interval for {left} of these ({left / len(found):.0%}: the false stops), and moved by more "
        f"than its width for {beyond}. Targets of one ladder share its runs: they are no independent trials."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of measured ladders")
    names = [ladder.name for ladder in LADDERS]
    parser.add_argument("--ladder", nargs="*", choices=names, default=names, help="these alone")
    parser.add_argument("--width", type=float, default=Converged.width, help="what is asked (default: %(default)s)")
    parser.add_argument("--targets", type=int, default=TARGETS, help="most targets of a ladder but the first")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"stopping: no measured ladders at {options.data}, so nothing is scored; name their folder with --data")
        return
    chosen = [ladder for ladder in LADDERS if ladder.name in options.ladder]
    print(show_converged(options.data, chosen, Converged(width=options.width), options.targets), flush=True)


if __name__ == "__main__":
    main()
