"""What finishing a run that is under way would teach of a target, beyond what its forecast final already does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scaling_callback.fitting import Fit
from scaling_callback.planning.design import Design
from scaling_callback.planning.places import Place
from scaling_callback.planning.plan import thin_known


def expect_finishing(
    fit: Fit,
    goal: Place,
    run: Place,
    spread: float,
    *,
    known: Sequence[Place],
    coming: Sequence[tuple[Place, float]] = (),
    further: Mapping[str, float] | None = None,
    seed: int = 0,
) -> float:
    """The share by which the interval of a target would be narrower, had a run under way finished.

    A run whose final is forecast with standard deviation t of ln L stands for a finished one that is measured with
    variance s^2 + t^2 instead of s^2, the noise of one run: what is known of ln L at the target follows for both from
    the same design (`planning.design`). It looks at no loss but through the fit, so that it does not change from look
    to look as the interval of a bootstrap does, which may be wider after a run than before.

    Args:
        fit: The law as fitted to the finished runs.
        goal: (N, D) of the target.
        run: (N, D) at which the run would end.
        spread: Standard deviation of ln of its forecast final; infinite where there is none.
        known: (N, D) of finished runs.
        coming: Other runs under way: (N, D), and the same spread of each.
        further: Values of further variables of the law, such as `unique_tokens`.
        seed: Of the draws where the fit has none.

    Returns:
        A share in [0, 1).

    Example:
        >>> from scaling_callback.forecasting import MEMBERS, fit_runs
        >>> from scaling_callback.testing import planted_ladder
        >>> runs = tuple(planted_ladder())
        >>> fit = fit_runs(runs, tuple(run.name for run in runs), MEMBERS[0], 20, 0)
        >>> known = [(run.params, run.horizon) for run in runs]
        >>> new, open_ = (1e9, 2e10), 0.05
        >>> by_spread = [expect_finishing(fit, (1e10, 2e11), new, t, known=known) for t in (0.0, 0.001, open_)]
        >>> by_spread[0] == 0.0 < by_spread[1] < by_spread[2] < 1.0
        True
    """
    finished, others = thin_known(known), [place for place, _ in coming]
    design = Design.of(fit.law, fit, [*finished, *others, run, goal], further or {}, seed)
    places = range(len(finished), len(finished) + len(others))
    design = design.given(range(len(finished))).given(places, [open_ for _, open_ in coming]).keep(places.stop)
    now = design.given([0], [spread]) if math.isfinite(spread) else design
    then = design.given([0])
    return max(0.0, 1.0 - math.sqrt((then.spread + then.floor) / (now.spread + now.floor)))
