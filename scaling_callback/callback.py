"""The Lightning callback: the only file that imports lightning.

It counts tokens, waits for fresh values of the monitored losses, and hands both to a `ScalingRecorder` each.
Whatever fails in here becomes one warning with its cause; the training goes on.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from torch import Tensor

from scaling_callback.acting import Action
from scaling_callback.allocating import UNCONSTRAINED, Constraints
from scaling_callback.errors import InputError, MissingDependency, WarnOnce, guarded
from scaling_callback.ladder import Ladder
from scaling_callback.laws import Law
from scaling_callback.measuring import (
    Beginning,
    FlopMeter,
    Monitors,
    StopSaver,
    Tally,
    Wanted,
    batch_copies,
    count_tokens,
    find_beginning,
    find_ending,
    identify,
    learning_rate,
    planned_batches,
    read_monitors,
    sequence_length,
    validate_once_more,
)
from scaling_callback.measuring.flops import MEASURED
from scaling_callback.ranks import Ranks
from scaling_callback.recorder import ScalingRecorder, check_refits
from scaling_callback.records import RunCard, Target
from scaling_callback.refitting import Where
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.stopping import AnyRule

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

_T = TypeVar("_T")


class ScalingCallback(Callback):
    """Records this run in a ladder, and logs what the ladder forecasts.

    A Trainer takes one of them for each ladder: a second one for the same metric would record one run twice. What the
    ladder says of further targets, `forecast` and the command line tell.

    Args:
        target: What the forecast is for.
        ladder: The folder or URL that all runs of the recipe share.
        monitor: The logged metric that is the loss. It is observed after each validation, and at the end of each
            epoch where only the training logs it. Of several metrics each is a run of its own in the ladder; the
            first is logged as `scaling/...`, another one as `scaling-NAME/...`.
        run: Name of this run in the ladder; by default the model's class and size.
        horizon: Tokens that this run is planned to train on; by default worked out from the Trainer and the
            schedule, which cannot be done where neither says when the training ends.
        params: Which counting of N is primary (`total`, `trainable`, `non_embedding`, `without_head`, or one of
            `sizes`), or N itself.
        sizes: N in countings of your own, such as `{"active": 1.3e9}` of a mixture of experts.
        flops_per_token: Training FLOPs per token: a number, `6n+attention`, or `measured` by torch's own counter in
            the first micro-batch; by default 6 N.
        tokens_per_batch: Counts the tokens of a micro-batch on one rank; by default they are counted from its
            shapes and labels.
        schedule: Name of the learning-rate schedule's shape; runs with the same name share curve templates. By
            default it is recognised.
        recipe: What all runs of the ladder must share, such as `{"data": "c4", "tokenizer": "gpt2"}`; a ladder
            that mixes values is warned about.
        held_out: Record this run to be compared with the forecast, and keep it out of every fit.
        flops: Budget of the allocation; by default the target's compute.
        constraints: What that budget must pay for beside training, how it is counted, and what is fixed.
        law: The law, by its name or as an object of your own.
        level: Nominal coverage of intervals.
        replicates: Bootstrap replicates of each refit.
        seed: Seed of the bootstrap.
        rules: Rules of when this run should end: those of `stopping`, or functions of a snapshot and this run's name
            that say why, or `None`. Which of them wait for refits, `ScalingRecorder` says.
        action: What comes of their calls: `record` writes them into the ladder and changes nothing in the training,
            `alert` also alerts, `stop` ends it on all ranks, validated, and saved at its last step beside what the
            Trainer's `ModelCheckpoint` keeps; with `enable_checkpointing=False` it is not saved.
        refit_budget: Share of wall time that the training may wait for refits, counted as of ten minutes at least, and
            as much again for rules between them; `None` refits at every observation.
        refit_in: `training` refits between two steps; `process` in a process beside the training, whose answers are
            logged at the next observation.

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
        monitor: str | Sequence[str] = "val_loss",
        *,
        run: str | None = None,
        horizon: float | None = None,
        params: float | str = "total",
        sizes: Mapping[str, float] | None = None,
        flops_per_token: float | str | None = None,
        tokens_per_batch: Callable[[Any], int | Tensor] | None = None,
        schedule: str | None = None,
        recipe: Mapping[str, str | int | float] | None = None,
        held_out: bool = False,
        flops: float | None = None,
        constraints: Constraints = UNCONSTRAINED,
        law: str | Law = "chinchilla",
        level: float = 0.9,
        replicates: int = 200,
        seed: int = 0,
        rules: Sequence[AnyRule] = (),
        action: Action = "record",
        refit_budget: float | None = 0.01,
        refit_in: Where = "training",
    ) -> None:
        super().__init__()
        if not isinstance(cast("Any", target), Target):
            raise InputError(f"target is a {type(target).__name__}; give Target(params=..., tokens=...)")
        self.config = Config(
            target=target,
            flops=flops,
            constraints=constraints,
            law=law,
            level=level,
            replicates=replicates,
            seed=seed,
        )
        self.monitors = read_monitors(monitor)
        self._wanted = Wanted(
            run=run,
            horizon=horizon,
            params=params,
            sizes=sizes or {},
            flops_per_token=flops_per_token,
            tokens_per_batch=tokens_per_batch,
            schedule=schedule,
            recipe=recipe or {},
            held_out=held_out,
        )
        check_refits(refit_budget, refit_in, rules, action, self.config)
        self._rules, self._refit_budget = tuple(rules), refit_budget
        self._action: Action = action
        self._refit_in: Where = refit_in
        self._ladder = Ladder(ladder).location  # refused now rather than after the first validation

        self._recorders: dict[str, ScalingRecorder] = {}  # by the loss that each records
        self._tally = Tally(tokens_per_batch or count_tokens)
        self._meter: FlopMeter | None = None  # while the first micro-batch is measured
        self._looked = False  # at the first micro-batch of the training, which tells the next two
        self._context: int | None = None  # tokens in a sequence
        self._measured: float | None = None  # FLOPs a token
        self._loaded: dict[str, Any] | None = None  # counters of a checkpoint, until a training takes them up
        self._trainer: weakref.ref[Trainer] | None = None  # of this training, or of the last one
        self._trained: weakref.ref[LightningModule] | None = None
        self._seen_at = self._validated_at = -1  # micro-batches at the last observation, and the last validation
        self._stopping = False  # whether a rule is ending this training; the same on every rank
        self._saver = StopSaver()
        self.warn = WarnOnce(type(self).__name__)
        """Says each thing once, also where warnings are errors, and never ends a training."""
        self._losses = Monitors(self.monitors, self.warn)

    @property
    def monitor(self) -> str:
        """The first of the losses that are recorded."""
        return self.monitors[0]

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ladder said of it at the last refit; `None` before the first and on ranks above 0."""
        return self._recorders[self.monitor].snapshot if self._recorders else None

    @property
    def run(self) -> str | None:
        """Name of its run in the ladder; `None` until its first observation, and on ranks above 0."""
        return self._runs().get(self.monitor)

    @property
    def state_key(self) -> str:
        """Distinct for callbacks that monitor different metrics or keep different ladders."""
        return self._generate_state_key(monitor=" ".join(self.monitors), ladder=self._ladder)

    def state_dict(self) -> dict[str, Any]:
        """Counters as plain numbers and text."""
        trainer = self._trainer() if self._trainer is not None else None
        return {
            "runs": self._runs(),
            "rules": {monitor: recorder.state_dict() for monitor, recorder in self._recorders.items()},
            "tokens": self._tally.tokens + self._tally.pending(trainer.world_size if trainer is not None else 1),
            "batches": self._tally.batches,
            "step": trainer.global_step if trainer is not None else 0,
            "lost": self._tally.trouble,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the counters of a checkpoint for the training that may continue it."""
        runs = state_dict.get("runs") or {self.monitor: state_dict.get("run")}  # the first version knew one run
        kept = state_dict.get("rules", {})
        held = {monitor: {**kept.get(monitor, {}), "run": run} for monitor, run in runs.items() if run}
        self._loaded = {**state_dict, "runs": held}

    def __getstate__(self) -> dict[str, Any]:
        """All but references to what was trained, which cannot be pickled and mean nothing elsewhere."""
        return {
            **self.__dict__,
            "_trained": None,
            "_trainer": None,
            "_recorders": {},
            "_meter": None,
            "_saver": StopSaver(),
        }

    @guarded
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin at zero, or continue what a checkpoint or this callback's last training counted."""
        # the first rank alone knows what was recorded before
        again = self._trained is not None and self._trained() is pl_module
        found = self._agree(
            trainer, lambda: find_beginning(trainer, self._loaded, self._tally, self._states(), again=again)
        )
        beginning = found or Beginning(lost="it is not known where this training begins")
        self._close()
        self._tally.restart(beginning.tokens, beginning.batches, beginning.lost, copies=batch_copies(trainer))
        self._trainer, self._trained = weakref.ref(trainer), weakref.ref(pl_module)
        self._loaded, self._looked, self._stopping = None, False, False
        self._seen_at = self._validated_at = -1
        self._losses = Monitors(self.monitors, self.warn)
        self._meter = FlopMeter() if self._wanted.flops_per_token == MEASURED and trainer.is_global_zero else None
        self._recorders = {
            monitor: self._record(trainer, pl_module, monitor, (beginning.continues or {}).get(monitor))
            for monitor in self.monitors
        }
        if self._action == "stop" and self._rules:
            self._saver.attach(trainer, _AfterOthers(self._save_stop))
        if beginning.lost:
            self._warn_lost(trainer)

    @guarded
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Measure the FLOPs of the first micro-batch, if that was asked for."""
        if self._meter is not None:
            self._meter.start(pl_module)

    @guarded
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's tokens: a number, or on its device a tensor that is read at the next observation."""
        self._tally.add(batch)
        if not self._looked:
            self._look_at(trainer, batch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe, unless this is the sanity check."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._validated_at = self._tally.batches
            self._observe(trainer, validated=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe a metric that only the training logs."""
        self._observe(trainer, validated=False)

    @guarded
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate where a rule ended it, unless that was done; refit; say what is missing from its record."""
        if self._stopping and trainer.enable_validation and self._validated_at != self._tally.batches:
            validate_once_more(trainer)
        self._saver.detach(trainer)
        if _is_fast(trainer) or self._tally.lost:
            return
        self._gather(trainer)
        if not self._tally.lost and trainer.is_global_zero:
            given = self._wanted.horizon
            completed, planned = find_ending(
                trainer,
                self._tally,
                planned=given or self._plan(trainer),
                follows=given is None,
                seen_at=self._seen_at,
                monitors=self.monitors,
                stopped=self._stopping,
                warn=self.warn,
            )
            for recorder in self._recorders.values():
                recorder.finish(completed=completed, horizon=planned if given is None else None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """What was observed is recorded already."""
        self._saver.detach(trainer)
        self._close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave nothing running beside a training that has ended."""
        self._close()

    def _look_at(self, trainer: Trainer, batch: Any) -> None:
        """What the first micro-batch tells: the length of its sequences, and its FLOPs a token."""
        self._context, self._looked = sequence_length(batch), True
        if self._meter is not None:
            meter, self._meter = self._meter, None
            try:
                self._measured = meter.stop(self._tally.pending(batch_copies(trainer)))
            finally:
                meter.cancel()
            if meter.reason is not None:
                self.warn(f"the FLOPs of a token could not be measured ({meter.reason}), so they are 6 N")

    def _runs(self) -> dict[str, str]:
        """Names of the runs that have begun, by the loss that each records."""
        return {monitor: recorder.run for monitor, recorder in self._recorders.items() if recorder.run is not None}

    def _states(self) -> dict[str, dict[str, Any]]:
        """What a training that goes on must know of each recorder that has begun a run, by the loss it records."""
        return {monitor: self._recorders[monitor].state_dict() for monitor in self._runs()}

    @guarded
    def _save_stop(self, trainer: Trainer) -> None:
        if self._stopping:
            self._saver.save(trainer, self.run)

    @guarded
    def _close(self) -> None:
        if self._meter is not None:
            self._meter.cancel()
        for recorder in self._recorders.values():
            recorder.close()

    def _record(
        self, trainer: Trainer, pl_module: LightningModule, monitor: str, continues: Mapping[str, Any] | None
    ) -> ScalingRecorder:
        """The recorder of one loss; who the run is it asks when the first observation has come."""
        first, name = monitor == self.monitor, continues["run"] if continues else None
        return ScalingRecorder(
            self.config,
            self._ladder,
            lambda: self._identify(trainer, pl_module, monitor, name),
            loggers=trainer.loggers,
            prefix=PREFIX if first else f"{PREFIX}-{monitor.replace('/', '_')}",
            rules=self._rules if first else (),
            action=self._action,
            refit_budget=self._refit_budget,
            refit_in=self._refit_in,
            continues=continues,
            resumed_after=trainer.global_step,
            ranks=Ranks(trainer.is_global_zero, trainer.strategy.broadcast),
            warn=self.warn,
        )

    def _identify(self, trainer: Trainer, pl_module: LightningModule, monitor: str, continues: str | None) -> RunCard:
        """The run's card: its size and its tokens per batch are known by now."""
        wanted = self._wanted
        horizon = wanted.horizon or self._plan(trainer)
        if horizon is None:
            self.warn("the planned tokens cannot be worked out from this Trainer: pass horizon= to make forecasts")
        card = identify(
            trainer,
            pl_module,
            name=wanted.run,
            params=wanted.params,
            sizes=wanted.sizes,
            flops_per_token=wanted.flops_per_token,
            measured=self._measured,
            context=self._context,
            horizon=horizon,
            tokens=self._tally.tokens,
            schedule=wanted.schedule,
            loss_kind=monitor,
            recipe=cast("Mapping[str, str]", wanted.recipe),
            held_out=wanted.held_out,
        )
        if wanted.run is None and continues is not None:
            return replace(card, name=continues)
        return card if monitor == self.monitor else replace(card, name=f"{card.name}.{monitor}")

    def _plan(self, trainer: Trainer) -> float | None:
        """The planned tokens as they can be worked out by now."""
        return self._tally.extrapolate(planned_batches(trainer, self._tally.batches))

    def _observe(self, trainer: Trainer, *, validated: bool) -> None:
        """One observation of each loss that is fresh and was not yet observed after this batch.

        Every rank comes here at the same places, and the first one decides for all: a metric may be logged on it
        alone. Nothing between the collective calls can fail on one rank only.
        """
        if _is_fast(trainer) or self._tally.lost or not self._recorders:
            return
        fresh = self._agree(trainer, lambda: self._losses.find(trainer, self._tally.batches, validated=validated))
        if not fresh:
            return
        self._seen_at = self._tally.batches
        self._gather(trainer)
        if self._tally.lost:
            return
        # the losses are worth recording without them
        rate, _ = self.warn.attempt(lambda: learning_rate(trainer)) or (math.nan, None)
        planned = None if self._wanted.horizon is not None else self.warn.attempt(lambda: self._plan(trainer))
        for monitor, loss in fresh.items():
            decision = self._recorders[monitor].observe(
                loss,
                tokens=self._tally.tokens,
                step=trainer.global_step,
                lr=rate,
                horizon=planned,
            )
            if decision.stop:  # the same on every rank
                trainer.should_stop = self._stopping = True

    def _agree(self, trainer: Trainer, decide: Callable[[], _T]) -> _T | None:
        """What the first rank decides, on every rank; `None` if it failed to. Every rank must come here."""
        # the other ranks wait for this one's decision, whatever happens in it
        return trainer.strategy.broadcast(self.warn.attempt(decide) if trainer.is_global_zero else None)

    def _gather(self, trainer: Trainer) -> None:
        """Add up the tokens of all ranks; every rank must come here."""
        strategy = cast("Any", trainer.strategy)
        self._tally.gather(lambda counts: strategy.reduce(counts.to(strategy.root_device), reduce_op="sum"))
        if self._tally.lost:
            self._warn_lost(trainer)

    def _warn_lost(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            counter = "" if self._tally.batches == 0 else "; pass tokens_per_batch="
            self.warn(f"{self._tally.lost}, so this run is not recorded from here on{counter}")


class _AfterOthers(Callback):
    """Comes after all other callbacks, those that save checkpoints among them.

    It is called where `ModelCheckpoint` saves, for there a Trainer's loops are in a state that it can resume.
    """

    def __init__(self, then: Callable[[Trainer], None]) -> None:
        super().__init__()
        self._then = then

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._then(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._then(trainer)


def _is_fast(trainer: Trainer) -> bool:
    """Whether this is a trial run; the attribute is set by the Trainer's constructor, out of sight of checkers."""
    return bool(cast("Any", trainer).fast_dev_run)
