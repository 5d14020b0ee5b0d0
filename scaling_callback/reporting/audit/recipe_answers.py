"""The answers to the checklist that lie in the runs' cards: sizes, tokens, data, hyperparameters, evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from scaling_callback.reporting.audit.answers import Answer, ask, leave, say
from scaling_callback.reporting.audit.assumptions import count_passes
from scaling_callback.reporting.audit.facts import (
    Fact,
    Known,
    list_counts,
    list_horizons,
    list_values,
    say_set_aside,
)
from scaling_callback.reporting.figures.series import rank_sizes
from scaling_callback.reporting.units import format_count, format_value, number


def say_models(known: Known) -> Answer:
    """6: how many models of which sizes."""
    runs = known.snapshot.runs
    if not runs:
        return leave("There is no run.")
    finished = sum(run.final is not None for run in runs)
    sizes = rank_sizes(runs)
    span = " to ".join(dict.fromkeys((format_count(min(sizes)), format_count(max(sizes)))))
    return say(
        f"{number(len(runs), 'run')}, {finished} of them finished, of {number(len(sizes), 'size')}: {span}.",
        say_set_aside(known.snapshot),
    )


def say_tokens(known: Known) -> Answer:
    """7: tokens and D/N."""
    runs = known.snapshot.runs
    planned = [run for run in runs if run.horizon is not None]
    if not planned:
        return leave("The planned tokens of no run are known.")
    ratios = sorted(horizon / run.params for run in planned if (horizon := run.horizon) is not None)
    unknown = len(runs) - len(planned)
    return say(
        f"Tokens for a run: {list_counts(list_horizons(planned))}. D/N from {ratios[0]:.3g} to {ratios[-1]:.3g}.",
        f"Not known of {unknown} run(s)." if unknown else "",
    )


def say_data(known: Known) -> Answer:
    """8: corpus and repetition: how many unique tokens, or how often the runs go over their data."""
    corpus, unique = known.find("corpus"), known.find("unique_tokens")
    epochs, dataset = known.note("epochs"), known.note("dataset_length")
    fewest, most, counted = count_passes(known)
    passes = f"{format_value(fewest)} to {format_value(most)}" if fewest < most else format_value(most)
    repetition = [
        f"Unique tokens: {unique.text}." if unique else "",
        f"Epochs: {epochs.text}." if epochs else "",
        f"Data set: {dataset.text}." if dataset else "",
        f"A run makes {passes} passes over it, as its loader counts{known.limit(counted)}." if most else "",
    ]
    missing = ["corpus"] * (corpus is None) + ["unique_tokens"] * (not (unique or epochs or most))
    said = _join(f"{corpus.text}." if corpus else "", *repetition)
    if missing:
        return ask(*missing, known=said, of=(corpus, unique, epochs, dataset), tool=bool(most))
    return say(said, of=(corpus, unique, epochs, dataset), tool=bool(most))


def say_size_counting(known: Known) -> Answer:
    """9: how N is counted."""
    runs = known.snapshot.runs
    counts = Counter(name for run in runs for name in run.card.sizes if name != "params")
    named = {name: f"{name}{known.limit(count)}" for name, count in counts.items()}
    recorded = ", ".join(named.values())
    kind = known.find("params_kind")
    if kind is not None:
        return say(f"{kind.text}.", f"Also recorded: {recorded}." if named else "", of=(kind,), tool=bool(named))
    # a convention is the primary one where it is the N of every run
    primary = [name for name in named if all(run.card.sizes.get(name) == run.params for run in runs)]
    if primary:
        return say(f"N is {' = '.join(primary)}. Recorded: {recorded}.", of=(_CARD,), tool=False)
    return ask("params_kind", known=f"Recorded besides: {recorded}." if named else "")


def say_compute_counting(known: Known) -> Answer:
    """10: how C is counted."""
    runs = known.snapshot.runs
    measured = sum(run.card.flops_per_token is not None for run in runs)
    if not runs:
        return leave("There is no run.")
    if not measured:
        return say("C = 6ND for every run and for the target.")
    split = known.snapshot.allocation
    budget = f"the budget is counted as {split.cost.source}" if split else "budgets are counted as the split says"
    return say(
        f"FLOPs per token were recorded for {measured} of {len(runs)} runs and order them by cost; {budget}, the "
        "figures use C = 6ND."
    )


def say_hyperparameters(known: Known) -> Answer:
    """11: schedule, warmup, learning rate, batch, optimiser."""
    cards = [run.card for run in known.snapshot.runs]
    schedules = [card.schedule for card in cards if card.schedule]
    rates = sorted(card.peak_lr for card in cards if card.peak_lr is not None)
    batches = [card.batch_tokens for card in cards if card.batch_tokens is not None]
    if not schedules or not rates:
        missing = [name for name, there in (("schedule", schedules), ("peak learning rate", rates)) if not there]
        return leave(f"Not recorded: {' and '.join(missing)}.")
    span = " to ".join(dict.fromkeys((f"{rates[0]:.4g}", f"{rates[-1]:.4g}")))
    optimiser, settings = known.find("optimizer"), known.note("optimizer_settings")
    warmup, tuning = known.note("warmup"), known.find("tuning")
    said = _join(
        f"Schedule: {list_values(schedules)}{known.limit(len(schedules))}.",
        f"Peak learning rate: {span}{known.limit(len(rates))}.",
        f"Warmup: {warmup.text}." if warmup else "",
        f"Tokens in a batch: {list_counts(batches)}{known.limit(len(batches))}."
        if batches
        else "The batch size is not recorded.",
        f"Optimiser: {optimiser.text}." if optimiser else "",
        f"As found: {settings.text}." if settings else "",
        f"Tuning: {tuning.text}." if tuning else "",
    )
    of = (_CARD, optimiser, settings, warmup, tuning)
    return say(said, of=of, tool=False) if optimiser or settings else ask("optimizer", known=said, of=of, tool=False)


def say_architecture(known: Known) -> Answer:
    """12: architecture and shape."""
    family = known.find("architecture")
    module, layers, tables = known.note("module"), known.note("layers"), known.note("embeddings")
    said = _join(
        f"{family.text}." if family else "",
        f"Module: {module.text}." if module else "",
        f"Layers: {layers.text}." if layers else "",
        f"Embeddings: {tables.text}." if tables else "",
    )
    of = (family, module, layers, tables)
    return say(said, of=of, tool=False) if family else ask("architecture", known=said, of=of, tool=False)


def say_environment(known: Known) -> Answer:
    """13: tokenizer, precision, seed, hardware, code version."""
    recorded = [run.card.seed for run in known.snapshot.runs if run.card.seed]
    held = Fact(list_values(recorded) + known.limit(len(recorded)), "card") if recorded else None
    seeds = known.find("seeds") or held
    facts = {
        "tokenizer": known.find("tokenizer"),
        "precision": known.find("precision"),
        "seeds": seeds,
        "hardware": known.find("hardware"),
        "code_version": known.find("code_version"),
        "torch": known.note("torch"),
    }
    said = " ".join(
        f"{name.replace('_', ' ').capitalize()}: {fact.text}." for name, fact in facts.items() if fact is not None
    )
    missing = [name for name, fact in facts.items() if fact is None and name != "torch"]
    of = tuple(facts.values())
    return ask(*missing, known=said, of=of, tool=False) if missing else say(said, of=of, tool=False)


def say_averaging(known: Known) -> Answer:
    """16: whether checkpoints were modified before evaluation; that none was, the user has to confirm."""
    branches = sum(run.card.parent is not None for run in known.snapshot.runs)
    trunks = f"{branches} of the runs are branches of a trunk." if branches else ""
    said, found = known.find("averaging"), known.note("weight_averaging")
    if said:
        return say(f"{said.text}.", trunks, of=(said,), tool=bool(branches))
    if found:
        return say(f"Weights are averaged by a callback: {found.text}.", trunks, of=(found,), tool=bool(branches))
    looked = known.note("weight_averaging_sought")
    return ask("averaging", known=_join(f"{looked.text}." if looked else "", trunks), of=(looked,), tool=bool(branches))


def say_evaluation(known: Known) -> Answer:
    """19: evaluation set and metric."""
    loss, data, batches = known.loss(), known.find("evaluation"), known.note("validation_batches")
    said = _join(
        f"Metric: {loss.text}." if loss else "",
        f"Measured on: {data.text}." if data else "",
        f"Batches of a validation: {batches.text}." if batches else "",
    )
    of = (loss, data, batches)
    missing = ["metric"] * (loss is None) + ["evaluation"] * (data is None)
    return ask(*missing, known=said, of=of, tool=False) if missing else say(said, of=of, tool=False)


def say_link(key: str) -> Callable[[Known], Answer]:
    """14, 15, 17, 20: what only the user can tell, such as where code or checkpoints are released."""

    def answer(known: Known) -> Answer:
        said = known.find(key)
        return ask(key) if said is None else say(f"{said.text}.", of=(said,), tool=False)

    return answer


_CARD = Fact("", "card")
"""What stands in fields of the cards."""


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
