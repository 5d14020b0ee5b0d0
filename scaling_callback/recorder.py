"""A live run without a framework: observe, refit, decide, log, finish.

Every process of a training makes one and calls it at the same places. The first one writes, fits and decides;
the others learn what it decided. A training framework tells it what was measured; it keeps that in the ladder,
asks what the ladder says now, and sends it to the loggers. Whatever fails in it becomes one warning with its
cause; the training goes on.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar, cast, get_args

from scaling_callback.acting import Action, Present, Watcher, check_action
from scaling_callback.errors import InputError, WarnOnce
from scaling_callback.ladder import FORM, Ladder, RunWriter
from scaling_callback.ladder.resuming import continue_or_branch
from scaling_callback.ranks import Ranks
from scaling_callback.records import Observation, RunCard, Target, is_count
from scaling_callback.refitting import Ask, Refit, Refits, Where, issue
from scaling_callback.reporting.audit.form import write_form
from scaling_callback.reporting.scalars import PREFIX
from scaling_callback.sinks import Publisher, get_sink
from scaling_callback.snapshot import Config, Decision, Snapshot
from scaling_callback.stopping import AnyRule, check_rules

T = TypeVar("T")


class ScalingRecorder:
    """Records one run of a ladder, and says after each observation what the ladder says.

    For training loops of one's own, Lightning Fabric and other trainers; in Lightning, `ScalingCallback` does the same
    by itself. Nothing that fails in here ends a training.

    Args:
        target: What the forecast is for; or a `Config`, which says all that is asked of the ladder.
        ladder: The folder or URL that all runs of the recipe share.
        card: Who the run is; or a function that says so when the first observation has come.
        loggers: Where scalars and reasons go: loggers of Lightning and Fabric, a W&B run, a `SummaryWriter` of
            TensorBoard, or any `Sink`.
        prefix: What the names of metrics begin with; of two recorders in one training one needs another.
        rules: Rules of when the run should end: those of `stopping`, or functions of a snapshot and the run's name that
            say why, or `None`. All are asked after a refit. Those that look at the run's curve are also asked at every
            other observation, those that look at forecast finals at as many as their share of the time allows; a
            function is one of them if its attribute `needs` is "curve" or "finals". Which were asked less often than
            they could have been, the log says at the end.
        action: What comes of their calls: `record` writes them into the ladder and changes nothing, `alert` also
            alerts, `stop` says so in the `Decision` of `observe`, by which the loop must end.
        refit_budget: Share of wall time that refits may take, counted as of ten minutes at least, and as much again for
            rules between them; `None` refits at every observation.
        refit_in: `training` refits between two steps, `process` beside it.
        continues: The run that this training continues, of which more may be recorded than was trained on: its name,
            or what `state_dict` gave, which also holds how often rules have called. By default it begins a new one.
        resumed_after: The step that it continues from.
        ranks: The processes of the training; by default there is one.
        warn: How it warns; by default in its own name.

    Raises:
        InputError: An argument is out of its range.

    Example:
        >>> from scaling_callback import Target
        >>> from scaling_callback.testing import RecordingSink, planted_ladder
        >>> sink = RecordingSink()
        >>> for run in planted_ladder(ratios=(20,), points=4, noise=0.0):
        ...     target = Target(params=1e9, tokens=2e10)
        ...     recorder = ScalingRecorder(target, "memory://recorder", run.card, loggers=[sink])
        ...     for seen in run.curve:
        ...         decision = recorder.observe(seen.loss, tokens=seen.tokens)
        ...     recorder.finish()
        >>> sink.scalars[-1][1]["scaling/runs"]
        4.0
        >>> round(sink.scalars[-1][1]["scaling/target_loss"], 1)
        2.5
    """

    def __init__(
        self,
        target: Target | Config,
        ladder: str | os.PathLike[str],
        card: RunCard | Callable[[], RunCard],
        *,
        loggers: Sequence[Any] = (),
        prefix: str = PREFIX,
        rules: Sequence[AnyRule] = (),
        action: Action = "record",
        refit_budget: float | None = 0.01,
        refit_in: Where = "training",
        continues: str | Mapping[str, Any] | None = None,
        resumed_after: int = 0,
        ranks: Ranks = Ranks(),  # noqa: B008 - it is frozen
        warn: WarnOnce | None = None,
    ) -> None:
        self._config = target if isinstance(target, Config) else Config(target=target)
        check_refits(refit_budget, refit_in, rules, action, self._config)
        if not isinstance(cast("Any", card), RunCard) and not callable(card):
            raise InputError(f"card is a {type(card).__name__}; give RunCard(name=..., params=..., horizon=...)")
        self.snapshot: Snapshot | None = None
        """What the ladder said at the last refit; `None` before the first and on ranks above 0."""
        self._ladder = Ladder(ladder)
        self._card = card
        self._ranks = ranks
        self._warn = warn or WarnOnce("ScalingRecorder")
        kept: Mapping[str, Any] = {"run": continues} if continues is None or isinstance(continues, str) else continues
        self._continues: str | None = kept.get("run")
        self._resumed_after = resumed_after
        self._watcher = Watcher(rules, action, kept, self._warn.attempt, share=refit_budget)
        self._present = Present(self._config)
        sinks = [get_sink(logger, prefix) for logger in loggers] if ranks.first else ()
        self._publisher = Publisher(sinks, self._warn)
        self._refits = Refits(self._ladder, share=refit_budget, where=refit_in, warn=self._warn)
        self._writer: RunWriter | None = None
        self._unwritten: list[Observation] = []
        self._supersedes: int | None = None  # the step after which the next segment supersedes what was recorded
        self._last: Observation | None = None  # that is written
        self._planned: float | None = None  # tokens, as they were last known
        self._refitted_at = math.nan  # tokens of what a refit knew
        # a clock that is set back while a run trains must not turn its order around
        self._clock = time.time() - time.monotonic()

    @property
    def run(self) -> str | None:
        """The run's name in the ladder; `None` until its first observation, and on ranks above 0."""
        return self._writer.name if self._writer is not None else None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold for a training that `continues` this one: plain data."""
        return {**self._watcher.state_dict(), "run": self.run}

    def observe(
        self, loss: float, *, tokens: float, step: float = math.nan, lr: float = math.nan, horizon: float | None = None
    ) -> Decision:
        """Keep an observation, and refit if the time budget allows. Every rank must call it.

        Args:
            loss: The loss, in nats per token unless the ladder has another unit. The first rank's counts.
            tokens: Tokens that all ranks have trained on so far.
            step: Optimiser step.
            lr: Learning rate.
            horizon: The planned tokens as they are known by now, where the card's were worked out too early.

        Returns:
            Whether the run should go on: the same on every rank.
        """
        made: Decision | None = None
        if self._ranks.first:
            planned = self._check_horizon(horizon)
            made = self._warn.attempt(lambda: self._observe(loss, tokens, _known(step), _known(lr), planned))
        return self._ranks.broadcast(made or Decision())

    def go_on(self) -> None:
        """The training is not ended where `observe` said so, as it could not be; it is told again at later looks."""
        self._watcher.go_on()

    def finish(self, *, completed: bool = True, horizon: float | None = None) -> None:
        """The training has ended; refits if the last refit did not know all that is known now.

        Args:
            completed: Whether it reached the end of its plan; one that a rule has stopped before did not.
            horizon: The tokens that this plan came to, if the card could not know.
        """
        if self._ranks.first and (self._writer is not None or self._unwritten):
            planned = self._check_horizon(horizon)
            self._warn.attempt(lambda: self._finish(completed, planned))
        self.close()

    def close(self) -> None:
        """End what runs beside the training; what was recorded stays."""
        self._refits.close()

    def _check_horizon(self, horizon: float | None) -> float | None:
        """The planned tokens; a horizon that is no count costs no loss."""
        if horizon is None or is_count(horizon):
            return horizon
        self._warn(f"horizon is {horizon!r}, and is left out; give a positive count")
        return None

    def _observe(self, loss: float, tokens: float, step: float, lr: float, horizon: float | None) -> Decision:
        counted = _known(tokens)
        if not is_count(counted):
            raise InputError(f"tokens is {tokens!r}, so the loss {loss!r} is not recorded; give a positive count")
        seen = Observation(tokens=counted, loss=float(loss), step=step, lr=lr, wall_time=self._now())
        self._unwritten.append(seen)
        self._present.observe(seen)
        self._planned = horizon or self._planned
        batch_tokens = math.nan if math.isnan(step) else counted / max(step, 1.0)
        if self._reach(lambda: self._record(batch_tokens, horizon)) is None:
            return self._warn.attempt(lambda: self._glance(seen, alone=True)) or Decision()
        looked = self._reach(self._look)
        done = looked[0] if looked is not None else None
        if done is None:
            decision = self._warn.attempt(lambda: self._glance(seen, alone=looked is None)) or Decision()
        else:
            decision = self._publish(done)
        if done is None or done.latest is None or done.latest.tokens != seen.tokens:  # it did not know this one
            assert isinstance(self._card, RunCard)
            self._publisher.observe(seen, self._card.flops_per_token or 6.0 * self._card.params)
        return decision

    def _record(self, batch_tokens: float, horizon: float | None) -> bool:
        """Begin the run's record if that is to be done, and write what it lacks."""
        if self._writer is None:
            self._writer = self._start(batch_tokens)
        self._write(horizon)
        return True

    def _look(self) -> tuple[Refit | None]:
        """What a refit says, if one is due."""
        self._refits.ask(self._ask())
        return (self._refits.take(),)

    def _reach(self, work: Callable[[], T]) -> T | None:
        """What `work` on the ladder gives; `None`, and a word on what that costs, where it cannot be used."""
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - of whatever filesystem
            # of what a filesystem says the paths change from one attempt to the next
            about = type(error).__name__ if isinstance(error, OSError) else None
            lost = self._watcher.describe_alone()
            self._warn(f"{type(error).__name__}: {error}{f'; {lost}' if lost else ''}", about)
            return None

    def _glance(self, seen: Observation, *, alone: bool) -> Decision:
        """Ask, at an observation without a refit, the rules that need none; `alone` is a run without its ladder."""
        if not isinstance(self._card, RunCard):  # who it is is not known
            return Decision()
        run = self._card.name
        snapshot = functools.cache(lambda: self._present.glance(self._own()))
        decision = self._watcher.glance(snapshot, run, seen, alone=alone)
        if decision.calls:
            if self._writer is not None:
                self._warn.attempt(lambda: self._write(None))
            self._publisher.tell(snapshot(), run, decision)
        return decision

    def _own(self) -> RunCard:
        """The run's card with its plan as it is known by now."""
        assert isinstance(self._card, RunCard)
        return replace(self._card, horizon=self._planned or self._card.horizon)

    def _write(self, horizon: float | None) -> None:
        """Write what was observed and is not yet in the ladder, such as while a disk was full."""
        assert self._writer is not None
        self._planned = horizon or self._planned
        if self._unwritten:
            self._writer.observe(self._unwritten, resumed_after=self._supersedes, horizon=horizon)
            self._last = self._unwritten[-1]
            self._unwritten, self._supersedes = [], None
        if self._watcher.unwritten:
            self._writer.call(self._watcher.unwritten)
            self._watcher.unwritten = []

    def _start(self, batch_tokens: float) -> RunWriter:
        """Begin or continue the run's record: who it is is known by now."""
        card = self._card = self._card if isinstance(self._card, RunCard) else self._card()
        if card.batch_tokens is None and math.isfinite(batch_tokens):
            card = replace(card, batch_tokens=batch_tokens)
        goes_on = None
        if self._continues is not None:
            card, goes_on = continue_or_branch(self._ladder, card, self._continues, self._resumed_after)
            if goes_on is None:
                self._watcher.forget()
        writer = self._ladder.start(card, resume=goes_on is not None)
        self._card, self._supersedes = replace(card, name=writer.name), goes_on
        self._leave_form()
        self._publisher.describe(self._describe(self._card))
        return writer

    def _leave_form(self) -> None:
        """See that the ladder has the form that its people fill in; one that cannot be written costs nothing else."""
        try:
            self._ladder.leave_form(write_form())
        except Exception as error:  # noqa: BLE001 - of whatever filesystem
            self._warn(f"the form card.yaml could not be written ({type(error).__name__}: {error})", about=FORM)

    def _finish(self, completed: bool, horizon: float | None) -> None:
        if self._writer is None:  # what could not be written so far
            self._writer = self._start(math.nan)
        self._write(horizon)
        assert self._last is not None
        assert isinstance(self._card, RunCard)
        planned = self._planned or self._card.horizon
        completed = self._watcher.end(self._card, self._last, planned, completed=completed)
        self._write(horizon)
        if completed:
            self._writer.finish(horizon=horizon)
        known = self.snapshot.runs if self.snapshot is not None else ()
        ended = any(run.name == self.run and run.final is not None for run in known)
        if self._refitted_at != self._last.tokens or (completed and not ended):
            done = self._refits.last(self._ask())
            if done is not None:
                self._publish(done, ended=True)
            else:
                self._warn("the last refit would exceed refit_budget; ask the command line what the ladder says")
        if self.snapshot is not None:
            self._publisher.conclude(self.snapshot)

    def _ask(self) -> Ask:
        assert isinstance(self._card, RunCard)
        return Ask(self._config, self._card.name, self._card.loss_kind)

    def _publish(self, done: Refit, *, ended: bool = False) -> Decision:
        """Keep what a refit said, issue its forecasts, send it to the loggers, and decide."""
        assert self._writer is not None
        assert self._last is not None
        snapshot, latest, run = done.snapshot, done.latest, self._writer.name
        self.snapshot = snapshot
        if latest is not None:
            made = issue(done, self._ask(), self._now()) if latest.tokens != self._refitted_at else []
            self._refitted_at = latest.tokens
            if made:
                writer = self._writer
                self._warn.attempt(lambda: writer.issue(made))
        began = time.monotonic()
        decision = self._watcher.ask(self._present.take(snapshot, self._own()), run, self._last, ended=ended)
        self._warn.attempt(lambda: self._write(None))
        self._warn.attempt(lambda: self._publisher.publish(snapshot, run, latest, done.seconds, decision))
        self._refits.wait(time.monotonic() - began)  # rules and figures keep the training waiting as refits do
        return decision

    def _now(self) -> float:
        return self._clock + time.monotonic()

    def _describe(self, card: RunCard) -> dict[str, Any]:
        """What a reader of the logs needs to know to repeat this, as plain data."""
        asked = asdict(replace(self._config, law=str(self._config.law), objective=str(self._config.objective)))
        return {"ladder": self._ladder.location, "run": card.name, "card": asdict(card), **asked}


def check_refits(share: Any, where: Any, rules: Any, action: Any, config: Config) -> None:
    """Refuse what is no share of wall time, no place for refits, no action, and rules that cannot work.

    Raises:
        InputError: It is none.
    """
    if share is not None and not (isinstance(share, int | float) and 0 <= share <= 1):
        raise InputError(f"refit_budget is {share!r}; it is a share of wall time from 0 to 1, or None")
    if where not in get_args(Where):
        raise InputError(f"refit_in is {where!r}; it must be one of {', '.join(map(repr, get_args(Where)))}")
    check_action(action)
    check_rules(rules, config)


def _known(value: Any) -> float:
    """A number, also one of numpy or torch; NaN where it is none, or no finite one."""
    if isinstance(value, bool | str):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan
