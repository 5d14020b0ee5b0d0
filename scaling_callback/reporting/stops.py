"""What stopping rules did or would have done, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scaling_callback.replaying import GroupOrder, ScoredCall, StopAudit
from scaling_callback.stopping import AnyRule, name_rule


def describe_audit(made: StopAudit, rules: Sequence[AnyRule], *, order: GroupOrder = "together") -> dict[str, Any]:
    """What `audit-stops --json` prints."""
    return {"rules": [name_rule(rule) for rule in rules], "order": order, **describe_stops(made)}


def describe_stops(made: StopAudit) -> dict[str, Any]:
    """What came of runs that rules called for the end of."""
    return {
        "runs": made.runs,
        "stopped": made.stopped,
        "compute_saved": made.compute_saved,
        "compute_saved_by_group": made.compute_saved_by_group,
        "regret": made.regret,
        "regret_groups": made.regret_groups,
        "false_stops": made.false_stops,
        "scored": made.scored,
        "calls": [_describe_call(call) for call in made.calls],
        "groups": [
            {
                "runs": list(group.runs),
                "params": group.params,
                "horizon": group.horizon,
                "flops": group.flops,
                "compute_saved": group.saved,
                "regret": group.regret,
                "best": group.best,
                "best_kept": group.best_kept,
                "emptied": group.emptied,
            }
            for group in made.groups
        ],
        "emptied": [list(group.runs) for group in made.emptied],
    }


def _describe_call(scored: ScoredCall) -> dict[str, Any]:
    return {
        "run": scored.run,
        "rule": scored.call.rule,
        "reason": scored.call.reason,
        "evidence": dict(scored.call.evidence),
        "tokens": scored.call.tokens,
        "progress": scored.progress,
        "saved_flops": scored.saved_flops,
        "acted": scored.call.acted,
        "final": scored.final,
        "best_kept": scored.best_kept,
        "false": scored.false,
    }
