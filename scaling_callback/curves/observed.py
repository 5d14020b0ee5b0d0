"""What the methods share: the usable part of a curve, and how one run relates to another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

import numpy as np

from scaling_callback.curves.result import Abstention, FinalForecast
from scaling_callback.curves.robust import median
from scaling_callback.records import Array, BoolArray, Run, as_count

T = TypeVar("T")

MIN_OBSERVATIONS = 3
"""Fewest usable observations from which a final is forecast (DESIGN 4.2)."""

MOST_POINTS = 200
"""A curve of more observations is averaged into about this many: beyond it only time is lost."""

ABSURD = 1e6
"""Factor from the median of its curve beyond which a loss is a failed measurement and no spike."""

SPIKE, LEAST_SPIKE = 6.0, 0.02
"""Robust deviations, and ln loss, that an observation must be off its neighbours to be left out as a spike: a
curve that falls smoothly is its own running median, and noise of six deviations is none."""

TINIEST, LARGEST = 1e-30, 1e30
"""Losses beyond these are no losses: their squares would leave a double."""

MOST_UNSURE = 1.0
"""Deviation of ln loss beyond which a number says nothing."""

SHAPE_UNIT = 0.1
"""Difference of two learning rates, as a share of their peaks, that counts as one step away: a tenth of the peak is the
floor of a usual cosine. 0.05 and 0.2 are worse on nine ladders, by 1% and 3%."""

OTHER_SHAPE = 3.0
"""Steps beyond which two schedules have nothing to say of each other."""

SEED_TO_COME = 0.5
"""Share of the seed noise below which no method claims to know a final, nor their combination below that of the noise
that its record allows. A final of another seed is unknown by the whole noise; but this run's own seed has shown itself
in its prefix, and what of it lasts is seen there. How much is yet to come was not measured: half, at any progress. Set
beforehand, not fitted."""

HELD = 0.01
"""Share of its peak by which a rate may have fallen and still be called constant; a cosine has lost more by 7% of the
run, a linear decay by 1%."""

KEPT = 256
"""Answers kept that depend on a run and on those beside it: all methods ask the same, for each finished run that is
scored at one progress."""

_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?")


def keep_with_run(function: Callable[[Run], T]) -> Callable[[Run], T]:
    """Keep the answer to a run with the run: a training makes a new run at every refresh, and no answer outlives it."""
    name = f"_{function.__module__}.{function.__name__}"

    @wraps(function)
    def kept(run: Run) -> T:
        if name not in run.__dict__:
            run.__dict__[name] = function(run)
        return run.__dict__[name]

    return kept


@dataclass(frozen=True, eq=False)
class Seen:
    """The usable observations of a run: finite, positive losses at known progress, shape (n,) each."""

    progress: Array
    log_progress: Array
    log_loss: Array

    def __len__(self) -> int:
        return len(self.progress)


@keep_with_run
def observe(run: Run) -> Seen:
    """The usable observations of `run`, averaged in blocks where there are more than 200."""
    usable = _usable(run)
    x, y = np.log(run.progress[usable]), np.log(run.curve.loss[usable])
    calm = ~_spikes(y)
    x, y = x[calm], y[calm]
    if len(x) > MOST_POINTS:
        edges = np.linspace(0, len(x), MOST_POINTS + 1).astype(np.intp)
        size = np.diff(edges)
        x, y = (np.add.reduceat(values, edges[:-1]) / size for values in (x, y))
    return Seen(np.exp(x), x, y)


@keep_with_run
def _usable(run: Run) -> BoolArray:
    loss = run.curve.loss
    usable = (loss > TINIEST) & (loss < LARGEST) & (run.progress > 0) & np.isfinite(run.curve.tokens)
    if usable.any():
        middle = median(loss[usable])
        usable &= (loss < ABSURD * middle) & (loss > middle / ABSURD)
    return usable


def _spikes(log_loss: Array) -> BoolArray:
    """Single observations far from the median of their five neighbours; what persists is no spike."""
    spiked = np.zeros(len(log_loss), dtype=bool)
    if len(log_loss) >= 5:
        inner = log_loss[2:-2]
        away = np.abs(inner - np.median(np.lib.stride_tricks.sliding_window_view(log_loss, 5), axis=1))
        spiked[2:-2] = away > max(SPIKE * 1.4826 * median(away), LEAST_SPIKE)
    return spiked


@keep_with_run
def find_obstacle(run: Run) -> Abstention | None:
    """What keeps every method from saying anything of this run's final, or `None`."""
    if run.horizon is None:
        return Abstention("horizon_unknown", "its planned tokens are unknown: pass `horizon=`")
    if not 0 < run.horizon < np.inf or not 0 < run.params < np.inf:
        return Abstention(
            "size_unknown", f"its size is {run.params} and its planned tokens {run.horizon}; both must be counts"
        )
    if len(run.curve) and run.progress[-1] > 0 and not _usable(run)[-1]:
        return Abstention("diverged", f"its last loss is {run.curve.loss[-1]}")
    usable = len(observe(run))
    if usable < MIN_OBSERVATIONS:
        return Abstention("too_early", f"{usable} usable observations; {MIN_OBSERVATIONS} are needed")
    return None


