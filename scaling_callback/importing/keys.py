"""Which keys of a source hold the loss, the tokens, the parameters: as typed, or found by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from scaling_callback.errors import InputError
from scaling_callback.importing.record import Record
from scaling_callback.records import as_count
from scaling_callback.tables import list_names
from scaling_callback.tables.cells import shorten

LOSS = ("val_loss", "valid_loss", "validation_loss", "eval_loss", "dev_loss", "test_loss")
OWN = ("scaling/loss", "scaling/tokens")
"""What this package logs of each validation, in one row."""
TOKENS = (
    *("tokens", "n_tokens", "num_tokens", "tokens_seen", "seen_tokens", "train_tokens", "trained_tokens"),
    *("num_tokens_seen", "num_input_tokens_seen", "consumed_tokens", "tokens_total", "total_tokens_seen"),
)
STEP = ("trainer/global_step", "train/global_step", "global_step", "step", "train/step", "iteration", "iter")
PARAMS = (
    *("params", "n_params", "num_params", "total_params", "params_total", "model_params"),
    *("parameters", "n_parameters", "num_parameters", "total_parameters", "model_parameters"),
)
NAMES = {
    "total_tokens": ("total_tokens", "planned_tokens", "token_budget", "horizon"),
    "tokens_per_step": ("tokens_per_step", "batch_tokens", "tokens_per_batch", "global_batch_tokens"),
    "schedule": ("schedule", "lr_schedule", "lr_scheduler", "lr_scheduler_type", "scheduler"),
    "seed": ("seed", "random_seed"),
    "peak_lr": ("peak_lr", "max_lr"),
}
"""Of what is configured, by the last part of a key in lower case."""
LR = ("lr", "learning_rate", "lr-adam", "lr-adamw", "lr-sgd")
SCALES = {"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What the user says of a source. Each is a key there; those that end a run's card may also be a number.

    A key of the configuration may be written `config.KEY`, one of the summary `summary.KEY`.

    Attributes:
        loss: The metric that is the loss.
        tokens: The metric that counts the tokens trained on so far.
        tokens_per_step: Tokens of one step, where no metric counts tokens. Where steps are counted from 0 (Lightning
            logs the first one as 0) each observation has one step too few.
        step: The metric that counts the steps of the training, where the source has no steps of its own.
        lr: The metric that is the learning rate.
        params: N.
        total_tokens: The tokens that a run is planned to train on.
        schedule: The learning-rate schedule, or its name.
        peak_lr: The highest learning rate.
        seed: The seed.
        keep: Further keys of the configuration to keep in each card, where `--where` finds them.
    """

    loss: str | None = None
    tokens: str | None = None
    tokens_per_step: str | None = None
    step: str | None = None
    lr: str | None = None
    params: str | None = None
    total_tokens: str | None = None
    schedule: str | None = None
    peak_lr: str | None = None
    seed: str | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The same as `Keys`, with everything found that there is; `None` is what no run has.

    Attributes:
        step_given: Whether the metric that counts steps was named, and must be used.
        literal: What was typed and is no key of any run: it is meant itself (`--schedule cosine`).
    """

    loss: str
    params: str
    tokens: str | None = None
    tokens_per_step: str | None = None
    step: str | None = None
    lr: str | None = None
    total_tokens: str | None = None
    schedule: str | None = None
    peak_lr: str | None = None
    seed: str | None = None
    keep: tuple[str, ...] = ()
    step_given: bool = False
    literal: frozenset[str] = frozenset()


def choose_keys(keys: Keys, records: Sequence[Record], place: str) -> Chosen:
    """What was said, and by name what was not.

    Raises:
        InputError: A key that is needed cannot be told by name, or one that was said is in no run; the message lists
            those that exist.
    """
    metrics = _union(record.metrics for record in records)
    settings = _union((*record.config, *record.summary) for record in records)
    configured = _union(record.config for record in records)
    said = {f.name: getattr(keys, f.name) for f in fields(Keys)}
    if keys.tokens and keys.tokens_per_step:
        raise InputError("--tokens and --tokens-per-step both say how many tokens were seen; give one of them")
    for option in ("loss", "tokens", "step", "lr"):
        if said[option] is not None and said[option] not in metrics:
            _refuse(place, option, f"no metric {shorten(said[option])!r}", metrics)
    for option in ("params", "total_tokens", "tokens_per_step", "peak_lr"):
        key = said[option]
        if key is not None and read_amount(key) is None and not any(find_value(r, key) is not None for r in records):
            _refuse(place, option, f"no key {shorten(key)!r}, which is no number either", settings)
    losses = [OWN[0]] if _prefer_own(keys, records) else _find_losses(metrics)
    said["loss"] = keys.loss or _need(place, "loss", losses, metrics)
    said["params"] = keys.params or _need(place, "params", find_keys(settings, PARAMS), settings)
    if not (keys.tokens or keys.tokens_per_step):
        partner = find_partner(said["loss"])
        found = [partner] if partner in metrics else find_keys(metrics, TOKENS)
        each = [] if found else find_keys(configured, NAMES["tokens_per_step"])
        if len(each) == 1:
            said["tokens_per_step"] = each[0]
        else:
            said["tokens"] = _need(place, "tokens", found, metrics)
    said["step"] = keys.step or next((key for key in STEP if key in metrics), None)
    said["lr"] = keys.lr or _only(find_keys(metrics, LR))
    for option in ("total_tokens", "schedule", "seed", "peak_lr"):
        said[option] = said[option] or _only(find_keys(configured, NAMES[option]))
    texts = {key for key in (keys.schedule, keys.seed) if key is not None}
    literal = frozenset(key for key in texts if all(find_value(record, key) is None for record in records))
    return Chosen(**said, step_given=keys.step is not None, literal=literal)


def is_own(key: str) -> bool:
    """Whether this package logs a loss or its tokens under a key; of several losses each has a prefix of its own.

    Example:
        >>> is_own("scaling/loss"), is_own("scaling-val_code/tokens"), is_own("val/loss")
        (True, True, False)
    """
    return re.fullmatch(r"scaling(-[^/]+)?/(loss|tokens)", key) is not None


def find_partner(loss: str) -> str | None:
    """The tokens that stand in one row with a loss that this package has logged; of another loss `None`.

    Example:
        >>> find_partner("scaling-val_code/loss"), find_partner("val_loss")
        ('scaling-val_code/tokens', None)
    """
    return loss.removesuffix("loss") + "tokens" if is_own(loss) else None


def _prefer_own(keys: Keys, records: Sequence[Record]) -> bool:
    """Whether every run that logs a loss has it beside its tokens, as this package logs them."""
    if keys.loss or keys.tokens or keys.tokens_per_step:
        return False
    logging = [{*record.metrics} for record in records if _find_losses(record.metrics) or OWN[0] in record.metrics]
    return bool(logging) and all(metrics.issuperset(OWN) for metrics in logging)


def _find_losses(metrics: Sequence[str]) -> list[str]:
    return find_keys(metrics, LOSS) or _exactly("loss", metrics)


def find_keys(keys: Iterable[str], names: Sequence[str]) -> list[str]:
    """The keys that are called so, whatever stands before; one that is called exactly by the first name is the one.

    Example:
        >>> find_keys(["val/loss", "train/loss", "metrics.val_loss"], LOSS)
        ['val/loss', 'metrics.val_loss']
        >>> find_keys(["tokens", "val/tokens"], TOKENS)
        ['tokens']
    """
    keys = list(keys)
    if names[0] in keys:
        return [names[0]]
    return [key for key in keys if {*_endings(key)} & {*names}]


def find_value(record: Record, key: str) -> Any:
    """What a run's configuration, or else its summary, holds under a key; `None` where neither does."""
    for place in (record.config, record.summary):
        if key in place:
            return place[key]
    begin, _, rest = key.partition(".")
    return {"config": record.config, "summary": record.summary}.get(begin, {}).get(rest)


