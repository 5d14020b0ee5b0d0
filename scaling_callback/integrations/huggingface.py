"""The Trainer of Hugging Face's transformers: a callback over `ScalingRecorder`.

The Trainer counts tokens, evaluates and writes checkpoints itself; this hands its numbers to the recorder. Whatever
fails in here becomes one warning with its cause; the training goes on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from scaling_callback.acting import Action
from scaling_callback.errors import InputError, MissingDependency, WarnOnce, guarded
from scaling_callback.ladder import Ladder
from scaling_callback.measuring import Wanted, describe_module
from scaling_callback.ranks import Ranks
from scaling_callback.recorder import ScalingRecorder, check_refits
from scaling_callback.records import RunCard, Target
from scaling_callback.refitting import Where
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.stopping import AnyRule

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
else:
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingDependency(
            "the callback of transformers' Trainer needs it: pip install 'scaling-callback[huggingface]'"
        ) from None


_log = logging.getLogger("scaling_callback")


class ScalingTrainerCallback(TrainerCallback):
    """Records a training of transformers' Trainer in a ladder, and says what the ladder forecasts.

    It observes `monitor` at every evaluation within a training. For a final loss the last step must be evaluated:
    let `eval_steps` divide `max_steps`. Tokens are those that the Trainer counts on all processes
    (`num_input_tokens_seen`, which is switched on where it is off: `include_num_input_tokens_seen="all"`; choose
    `"non_padding"` for padded data). That count waits for the device in every micro-batch; where all batches hold the
    same number of tokens, `tokens_per_step` makes it unnecessary.

    Args:
        target: What the forecast is for; or a `Config`, which says all that is asked of the ladder.
        ladder: The folder or URL that all runs of the recipe share.
        monitor: The metric of the evaluation that is the loss.
        run: Name of this run in the ladder; by default the model's class and size.
        tokens_per_step: Tokens of all processes in one optimiser step, where that never varies.
        horizon: Tokens that it is planned to train on; by default worked out from the Trainer's steps.
        params: Which counting of N is primary (`total`, `trainable`, `non_embedding`), or N itself.
        schedule: Name of the learning-rate schedule's shape; by default the Trainer's `lr_scheduler_type`.
        recipe: What all runs of the ladder must share, such as `{"data": "c4"}`.
        held_out: Record this run to be compared with the forecast, and keep it out of every fit.
        loggers: Where scalars and reasons go, as for `ScalingRecorder`; by default to the W&B run that the Trainer
            reports to, if any.
        rules: Rules of when the run should end: those of `stopping`, or functions of a snapshot and the run's name that
            say why, or `None`. Which of them wait for refits, `ScalingRecorder` says.
        action: What comes of their calls: `record` writes them into the ladder and changes nothing in the training,
            `alert` also alerts, `stop` ends it, saved at its last step as the Trainer's own checkpoint. It is not saved
            with `save_strategy="no"`, nor, where it is evaluated at the end of epochs, with `"best"` if it was better
            before.
        refit_budget: Share of wall time that refits may take, counted as of ten minutes at least, and as much again for
            rules between them; `None` refits at every observation.
        refit_in: `training` refits between two steps, `process` beside it.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> from scaling_callback import Target
        >>> callback = ScalingTrainerCallback(Target(params=7e9, tokens=4e12), "memory://transformers")
        >>> callback.snapshot is callback.run is None
        True
    """

    def __init__(
        self,
        target: Target | Config,
        ladder: str | os.PathLike[str],
        monitor: str = "eval_loss",
        *,
        run: str | None = None,
        tokens_per_step: float | None = None,
        horizon: float | None = None,
        params: float | str = "total",
        schedule: str | None = None,
        recipe: Mapping[str, str | float] | None = None,
        held_out: bool = False,
        loggers: Sequence[Any] | None = None,
        rules: Sequence[AnyRule] = (),
        action: Action = "record",
        refit_budget: float | None = 0.01,
        refit_in: Where = "training",
    ) -> None:
        if not isinstance(cast("Any", target), Target | Config):
            raise InputError(f"target is a {type(target).__name__}; give Target(params=..., tokens=...)")
        if not (isinstance(cast("Any", monitor), str) and monitor):
            raise InputError(f"monitor is {monitor!r}; it must be the name of a metric, such as 'eval_loss'")
        if tokens_per_step is not None and not tokens_per_step > 0:
            raise InputError(f"tokens_per_step is {tokens_per_step!r}; it must be a positive count")
        config = target if isinstance(target, Config) else Config(target=target)
        check_refits(refit_budget, refit_in, rules, action, config)
        self.warn = WarnOnce(type(self).__name__)
        """Says each thing once, and never ends a training."""
        self._target, self._monitor = target, monitor
        self._ladder = Ladder(ladder).location  # refused now rather than after the first evaluation
        self._wanted = Wanted(
            run=run, horizon=horizon, params=params, schedule=schedule, recipe=recipe or {}, held_out=held_out
        )
        self._tokens_per_step, self._loggers = tokens_per_step, loggers
        self._rules, self._refit_budget = tuple(rules), refit_budget
        self._action: Action = action
        self._refit_in: Where = refit_in
        self._recorder: ScalingRecorder | None = None
        self._training = False  # an evaluation of its own is no point of a training
        self._stopping = False  # whether a rule is ending this training; the same on every rank
        self._saved_at = -1  # the step after which the Trainer saved last
        self._seen: set[str] = set()

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ladder said at the last refit; `None` before the first and on ranks above 0."""
        return self._recorder.snapshot if self._recorder is not None else None

    @property
    def run(self) -> str | None:
        """Name of its run in the ladder; `None` until its first observation, and on ranks above 0."""
        return self._recorder.run if self._recorder is not None else None

    @guarded
    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin, or continue the run of the checkpoint that the Trainer has loaded."""
        if self._recorder is not None:  # of a training before, or of one that began again with smaller batches
            self._recorder.close()
        self._recorder, self._training, self._seen = None, False, set()
        self._stopping, self._saved_at = False, -1
        if self._tokens_per_step is None and state.global_step > 0 and state.num_input_tokens_seen == 0:
            self.warn(
                f"the training goes on from step {state.global_step}, and its checkpoint holds no count of tokens, so "
                "it is not recorded; pass tokens_per_step="
            )
            return
        if self._tokens_per_step is None and not _counts(args):
            args.include_num_input_tokens_seen = "all"
        stored = cast("dict[str, Any]", state.stateful_callbacks).get(self._key)
        model = kwargs["model"]
        self._recorder = ScalingRecorder(
            self._target,
            self._ladder,
            lambda: self._describe(args, state, model),
            loggers=_find_loggers(args) if self._loggers is None else self._loggers,
            rules=self._rules,
            action=self._action,
            refit_budget=self._refit_budget,
            refit_in=self._refit_in,
            continues=stored or None,
            resumed_after=state.global_step,
            ranks=Ranks.distributed(),
            warn=self.warn,
        )
        self._training = True

    @guarded
    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Observe, on every rank; a rule may stop the training."""
        metrics: Mapping[str, Any] = kwargs.get("metrics") or {}
        if self._recorder is None or not self._training or state.global_step == 0:
            return
        self._seen |= metrics.keys()
        if self._monitor not in metrics:  # of several data sets, another one's
            return
        if self._tokens(state) <= 0:
            self.warn("the Trainer counted no tokens, so this run is not recorded; pass tokens_per_step=")
            return
        decision = self._recorder.observe(
            float(metrics[self._monitor]),
            tokens=self._tokens(state),
            step=state.global_step,
            lr=_rate(kwargs.get("optimizer")),
            horizon=self._plan(state) if self._wanted.horizon is None else None,
        )
        # kept by every checkpoint from here on. Not as an ExportableState: the Trainer would make this callback anew
        # from arguments that JSON can hold, and its rules are functions
        cast("dict[str, Any]", state.stateful_callbacks)[self._key] = self._recorder.state_dict()
        if decision.stop:  # at an evaluation: these weights need no other one
            control.should_training_stop = self._stopping = True
            control.should_save = _saves(args)

    @guarded
    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Know after which step the Trainer saved."""
        self._saved_at = state.global_step

    @guarded
    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save where a rule ends the training: a Trainer that saves the best alone has just decided for itself."""
        if self._stopping and self._saved_at != state.global_step:
            control.should_save = _saves(args)

    @guarded
    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refit with this run's last observation; say what is missing from its record."""
        if self._recorder is None or not self._training:
            return
        self._training = False
        if self._monitor not in self._seen:
            known = ", ".join(sorted(self._seen)) or "none at all; give the Trainer eval_strategy and an eval_dataset"
            self.warn(f"{self._monitor!r} was never evaluated; monitor= one of what was: {known}")
        # where rules or the user stop it, the Trainer still says how many steps were planned
        completed = 0 < state.max_steps <= state.global_step
        ended = self._tokens(state) if completed and self._wanted.horizon is None else None
        self._recorder.finish(completed=completed, horizon=ended)
        if self._stopping and state.is_world_process_zero:
            _log.warning("%s", self._describe_place(args, state))

    def _describe_place(self, args: TrainingArguments, state: TrainerState) -> str:
        """Where the training that a rule has ended is saved, in a line."""
        if self._saved_at == state.global_step:
            place = f"{args.output_dir}/checkpoint-{state.global_step}"
            return f"the training is saved where it stopped, and can be resumed with resume_from_checkpoint={place}"
        why = f"its save_strategy is {str(getattr(args.save_strategy, 'value', args.save_strategy))!r}"
        return f"the training is not saved where it stopped, as {why}: it cannot be resumed from there"

    @property
    def _key(self) -> str:
        """Distinct for callbacks that monitor different metrics or keep different ladders."""
        return f"ScalingTrainerCallback of {self._monitor} in {self._ladder}"

    def _tokens(self, state: TrainerState) -> float:
        """Tokens of all ranks so far."""
        if self._tokens_per_step is not None:
            return self._tokens_per_step * state.global_step
        return float(state.num_input_tokens_seen)

    def _plan(self, state: TrainerState) -> float | None:
        """The planned tokens: so many in a step on average, for all of its steps."""
        if state.max_steps <= 0:
            return None
        return self._tokens(state) * max(state.max_steps / state.global_step, 1.0)

    def _describe(self, args: TrainingArguments, state: TrainerState, model: Any) -> RunCard:
        """The run's card: its tokens per step are known by now.

        Raises:
            InputError: The model has no parameters in the wanted counting.
        """
        wanted = self._wanted
        return describe_module(
            model,
            name=wanted.run,
            params=wanted.params,
            horizon=wanted.horizon or self._plan(state),
            schedule=wanted.schedule or str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
            peak_lr=args.learning_rate,
            seed=str(args.seed),
            batch_tokens=self._tokens(state) / state.global_step,
            loss_kind=self._monitor,
            recipe=cast("Mapping[str, str]", wanted.recipe),
            held_out=wanted.held_out,
        )


def _counts(args: Any) -> bool:
    """Whether the Trainer counts tokens; older versions say so with a truth value."""
    return args.include_num_input_tokens_seen not in (False, None, "no")


def _saves(args: Any) -> bool:
    """Whether the Trainer is to save anything."""
    return str(getattr(args.save_strategy, "value", args.save_strategy)) != "no"


def _rate(optimizer: Any) -> float:
    """The learning rate of the first parameter group."""
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0]["lr"]) if groups else float("nan")


def _find_loggers(args: Any) -> list[Any]:
    """The W&B run that the Trainer reports to, if any: its own callback has begun it by now."""
    if "wandb" not in (args.report_to or ()):
        return []
    import wandb

    return [wandb.run] if wandb.run is not None else []
