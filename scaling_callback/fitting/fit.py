"""Fit a law to points: starts, search, bootstrap, diagnostics."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np

from scaling_callback.errors import InputError, NotEnoughData
from scaling_callback.fitting.bootstrap import Progress, bootstrap
from scaling_callback.fitting.diagnostics import basin_diagnostics, design_diagnostics, law_diagnostics
from scaling_callback.fitting.noise import SEED_NOISE, run_noise
from scaling_callback.fitting.objective import LogHuber
from scaling_callback.fitting.points import Points
from scaling_callback.fitting.result import Certificate, Fit, Status
from scaling_callback.fitting.solver import Minima, Problem, anneal
from scaling_callback.fitting.starts import variable_projection
from scaling_callback.laws import Law, get_law
from scaling_callback.records import Array

MIN_RUNS = 3
"""Fewest independent runs that are fitted at all."""

DEFAULT_OBJECTIVE = LogHuber()

AGREEMENT = 1e-6
"""Two objectives that differ by less than this fraction are one optimum."""


def fit(
    points: Points,
    *,
    law: str | Law = "chinchilla",
    objective: LogHuber = DEFAULT_OBJECTIVE,
    prior: bool = False,
    replicates: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fit:
    """Fit `law` to `points`.

    Starts come from variable projection on the points, never from an earlier fit alone, so a refit cannot stay
    in the basin of the last one. The answer is the best of all searches.

    Args:
        points: What to fit.
        law: A law's name, or a law.
        objective: The objective to minimise.
        prior: Add the weak prior on the exponents, which weighs about one observation.
        replicates: Bootstrap replicates; 0 for none.
        seed: Seed of the bootstrap.
        progress: Told of the replicates done.

    Raises:
        NotEnoughData: There are fewer than 3 independent runs.
        InputError: The number of replicates is negative.

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
    if replicates < 0:
        raise InputError(f"replicates is {replicates}; it must be 0 (no bootstrap) or a positive count")
    if points.n_independent < MIN_RUNS:
        what = "finished" if len(np.unique(points.cluster)) == len(points) else "independent"
        raise NotEnoughData(
            f"{points.n_independent} {what} run(s); a fit needs at least {MIN_RUNS}: train more runs, or let them "
            "finish"
        )
    chosen = get_law(law)
    variables = points.log_variables(chosen.variables)
    centre = variables.mean(1)
    x, y = variables - centre[:, None], np.log(points.loss)
    weight = points.weight[None]

    starts = variable_projection(chosen, x, y, points.weight)
    problem = _problem(chosen, x, y[None], objective)
    minima = anneal(problem, starts, weight)
    if prior:
        problem = _with_prior(problem, minima, points)
        minima = anneal(problem, np.concatenate([minima.theta, starts]), weight)
    best = int(np.argmin(minima.cost))
    theta = minima.theta[best]

    value, jacobian = chosen.log_loss(theta[None], x)
    residual = value - y
    noise = run_noise(residual[0], points, len(theta), prior=prior)
    covariance = _covariance(jacobian[0], points.weight, noise.scale, problem, theta)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    diagnostics = design_diagnostics(points)
    diagnostics |= law_diagnostics(chosen, theta, problem.bounds, errors)
    diagnostics |= basin_diagnostics(chosen, minima.theta, minima.cost)
    # what one observation costs is no ground to prefer one optimum over another
    near = minima.cost <= minima.cost[best] + _typical_cost(problem, minima, points)
    rivals = np.concatenate([theta[None], minima.theta[near]])
    status = Status.CONVERGED if minima.converged[best] else Status.NOT_CONVERGED
    if np.ptp(y) <= 1e-9:
        status = Status.NO_VARIATION
        diagnostics["no_variation"] = Status.NO_VARIATION.value

    return Fit(
        law=chosen,
        points=points,
        theta=theta,
        centre=centre,
        draws=bootstrap(
            problem,
            points,
            rivals,
            covariance,
            replicates,
            noise=noise,
            seed=seed,
            progress=progress,
        ),
        objective=float(objective.cost(residual, weight)[0]),
        noise=noise.scale,
        status=status,
        certificate=_certificate(minima, best, fresh=len(starts)),
        diagnostics=diagnostics,
        seconds=time.perf_counter() - began,
        prior=prior,
    )


def _problem(law: Law, x: Array, y: Array, objective: LogHuber) -> Problem:
    priors = [law.parameters[i].prior or (1.0, math.inf) for i in law.exponents]
    medians, deviations = np.array(priors).T
    return Problem(law, x, y, objective, prior_log=np.log(medians)[None], prior_sd=deviations)


def _with_prior(problem: Problem, minima: Minima, points: Points) -> Problem:
    """The problem with the prior's weight set so that one standard score costs what one observation does."""
    return replace(problem, prior_weight=2.0 * _typical_cost(problem, minima, points))


def _typical_cost(problem: Problem, minima: Minima, points: Points) -> float:
    """The mean cost of one observation, and no less than that of a residual of the usual seed noise.

    A few points can be matched exactly without being exact.
    """
    mean = float(minima.cost.min()) / float(points.weight.sum())
    least = float(problem.objective.cost(np.array([[SEED_NOISE]]), np.ones((1, 1)))[0])
    return max(mean, least)


def _covariance(jacobian: Array, weight: Array, noise: float, problem: Problem, theta: Array) -> Array:
    """Linearised covariance (P, P) of the working parameters; huge along directions that the data do not see."""
    information = (jacobian * weight[:, None]).T @ jacobian / noise**2
    if problem.prior_weight > 0:
        exponents = list(problem.law.exponents)
        information[exponents, exponents] += 1.0 / (problem.prior_sd * theta[exponents]) ** 2
    scale = np.sqrt(np.maximum(np.diag(information), 1e-280))
    # a ridge of 1e-10 after scaling caps the variance of a direction that the data do not see at all
    scaled = information / np.outer(scale, scale) + 1e-10 * np.eye(len(scale))
    return np.clip(np.linalg.inv(scaled) / np.outer(scale, scale), -1e12, 1e12)


def _certificate(minima: Minima, best: int, fresh: int) -> Certificate:
    """Counted over the `fresh` searches at the end of the batch; those before them began at an optimum."""
    cost = minima.cost[best]
    found = minima.cost[-fresh:]
    same = found <= cost * (1 + AGREEMENT) + 1e-18
    others = found[~same]
    return Certificate(
        starts=fresh,
        agreeing=int(same.sum()),
        gradient=float(minima.gradient[best]),
        iterations=int(minima.iterations[best]),
        runner_up=float(others.min() / cost - 1) if len(others) and cost > 0 else None,
    )
