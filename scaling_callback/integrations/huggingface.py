"""The Trainer of Hugging Face's transformers: a callback over `ScalingRecorder`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from scaling_callback.errors import InputError, MissingDependency, WarnOnce
from scaling_callback.measuring import describe_module, read_recipe
from scaling_callback.ranks import Ranks
from scaling_callback.recorder import ScalingRecorder
from scaling_callback.records import RunCard, Target, is_count
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.stopping import Rule

if TYPE_CHECKING:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
else:
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingDependency(
            "this callback needs transformers: pip install 'scaling-callback[huggingface]'"
        ) from None

KEPT = "ScalingTrainerCallback.run"
"""Where a checkpoint of the Trainer keeps the run's name; not a callback's name, for it needs no restoring."""


class ScalingTrainerCallback(TrainerCallback):
    """Records a training of transformers' Trainer in a ladder.

    Observed is the metric `monitor` of every evaluation, so the Trainer needs `eval_strategy`, and an evaluation at
    its last step for the run to have a final loss. Tokens are those that the Trainer counts (set
    `include_num_input_tokens_seen="non_padding"`); or `tokens_per_step` times its steps, where all batches are alike.

    Args:
        target: What the forecast is for; or a `Config`, which says all that is asked of the ladder.
        ladder: The folder or URL that all runs of the recipe share.
        monitor: The metric that is the loss.
        run: Name of this run; by default the model's class and size.
        tokens_per_step: Tokens of all processes in one optimiser step.
        params: Which counting of N is primary, or N itself.
        recipe: What all runs of the ladder must share.
        held_out: Record this run to be compared with the forecast, and keep it out of every fit.
        loggers: Where scalars and reasons go, as for `ScalingRecorder`: a W&B run, a `SummaryWriter`.
        rules: Functions of a snapshot and this run's name that say why the run should stop, or `None`.
        refit_budget: Share of wall time that refits may take.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> from scaling_callback import Target
        >>> callback = ScalingTrainerCallback(Target(params=7e9, tokens=4e12), "memory://transformers")
        >>> callback.run is None
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
        params: str | float = "total",
        recipe: Mapping[str, str | float] | None = None,
        held_out: bool = False,
        loggers: Sequence[Any] = (),
        rules: Sequence[Rule] = (),
        refit_budget: float | None = 0.01,
    ) -> None:
        if tokens_per_step is not None and not is_count(tokens_per_step):
            raise InputError(f"tokens_per_step is {tokens_per_step!r}; it must be a positive count")
        self._monitor, self._tokens_per_step = monitor, tokens_per_step
        self._run, self._params, self._recipe, self._held_out = run, params, read_recipe(recipe), held_out
        self._warn = WarnOnce(type(self).__name__)
        self._make: Callable[..., ScalingRecorder] = partial(
            ScalingRecorder,
            target,
            ladder,
            loggers=loggers,
            rules=rules,
            refit_budget=refit_budget,
            warn=self._warn,
        )
        self._make(RunCard(name="a", params=1.0))  # refused now rather than after the first evaluation
        self._recorder: ScalingRecorder | None = None
        self._seen_at = -1  # the step of the last observation

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ladder said at the last refit; `None` before the first and on processes other than the first."""
        return self._recorder.snapshot if self._recorder is not None else None

    @property
    def run(self) -> str | None:
        """Name of the run in the ladder; `None` until its first observation, and on processes other than the first."""
        return self._recorder.run if self._recorder is not None else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a run, or continue the one that the checkpoint names."""
        kept: dict[str, Any] = getattr(state, "stateful_callbacks", None) or {}
        before = kept.get(KEPT, {}).get("attributes", {}).get("run") if state.global_step else None
        self._seen_at = -1
        self._recorder = self._make(
            lambda: self._identify(args, state, kwargs["model"]),
            continues=before,
            resumed_after=state.global_step,
            ranks=Ranks.distributed(),
        )

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Observe the loss that was evaluated; every process comes here."""
        metrics: Mapping[str, float] = kwargs.get("metrics") or {}
        if self._recorder is None or state.global_step in (0, self._seen_at):
            return
        if self._monitor not in metrics:
            known = ", ".join(sorted(metrics)) or "none at all"
            self._warn(f"{self._monitor!r} was not evaluated; monitor= one of those that were: {known}")
            return
        tokens = self._count(state)
        if tokens is None:
            self._warn(
                'tokens are not counted, so nothing is recorded; set include_num_input_tokens_seen="non_padding" in '
                "TrainingArguments, or give tokens_per_step="
            )
            return
        self._seen_at = state.global_step
        schedule = kwargs.get("lr_scheduler")
        decision = self._recorder.observe(
            metrics[self._monitor],
            tokens=tokens,
            step=state.global_step,
            lr=float(schedule.get_last_lr()[0]) if schedule is not None else math.nan,
            horizon=self._plan(state),
        )
        if self._recorder.run is not None:
            # goes into the checkpoint with the rest of the state, and is read when that is resumed
            state.stateful_callbacks[KEPT] = {"args": {}, "attributes": {"run": self._recorder.run}}
        control.should_training_stop = control.should_training_stop or decision.stop

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refit with the last observation."""
        if self._recorder is not None:
            self._recorder.finish(completed=0 < state.max_steps <= state.global_step, horizon=self._plan(state))

    def _count(self, state: TrainerState) -> float | None:
        if self._tokens_per_step is not None:
            return self._tokens_per_step * state.global_step
        return float(state.num_input_tokens_seen) or None

    def _plan(self, state: TrainerState) -> float | None:
        """The tokens of the whole training, if the rest is like what it has trained on so far."""
        tokens = self._count(state)
        if tokens is None or state.max_steps <= 0 or state.global_step <= 0:
            return None
        return tokens * state.max_steps / state.global_step

    def _identify(self, args: TrainingArguments, state: TrainerState, model: Any) -> RunCard:
        return describe_module(
            model,
            name=self._run,
            params=self._params,
            horizon=self._plan(state),
            schedule=str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
            peak_lr=float(args.learning_rate),
            seed=str(args.seed),
            loss_kind=self._monitor,
            recipe=self._recipe,
            held_out=self._held_out,
        )
