"""Schedules are known by their shape, by a simulation that changes nothing; averaging of weights is noted."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import StochasticWeightAveraging
from support import only
from support_training import TARGET, Bytes, Tiny, train
from torch.optim import lr_scheduler as lrs

from scaling_callback import ScalingCallback
from scaling_callback.measuring.schedules import Simulated, find_end
from scaling_callback.measuring.shapes import SHAPES, name_shape
from scaling_callback.measuring.training import Schedule, averaging, describe_schedule, learning_rate

PEAKS = st.floats(1e-6, 1e2)
WARMUPS = st.floats(0.0, 0.2)
POINTS = st.integers(40, 400)


@pytest.fixture
def ladder(tmp_path: Path) -> Path:
    return tmp_path / "ladder"


def curve(body: Callable[[np.ndarray], np.ndarray], *, points: int, peak: float, warmup: float) -> tuple[Any, Any]:
    """Progress and rates of a schedule: a linear warmup, then `body` of the way behind it."""
    x = np.linspace(0.0, 1.0, points)
    way = np.clip((x - warmup) / (1.0 - warmup), 0.0, 1.0)
    return x, peak * np.where(x < warmup, x / max(warmup, 1e-9), body(way))


# the name of a curve ---------------------------------------------------------------------------------------------


@given(PEAKS, WARMUPS, st.floats(0.0, 0.7), POINTS)
def test_peak_warmup_and_end_are_not_part_of_a_name(peak: float, warmup: float, end: float, points: int) -> None:
    like = {"points": points, "peak": peak, "warmup": warmup}
    assert name_shape(*curve(np.ones_like, **like)) == "constant"
    assert name_shape(*curve(lambda way: 1 - (1 - end) * way, **like)) == "linear"
    assert name_shape(*curve(lambda way: end + (1 - end) * 0.5 * (1 + np.cos(np.pi * way)), **like)) == "cosine"


@given(PEAKS, WARMUPS, st.floats(0.0, 0.5), st.floats(0.1, 0.7), st.sampled_from([0.5, 1.0, 2.0]), POINTS)
def test_a_stable_phase_and_a_cooldown_of_any_form(
    peak: float, warmup: float, end: float, cooldown: float, power: float, points: int
) -> None:
    def body(way: np.ndarray) -> np.ndarray:
        return 1 - (1 - end) * np.clip((way - 1 + cooldown) / cooldown, 0, 1) ** power

    assert name_shape(*curve(body, points=points, peak=peak, warmup=warmup)) == "warmup-stable-decay"


@given(PEAKS, WARMUPS, st.floats(1e-4, 0.5), POINTS)
def test_exponentials_and_inverse_roots(peak: float, warmup: float, end: float, points: int) -> None:
    like = {"points": points, "peak": peak, "warmup": warmup}
    assert name_shape(*curve(lambda way: end**way, **like)) == "exponential"
    assert name_shape(*curve(lambda way: (1 + (end**-2 - 1) * way) ** -0.5, **like)) == "inverse-sqrt"


@given(PEAKS, st.integers(1, 6), st.floats(0.1, 0.9), POINTS)
def test_steps_and_restarts(peak: float, times: int, factor: float, points: int) -> None:
    like = {"points": points, "peak": peak, "warmup": 0.05}

    def falls(way: np.ndarray) -> np.ndarray:
        return factor ** np.floor(way * (times + 0.99))

    def restarts(way: np.ndarray) -> np.ndarray:
        return 0.5 * (1 + np.cos(np.pi * (way * (times + 0.99) % 1)))

    assert name_shape(*curve(falls, **like)) == "step"
    assert name_shape(*curve(restarts, **like)) == "warm-restarts"


@given(PEAKS, st.floats(0.25, 0.6), POINTS)
def test_a_rise_of_a_quarter_of_the_training_is_a_cycle(peak: float, warmup: float, points: int) -> None:
    x, rates = curve(lambda way: 0.5 * (1 + np.cos(np.pi * way)), points=points, peak=peak, warmup=warmup + 1 / points)
    assert name_shape(x, rates) == "one-cycle"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40))
def test_any_rates_have_a_name(rates: list[float]) -> None:
    assert name_shape(np.linspace(0, 1, len(rates)), rates) in SHAPES


@pytest.mark.parametrize(
    "body",
    [
        lambda way: 0.5 * (1 + np.cos(0.5 * np.pi * way)),
        lambda way: np.maximum(0.1, 1 - 2 * way),
        lambda way: 0.5 * (1 + np.cos(4 * np.pi * way)),
    ],
    ids=["a cosine cut in its middle", "a decay that ends early", "a wave"],
)
def test_what_fits_no_shape_is_custom(body: Callable[[np.ndarray], np.ndarray]) -> None:
    assert name_shape(*curve(body, points=100, peak=1.0, warmup=0.05)) == "custom"


def test_recorded_rates_have_the_name_of_their_schedule() -> None:
    x = np.linspace(0.1, 1.0, 10)  # ten observations, the first behind the warmup
    assert name_shape(x, 0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * x))) != "linear"
    assert name_shape(x, 1 - x) == "linear"
    # the rate of an epoch, observed five times in each of twenty
    x = np.linspace(0.0, 1.0, 101)
    assert name_shape(x, 1 - np.floor(x * 20) / 20) == "linear"


# the simulation --------------------------------------------------------------------------------------------------


def warmup_then(optimizer: Any, then: Any, steps: int) -> lrs.SequentialLR:
    return lrs.SequentialLR(optimizer, [lrs.LinearLR(optimizer, 0.1, total_iters=steps), then], [steps])


def hugging_face_cosine(step: int, *, num_warmup_steps: int, num_training_steps: int) -> float:
    """As transformers has it: behind its end it comes back."""
    if step < num_warmup_steps:
        return step / num_warmup_steps
    way = (step - num_warmup_steps) / (num_training_steps - num_warmup_steps)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * way)))


MAKERS: dict[str, tuple[Callable[[Any], Any], str, int | None]] = {
    "constant lambda": (lambda o: lrs.LambdaLR(o, lambda step: min(1.0, step / 2)), "constant", None),
    "constant": (lambda o: lrs.ConstantLR(o, 0.3, total_iters=2), "constant", None),
    "lambda": (lambda o: lrs.LambdaLR(o, lambda step: max(0.0, 1 - step / 24)), "linear", 24),
    "linear": (lambda o: lrs.LinearLR(o, 1.0, 0.1, total_iters=24), "linear", 24),
    "polynomial": (lambda o: lrs.PolynomialLR(o, total_iters=24), "linear", 24),
    "cosine": (lambda o: lrs.CosineAnnealingLR(o, 24), "cosine", 24),
    "warmup": (lambda o: warmup_then(o, lrs.CosineAnnealingLR(o, 21), 3), "cosine", 24),
    "transformers": (
        lambda o: lrs.LambdaLR(o, partial(hugging_face_cosine, num_warmup_steps=2, num_training_steps=24)),
        "cosine",
        24,
    ),
    "cooldown": (
        lambda o: lrs.LambdaLR(o, lambda step: min(1.0, step / 2, max(0.0, (24 - step) / 8))),
        "warmup-stable-decay",
        24,
    ),
    "inverse root": (
        lambda o: lrs.LambdaLR(o, lambda step: min(step / 2, (2 / max(step, 1)) ** 0.5)),
        "inverse-sqrt",
        None,
    ),
    "steps": (lambda o: lrs.MultiStepLR(o, [8, 16]), "step", None),
    "exponential": (lambda o: lrs.ExponentialLR(o, 0.9), "exponential", None),
    "exponential lambda": (lambda o: lrs.LambdaLR(o, lambda step: 0.9**step), "exponential", None),
    "chained": (
        lambda o: lrs.ChainedScheduler([lrs.ExponentialLR(o, 0.9), lrs.ExponentialLR(o, 0.98)]),
        "exponential",
        None,
    ),
    "one cycle": (lambda o: lrs.OneCycleLR(o, 1e-2, total_steps=24), "one-cycle", 24),
    "restarts": (lambda o: lrs.CosineAnnealingWarmRestarts(o, 8), "warm-restarts", None),
    "multiplicative": (lambda o: lrs.MultiplicativeLR(o, lambda _: 0.9), "exponential", None),
    "cyclic": (lambda o: lrs.CyclicLR(o, 1e-3, 1e-2, step_size_up=3, cycle_momentum=False), "custom", None),
}
"""Schedulers, the shape that they have over 24 steps, and the step at which they end."""


def make(name: str) -> tuple[Any, Any]:
    optimizer = torch.optim.AdamW([torch.zeros(2)], lr=1e-2)
    return optimizer, MAKERS[name][0](optimizer)


@pytest.mark.parametrize("name", MAKERS)
def test_the_simulation_is_what_the_scheduler_then_does_and_changes_nothing(name: str) -> None:
    optimizer, scheduler = make(name)
    done: list[float] = [optimizer.param_groups[0]["lr"]]
    for step in range(1, 25):
        if step == 10:
            before = copy.deepcopy((scheduler.state_dict(), optimizer.state_dict()))
            simulated = Simulated(scheduler).rates(list(range(25)))
            end = find_end(scheduler)
            assert (scheduler.state_dict(), optimizer.state_dict()) == before
        optimizer.step()
        scheduler.step()
        done.append(optimizer.param_groups[0]["lr"])
    assert simulated.tolist() == pytest.approx(done, rel=1e-9, abs=1e-12)
    assert end == MAKERS[name][2]


def test_a_schedule_of_a_million_steps_takes_a_fifth_of_a_second_at_most() -> None:
    optimizer = torch.optim.SGD([torch.zeros(2)], lr=1.0)
    schedules = [
        warmup_then(optimizer, lrs.CosineAnnealingLR(optimizer, 10**6 - 1000), 1000),
        lrs.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / 1e6)),
        lrs.OneCycleLR(optimizer, 1.0, total_steps=10**6),
    ]
    names: list[str] = []
    for scheduler in schedules:
        optimizer.param_groups[0]["lr"] = scheduler.get_last_lr()[0]  # three schedulers of one optimiser
        began = time.process_time()
        at = np.linspace(0, 10**6, 257).round()
        names.append(name_shape(at, Simulated(scheduler).rates(at)))
        assert find_end(scheduler) == 10**6
        assert time.process_time() - began < 0.2
    assert names == ["cosine", "linear", "one-cycle"]


# in a Trainer ----------------------------------------------------------------------------------------------------


class Scheduled(Tiny):
    """The bigram model under a schedule."""

    def __init__(self, schedule: Callable[[Any], Any] | None, **config: Any) -> None:
        super().__init__()
        self.schedule, self.config = schedule, {"interval": "step", **config}

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-2)
        if self.schedule is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": self.schedule(optimizer), **self.config}}


class Describe(pl.Callback):
    """Describes the schedule when the training stands at a step."""

    def __init__(self, step: int = 4) -> None:
        self.step, self.found = step, []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step and not self.found:
            self.found: list[Schedule] = [describe_schedule(trainer)]


@pytest.mark.parametrize(
    ("schedule", "config", "shape"),
    [
        (None, {}, "constant"),
        *((make, {}, shape) for make, shape, _ in MAKERS.values()),
        (lrs.ReduceLROnPlateau, {"monitor": "val_loss", "interval": "epoch"}, "plateau"),
        # three epochs of eight steps, every second step
        (lambda o: lrs.CosineAnnealingLR(o, 12), {"frequency": 2}, "cosine"),
        # a class of the user's own, which inherits a closed form that is not its own
        (
            type("Mine", (lrs.CosineAnnealingLR,), {"get_lr": lambda self: [1e-2 - 4e-4 * self.last_epoch]}),
            {},
            "linear",
        ),
    ],
    ids=["none", *MAKERS, "plateau", "frequency", "own class"],
)
def test_the_card_says_the_shape_of_the_schedule(
    ladder: Path, schedule: Any, config: dict[str, Any], shape: str
) -> None:
    if isinstance(schedule, type) and schedule.__name__ == "Mine":
        schedule = partial(schedule, T_max=24)
    train(ScalingCallback(TARGET, ladder), model=Scheduled(schedule, **config), max_steps=24)
    assert only(ladder).card.schedule == shape


def test_a_schedule_of_epochs_is_told_from_its_epochs() -> None:
    seen = Describe(step=2)
    model = Scheduled(lambda o: lrs.CosineAnnealingLR(o, 12), interval="epoch")
    train(None, model=model, callbacks=[seen], data=Bytes(8), max_epochs=12, max_steps=-1, val_check_interval=2)
    # 12 epochs of two batches
    assert seen.found == [Schedule("cosine", 24, 1e-2, ("CosineAnnealingLR",), 0.0)]


def test_one_cycle_tells_its_peak_and_its_end() -> None:
    seen = Describe()
    train(None, model=Scheduled(lambda o: lrs.OneCycleLR(o, 0.03, total_steps=24)), callbacks=[seen], max_steps=24)
    assert seen.found == [Schedule("one-cycle", 24, 0.03, ("OneCycleLR",), 0.25)]


def test_a_table_of_rates_is_recognised_and_has_no_end_that_it_could_tell() -> None:
    seen, table = Describe(), [1 - step / 13 for step in range(13)]
    train(None, model=Scheduled(lambda o: lrs.LambdaLR(o, lambda step: table[step])), callbacks=[seen])
    assert seen.found == [Schedule("linear", None, 1e-2, ("LambdaLR",), 0.0)]


def test_a_schedule_that_cannot_be_simulated_is_known_by_its_class(ladder: Path) -> None:
    def follow(step: int) -> float:
        if abs(step - model.global_step) > 1:
            raise RuntimeError("not now")
        return 1 / (1 + step)

    model = Scheduled(None)
    model.schedule = lambda optimizer: lrs.LambdaLR(optimizer, lambda step: follow(step) if step else 1.0)
    train(ScalingCallback(TARGET, ladder), model=model)
    assert only(ladder).card.schedule == "LambdaLR"


def test_a_schedule_that_is_changed_from_outside_is_known_by_its_class() -> None:
    class Meddle(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            trainer.optimizers[0].param_groups[0]["lr"] = 0.123

    seen = Describe()
    # the scheduler is stepped every eighth batch, so that what was set from outside stays
    model = Scheduled(lambda o: lrs.CosineAnnealingLR(o, 24), frequency=8)
    train(None, model=model, callbacks=[Meddle(), seen], max_steps=48)
    assert [found.shape for found in seen.found] == ["CosineAnnealingLR"]


def test_the_model_is_never_copied_and_its_own_method_may_be_the_schedule(ladder: Path) -> None:
    class Own(Scheduled):
        def decay(self, step: int) -> float:
            return max(0.0, 1 - step / 12)

        def __deepcopy__(self, memo: Any) -> Any:
            raise AssertionError("the model was copied")

    model = Own(None)
    model.schedule = lambda optimizer: lrs.LambdaLR(optimizer, model.decay)
    train(ScalingCallback(TARGET, ladder), model=model)
    assert only(ladder).card.schedule == "linear"


def test_the_learning_rate_is_that_of_the_group_with_most_parameters(ladder: Path) -> None:
    class Groups(Tiny):
        def configure_optimizers(self) -> Any:
            small, large = {"params": self.head.bias, "lr": 0.5}, {"params": self.head.weight, "lr": 0.1}
            return torch.optim.SGD([small, large, {"params": self.embed.weight, "lr": 0.2}])

    train(ScalingCallback(TARGET, ladder), model=Groups())
    assert only(ladder).curve.lr.tolist() == [0.1, 0.1, 0.1]
    assert only(ladder).card.peak_lr == 0.1


def test_a_training_without_optimiser_has_no_learning_rate() -> None:
    class Frozen(Tiny):
        def training_step(self, batch: Any) -> None:
            return None

        def configure_optimizers(self) -> Any:
            return None

    with pytest.warns(UserWarning, match="returned `None`"):
        trainer = train(None, model=Frozen(), max_epochs=1, max_steps=-1)
    assert math.isnan(learning_rate(trainer)[0])
    assert describe_schedule(trainer) == Schedule("constant", None, None, ())


# averaging -------------------------------------------------------------------------------------------------------


class Spy(pl.Callback):
    """Keeps what is logged, and what is averaged."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self.averaging: str | None = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.averaging = averaging(trainer)
        if not trainer.sanity_checking:
            self.seen.append(float(trainer.callback_metrics["val_loss"]))


