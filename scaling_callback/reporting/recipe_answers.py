"""The answers to the checklist that lie in the runs' cards: sizes, tokens, data, hyperparameters, evaluation."""

from __future__ import annotations

from collections.abc import Callable

from scaling_callback.reporting.answers import Answer, ask, leave, say
from scaling_callback.reporting.facts import find_fact, list_counts, list_horizons, list_values, name_loss
from scaling_callback.reporting.figures.series import rank_sizes
from scaling_callback.reporting.units import format_count
from scaling_callback.snapshot import Snapshot


def say_models(snapshot: Snapshot) -> Answer:
    """6: how many models of which sizes."""
    runs = snapshot.runs
    if not runs:
        return leave("There is no run.")
    finished = sum(run.final is not None for run in runs)
    sizes = rank_sizes(runs)
    span = " to ".join(dict.fromkeys((format_count(min(sizes)), format_count(max(sizes)))))
    return say(f"{len(runs)} runs, {finished} of them finished, of {len(sizes)} size(s): {span}.")


def say_tokens(snapshot: Snapshot) -> Answer:
    """7: tokens and D/N."""
    planned = [run for run in snapshot.runs if run.horizon is not None]
    if not planned:
        return leave("The planned tokens of no run are known.")
    ratios = sorted(horizon / run.params for run in planned if (horizon := run.horizon) is not None)
    unknown = len(snapshot.runs) - len(planned)
    return say(
        f"Tokens for a run: {list_counts(list_horizons(planned))}. D/N from {ratios[0]:.3g} to {ratios[-1]:.3g}.",
        f"Not known of {unknown} run(s)." if unknown else "",
    )


def say_data(snapshot: Snapshot) -> Answer:
    """8: corpus and repetition."""
    corpus = find_fact(snapshot, "corpus", "data", "dataset", "train_data")
    unique, epochs = find_fact(snapshot, "unique_tokens"), find_fact(snapshot, "epochs")
    repetition = f"Unique tokens: {unique}." if unique else f"Epochs: {epochs}." if epochs else ""
    if corpus is None:
        return ask("Which corpus, with how many unique tokens?", "corpus", repetition)
    return say(f"{corpus}.", repetition or "Repetition is not recorded.")


def say_size_counting(snapshot: Snapshot) -> Answer:
    """9: how N is counted."""
    named = {name: None for run in snapshot.runs for name in run.card.sizes if name != "params"}
    kind = find_fact(snapshot, "params_kind")
    if kind is not None:
        return say(f"{kind}.", f"Also recorded: {', '.join(named)}." if named else "")
    primary = [
        name for name in named if all(run.card.sizes.get(name) == run.params for run in snapshot.runs)
    ]  # a convention is the primary one where it is the N of every run
    if primary:
        return say(f"N is {' = '.join(primary)}. Recorded: {', '.join(named)}.")
    known = f"Recorded besides: {', '.join(named)}." if named else ""
    return ask("Does N count embeddings and the output layer?", "params_kind", known)


def say_compute_counting(snapshot: Snapshot) -> Answer:
    """10: how C is counted."""
    measured = sum(run.card.flops_per_token is not None for run in snapshot.runs)
    if not snapshot.runs:
        return leave("There is no run.")
    if not measured:
        return say("C = 6ND for every run and for the target.")
    return say(
        f"FLOPs per token were recorded for {measured} of {len(snapshot.runs)} runs and order them by cost; "
        "the target, budgets and figures use C = 6ND."
    )


def say_hyperparameters(snapshot: Snapshot) -> Answer:
    """11: schedule, learning rate, batch."""
    cards = [run.card for run in snapshot.runs]
    schedules = [card.schedule for card in cards if card.schedule]
    rates = sorted({card.peak_lr for card in cards if card.peak_lr is not None})
    batches = list_counts(card.batch_tokens for card in cards)
    if not schedules or not rates:
        missing = [name for name, there in (("schedule", schedules), ("peak learning rate", rates)) if not there]
        return leave(f"Not recorded: {' and '.join(missing)}.")
    span = f"{rates[0]:.4g}" if len(rates) == 1 else f"{rates[0]:.4g} to {rates[-1]:.4g}"
    optimiser = find_fact(snapshot, "optimizer", "optimiser")
    return say(
        f"Schedule: {list_values(schedules)}. Peak learning rate: {span}.",
        f"Tokens in a batch: {batches}." if batches else "The batch size is not recorded.",
        f"Optimiser: {optimiser}." if optimiser else "The optimiser is not recorded.",
    )


def say_architecture(snapshot: Snapshot) -> Answer:
    """12: architecture and shape."""
    said, module = find_fact(snapshot, "architecture"), find_fact(snapshot, "module")
    known = f"Module: {module}." if module else ""
    return say(f"{said}.", known) if said else ask("Which family, with which shapes?", "architecture", known)


def say_environment(snapshot: Snapshot) -> Answer:
    """13: tokenizer, precision, seed, hardware, code version."""
    seeds = [run.card.seed for run in snapshot.runs if run.card.seed]
    facts = {
        "tokenizer": find_fact(snapshot, "tokenizer"),
        "precision": find_fact(snapshot, "precision", "dtype"),
        "seeds": list_values(seeds) if seeds else None,
        "hardware": find_fact(snapshot, "hardware"),
        "code version": find_fact(snapshot, "code_version", "commit"),
        "torch": find_fact(snapshot, "torch"),
    }
    known = " ".join(f"{name.capitalize()}: {value}." for name, value in facts.items() if value)
    missing = [name for name, value in facts.items() if value is None and name != "torch"]
    if facts["tokenizer"] is None:
        return ask("Which tokenizer?", "tokenizer", known)
    return leave(f"{known} Not recorded: {', '.join(missing)}.") if missing else say(known)


def say_averaging(snapshot: Snapshot) -> Answer:
    """16: whether checkpoints were modified before evaluation."""
    branches = sum(run.card.parent is not None for run in snapshot.runs)
    known = f"{branches} of the runs are branches of a trunk." if branches else ""
    said = find_fact(snapshot, "averaging", "ema")
    if said:
        return say(f"{said}.", known)
    return ask("Were weights averaged or otherwise changed before they were evaluated?", "averaging", known)


def say_evaluation(snapshot: Snapshot) -> Answer:
    """19: evaluation set and metric."""
    loss, data = name_loss(snapshot), find_fact(snapshot, "evaluation", "eval_data", "validation_data")
    known = f"Metric: {loss}." if loss else ""
    if data is None:
        return ask("On which data is it measured, and are they held out?", "evaluation", known)
    return say(known, f"Measured on: {data}.")


def say_link(question: str, key: str) -> Callable[[Snapshot], Answer]:
    """14, 15, 17, 20: what only the user can tell, such as where code or checkpoints are released."""

    def answer(snapshot: Snapshot) -> Answer:
        said = find_fact(snapshot, key)
        return ask(question, key) if said is None else say(f"{said}.")

    return answer
