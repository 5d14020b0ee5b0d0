"""Nothing more is learned of the target: its interval is as narrow as asked, and this run would not narrow it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from scaling_callback.curves import FinalForecast
from scaling_callback.errors import InputError
from scaling_callback.fitting import Fit
from scaling_callback.fitting.diagnostics import FEW_RUNS
from scaling_callback.forecasting import Forecast, PastForecast
from scaling_callback.forecasting.joint import EARLIEST
from scaling_callback.planning import Place, expect_finishing
from scaling_callback.records import Run
from scaling_callback.snapshot import Snapshot
from scaling_callback.stopping.base import Needs, Rule, Verdict

RUNG = 4.0
"""Times the compute of an earlier ladder that the present one must have taken before both are compared: a rung, of
twice the size on twice the tokens. Forecasts move with ln of compute, and hardly between two looks at one run."""

OVER = 2.0
"""Finished runs behind that earlier forecast, over the parameters of the law: with fewer the noise around the law rests
on a few degrees of freedom, and an interval from it is no test. Chosen on the ladder of OLMo, with 8 runs instead as
the alternative, and then looked at on the others (`benchmarks/stopping_converged.py`)."""

DOUBTS = frozenset(
    {
        "cooldown_gap_unknown",
        "far_extrapolation",
        "one_budget",
        "one_horizon",
        "one_size",
        "record_below_level",
        "too_few_runs",
    }
)
"""Doubts of a forecast that its interval does not hold. Those of single parameters are no reason to abstain: what the
data leave open of them is in the draws, and so in the interval."""

UNSETTLED = "not_converged"
"""What the names of doubts begin with that are about the search for a fit."""


@dataclass(frozen=True, kw_only=True)
class Converged(Rule):
    """Ends a run that would not tell more of the target, once the target is known as well as asked.

    Three things must hold, for `patience` refits in a row:

    1. The target's interval, (upper - lower) / median at the level of the configuration, is at most `width`.
    2. Finishing this run would narrow it by less than `gain` of what it is (`planning.expect_finishing`). A run whose
       final is forecast well by now has little left to tell, and one far from the target never had.
    3. The forecast has held: its interval shares values with that of the last forecast that was made from at most a
       quarter of the compute (`RUNG`) and twice as many finished runs as the law has parameters (`OVER`). The first
       narrow interval of many looks is one that is narrow by chance, and those through hardly more runs than
       parameters are: an interval that had been there a rung ago is not chosen so.

    It abstains while no such earlier forecast exists (a ladder of fewer than a dozen runs is never ended by it), where
    no law makes the forecast (a run in hand that only has to be cooled down), where the forecast itself is doubted
    (`DOUBTS`, or a fit that has not converged), and for runs that are held out, of unknown horizon, or at a constant
    rate: a trunk is trained for its branches.

    A false stop is one after which the forecast leaves the interval that it had then. How often it did on measured
    ladders stands in docs/accuracy.md, section "Stopping", which `benchmarks/stopping_converged.py` measures; nothing
    keeps it below 1 - level, for an interval at one moment promises to hold the loss, and not all later forecasts.

    Attributes:
        width: Width of the interval over the loss. The default, 5%, says the loss to 2.5% either way, which is better
            than the 4% that forecasts are typically off by at best (Choshen et al. 2024); below 1% nothing is, for
            seeds alone differ by .1 to .3%. Two recipes that differ by less than half of it cannot be told apart.
        gain: Share of its width by which the run must still narrow it.
        min_progress: By default that from which its checkpoints are evidence: stopped before it, a run tells nothing.
        patience: Refits in a row.

    Raises:
        InputError: A setting is out of its range.

    Example:
        >>> Converged(width=0.02).width
        0.02
        >>> Converged(width=2)
        Traceback (most recent call last):
        ...
        scaling_callback.errors.InputError: converged: width is 2; it must be a share between 0 and 1, such as 0.05
    """

    width: float = 0.05
    gain: float = 0.1
    min_progress: float = EARLIEST
    patience: int = 3

    name: ClassVar[str] = "converged"
    needs: ClassVar[Needs] = "forecast"
    needs_target: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting, usual in (("width", Converged.width), ("gain", Converged.gain)):
            value: Any = getattr(self, setting)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
                raise InputError(
                    f"converged: {setting} is {value!r}; it must be a share between 0 and 1, such as {usual:g}"
                )

    def judge(self, snapshot: Snapshot, run: Run) -> Verdict | None:
        """Why a run under way should end, or `None`."""
        forecast, fit = snapshot.forecast, _find_fit(snapshot)
        if forecast is None or fit is None or not _teaches(run) or _doubted(forecast):
            return None
        width = (forecast.upper - forecast.lower) / forecast.median
        if not width <= self.width:  # without replicates there is no interval, and its ends are no numbers
            return None
        earlier = _recall(snapshot, fit)
        if earlier is None or not (earlier.lower <= forecast.upper and forecast.lower <= earlier.upper):
            return None
        gain = _expect(snapshot, forecast, fit, run)
        if gain >= self.gain:
            return None
        reason = (
            f"the target's loss is known to {width:.1%} ({forecast.lower:.4g} to {forecast.upper:.4g} at "
            f"{forecast.level:.0%}) of the {self.width:.1%} asked, and finishing this run would narrow that by "
            f"{gain:.1%} of it, less than {self.gain:.1%}; the forecast from {earlier.runs} runs agrees"
        )
        evidence = {
            "median": forecast.median,
            "lower": forecast.lower,
            "upper": forecast.upper,
            "width": width,
            "gain": gain,
            "earlier_runs": float(earlier.runs),
            "earlier_median": earlier.median,
            "earlier_lower": earlier.lower,
            "earlier_upper": earlier.upper,
        }
        spread = _spread(snapshot, run)
        return Verdict(reason, evidence | ({"run_spread": spread} if math.isfinite(spread) else {}))


def _find_fit(snapshot: Snapshot) -> Fit | None:
    """The fit whose draws the forecast is made of; `None` where no law makes it."""
    if snapshot.config.combines:
        return next(iter(snapshot.members.values()), None)
    return snapshot.fit


def _teaches(run: Run) -> bool:
    """Whether a run is one that is trained for its final, and whose final would be evidence."""
    ended_well = len(run.curve) > 0 and bool(math.isfinite(run.curve.loss[-1]))
    return ended_well and run.horizon is not None and not run.card.held_out and run.phase != "constant"


def _doubted(forecast: Forecast) -> bool:
    return any(code in DOUBTS or code.startswith(UNSETTLED) for code in forecast.warnings)


def _recall(snapshot: Snapshot, fit: Fit) -> PastForecast | None:
    """The last forecast of the target from enough runs and a ladder of at most a quarter of the compute.

    Only recomputed ones are looked at, so that tables, imported ladders and live ones are judged alike.
    """
    known = [run for run in snapshot.runs if not run.card.held_out and len(run.curve)]
    compute = math.fsum(run.flops_per_token * float(run.curve.tokens[-1]) for run in known)
    fewest = max(FEW_RUNS, OVER * len(fit.law.parameters))
    usable = [
        past
        for past in snapshot.past
        if past.kind == "recomputed" and past.runs >= fewest and past.compute * RUNG <= compute
    ]
    return max(usable, key=lambda past: past.runs, default=None)


def _expect(snapshot: Snapshot, forecast: Forecast, fit: Fit, run: Run) -> float:
    """The share by which this run would narrow the interval, if it finished."""
    used = snapshot.evidence.used
    known = [(other.params, other.final.tokens) for other in snapshot.runs if other.final and other.name in used]
    return expect_finishing(
        fit,
        (forecast.params, forecast.tokens),
        (run.params, cast("float", run.horizon)),
        _spread(snapshot, run),
        known=known,
        coming=_list_coming(snapshot, run),
        further=snapshot.config.further,
        seed=snapshot.config.seed,
    )


def _list_coming(snapshot: Snapshot, run: Run) -> Sequence[tuple[Place, float]]:
    """The other unfinished runs, those that were stopped among them, and how well the final of each is known."""
    others = [other for other in snapshot.runs if other.final is None and other.name != run.name and _teaches(other)]
    found = [((other.params, other.horizon), _spread(snapshot, other)) for other in others]
    return [((params, tokens), open_) for (params, tokens), open_ in found if tokens is not None and open_ < math.inf]


def _spread(snapshot: Snapshot, run: Run) -> float:
    """Standard deviation of ln of a run's forecast final; infinite where there is none."""
    made = snapshot.finals.get(run.name)
    return made.spread / made.median if isinstance(made, FinalForecast) else math.inf
