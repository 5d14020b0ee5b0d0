"""Losses at equal compute: finals that lie on IsoFLOP lines, and curves that are read off where they cross a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from scaling_callback.records import FINAL_PROGRESS, SAME_COUNT, Array, Run

Codes: TypeAlias = NDArray[np.intp]

MIN_SIZES = 5
"""Sizes on a profile: a parabola spends three, and two are left to speak against it."""

LINE = 0.2
"""Finals whose ln C lie within this of each other are of one budget: the 10% either way of Porian et al. (2024)."""

SPACING = math.log(2.0)
"""Distance in ln C of budgets at which curves are read: closer ones repeat each other."""

EDGE = 1e-9
"""Rounding of ln C: a curve that ends at a budget has reached it."""


class Point(NamedTuple):
    """One loss of one size: logarithms of N, C and L, the place of its run, and whether its schedule goes on."""

    log_params: float
    log_flops: float
    log_loss: float
    run: int
    unfinished: bool = False


@dataclass(frozen=True, eq=False)
class Profile:
    """Losses of s sizes at one budget, one point a size, by increasing size.

    Attributes:
        log_flops: Ln of the budget C.
        offset: Ln of the compute of each point over the budget, shape (s,); 0 where it was read off a curve.
        log_params: Ln N, shape (s,).
        log_loss: Ln L, shape (s,).
        run: Place of each point's run among the runs, shape (s,).
        unfinished: How many of them come from the middle of a schedule.
    """

    log_flops: float
    offset: Array
    log_params: Array
    log_loss: Array
    run: Codes
    unfinished: int

    @classmethod
    def of(cls, log_flops: float, points: Sequence[Point], codes: Sequence[int]) -> Profile:
        """The profile of points whose sizes have these codes: of each size the lowest loss.

        That is what the size can reach with the budget, over seeds, learning rates and schedules.
        """
        best: dict[int, Point] = {}
        for code, point in zip(codes, points, strict=True):
            if code not in best or point.log_loss < best[code].log_loss:
                best[code] = point
        kept = [best[code] for code in sorted(best)]
        return cls(
            log_flops,
            np.array([point.log_flops - log_flops for point in kept]),
            np.array([point.log_params for point in kept]),
            np.array([point.log_loss for point in kept]),
            np.array([point.run for point in kept], dtype=np.intp),
            sum(point.unfinished for point in kept),
        )

    def __len__(self) -> int:
        return len(self.log_loss)


@dataclass(frozen=True, eq=False)
class Track:
    """Losses of one size against compute, by increasing compute.

    Attributes:
        log_params: Ln N.
        log_flops: Ln C, shape (m,).
        log_loss: Ln L, shape (m,).
        run: Place among the runs of the run that each loss belongs to, shape (m,).
        end: Ln C at which its schedule has ended: infinite where nobody knows, minus infinite where that is no matter
            (finals, and curves at a constant rate).
    """

    log_params: float
    log_flops: Array
    log_loss: Array
    run: Codes
    end: float

    def read(self, budgets: Array) -> Array:
        """Ln L at budgets (B,) in ln C, by monotone cubic interpolation; NaN outside of what was measured.

        Example:
            >>> track = Track(0.0, np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.5, 0.3]), np.zeros(3, int), np.inf)
            >>> track.read(np.array([0.0, 2.0])).tolist()
            [nan, 0.5]
        """
        inside = (budgets >= self.log_flops[0] - EDGE) & (budgets <= self.log_flops[-1] + EDGE)
        losses = np.full(len(budgets), np.nan)
        if len(self.log_flops) > 1 and inside.any():
            within = np.clip(budgets[inside], self.log_flops[0], self.log_flops[-1])
            losses[inside] = np.asarray(PchipInterpolator(self.log_flops, self.log_loss)(within), dtype=np.float64)
        return losses


def code_sizes(log_params: Sequence[float]) -> list[int]:
    """Codes 0, 1, ... of sizes, given as ln N, by increasing N; those within 2% of the next are one.

    Example:
        >>> code_sizes([20.0, 18.0, 18.01])
        [1, 0, 0]
    """
    order = sorted(range(len(log_params)), key=lambda place: log_params[place])
    codes = [0] * len(log_params)
    for before, after in pairwise(order):
        codes[after] = codes[before] + int(log_params[after] - log_params[before] > SAME_COUNT)
    return codes


def trace_curves(runs: Sequence[Run]) -> list[Track]:
    """The training curve of each run that has one."""
    tracks: list[Track] = []
    for place, run in enumerate(runs):
        curve = run.curve.take(np.isfinite(run.curve.loss) & (run.curve.loss > 0))
        if len(curve) < 2:
            continue
        end = -math.inf
        if run.phase != "constant":
            horizon = run.horizon or math.inf
            end = math.log(run.flops_per_token * FINAL_PROGRESS * horizon)
        log_flops = np.log(run.flops_per_token * curve.tokens)
        tracks.append(Track(math.log(run.params), log_flops, np.log(curve.loss), np.full(len(curve), place), end))
    return tracks


def trace_finals(runs: Sequence[Run]) -> list[Track]:
    """The finals of each size against their compute: of those within 2% the lowest loss."""
    finals = _finals(runs)
    codes = code_sizes([final.log_params for final in finals])
    tracks: list[Track] = []
    for code in sorted({*codes}):
        members = [final for final, own in zip(finals, codes, strict=True) if own == code]
        steps = code_sizes([final.log_flops for final in members])
        best = [
            min((final for final, own in zip(members, steps, strict=True) if own == step), key=lambda f: f.log_loss)
            for step in sorted({*steps})
        ]
        tracks.append(
            Track(
                best[0].log_params,
                np.array([final.log_flops for final in best]),
                np.array([final.log_loss for final in best]),
                np.array([final.run for final in best], dtype=np.intp),
                -math.inf,
            )
        )
    return tracks


def find_lines(runs: Sequence[Run]) -> list[Profile]:
    """Profiles of finals whose compute agrees, by increasing budget.

    The budget at which the most sizes agree is taken first, then the next one among the finals that are left: runs
    that lie on no line do not bridge two of them.
    """
    left = _finals(runs)
    lines: list[Profile] = []
    while left:
        codes = code_sizes([final.log_params for final in left])
        log_flops = np.array([final.log_flops for final in left])
        ends = np.searchsorted(log_flops, log_flops + LINE + EDGE).tolist()
        counts = [len({*codes[first:end]}) for first, end in enumerate(ends)]
        first = max(range(len(left)), key=lambda place: counts[place])
        if counts[first] < MIN_SIZES:
            break
        end = ends[first]
        lines.append(Profile.of(float(np.median(log_flops[first:end])), left[first:end], codes[first:end]))
        left = left[:first] + left[end:]
    return sorted(lines, key=lambda line: line.log_flops)


def cut_tracks(tracks: Sequence[Track]) -> list[Profile]:
    """Profiles read off tracks at budgets a factor of 2 apart, wherever enough sizes were measured."""
    codes = code_sizes([track.log_params for track in tracks])
    ends = {float(end) for track in tracks for end in (track.log_flops[0], track.log_flops[-1])}
    places = sorted(end for end in ends if math.isfinite(end))  # counts that no training has overflow
    reached = [place for place in places if len(_measured(tracks, codes, place)) >= MIN_SIZES]
    if not reached:
        return []
    budgets = np.linspace(reached[0], reached[-1], round((reached[-1] - reached[0]) / SPACING) + 1)
    table = [track.read(budgets).tolist() for track in tracks]
    profiles: list[Profile] = []
    for column, budget in enumerate(budgets.tolist()):
        seen = [i for i, losses in enumerate(table) if math.isfinite(losses[column])]
        points = [_read_point(tracks[i], budget, table[i][column]) for i in seen]
        profile = Profile.of(budget, points, [codes[i] for i in seen])
        if len(profile) >= MIN_SIZES:
            profiles.append(profile)
    return profiles


def _measured(tracks: Sequence[Track], codes: Sequence[int], place: float) -> set[int]:
    """Codes of the sizes that were measured at a place in ln C."""
    return {
        code
        for code, track in zip(codes, tracks, strict=True)
        if track.log_flops[0] - EDGE <= place <= track.log_flops[-1] + EDGE
    }


def _read_point(track: Track, budget: float, log_loss: float) -> Point:
    nearest = int(np.argmin(np.abs(track.log_flops - budget)))
    return Point(track.log_params, budget, log_loss, int(track.run[nearest]), budget < track.end)


def _finals(runs: Sequence[Run]) -> list[Point]:
    """The final of each run that has one, by increasing compute."""
    finals = [
        Point(math.log(run.params), math.log(run.flops_per_token * run.final.tokens), math.log(run.final.loss), place)
        for place, run in enumerate(runs)
        if run.final is not None
    ]
    return sorted(finals, key=lambda final: final.log_flops)
