"""Fit a law to points: starts, search, bootstrap, diagnostics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting.bootstrap import Progress, bootstrap
from scaling_callback.fitting.borrowing import Borrowed
from scaling_callback.fitting.diagnostics import (
    BASIN_MARGIN,
    basin_diagnostics,
    design_diagnostics,
    find_at_bound,
    law_diagnostics,
    noise_diagnostics,
)
from scaling_callback.fitting.noise import SEED_NOISE, Noise, run_noise, seed_noise
from scaling_callback.fitting.objective import Objective, get_objective
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.priors import weak_terms
from scaling_callback.fitting.problem import Problem, pose
from scaling_callback.fitting.result import Certificate, Fit, Status
from scaling_callback.fitting.solver import ANNEALING_ITERATIONS, MAX_ITERATIONS, Minima, anneal, minimise
from scaling_callback.fitting.starts import read_starts, variable_projection
from scaling_callback.fitting.steps import step_replicates
from scaling_callback.laws import Law, get_law
from scaling_callback.records import Array

MIN_RUNS = 3
"""Fewest independent runs that are fitted at all."""

AGREEMENT = 1e-6
"""Two objectives that differ by less than this fraction are one optimum."""


def fit(
    points: Points,
    *,
    law: str | Law = "chinchilla",
    objective: str | Objective = "log-huber",
    prior: bool = False,
    ridges: bool = False,
    borrowed: Borrowed | None = None,
    starts: Sequence[Mapping[str, float]] = (),
    searches: int | None = None,
    replicates: int = 0,
    refits: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Fit `law` to `points`.

    Searches start from variable projection on the points, and beside those from `starts`: never from an earlier fit
    alone, so a refit cannot stay in the basin of the last one. The answer is the best of all searches.

    Args:
        points: What to fit.
        law: A law's name, or a law.
        objective: The objective to minimise, or its name.
        prior: Add the weak prior on the exponents, which weighs about one observation.
        ridges: Add the lines along which coefficients and exponents of published fits lie, each weighing the same.
        borrowed: Parameters to hold at values from elsewhere; fewer runs can then be fitted.
        starts: Natural parameters to start further searches from.
        searches: Most searches that start from the points; by default a few for each nonlinear parameter of the law.
        replicates: Bootstrap replicates; 0 for none.
        refits: Whether each replicate is refitted until it has converged; else it takes a few steps (`steps`).
        seed: Seed of the bootstrap.
        progress: Told of the replicates done.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs, or fewer points than free parameters where some are
            borrowed.
        InputError: A name, a start, a borrowed value or the number of searches or replicates cannot be used.

    Example:
        >>> N, D = np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 4e9, 16e9])
        >>> truth = 1.8 + 480 / N**0.35 + 2100 / D**0.37
        >>> found = fit(Points.of(N.ravel(), D.ravel(), truth.ravel()))
        >>> {name: round(value, 3) for name, value in found.params.items()}
        {'E': 1.8, 'A': 480.0, 'B': 2100.0, 'alpha': 0.35, 'beta': 0.37}
        >>> found.status.name
        'CONVERGED'
    """
    began = time.perf_counter()
    chosen, criterion = get_law(law), get_objective(objective)
    if replicates < 0:
        raise InputError(f"replicates is {replicates}; it must be 0 (no bootstrap) or a positive count")
    if searches is not None and searches < 1:
        raise InputError(f"searches is {searches}; it must be a positive count, or None for the default")
    if ridges and not any(parameter.ridge for parameter in chosen.parameters):
        raise InputError(f"no ridge was published for the law {chosen.name!r}; leave ridges out")
    _refuse_too_few(points, chosen, borrowed)
    problem, centre = pose(points, chosen, criterion, ridges=ridges, borrowed=borrowed)
    weight = points.weight[None]

    projected = variable_projection(chosen, problem.x, problem.y[0], points.weight, searches)
    fresh = np.concatenate([projected, read_starts(chosen, starts, centre)])
    # where a prior follows and speed is asked for, it is enough to come near: without it searches creep along valleys
    near = ANNEALING_ITERATIONS if searches is not None and prior else MAX_ITERATIONS
    minima = anneal(problem, fresh, weight, near)
    # of the data alone: a prior that fills in what they lack must not hide that they lack it
    diagnostics = design_diagnostics(points, chosen) | _diagnose(problem, minima, points)
    if prior or ridges:
        problem = _with_prior(problem, minima, points, weak=prior)
        if searches is None:
            minima = anneal(problem, np.concatenate([minima.theta, fresh]), weight)
        else:  # few searches are for speed: they go on from where they are, which is no earlier fit but this one
            minima = minimise(problem, minima.theta, weight)
    best = int(np.argmin(minima.cost))
    theta = minima.theta[best]

    value, _ = chosen.log_loss(theta[None], problem.x)
    noise, covariance = _linearise(problem, theta, points)
    at_bound = find_at_bound(theta, problem.lower, problem.upper)
    # what one observation costs is no ground to prefer one optimum over another
    close = minima.cost <= minima.cost[best] + _typical_cost(problem, minima, points)
    rivals = np.concatenate([theta[None], minima.theta[close]])
    status = Status.CONVERGED if minima.converged[best] else Status.NOT_CONVERGED
    if np.ptp(problem.y) <= 1e-9:
        status = Status.NO_VARIATION
        diagnostics["no_variation"] = Status.NO_VARIATION.value

    draws = (
        bootstrap(problem, points, rivals, covariance, replicates, noise=noise, seed=seed, progress=progress)
        if refits
        else step_replicates(problem, points, theta, covariance, replicates, noise=noise, seed=seed, progress=progress)
    )
    return Fit(
        law=chosen,
        points=points,
        theta=theta,
        centre=centre,
        draws=draws,
        criterion=criterion,
        objective=float(problem.objective.report(value, problem.y, weight)[0]),
        noise=noise.scale,
        noise_degrees=noise.degrees,
        status=status,
        certificate=_certificate(
            minima, best, len(fresh), len(starts), [chosen.names[i] for i in np.flatnonzero(at_bound)]
        ),
        diagnostics=diagnostics,
        seconds=time.perf_counter() - began,
        prior=prior,
        ridges=ridges,
        prior_terms=int(np.count_nonzero(problem.prior_weight)),
        borrowed=borrowed,
    )


