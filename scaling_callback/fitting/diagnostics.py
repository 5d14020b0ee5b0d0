"""What the data of a fit cannot say, by name, each with the sentence that the user reads."""

from __future__ import annotations

import numpy as np

from scaling_callback.fitting.points import Points
from scaling_callback.laws import Law
from scaling_callback.records import Array, BoolArray

FEW_RUNS = 8
"""Below this many clusters a bootstrap cannot resample enough different ladders to be wide enough."""

NARROW_RATIO = 3.0
"""D/N ranges narrower than this factor leave the split between N and D to the law's form."""

LARGE_ERROR = 0.5
"""Standard error of ln(parameter) above which the parameter is not identified: a factor of e either way in 95%."""

BASIN_MARGIN = 0.05
"""A second basin whose objective is within this fraction of the best is a rival."""

SEEDS_APART = 0.04
"""Largest difference between seeds of one recipe that was published (Choshen, Zhang, Andreas 2025: up to 3.5 to 4%):
runs that scatter by more around a law are not described by it, unless their own seeds differ by as much."""

OWN_SEEDS = 2.0
"""How many deviations of a ladder's own seeds its runs may scatter by around a law that describes them."""

SAME = 1.02
"""Counts within this factor are one size or one horizon."""


ONE_VALUE = {
    "params": ("one_size", "all runs have one size: nothing is known about how loss falls with N; train other sizes"),
    "tokens": (
        "one_horizon",
        (
            "all runs have one number of tokens: the data term and the floor E cannot be told apart; "
            "train some sizes on more or fewer tokens"
        ),
    ),
    "compute": (
        "one_budget",
        "all runs have one compute: nothing is known about how loss falls with C; train at other budgets",
    ),
}
"""What is said where a variable of the law never varies; a further variable gets a sentence of its own."""


def design_diagnostics(points: Points, law: Law) -> dict[str, str]:
    """What the placement of the runs alone rules out, as far as the law has these variables."""
    found: dict[str, str] = {}
    clusters = points.n_independent
    if clusters == 1:
        found["too_few_runs"] = (
            "1 independent run: how much another run of this recipe would differ is not in the data, and intervals "
            f"hold seed noise and priors only; {FEW_RUNS} or more runs make them reliable"
        )
    elif clusters < FEW_RUNS:
        found["too_few_runs"] = (
            f"{clusters} independent runs: intervals from so few are rough; {FEW_RUNS} or more make them reliable"
        )
    logs = points.log_variables(law.variables)
    for name, values in zip(law.variables, logs, strict=True):
        if np.ptp(values) <= np.log(SAME):
            own = (f"one_{name}", f"all runs have one {name}: what the loss owes to it is not in the data; vary it")
            key, sentence = ONE_VALUE.get(name, own)
            found[key] = sentence
    if {"params", "tokens"} <= {*law.variables}:
        log_ratio = np.log(points.tokens) - np.log(points.params)
        spread = float(np.exp(min(np.ptp(log_ratio), 700.0)))  # beyond that a double overflows
        if spread < NARROW_RATIO:
            found["narrow_ratio"] = (
                f"D/N varies only by a factor of {spread:.2g}: N and D rise together and cannot be told apart; "
                f"cover a factor of {NARROW_RATIO:g} or more"
            )
    return found


def noise_diagnostics(noise: float, seeds: float) -> dict[str, str]:
    """Whether runs scatter by more than seeds of one recipe, both as a standard deviation of ln L.

    Example:
        >>> [list(noise_diagnostics(noise, seeds)) for noise, seeds in ((0.003, 0.002), (0.1, 0.002), (0.1, 0.07))]
        [[], ['poor_fit'], []]
    """
    allowed = OWN_SEEDS * seeds
    if noise <= max(SEEDS_APART, allowed):
        return {}
    usual = f"its own seeds by {seeds:.1%}"
    if allowed <= SEEDS_APART:
        usual = f"seeds of one recipe differ by at most {SEEDS_APART:.0%}"
    return {
        "poor_fit": (
            f"runs scatter by {noise:.1%} around the law, {usual}: the law does not describe these runs; look for runs "
            "of another recipe among them, or take another law (--law)"
        )
    }


def find_at_bound(theta: Array, lower: Array, upper: Array) -> BoolArray:
    """Which working parameters (P,) ended at a bound of the search; a borrowed one lies at both, and did not."""
    return ((theta <= lower + 1e-9) | (theta >= upper - 1e-9)) & (lower < upper)


def law_diagnostics(law: Law, theta: Array, at_bound: BoolArray, errors: Array) -> dict[str, str]:
    """What the fitted parameters themselves give away.

    `errors` (P,) are standard errors of the working parameters, 0 where one is borrowed: of the exponents, and of ln of
    all others.
    """
    found: dict[str, str] = {}
    exponents = [i for i in law.exponents if not at_bound[i]]
    stuck = [law.names[i] for i in law.exponents if at_bound[i]]
    if stuck:
        found["exponent_at_bound"] = f"{' and '.join(stuck)} ended at a bound of the search: the data do not hold it"
    relative = errors.copy()
    relative[exponents] /= theta[exponents]
    if law.floor is not None and (at_bound[law.floor] or relative[law.floor] > LARGE_ERROR):
        found["floor_unidentified"] = (
            f"the floor {law.names[law.floor]} cannot be told from these runs alone: they are too far above it or "
            "span too little; far extrapolation rests on it"
        )
    loose = [law.names[i] for i in exponents if relative[i] > LARGE_ERROR]
    if loose:
        found["exponent_unidentified"] = (
            f"these runs alone leave {' and '.join(loose)} open by more than a factor of e: a wider range would pin it "
            "down"
        )
    shapes = [i for i, parameter in enumerate(law.parameters) if parameter.role == "shape"]
    open_ = [law.names[i] for i in shapes if at_bound[i] or relative[i] > LARGE_ERROR]
    if open_:
        found["shape_unidentified"] = (
            f"{' and '.join(open_)} cannot be told from the data: a law without it may serve as well"
        )
    return found


def basin_diagnostics(law: Law, thetas: Array, costs: Array) -> dict[str, str]:
    """Whether another basin explains the data nearly as well with other exponents."""
    if not law.exponents:
        return {}
    best = int(np.argmin(costs))
    rivals = costs <= costs[best] * (1 + BASIN_MARGIN) + 1e-18
    exponents = thetas[:, list(law.exponents)]
    apart = np.abs(np.log(exponents / exponents[best])).max(1) > 0.1
    if not (rivals & apart).any():
        return {}
    other = dict(zip([law.names[i] for i in law.exponents], exponents[rivals & apart][0], strict=True))
    values = ", ".join(f"{name} {value:.3g}" for name, value in other.items())
    return {
        "disagreeing_basins": f"another optimum ({values}) lies within {BASIN_MARGIN:.0%} of the best objective: "
        "the data do not choose between them"
    }