def _average(name: str) -> Any:
    if name == "StochasticWeightAveraging":
        return StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=1)
    from lightning.pytorch import callbacks

    if not hasattr(callbacks, name):
        pytest.skip(f"this Lightning has no {name}")
    return getattr(callbacks, name)()


@pytest.mark.parametrize("name", ["StochasticWeightAveraging", "WeightAveraging", "EMAWeightAveraging"])
def test_a_training_that_averages_its_weights_is_recorded_as_it_is_logged(ladder: Path, name: str) -> None:
    spy, model = Spy(), Scheduled(lambda o: lrs.StepLR(o, 2), interval="epoch")
    options = {"max_epochs": 3, "max_steps": -1, "val_check_interval": None, "check_val_every_n_epoch": 1}
    train(ScalingCallback(TARGET, ladder), model=model, data=Bytes(16), callbacks=[_average(name), spy], **options)
    run = only(ladder)
    assert run.curve.tokens.tolist() == [128, 256, 384]
    assert run.curve.loss.tolist() == spy.seen
    assert run.horizon == 384
    assert spy.averaging == name


def test_names_that_only_look_like_averaging_are_none() -> None:
    def named(*names: str) -> Any:
        return type("Fake", (), {"callbacks": [type(name, (), {})() for name in names]})

    assert averaging(named("SchemaCheck", "CHEMALogger", "Emanate", "ModelSummary")) is None
    assert averaging(named("ModelEma", "MyEMA", "Averager", "MyEMA")) == "ModelEma + MyEMA + Averager"