def read_amount(text: str) -> float | None:
    """A positive number as people write it; `None` where it is none.

    Example:
        >>> read_amount("124M"), read_amount("1e7"), read_amount("n_params")
        (124000000.0, 10000000.0, None)
    """
    scale = SCALES.get(text[-1:].upper(), 1.0)
    value = as_count(text[:-1] if scale != 1.0 else text)
    return None if value is None else as_count(repr(value * scale))


def _endings(key: str) -> tuple[str, str]:
    """The last part of a key, and the last two as one."""
    parts = [part for part in re.split(r"[./]", key.lower()) if part] or [""]
    return parts[-1], "_".join(parts[-2:])


def _union(groups: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(key for group in groups for key in group))


def _exactly(name: str, keys: Sequence[str]) -> list[str]:
    """The key of that name: what is called `train/loss` is not meant by it."""
    return [name] if name in keys else []


def _only(found: Sequence[str]) -> str | None:
    return found[0] if len(found) == 1 else None


def _need(place: str, option: str, found: Sequence[str], known: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        _refuse(place, option, f"{len(found)} keys that may be the {_WORDS[option]} ({list_names(found)})", ())
    return _refuse(place, option, f"no key that is called like the {_WORDS[option]}", known)


def _refuse(place: str, option: str, what: str, known: Sequence[str]) -> NoReturn:
    """Say which keys there are, those first that look like what is asked for."""
    stem = option.partition("_")[0].removesuffix("s")
    shown = sorted((key for key in known if not key.startswith("_")), key=lambda key: stem not in key.lower())
    there = f"; it has: {list_names(shown)}" if shown else ""
    other = _OTHERWISE.get(option, "")
    raise InputError(f"{place} has {what}; name it with --{option.replace('_', '-')} KEY{other}{there}")


_WORDS = {"loss": "validation loss", "tokens": "tokens seen so far", "params": "number of parameters"}
_OTHERWISE = {
    "tokens": " (or --tokens-per-step)",
    "params": ", which the configuration of each run must hold where sizes differ, or give one number (--params 124M)",
}
