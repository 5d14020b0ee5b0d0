"""The reporting checklist of Li et al. 2025 ((Mis)Fitting, arXiv 2502.18969), filled in from a snapshot.

An item is answered from what was recorded, waits for the user, or stays open for want of data; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scaling_callback.reporting.audit import fit_answers as fit
from scaling_callback.reporting.audit import recipe_answers as recipe
from scaling_callback.reporting.audit.answers import Answer, Status
from scaling_callback.reporting.audit.facts import Known, Origin
from scaling_callback.snapshot import Snapshot

STATUSES: tuple[Status, ...] = ("answered", "asked", "unanswered")

_Item = tuple[str, Callable[[Known], Answer]]

GROUPS: dict[str, tuple[_Item, ...]] = {
    "Form": (
        ("Form of the law", fit.say_form),
        ("Variables and units", fit.say_variables),
        ("Parameters fitted, fixed, tied", fit.say_parameters),
        ("Where the form comes from", fit.say_source),
        ("Assumptions", fit.say_assumptions),
    ),
    "Training": (
        ("How many models, which sizes", recipe.say_models),
        ("Tokens for a model, range of D/N", recipe.say_tokens),
        ("Data and repetition", recipe.say_data),
        ("How N is counted", recipe.say_size_counting),
        ("How C is counted", recipe.say_compute_counting),
        ("Hyperparameters, schedule, warmup, batch", recipe.say_hyperparameters),
        ("Architecture and shape", recipe.say_architecture),
        ("Tokenizer, precision, seed, hardware, code version", recipe.say_environment),
        ("Training code released", recipe.say_link("code_url")),
    ),
    "Data collection": (
        ("Checkpoints released", recipe.say_link("checkpoints_url")),
        ("Checkpoints modified before evaluation", recipe.say_averaging),
        ("Code for that", recipe.say_link("evaluation_code_url")),
        ("Which checkpoints are used, smoothing, binning", fit.say_checkpoints),
        ("Evaluation set and metric", recipe.say_evaluation),
        ("Raw points released", recipe.say_link("points_url")),
    ),
    "Fitting": (
        ("Objective", fit.say_objective),
        ("Algorithm and library versions", fit.say_algorithm),
        ("Tolerances and iterations", fit.say_tolerances),
        ("Initialisation", fit.say_starts),
        ("Points left out, and why", fit.say_left_out),
        ("Correctness: held-out extrapolation, interval, goodness of fit", fit.say_correctness),
    ),
}
"""The 26 items in their order, by the study's groups, each with what answers it."""


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Attributes:
        number: From 1 to 26.
        group: The part of a study that it is about.
        item: What has to be reported.
        status: Whether it is answered, asked of the user, or unanswered for want of data.
        text: The answer, the question, or what is missing; may hold words from outside.
        sources: Where that comes from: worked out by the tool, a run's card, the form.
        keys: Where it is asked, the keys under which the form, a recipe or a table may answer.
    """

    number: int
    group: str
    item: str
    status: Status
    text: str
    sources: tuple[Origin, ...] = ()
    keys: tuple[str, ...] = ()


def checklist(snapshot: Snapshot, answers: Mapping[str, str] | None = None) -> tuple[Item, ...]:
    """Every item, in order.

    Args:
        snapshot: What is reported.
        answers: What the form of the ladder says, by key (`form.read_form`).
    """
    known = Known(snapshot, answers or {})
    items: list[Item] = []
    for group, entries in GROUPS.items():
        for item, answer in entries:
            found = answer(known)
            items.append(Item(len(items) + 1, group, item, found.status, found.text, found.sources, found.keys))
    return tuple(items)


def checklist_numbers(snapshot: Snapshot, answers: Mapping[str, str] | None = None) -> dict[str, list[int]]:
    """The numbers of the items by status: disjoint lists, together 1 to 26.

    Example:
        >>> from scaling_callback.pipeline import refresh
        >>> from scaling_callback.testing import planted_ladder
        >>> checklist_numbers(refresh(planted_ladder(seed=1)))["asked"]
        [2, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 20]
    """
    items = checklist(snapshot, answers)
    return {status: [item.number for item in items if item.status == status] for status in STATUSES}
