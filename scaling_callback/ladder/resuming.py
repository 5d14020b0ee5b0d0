"""Which run a training that goes on continues."""

from __future__ import annotations

import re
from dataclasses import replace

from scaling_callback.errors import InputError
from scaling_callback.ladder.store import Ladder
from scaling_callback.records import RunCard, same_count


def continue_or_branch(ladder: Ladder, card: RunCard, trunk: str, step: int) -> tuple[RunCard, int | None]:
    """The card to go on with after `step` of the run named `trunk`: that run's own, or one of a branch of it.

    It is a branch where the horizon, the schedule or the name that was given is another one, or where the run went
    on to its end without this training. A branch without a name of its own is called after its trunk and step.
    """
    continued = replace(card, name=trunk)
    try:
        (run,) = ladder.runs(where=[("name", trunk)])
    except InputError:  # the ladder no longer holds it
        return continued, None
    renamed = re.fullmatch(rf"{re.escape(card.name)}(-from-\d+|-\d+)*", trunk) is None
    planned_alike = run.card.horizon == card.horizon or same_count(run.card.horizon, card.horizon)
    # the first version named a schedule after its class
    same_schedule = run.card.schedule in (card.schedule, card.extra.get("scheduler"))
    if not renamed and not run.completed and same_schedule and planned_alike:
        return continued, step
    name = card.name if renamed else f"{trunk}-from-{step}"
    return replace(card, name=name, parent=trunk, parent_step=step), None