def order_finished(run: Run, finished: Sequence[Run]) -> tuple[Run, ...]:
    """The finished runs that can serve as evidence for `run`, by planned compute; ties by name."""
    return _order(run, tuple(finished))


@lru_cache(maxsize=KEPT)
def _order(run: Run, finished: tuple[Run, ...]) -> tuple[Run, ...]:
    kept = [(rank, other) for other in finished if other is not run and (rank := _rank(other)) is not None]
    return tuple(other for rank, other in sorted(kept, key=lambda pair: pair[0]) if rank[1] != run.name)


@keep_with_run
def _rank(run: Run) -> tuple[float, str] | None:
    """Where a run stands among finished ones; `None` for one without a usable final, size or horizon."""
    if run.final is None or not TINIEST < run.final.loss < LARGEST or not 0 < run.params < np.inf:
        return None
    return (run.planned_flops or 0.0, run.name) if run.horizon is not None and 0 < run.horizon < np.inf else None


def conclude(log_median: float, deviation: float, method: str, templates: int) -> FinalForecast | Abstention:
    """A forecast from ln of its median and the deviation of ln loss, or the abstention of a method that ran away."""
    if not np.isfinite([log_median, deviation]).all() or abs(log_median) > np.log(LARGEST) or deviation > MOST_UNSURE:
        return Abstention("unbounded", f"the method {method!r} cannot tell this run's final within a factor of e")
    median = float(np.exp(log_median))
    return FinalForecast(median, median * float(deviation), method, templates)


def log_final(run: Run) -> float:
    """Ln of the final loss of a finished run."""
    assert run.final is not None
    return float(np.log(run.final.loss))


@keep_with_run
def _traits(run: Run) -> Array:
    """Ln of size, horizon, peak learning rate, batch and passes over the data; NaN where unknown."""
    assert run.horizon is not None
    unique = as_count(run.card.extra.get("unique_tokens", ""))
    further = (peak_rate(run), run.card.batch_tokens, None if unique is None else max(run.horizon / unique, 1.0))
    known = [float(np.log(value)) if value is not None and 0 < value < np.inf else np.nan for value in further]
    return np.array([np.log(run.params), np.log(run.horizon), *known])


@lru_cache(maxsize=KEPT)
def relate(run: Run, others: tuple[Run, ...]) -> Array:
    """How far `others` lie from `run` in each trait, shape (n, 5); 0 where one of the two is unknown.

    The traits are ln of size, horizon, peak learning rate, batch, and passes over the data.
    """
    if not others:
        return np.zeros((0, 5))
    differences = np.concatenate([_traits(other) for other in others]).reshape(len(others), 5) - _traits(run)
    return np.where(np.isnan(differences), 0.0, differences)


