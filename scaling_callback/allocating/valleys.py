"""Parabolas through the valleys of the loss against ln N, all budgets and replicates at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scaling_callback.allocating.profiles import MIN_SIZES, Codes, Profile
from scaling_callback.fitting import SEED_NOISE
from scaling_callback.records import Array

NEAREST = 1.25
"""A valley with fewer than five sizes below that is looked at wider: until the fifth lowest, and so much further."""

OUTLYING = 2.0
"""Standard deviations beyond which a residual pulls no harder (Huber 1964)."""

SWEEPS = 10
"""Reweightings of the robust fit: its vertex then moves by less than a thousandth of its noise."""

LEVERAGE = 0.9
"""Largest leverage that a residual is corrected for: beyond, the parabola follows the point, and nothing is left."""


@dataclass(frozen=True, eq=False)
class Valleys:
    """Profiles as tables of B budgets by n places, those beyond a profile's sizes with weight 0.

    Attributes:
        log_flops: Ln C, shape (B,).
        middle: Mean of ln N of the points that count, shape (B,).
        design: 1, u and u^2 with u = ln N - middle, shape (B, n, 3).
        log_loss: Ln L, shape (B, n).
        weight: How much each point counts, shape (B, n).
        run: Place of its run, shape (B, n).
        ends: Ln of the smallest and the largest size of each profile, shape (B, 2).
    """

    log_flops: Array
    middle: Array
    design: Array
    log_loss: Array
    weight: Array
    run: Codes
    ends: Array


@dataclass(frozen=True, eq=False)
class Parabolas:
    """Parabolas c0 + c1 u + c2 u^2, robustly fitted, over any leading axes.

    Attributes:
        coefficients: Shape (..., B, 3).
        inverse: Inverse of the weighted normal matrix, shape (..., B, 3, 3).
        residual: Shape (..., B, n).
    """

    coefficients: Array
    inverse: Array
    residual: Array


def find_vertices(profiles: Sequence[Profile], width: float) -> Array:
    """Ln N* (B,) at another width."""
    valleys, fitted, _ = fit_valleys(profiles, width)
    return locate_vertices(fitted.coefficients, valleys)


def fit_valleys(profiles: Sequence[Profile], width: float) -> tuple[Valleys, Parabolas, float]:
    """Parabolas through the profiles, whose losses are first brought to one compute; and their noise in ln L.

    Along the optimum the loss falls with ln C as it does at fixed N there (envelope theorem): that slope corrects
    finals which miss their budget by some percent.
    """
    valleys = _tabulate(profiles, width)
    fitted, scale = _fit_steadily(valleys)
    offset = np.zeros_like(valleys.log_loss)
    for row, profile in zip(offset, profiles, strict=True):
        row[: len(profile)] = profile.offset
    if len(profiles) > 1 and np.abs(offset).max() > 0:
        c0, c1, c2 = _split(fitted.coefficients)
        bottoms = np.where(c2 > 0, c0 - c1**2 / (4 * np.where(c2 > 0, c2, 1.0)), c0)
        slope = float(np.polyfit(valleys.log_flops, bottoms, 1)[0])
        valleys = replace(valleys, log_loss=valleys.log_loss - slope * offset)
        fitted, scale = _fit_steadily(valleys)
    return valleys, fitted, scale


def _tabulate(profiles: Sequence[Profile], width: float) -> Valleys:
    size = max(len(profile) for profile in profiles)
    log_params, log_loss, weight = (np.zeros((len(profiles), size)) for _ in range(3))
    run = np.zeros((len(profiles), size), dtype=np.intp)
    for b, profile in enumerate(profiles):
        n = len(profile)
        log_params[b, :n], log_loss[b, :n], run[b, :n] = profile.log_params, profile.log_loss, profile.run
        weight[b, :n] = _weigh(profile.log_loss, width)
    middle = (weight * log_params).sum(1) / weight.sum(1)
    u = log_params - middle[:, None]
    ends = np.array([(profile.log_params[0], profile.log_params[-1]) for profile in profiles])
    log_flops = np.array([profile.log_flops for profile in profiles])
    return Valleys(log_flops, middle, np.stack([np.ones_like(u), u, u**2], -1), log_loss, weight, run, ends)


def _weigh(log_loss: Array, width: float) -> Array:
    """How much each point of a profile counts, shape (s,): the tricube of its excess over the bottom.

    The excess is that of a running median of three: one spoiled run neither makes a bottom nor hides one.

    Example:
        >>> _weigh(np.array([1.10, 1.02, 1.0, 1.0, 1.01, 1.04, 1.2]), 0.05).round(2).tolist()
        [0.0, 0.82, 1.0, 1.0, 0.98, 0.12, 0.0]
    """
    padded = np.concatenate([log_loss[:1], log_loss, log_loss[-1:]])
    smooth = np.median([padded[:-2], log_loss, padded[2:]], axis=0)
    excess = smooth - smooth.min()
    reach = max(width, NEAREST * float(np.sort(excess)[MIN_SIZES - 1]))
    return np.asarray((1.0 - np.minimum(excess / reach, 1.0) ** 3) ** 3, dtype=np.float64)


def _fit_steadily(valleys: Valleys) -> tuple[Parabolas, float]:
    """Robust parabolas and their common noise, each found with the other."""
    fitted, scale = _fit_parabolas(valleys, valleys.log_loss, math.inf), math.inf
    for _ in range(3):
        scale = _noise(fitted.residual, valleys.weight)
        fitted = _fit_parabolas(valleys, valleys.log_loss, scale)
    return fitted, scale


def _noise(residual: Array, weight: Array) -> float:
    """Robust standard deviation of ln L around the parabolas, at least that of seeds."""
    seen = weight > 0
    spare = max(int(seen.sum()) - 3 * len(weight), 1)
    middle = float(np.median(np.abs(residual[seen]) * np.sqrt(weight[seen])))
    return max(1.4826 * middle * math.sqrt(seen.sum() / spare), SEED_NOISE)


def _fit_parabolas(valleys: Valleys, log_loss: Array, scale: float) -> Parabolas:
    """Weighted parabolas through losses (..., B, n); residuals beyond `OUTLYING` times the scale pull no harder."""
    weight: Array = np.broadcast_to(valleys.weight, log_loss.shape)
    fitted = _solve(valleys, log_loss, weight)
    for _ in range(SWEEPS):
        size, bound = np.abs(fitted.residual), OUTLYING * scale
        if (size <= bound).all():
            break
        weight = np.asarray(valleys.weight * np.minimum(1.0, bound / np.maximum(size, 1e-300)), dtype=np.float64)
        fitted = _solve(valleys, log_loss, weight)
    return fitted


def _solve(valleys: Valleys, log_loss: Array, weight: Array) -> Parabolas:
    """Parabolas by weighted least squares: losses and weights are (..., B, n)."""
    design = valleys.design
    normal = _sum("...bn,bni,bnj->...bij", weight, design, design)
    goal = _sum("...bn,bni->...bi", weight * log_loss, design)
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    coefficients = _sum("...bij,...bj->...bi", inverse, goal)
    return Parabolas(coefficients, inverse, log_loss - _sum("bni,...bi->...bn", design, coefficients))


def _sum(subscripts: str, *operands: Array) -> Array:
    """Einstein summation, whose type numpy does not say."""
    return np.asarray(np.einsum(subscripts, *operands, optimize=True), dtype=np.float64)


def _split(coefficients: Array) -> tuple[Array, Array, Array]:
    return coefficients[..., 0], coefficients[..., 1], coefficients[..., 2]


def locate_vertices(coefficients: Array, valleys: Valleys) -> Array:
    """Ln N* (..., B): vertices, or the end of the sampled sizes that lies beyond them or where the loss falls to."""
    _, c1, c2 = _split(coefficients)
    away = np.where(c1 > 0, -np.inf, np.inf)
    vertex = np.where(c2 > 0, -c1 / (2 * np.where(c2 > 0, c2, 1.0)), away)
    return np.clip(vertex + valleys.middle, valleys.ends[:, 0], valleys.ends[:, 1])


def count_beside(vertices: Array, valleys: Valleys) -> Array:
    """How many of the points that count lie to the left and to the right of each vertex, shape (2, B)."""
    log_params = valleys.design[..., 1] + valleys.middle[:, None]
    counts = valleys.weight > 0
    return np.stack(
        [(counts & (log_params < vertices[:, None])).sum(1), (counts & (log_params > vertices[:, None])).sum(1)]
    )


def vertex_variance(fitted: Parabolas, scale: float) -> Array:
    """Variance of each vertex -c1 / (2 c2), shape (B,), to first order in the noise."""
    _, c1, c2 = _split(fitted.coefficients)
    safe = np.where(c2 > 0, c2, np.inf)
    gradient = np.stack([np.zeros_like(safe), -1 / (2 * safe), c1 / (2 * safe**2)], -1)
    return scale**2 * _sum("bi,bij,bj->b", gradient, fitted.inverse, gradient)


def redraw_vertices(
    valleys: Valleys, fitted: Parabolas, scale: float, rng: np.random.Generator, replicates: int
) -> Array:
    """Vertices (R, B) of replicates whose residuals return with a random sign for each run."""
    leverage = valleys.weight * _sum("bni,bij,bnj->bn", valleys.design, fitted.inverse, valleys.design)
    bounded = np.clip(fitted.residual, -3 * scale, 3 * scale)  # one spoiled run is no noise of the others
    renewed = bounded / (1.0 - np.minimum(leverage, LEVERAGE))
    signs = rng.choice([-1.0, 1.0], size=(replicates, int(valleys.run.max()) + 1))
    drawn = valleys.log_loss - fitted.residual + renewed * signs[:, valleys.run]
    return locate_vertices(_fit_parabolas(valleys, drawn, scale).coefficients, valleys)
