"""What an import brought into a ladder: as data for JSON, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scaling_callback.importing import Imported
from scaling_callback.reporting.units import format_count, number
from scaling_callback.reporting.words.advice import list_set_aside
from scaling_callback.reporting.words.layout import Answer, Notes, Table, Verdict
from scaling_callback.tables import NO_PLAN, list_names

MOST_NOTES = 12
"""Kinds of notes that a person reads."""


def describe_import(made: Imported) -> dict[str, Any]:
    """What `import-wandb`, `import-tensorboard` and `import-csv` print with `--json`."""
    keys = made.keys
    return {
        "output": made.location,
        "place": made.place,
        "keys": {
            "loss": keys.loss,
            "tokens": keys.tokens,
            "tokens_per_step": keys.tokens_per_step,
            "step": keys.step,
            "lr": keys.lr,
            "params": keys.params,
            "total_tokens": keys.total_tokens,
            "schedule": keys.schedule,
            "peak_lr": keys.peak_lr,
            "seed": keys.seed,
        },
        "runs": len(made.runs),
        "observations": sum(len(run.curve) for run in made.runs),
        "finished": sum(run.final is not None for run in made.runs),
        "added": list(made.added),
        "updated": list(made.updated),
        "unchanged": list(made.unchanged),
        "left_out": dict(made.left_out),
        "notes": {run.name: list(run.notes) for run in made.runs if run.notes},
    }


def show_import(result: Mapping[str, Any]) -> Answer:
    """The same in words."""
    keys: Mapping[str, str | None] = result["keys"]
    read = ", ".join(f"{name} = {list_names([key])}" for name, key in keys.items() if key is not None)
    became = ", ".join(f"{len(result[name])} {name}" for name in ("added", "updated", "unchanged") if result[name])
    notes: dict[str, list[str]] = {}
    for run, said in result["notes"].items():
        for note in said:
            notes.setdefault(note, []).append(run)
    shown = [f"{number(len(runs), 'run')} ({list_names(runs, most=3)}): {note}" for note, runs in notes.items()]
    if len(shown) > MOST_NOTES:
        shown = [*shown[:MOST_NOTES], f"and {len(shown) - MOST_NOTES} more; --json has them all"]
    active = any(NO_PLAN in said for said in result["notes"].values())
    then = "if some of them are still training: --unfinished NAME, or --total-tokens, so that none is taken as done"
    rows = [
        ("from", result["place"]),
        ("observations", format_count(result["observations"])),
        ("finished", f"{result['finished']} of {result['runs']}"),
        ("read as", read),
    ]
    return [
        Verdict(f"{number(result['runs'], 'run')} in {result['output']}: {became}"),
        Table(rows, words=(0, 1)),
        Notes("then", [then] if active else []),
        *list_set_aside({"left_out": result["left_out"], "notes": shown}),
    ]
