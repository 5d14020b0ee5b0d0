"""Forecasters: complete ways from observations to a fitted law. A new one is one line in `FORECASTERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting import MIN_RUNS, Borrowed, Fit, Objective, Progress, fit
from scaling_callback.forecasting.evidence import ClusterOf, Evidence, Policy, get_policy
from scaling_callback.forecasting.joint import finals_and_checkpoints, fit_joint
from scaling_callback.laws import Law
from scaling_callback.records import Run


@dataclass(frozen=True, kw_only=True)
class Forecaster:
    """An evidence policy, a law and its priors.

    Attributes:
        name: By which it is shown.
        evidence: Name of the evidence policy; `joint` fits finals and checkpoints together, with a schedule gap.
        law: The law, or its name.
        objective: What is minimised, or its name.
        prior: Whether the weak prior takes part.
        ridges: Whether the lines of published fits do.
        borrowed: Parameters held at values from elsewhere.
        starts: Natural parameters to start further searches from.

    Raises:
        InputError: A joint fit is asked for what it does not take.
    """

    name: str
    evidence: str
    law: str | Law = "chinchilla"
    objective: str | Objective = "log-huber"
    prior: bool = True
    ridges: bool = False
    borrowed: Borrowed | None = None
    starts: tuple[Mapping[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.joint and (self.ridges or self.starts):
            raise InputError("a joint fit takes neither ridges nor starts; leave them out, or take other evidence")

    @property
    def joint(self) -> bool:
        """Whether finals and checkpoints are fitted together."""
        return self.evidence == JOINT

    def gather(self, runs: Sequence[Run], cluster: ClusterOf) -> Evidence:
        """The points that its fit sees, and what became of each run."""
        policy: Policy = finals_and_checkpoints if self.joint else get_policy(self.evidence)
        return policy(runs, cluster)

    def fit(self, evidence: Evidence, *, replicates: int = 0, seed: int = 0, progress: Progress | None = None) -> Fit:
        """Its law, fitted to that evidence.

        Raises:
            NotEnoughData: There are fewer than 3 independent runs to fit.
        """
        if evidence.points is None:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(evidence.left_out.items())[:3])
            raise NotEnoughData(
                f"no finished run; a fit needs at least {MIN_RUNS}" + (f" ({reasons})" if reasons else "")
            )
        if self.joint:
            return fit_joint(
                evidence.points,
                law=self.law,
                objective=self.objective,
                prior=self.prior,
                borrowed=self.borrowed,
                replicates=replicates,
                seed=seed,
                progress=progress,
            )
        return fit(
            evidence.points,
            law=self.law,
            objective=self.objective,
            prior=self.prior,
            ridges=self.ridges,
            borrowed=self.borrowed,
            starts=self.starts,
            replicates=replicates,
            seed=seed,
            progress=progress,
        )


JOINT = "joint"

DEFAULT = "default"
"""Name of the forecaster that combines `MEMBERS` by their record."""

FORECASTERS: dict[str, Forecaster] = {
    forecaster.name: forecaster
    for forecaster in (
        Forecaster(name="joint-skaling", evidence=JOINT, law="skaling"),
        Forecaster(name="joint-chinchilla", evidence=JOINT),
        Forecaster(name="finals-with-prior", evidence="default"),
        Forecaster(name="final-only", evidence="finals", prior=False),
        Forecaster(name="intermediate", evidence="intermediate", prior=False),
    )
}

MEMBERS = (FORECASTERS["joint-skaling"], FORECASTERS["joint-chinchilla"])
"""What `default` combines: the law of first choice, and the form that it generalises. Their difference is also what
the interval knows of the error of the form."""


def get_forecaster(name: str) -> Forecaster:
    """The forecaster of that name.

    Raises:
        InputError: There is none.
    """
    if name not in FORECASTERS:
        raise InputError(f"there is no forecaster named {name!r}; choose one of: {', '.join(FORECASTERS)}")
    return FORECASTERS[name]
