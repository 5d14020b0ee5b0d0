"""Which observations of a ladder are evidence beside the ends of its runs."""

from __future__ import annotations

from scaling_callback.forecasting import MEMBERS
from scaling_callback.forecasting.evidence import FIRST_TENTH
from scaling_callback.forecasting.joint import EARLIEST, finals_and_checkpoints
from scaling_callback.laws import get_law
from scaling_callback.laws.gap import PROGRESS, with_gap
from scaling_callback.snapshot import Snapshot


def uses_joint(snapshot: Snapshot) -> bool:
    """Whether the forecast comes from laws that know checkpoints as such."""
    return snapshot.forecast is not None and bool({member.name for member in MEMBERS} & {*snapshot.forecast.parts})


def count_checkpoints(snapshot: Snapshot) -> int:
    """Points of the forecast, or else of the fit, that are the end of no run.

    Example:
        >>> from scaling_callback import Target
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.snapshot import Config
        >>> from scaling_callback.testing import planted_ladder
        >>> target = Target(params=1e9, tokens=2e10)
        >>> count_checkpoints(refresh(planted_ladder(), (), Config(target=target, replicates=0)))
        72
    """
    if uses_joint(snapshot):
        points = finals_and_checkpoints(snapshot.runs, lambda run: run.cluster).points
        return 0 if points is None else int((points.columns[PROGRESS] < 1.0).sum())
    if snapshot.config.evidence != "intermediate" or snapshot.evidence.points is None:
        return 0
    used = {*snapshot.evidence.used}
    return len(snapshot.evidence.points) - sum(run.name in used and run.final is not None for run in snapshot.runs)


def count_parameters(snapshot: Snapshot) -> tuple[int, ...]:
    """Parameters of each law that the forecast combines, those of the gap of checkpoints among them."""
    if not uses_joint(snapshot):
        return ()
    gap = with_gap if count_checkpoints(snapshot) else get_law
    return tuple(len(gap(get_law(member.law)).parameters) for member in MEMBERS)


def find_cut(snapshot: Snapshot) -> float:
    """Share of a run before which none of its observations is evidence."""
    return EARLIEST if uses_joint(snapshot) else FIRST_TENTH