@lru_cache(maxsize=KEPT)
def lay_beside(run: Run, others: tuple[Run, ...]) -> Array:
    """Log losses of `others` at the progress that was seen of `run`, shape (n, m); their ends go on beyond them."""
    x = observe(run).log_progress
    curves = [observe(other) for other in others]
    # joined, since an array of a list of arrays takes longer than to interpolate them
    return np.concatenate([np.interp(x, c.log_progress, c.log_loss) for c in curves]).reshape(len(others), len(x))


def peak_rate(run: Run) -> float | None:
    """The highest learning rate: as the card has it, else the highest that was recorded."""
    if run.card.peak_lr is not None:
        return run.card.peak_lr
    rates = run.curve.lr[np.isfinite(run.curve.lr)]
    return float(rates.max()) if len(rates) and rates.max() > 0 else None


@keep_with_run
def rate_shape(run: Run) -> tuple[Array, Array] | None:
    """Progress and learning rate over its peak, shape (n,) each, or `None` where rates were not recorded."""
    peak, rates = peak_rate(run), run.curve.lr
    known = np.isfinite(rates) & (rates >= 0) & np.isfinite(run.progress)
    if peak is None or not 0 < peak < np.inf or known.sum() < MIN_OBSERVATIONS or not rates[known].any():
        return None
    return run.progress[known], rates[known] / peak


@keep_with_run
def holds_rate(run: Run) -> bool:
    """Whether what was seen of a run is at a constant rate, warmup aside; by its words where no rates are recorded."""
    shape = rate_shape(run)
    if shape is None:
        words = (run.card.schedule or "").lower()
        return any(word in words for word in ("const", "wsd", "warmup-stable", "trapez"))
    progress, rates = shape
    late = rates[progress >= 0.5 * progress[-1]]
    return bool(len(late)) and float(late.min()) >= (1.0 - HELD) * float(late.max())


def ends_alike(run: Run, other: Run) -> bool:
    """Whether a finished run ended in the phase in which `run` will, as far as is known.

    Their words may agree although one was ended before its decay: its final says nothing of what a decay takes off. A
    decay that ends high is called constant (`Run.phase`), but it is one.
    """
    if run.phase == other.phase or "unknown" in (run.phase, other.phase):
        return True
    return holds_rate(other) == (run.phase == "constant")


@lru_cache(maxsize=1024)
def schedule_words(text: str | None) -> str | None:
    """A schedule's text without its numbers: step counts differ between runs of one shape.

    Example:
        >>> schedule_words("cosine lr=3e-3 warmup=750"), schedule_words("cosine lr=0.001 warmup=2000")
        ('cosine lr=# warmup=#', 'cosine lr=# warmup=#')
    """
    return None if text is None else _NUMBER.sub("#", text)


@lru_cache(maxsize=KEPT)
def schedule_distances(run: Run, others: tuple[Run, ...]) -> Array:
    """How far the schedules of `others` are from that of `run`, in steps, shape (n,); NaN where one is another.

    Words decide what kind of schedule lies ahead; recorded rates decide how alike the seen parts are, over progress
    and relative to their peaks. The same words with other numbers count as one step.
    """
    text, words, mine = run.card.schedule, schedule_words(run.card.schedule), rate_shape(run)
    texts = [other.card.schedule for other in others]
    apart = np.array([0.0 if t == text else 1.0 if schedule_words(t) == words else np.nan for t in texts])
    apart[[not ends_alike(run, other) for other in others]] = np.nan
    if mine is None:
        return apart
    shapes = [None if np.isnan(step) else rate_shape(other) for step, other in zip(apart, others, strict=True)]
    known = [index for index, shape in enumerate(shapes) if shape is not None]
    if known:
        x, rates = mine
        theirs = np.concatenate([np.interp(x, *shape) for shape in shapes if shape is not None]).reshape(-1, len(x))
        # late rates weigh more: the warmup is another share of each horizon
        weight = (x + 1e-12) / (x + 1e-12).sum()
        steps = np.sqrt(np.square(rates - theirs) @ weight) / SHAPE_UNIT
        apart[known] = np.where(steps > OTHER_SHAPE, np.nan, np.hypot(steps, apart[known]))
    return apart
