"""Stopping: what `dominated` saves on measured sweeps, beside Optuna's pruners and Lightning's EarlyStopping.

Each sweep is walked by every method with every setting that is tried, `peers.list_peers`, and by the rule through
`audit_stops`. A method is within limits where its regret is at most 0.2% and at most 2% of its stops are false.

    python benchmarks/stopping_peers.py [--data ../shared/data] [--sweep NAME]

Three CPU minutes, and what the rule takes; run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import numpy as np
import optuna
from ladders import SHARED
from pages import clock, met, percent, table
from peers import ORDERS, Peer, lay_tracks, list_peers, walk_sweep
from sweeps import SWEEPS, Figures, Group, average, keep_best, read_groups, score

from scaling_callback.records import Run, compete
from scaling_callback.replaying import audit_stops
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping import AnyRule, Verdict, make_rule

RULE = "dominated"

SETTINGS: tuple[Mapping[str, str], ...] = ({}, *({"probability": share} for share in ("0.9", "0.99")))
"""Settings of the rule that are shown, the defaults (0.95) first."""

HEAD = ("stopped by", "saved, %", "by group, %", "regret, %", "false stops", "of the stopped", "of the runs", "CPU s")


@dataclass(frozen=True)
class Sweep:
    """A sweep, and what came of it by each way to stop runs.

    Attributes:
        name: Of its table.
        groups: Its runs.
        ours: By the settings of the rule in words: figures and CPU seconds.
        peers: Of the others.
    """

    name: str
    groups: list[Group]
    ours: dict[str, tuple[Figures, float]]
    peers: dict[Peer, Figures]

    def best(self, figure: str, peers: Sequence[Peer]) -> Peer:
        """Of these peers the one within limits whose figure is largest."""
        within = [peer for peer in peers if self.peers[peer].within]
        return max(within, key=lambda peer: getattr(self.peers[peer], figure))


def measure(data: Path, name: str) -> Sweep:
    """Walk a sweep in every way."""
    groups = read_groups(data, name)
    tracks = lay_tracks(groups)
    ours = {_name(settings): clock(lambda settings=settings: measure_rule(groups, settings)) for settings in SETTINGS}
    ours[f"{_name({})}, earlier groups as it left them"] = clock(lambda: measure_rule(groups, {}, acting=True))
    made, seconds = clock(lambda: measure_in_turn(groups))
    ours[f"{_name({})} in turn"] = made, seconds / ORDERS
    return Sweep(name, groups, ours, {peer: score(groups, walk_sweep(tracks, peer)) for peer in list_peers()})


def measure_rule(groups: Sequence[Group], settings: Mapping[str, str], *, acting: bool = False) -> Figures:
    """What comes of the rule where the runs of a group advance together."""
    runs = [run for group in groups for run in group]
    return average(groups, [audit_stops(runs, [make_rule(RULE, settings)], acting=acting)])


def measure_in_turn(groups: Sequence[Group], orders: int = ORDERS) -> Figures:
    """What comes of it where they train one after another, in each of the orders in which others take them."""
    tracks = lay_tracks([tuple(map(_stop_clock, group)) for group in groups])
    arranged = ([track.runs[place] for track in tracks for place in track.arrange(order)] for order in range(orders))
    rule = remember(make_rule(RULE))
    return average(groups, [audit_stops(runs, [rule], order="in-turn") for runs in arranged])


def remember(rule: AnyRule) -> AnyRule:
    """The rule, asked once for what it is told again: in two orders a run may see the same runs before it.

    What it sees of earlier groups is the same in every order, for they are seen whole.
    """
    known: dict[tuple[object, ...], Verdict | str | None] = {}

    def ask(snapshot: Snapshot, run: str) -> Verdict | str | None:
        own = next(each for each in snapshot.runs if each.name == run)
        group = (each for each in snapshot.runs if compete(each, own))
        key = (run, *sorted((each.name, len(each.curve), each.stopped is not None) for each in group))
        if key not in known:
            known[key] = rule(snapshot, run)
        return known[key]

    vars(ask).update({name: getattr(rule, name) for name in ("name", "needs", "min_progress", "patience")})
    return ask


def _stop_clock(run: Run) -> Run:
    """The run without the times at which it was recorded, which say in what order runs came."""
    return replace(run, curve=replace(run.curve, wall_time=np.full(len(run.curve), np.nan)))


def _name(settings: Mapping[str, str]) -> str:
    words = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"**{RULE}**" + (f": {words}" if words else "")


def find_common(sweeps: Sequence[Sweep], figure: str = "saved") -> Peer:
    """The one setting within limits on all sweeps whose figure, averaged over them, is largest."""
    within = [peer for peer in sweeps[0].peers if all(sweep.peers[peer].within for sweep in sweeps)]
    return max(within, key=lambda peer: sum(getattr(sweep.peers[peer], figure) for sweep in sweeps))


def show_sweep(sweep: Sweep, common: Peer) -> str:
    """The table of a sweep."""
    by_method: dict[str, list[Peer]] = {}
    for peer in sweep.peers:
        by_method.setdefault(peer.method, []).append(peer)
    shown: dict[Peer, list[str]] = {}
    for peers in by_method.values():
        best = sweep.best("saved", peers) if any(sweep.peers[peer].within for peer in peers) else None
        if best is not None and sweep.peers[best].saved > 0:
            shown.setdefault(best, []).append("best")
        for peer in peers:
            if peer.default:
                shown.setdefault(peer, []).append("default")
    shown.setdefault(sweep.best("by_group", [*sweep.peers]), []).append("best by group")
    shown.setdefault(common, []).append("best of one setting for all sweeps")
    rows = [_row(words, figures, seconds) for words, (figures, seconds) in sweep.ours.items()]
    for peer, why in shown.items():
        # anew, and once: what was found before would cost nothing
        seconds = clock(lambda peer=peer: walk_sweep(lay_tracks(sweep.groups), peer, orders=1))[1]
        rows.append(_row(f"{peer} ({', '.join(why)})", sweep.peers[peer], seconds))
    rows.append(_row("clairvoyant", score(sweep.groups, [keep_best(sweep.groups)])))
    runs = sum(len(group) for group in sweep.groups)
    return f"`{sweep.name}`: {runs} runs, {len(sweep.groups)} groups.\n\n" + table(HEAD, rows)


def _row(words: str, made: Figures, seconds: float | None = None) -> tuple[str, ...]:
    return (
        words,
        f"{100 * made.saved:.1f}",
        f"{100 * made.by_group:.1f}",
        percent(made.regret),
        f"{made.false_stops:.3g} of {made.stopped:.3g}",
        f"{made.false_share:.1%}" + ("" if made.within else ", beyond limits"),
        f"{made.false_stops / made.runs:.1%}",
        "" if seconds is None else f"{seconds:.1f}",
    )


def judge(sweep: Sweep, common: Mapping[str, Peer]) -> str:
    """Whether the rule, as it is by default, keeps within limits and saves as much as the best others."""
    made, _ = next(iter(sweep.ours.values()))
    parts = [f"`{RULE}` keeps within both limits: {met(made.within)}."]
    for figure, words in (("saved", "In total"), ("by_group", "By group")):
        own = getattr(made, figure)
        best = getattr(sweep.peers[sweep.best(figure, [*sweep.peers])], figure)
        one = getattr(sweep.peers[common[figure]], figure)
        parts.append(
            f"{words} it saves {own:.1%}; the best of the others within limits {best:.1%} ({met(own >= best)}), the "
            f"one setting for all sweeps {one:.1%} ({met(own >= one)})."
        )
    return " ".join(parts)


WORDS = """\
Sweeps whose runs share params and horizon in groups: learning rates (`misfitting`), schedules (the other two). A group
keeps its best run at best, so that *clairvoyant* saves what can be: all but the best run end at their first
observation. Definitions are those of `audit-stops`: regret is the best final of the runs kept over the best of all,
less 1, averaged over groups; a stop is false where the run would have beaten the best kept one by more than 0.2%. A
method is within limits where its regret is at most 0.2% and at most 2% of its stops are false. A group of which no run
was kept is left with the lowest loss at which one was stopped.

