"""The Lightning callback: the only file that imports lightning.

It counts tokens, waits for fresh values of the monitored loss, and hands both to a `Recorder` on the first
rank. Whatever fails in here becomes one warning with its cause; the training goes on.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from torch import Tensor

from scaling_callback.allocating import UNCONSTRAINED, Constraints
from scaling_callback.errors import InputError, MissingDependency, WarnOnce
from scaling_callback.ladder import Ladder
from scaling_callback.laws import Law
from scaling_callback.measuring import (
    COUNTINGS,
    Beginning,
    Tally,
    count_tokens,
    find_beginning,
    identify,
    is_completed,
    is_promised,
    learning_rate,
    planned_batches,
    read_recipe,
)
from scaling_callback.recorder import Recorder, continue_or_branch
from scaling_callback.records import FINAL_PROGRESS, Observation, Target, is_count
from scaling_callback.sinks import get_sink
from scaling_callback.snapshot import Config, Snapshot

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
else:

    def _bases() -> tuple[type, ...]:
        """`Callback` of every Lightning namespace in use: `lightning` and `pytorch_lightning` are unrelated."""
        known = ("lightning.pytorch", "pytorch_lightning")
        loaded = [name for name in known if name in sys.modules]
        for name in loaded or known:
            try:
                first = importlib.import_module(name).Callback
            except ImportError:
                continue
            return (first, *(sys.modules[other].Callback for other in loaded if other != name))
        raise MissingDependency("the callback needs Lightning: pip install 'scaling-callback[lightning]'")

    Callback = type("Callback", _bases(), {})

_log = logging.getLogger("scaling_callback")

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _guarded(
    hook: Callable[Concatenate[ScalingCallback, _P], None],
) -> Callable[Concatenate[ScalingCallback, _P], None]:
    """A hook that cannot end a training: what fails in it is warned of once."""

    @functools.wraps(hook)
    def guarded(self: ScalingCallback, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - a fault in here must never cost a training
            _log.debug("%s failed", hook.__name__, exc_info=True)
            self.warn_once(f"{type(error).__name__}: {error}")

    return guarded


class ScalingCallback(Callback):
    """Records this run in a ladder, and logs what the ladder forecasts.

    A Trainer takes one of them for each ladder and metric: two would record one run twice. What the ladder says of
    further targets, `forecast` and the command line tell.

    Args:
        target: What the forecast is for.
        ladder: The folder or URL that all runs of the recipe share.
        monitor: The logged metric that is the loss. It is observed after each validation, and at the end of each
            epoch where only the training logs it.
        run: Name of this run in the ladder; by default the model's class and size.
        horizon: Tokens that this run is planned to train on; by default worked out from the Trainer, which
            cannot be done for iterable data or a time limit alone.
        params: Which counting of N is primary (`total`, `trainable`, `non_embedding`), or N itself.
        tokens_per_batch: Counts the tokens of a micro-batch on one rank; by default they are counted from its
            shapes and labels.
        schedule: Name of the learning-rate schedule's shape; runs with the same name share curve templates. By
            default the scheduler's class.
        recipe: What all runs of the ladder must share, such as `{"data": "c4", "tokenizer": "gpt2"}`; a ladder
            that mixes values is warned about.
        held_out: Record this run to be compared with the forecast, and keep it out of every fit.
        flops: Budget of the allocation; by default the target's compute.
        constraints: What that budget must pay for beside training, how it is counted, and what is fixed.
        law: The law, by its name or as an object of your own.
        level: Nominal coverage of intervals.
        replicates: Bootstrap replicates of each refit.
        seed: Seed of the bootstrap.
        refit_budget: Share of wall time that refits may take; `None` refits at every observation.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> from scaling_callback import ScalingCallback, Target
        >>> callback = ScalingCallback(target=Target(params=7e9, tokens=4e12), ladder="memory://callback")
        >>> callback.state_key
        "ScalingCallback{'monitor': 'val_loss', 'ladder': 'memory://callback'}"
    """

    def __init__(
        self,
        target: Target,
        ladder: str | os.PathLike[str],
        monitor: str = "val_loss",
        *,
        run: str | None = None,
        horizon: float | None = None,
        params: str | float = "total",
        tokens_per_batch: Callable[[Any], int | Tensor] | None = None,
        schedule: str | None = None,
        recipe: Mapping[str, str | float] | None = None,
        held_out: bool = False,
        flops: float | None = None,
        constraints: Constraints = UNCONSTRAINED,
        law: str | Law = "chinchilla",
        level: float = 0.9,
        replicates: int = 200,
        seed: int = 0,
        refit_budget: float | None = 0.01,
    ) -> None:
        super().__init__()
        if not isinstance(cast("Any", target), Target):
            raise InputError(f"target is a {type(target).__name__}; give Target(params=..., tokens=...)")
        if isinstance(params, str) and params not in COUNTINGS:
            raise InputError(f"params is {params!r}, no counting of N; use {', '.join(COUNTINGS)}, or a number")
        for name, number in {"horizon": horizon, "params": params}.items():
            if not (number is None or isinstance(number, str)) and not is_count(number):
                raise InputError(f"{name} is {number!r}; it must be a positive, finite count")
        for name, text in {"monitor": monitor, "run": run, "schedule": schedule}.items():
            if text is not None and not (isinstance(cast("Any", text), str) and text):
                raise InputError(f"{name} is {text!r}; it must be a name")
        if tokens_per_batch is not None and not callable(tokens_per_batch):
            raise InputError(f"tokens_per_batch is {tokens_per_batch!r}; it must be a function of a batch")
        if not isinstance(cast("Any", held_out), bool):
            raise InputError(f"held_out is {held_out!r}; it must be True or False")
        if refit_budget is not None and not (
            isinstance(cast("Any", refit_budget), int | float) and 0 <= refit_budget <= 1
        ):
            raise InputError(f"refit_budget is {refit_budget!r}; it is a share of wall time from 0 to 1, or None")
        self.monitor = monitor
        self.config = Config(
            target=target,
            flops=flops,
            constraints=constraints,
            law=law,
            level=level,
            replicates=replicates,
            seed=seed,
        )
        self._ladder = Ladder(ladder).location  # refused now rather than after the first validation
        self._run = run
        self._horizon = horizon
        self._params = params
        self._schedule = schedule
        self._recipe = read_recipe(recipe)
        self._held_out = held_out
        self._refit_budget = refit_budget

        self._recorder: Recorder | None = None
        self._tally = Tally(tokens_per_batch or count_tokens)
        self._step: int = 0  # the trainer's global step
        self._world = 1
        self._loaded: dict[str, Any] | None = None  # counters of a checkpoint, until a training takes them up
        self._resumed: str | None = None  # the run that this training continues
        self._resumed_after = 0  # the step that it continues from
        self._trained: weakref.ref[Any] | None = None  # the module of the last training
        self._seen: Any = None
        self._seen_at: int = -1  # micro-batches at the last observation
        self._warn = WarnOnce()

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ladder said at the last refit; `None` before the first and on ranks above 0."""
        return self._recorder.snapshot if self._recorder is not None else None

    @property
    def run(self) -> str | None:
        """Name of this run in the ladder; `None` until its first observation, and on ranks above 0."""
        return self._recorder.run if self._recorder is not None else None

    @property
    def state_key(self) -> str:
        """Distinct for callbacks that monitor different metrics or keep different ladders."""
        return self._generate_state_key(monitor=self.monitor, ladder=self._ladder)

    def state_dict(self) -> dict[str, Any]:
        """Counters as plain numbers and text."""
        return {
            "run": self.run,
            "tokens": self._tally.tokens + self._tally.pending(self._world),
            "batches": self._tally.batches,
            "step": self._step,
            "lost": self._tally.trouble,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the counters of a checkpoint for the training that may continue it."""
        self._loaded = dict(state_dict)

    @_guarded
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin at zero, or continue what a checkpoint or this callback's last training counted."""
        # the first rank alone knows what was recorded before
        again = self._trained is not None and self._trained() is pl_module
        found = self._agree(trainer, lambda: find_beginning(trainer, self._loaded, self._tally, self.run, again=again))
        beginning = found or Beginning(lost="it is not known where this training begins")
        self._tally.restart(beginning.tokens, beginning.batches, beginning.lost)
        self._trained = weakref.ref(pl_module)
        self._recorder, self._loaded = None, None
        self._resumed, self._resumed_after = beginning.continues, trainer.global_step
        self._step, self._world = trainer.global_step, trainer.world_size
        self._seen, self._seen_at = None, -1
        if beginning.lost:
            self._warn_lost(trainer)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the reference to what was trained, which cannot be pickled and means nothing elsewhere."""
        return {**self.__dict__, "_trained": None}

    @_guarded
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's tokens: a number, or on its device a tensor that is read at the next observation."""
        self._step = trainer.global_step
        self._tally.add(batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe, unless this is the sanity check."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._observe(trainer, pl_module, complain=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe a metric that only the training logs."""
        self._observe(trainer, pl_module, complain=False)

    @_guarded
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refit with this run's last observation; say what is missing from its record."""
        if _is_fast(trainer) or self._tally.lost:
            return
        self._gather(trainer)
        if self._tally.lost or not trainer.is_global_zero:
            return
        completed = is_completed(trainer)
        planned = self._horizon or self._tally.extrapolate(planned_batches(trainer, self._tally.batches))
        if completed and self._horizon is None:
            planned = self._tally.tokens  # what the plan came to
        progress = self._tally.tokens / planned if planned else 0.0
        if self._seen_at < 0:
            message = f"{self.monitor!r} was never observed, so nothing was recorded; log it in validation_step"
            self.warn_once(message, about="monitor")
        elif planned is not None and progress < FINAL_PROGRESS:
            completed = False
            self.warn_once(
                f"training ended at {progress:.0%} of its {planned:g} planned tokens, so this run counts as "
                "unfinished; resume it, or pass the horizon= that it has"
            )
        elif completed and self._seen_at < FINAL_PROGRESS * self._tally.batches:
            self.warn_once(
                f"the last validation was after {self._seen_at / self._tally.batches:.0%} of the training, so this run "
                "has no final loss; validate at its last step, with a val_check_interval that divides max_steps"
            )
        if self._recorder is not None:
            self._recorder.finish(completed=completed, horizon=planned if self._horizon is None else None)

    def _observe(self, trainer: Trainer, pl_module: LightningModule, *, complain: bool) -> None:
        """One observation for a value that is fresh and was not yet observed after this batch.

        Every rank comes here at the same places, and the first one decides for all: a metric may be logged on it
        alone. Nothing between the collective calls can fail on one rank only.
        """
        if _is_fast(trainer) or self._tally.lost:
            return
        if not self._agree(trainer, lambda: self._is_fresh(trainer, complain=complain)):
            return
        self._seen_at = self._tally.batches
        self._gather(trainer)
        if trainer.is_global_zero and not self._tally.lost:
            self._record(trainer, pl_module)

    def _agree(self, trainer: Trainer, decide: Callable[[], _T]) -> _T | None:
        """What the first rank decides, on every rank; `None` if it failed to. Every rank must come here."""
        decided: _T | None = None
        if trainer.is_global_zero:
            try:
                decided = decide()
            except Exception as error:  # noqa: BLE001 - the other ranks wait for this one's decision
                self.warn_once(f"{type(error).__name__}: {error}")
        return trainer.strategy.broadcast(decided)

    def _gather(self, trainer: Trainer) -> None:
        """Add up the tokens of all ranks; every rank must come here."""
        strategy = cast("Any", trainer.strategy)
        self._tally.gather(lambda counts: strategy.reduce(counts.to(strategy.root_device), reduce_op="sum"))
        if self._tally.lost:
            self._warn_lost(trainer)

    def _warn_lost(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            counter = "" if self._tally.batches == 0 else "; pass tokens_per_batch="
            self.warn_once(f"{self._tally.lost}, so this run is not recorded from here on{counter}")

    def _is_fresh(self, trainer: Trainer, *, complain: bool) -> bool:
        """Whether the monitored metric is there, new, and not yet observed; keeps it if so."""
        value = trainer.callback_metrics.get(self.monitor)
        if value is None:
            if complain and not is_promised(trainer, self.monitor):
                known = ", ".join(sorted(trainer.callback_metrics)) or "none at all"
                self.warn_once(
                    f"the metric {self.monitor!r} was not logged; monitor= one of those that were: {known}",
                    about="monitor",
                )
            return False
        # a stop in mid-epoch validates once more; steps are no clock where optimisation is manual
        if self._tally.batches == self._seen_at or _same_value(value, self._seen):
            return False
        self._seen = value
        return True

    @_guarded
    def _record(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(self._seen)
        horizon = self._tally.extrapolate(planned_batches(trainer, self._tally.batches))
        if self._recorder is None:
            self._recorder = self._start(trainer, pl_module, horizon)
        rate, _ = learning_rate(trainer)
        self._recorder.observe(
            Observation(
                tokens=self._tally.tokens,
                loss=loss,
                step=float(trainer.global_step),
                lr=rate,
                wall_time=time.time(),
            ),
            horizon=None if self._horizon is not None else horizon,
        )

    def _start(self, trainer: Trainer, pl_module: LightningModule, horizon: float | None) -> Recorder:
        """Begin the run's record: its size and its tokens per batch are known by now."""
        ladder = Ladder(self._ladder)
        horizon = self._horizon or horizon
        if horizon is None:
            self.warn_once("the planned tokens cannot be worked out from this Trainer: pass horizon= to make forecasts")
        card = identify(
            trainer,
            pl_module,
            name=self._resumed or self._run,
            params=self._params,
            horizon=horizon,
            tokens=self._tally.tokens,
            schedule=self._schedule,
            loss_kind=self.monitor,
            recipe=self._recipe,
            held_out=self._held_out,
        )
        resumed_after = None
        if self._resumed is not None:
            card, resumed_after = continue_or_branch(ladder, card, self._resumed_after)
        return Recorder(
            ladder,
            card,
            self.config,
            [get_sink(logger) for logger in trainer.loggers],
            refit_budget=self._refit_budget,
            resumed_after=resumed_after,
        )

    def warn_once(self, message: str, about: str | None = None) -> None:
        """Say it once (or one thing once of what it is about), also where warnings are errors."""
        self._warn(f"ScalingCallback: {message}. The training goes on.", about)


def _is_fast(trainer: Trainer) -> bool:
    """Whether this is a trial run; the attribute is set by the Trainer's constructor, out of sight of checkers."""
    return bool(cast("Any", trainer).fast_dev_run)


def _same_value(value: Any, other: Any) -> bool:
    """Whether two tensors are views of one memory: Lightning hands out a new view of a stale metric each time."""
    if isinstance(value, Tensor) and isinstance(other, Tensor):
        return value.data_ptr() == other.data_ptr()
    return value is other