def _diagnose(problem: Problem, minima: Minima, points: Points) -> dict[str, str]:
    """What the best of these searches, and its rivals, say that the data do not hold."""
    theta = minima.theta[int(np.argmin(minima.cost))]
    noise, covariance = _linearise(problem, theta, points)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    at_bound = find_at_bound(theta, problem.lower, problem.upper)
    return {
        **law_diagnostics(problem.law, theta, at_bound, errors),
        **basin_diagnostics(problem.law, minima.theta, minima.cost),
        **noise_diagnostics(noise.scale, seed_noise(points)),
    }


def _linearise(problem: Problem, theta: Array, points: Points) -> tuple[Noise, Array]:
    """How far one run falls from the law at `theta` (P,), and the covariance (P, P) of the parameters."""
    value, jacobian = problem.law.log_loss(theta[None], problem.x)
    # a signed parameter describes points within a run: no run is spent on it
    free = int(((problem.lower < problem.upper) & ~problem.within).sum())
    noise = run_noise((value - problem.y)[0], points, free, prior=bool(problem.prior_weight.any()))
    return noise, _covariance(jacobian[0], points.weight, noise.scale, problem, theta)


def _refuse_too_few(points: Points, law: Law, borrowed: Borrowed | None) -> None:
    """Fewer runs than a fit needs; with borrowed parameters, fewer points than there are free ones."""
    if borrowed is not None:
        free = len(law.parameters) - len(borrowed.values)
        if len(points) < free:
            raise NotEnoughData(
                f"{len(points)} point(s) for {free} free parameters; train more runs, use checkpoints, or borrow more"
            )
    elif points.n_independent < MIN_RUNS:
        what = "finished" if len(np.unique(points.cluster)) == len(points) else "independent"
        raise NotEnoughData(
            f"{points.n_independent} {what} run(s); a fit needs at least {MIN_RUNS}: train more runs, or let them "
            "finish"
        )


def _with_prior(problem: Problem, minima: Minima, points: Points, *, weak: bool) -> Problem:
    """The problem with the prior's weight set so that one standard score costs what one observation does.

    A term of borrowed parameters alone has nothing to say.
    """
    free = problem.lower < problem.upper
    spoken = [bool(term.score(minima.theta[:1])[1][0, free].any()) for term in problem.terms]
    weight = np.where(spoken, 2.0 * _typical_cost(problem, minima, points), 0.0)
    if not weak:
        weight[: len(weak_terms(problem.law))] = 0.0
    return replace(problem, prior_weight=weight)


def _typical_cost(problem: Problem, minima: Minima, points: Points) -> float:
    """The mean cost of one observation, and no less than that of a residual of the usual seed noise.

    A few points can be matched exactly without being exact.
    """
    mean = float(minima.cost.min()) / float(points.weight.sum())
    usual = np.full((1, 1), problem.objective.log_unit)
    least = float(problem.objective.cost(usual + SEED_NOISE, usual, np.ones((1, 1)))[0])
    return max(mean, least)


def _covariance(jacobian: Array, weight: Array, noise: float, problem: Problem, theta: Array) -> Array:
    """Linearised covariance (P, P) of the working parameters; huge along directions that the data do not see."""
    information = (jacobian * weight[:, None]).T @ jacobian / noise**2
    for index in np.flatnonzero(problem.prior_weight):
        _, slope = problem.terms[index].score(theta[None])
        information += np.outer(slope[0], slope[0])
    free = np.flatnonzero(problem.lower < problem.upper)
    information = information[np.ix_(free, free)]
    scale = np.sqrt(np.maximum(np.diag(information), 1e-280))
    # a ridge of 1e-10 after scaling caps the variance of a direction that the data do not see at all
    scaled = information / np.outer(scale, scale) + 1e-10 * np.eye(len(scale))
    covariance = np.zeros((len(theta), len(theta)))
    covariance[np.ix_(free, free)] = np.clip(np.linalg.inv(scaled) / np.outer(scale, scale), -1e12, 1e12)
    return covariance


def _certificate(minima: Minima, best: int, fresh: int, given: int, at_bound: Sequence[str]) -> Certificate:
    """Counted over the `fresh` searches at the end of the batch; those before them began at an optimum."""
    cost = minima.cost[best]
    found = minima.cost[-fresh:]
    same = found <= cost * (1 + AGREEMENT) + 1e-18
    others = found[~same]
    return Certificate(
        starts=fresh,
        agreeing=int(same.sum()),
        given=given,
        gradient=float(minima.gradient[best]),
        iterations=int(minima.iterations[best]),
        runner_up=float(others.min() / cost - 1) if len(others) and cost > 0 else None,
        margin=BASIN_MARGIN,
        at_bound=tuple(at_bound),
    )