The others are Optuna {optuna} and Lightning {lightning} themselves, one study a group, a step an observation. *In
turn*, a run begins when the one before has ended; *side by side*, all runs of a group advance together: pruners that
learn from completed trials then stop nothing, and successive halving the same as in turn. Figures are means over
{orders} orders of the runs, rotated so that each comes first about as often. Shares in settings are of the horizon. A
run is not asked about at its last observation. CPU seconds are those of one walk of the sweep. A method without a row
marked *best* saves nothing within limits.

The rule is judged by its first row: the runs of a group advance side by side, groups come in the order of compute, and
earlier groups are seen whole, as where it only records. That row alone is held against the best of the others, which
are mostly *in turn*. The row *earlier groups as it left them* is the same where it acts. The row *in turn* takes the
runs of each group one after another, in the very orders over which the others' figures are means: there a run is held
against finished ones, as the others' are, and the first of a group is never stopped. It stands beside, and no verdict
rests on it.

Not compared: ThresholdPruner, whose threshold nobody knows before for each size; WilcoxonPruner, whose steps are
instances of a problem, of which a trial's value is the mean, and no points of a curve.

{settings} settings of the others were tried, and *best* is the one within limits that saves most on that very sweep: a
choice with the answers in view, which flatters. Beside it stands the *one setting* within limits on all sweeps."""


def show_peers(data: Path) -> str:
    """The tables of all sweeps, and whether the rule saves as much as the others."""
    sweeps = [measure(data, name) for name in SWEEPS]
    return "\n\n".join([introduce(), *show_sweeps(sweeps)])


def introduce() -> str:
    """What is compared, and how."""
    return WORDS.format(
        optuna=optuna.__version__, lightning=lightning.__version__, orders=ORDERS, settings=len([*list_peers()])
    )


def show_sweeps(sweeps: Sequence[Sweep]) -> list[str]:
    """Of each sweep its table and what it says of the rule."""
    common = {figure: find_common(sweeps, figure) for figure in ("saved", "by_group")}
    return [part for sweep in sweeps for part in (show_sweep(sweep, common["saved"]), judge(sweep, common))]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of measured ladders")
    parser.add_argument("--sweep", choices=SWEEPS, help="one sweep alone")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"stopping: no measured sweeps at {options.data}, so nothing is scored; name their folder with --data")
        return
    names = [options.sweep] if options.sweep else SWEEPS
    print("\n\n".join(show_sweeps([measure(options.data, name) for name in names])), flush=True)


if __name__ == "__main__":
    main()
