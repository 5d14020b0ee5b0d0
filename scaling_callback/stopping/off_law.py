"""A broken run: one that lies above where its ladder says that it should be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from scaling_callback.curves.expected import Expected, expect_by_law, expect_by_past, find_beside
from scaling_callback.curves.observed import find_obstacle, observe
from scaling_callback.forecasting import others_of
from scaling_callback.records import Run
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict, check_share

HELD = 0.025
"""Share of its horizon for which a run must have been off, where it was looked at within: a spike in the loss recovers,
what is broken stays so."""


@dataclass(frozen=True, kw_only=True)
class OffLaw(Rule):
    """Ends a run whose loss lies `deviations` above what the other runs of its ladder say of it: a broken run.

    Its last loss is held against those of others at the same progress, in two ways: by the law of size and tokens
    through them (was it bad from its beginning?), and by what they gained since an earlier part of the run, on top of
    its own loss there (has something happened to it?). The run itself is in neither, and a few others that are broken
    weigh little. Below is no fault. Nothing is said before 4 others of its schedule, finished or not, have come as far.

    The rate of false stops: deviations are counted as those of a normal distribution, and fewer where they rest on few
    runs (Student's t). If a law's errors were normal, the union bound over two questions at each of n looks would keep
    a healthy run from being called but with 2 n (1 - Phi(deviations)). They have heavier tails, the more so the larger
    the run is beside its ladder and the noisier its observations are, so that below 4 deviations, or without patience,
    runs are called more often than that. What holds is what is measured, on healthy ladders, planted and real:
    docs/accuracy.md, section "Stopping" (`benchmarks/stopping_faults.py`).

    Attributes:
        deviations: How far above, in standard deviations, is no chance any more.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> from dataclasses import replace
        >>> from scaling_callback import refresh
        >>> from scaling_callback.snapshot import Config
        >>> from scaling_callback.testing import planted_ladder
        >>> *ladder, run = planted_ladder()
        >>> broken = replace(run, curve=replace(run.curve, loss=run.curve.loss * 1.05)).until(0.5 * run.horizon)
        >>> look = lambda judged: OffLaw()(refresh([*ladder, judged], (), Config(fits=False)), run.name)
        >>> look(run.until(0.5 * run.horizon)) is None
        True
        >>> look(broken).reason.partition(", ")[0]
        'its loss is 2.887 where 11 other runs at 50% of their way put it at 2.712 +- 0.0363'
    """

    min_progress: float = 0.1
    patience: int = 2
    deviations: float = 4.0

    name: ClassVar[str] = "off-law"
    needs: ClassVar[Needs] = "curve"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "deviations", at_least=math.nextafter(0.0, 1.0), below=math.inf)

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        """Why a run under way should end, or `None`."""
        others = others_of(run, snapshot.runs)
        verdict = self._look(run, others)
        if verdict is None or run.horizon is None:
            return verdict
        tokens = run.curve.tokens
        ago = (tokens[-1] - tokens) / run.horizon
        held = tokens[(ago >= HELD) & (ago <= 2 * HELD)]
        # a run that was looked at more seldom than that has patience alone
        earlier = float(held[-1] if len(held) else tokens[ago <= HELD][0])
        return verdict if self._look(run.until(earlier), others) is not None else None

    def _look(self, run: Run, others: Sequence[Run]) -> Verdict | None:
        """Why it should end by its last loss."""
        if find_obstacle(run) is not None:
            return None
        beside = find_beside(run, others)
        log_loss = float(observe(run).log_loss[-1])
        made = [expected for expect in (expect_by_law, expect_by_past) if (expected := expect(run, beside)) is not None]
        worst = max(made, key=lambda expected: expected.score(log_loss), default=None)
        if worst is None or worst.score(log_loss) <= self.deviations:
            return None
        return _describe(run, worst, log_loss)


def _describe(run: Run, expected: Expected, log_loss: float) -> Verdict:
    loss, usual, score = math.exp(log_loss), math.exp(expected.log_loss), expected.score(log_loss)
    # that of a normal distribution with as much beyond: a reader can work out the deviations
    deviation, progress = (loss - usual) / score, float(run.progress[-1])
    own = f", and its own loss at {expected.since:.0%}," if expected.since else ""
    reason = (
        f"its loss is {loss:.3f} where {expected.runs} other runs at {progress:.0%} of their way{own} put it at "
        f"{usual:.3f} +- {deviation:.3g}, {score:.1f} deviations above that"
    )
    evidence = {
        "loss": loss,
        "expected_loss": usual,
        "deviation": deviation,
        "deviations": score,
        "other_runs": float(expected.runs),
        "progress": progress,
    }
    return Verdict(reason, evidence)
