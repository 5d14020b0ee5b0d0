"""When each rule is asked: a law is fitted seldom, and what needs none must not wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from scaling_callback.refitting import RefitBudget
from scaling_callback.reporting.units import format_percent
from scaling_callback.reporting.words.lines import make_visible
from scaling_callback.stopping import AnyRule, find_needs, name_rules


class Turns:
    """Which rules are asked at an observation.

    After a refit all are. Between two refits those that look at a run's curve are, as that takes next to no time, and
    those that look at forecast finals as long as this keeps to a share of the time of its own.

    Args:
        rules: All rules.
        share: Share of wall time from 0 to 1; `None` for no limit.

    Example:
        >>> from scaling_callback.stopping import Budget, Dominated
        >>> own = lambda snapshot, run: None
        >>> turns = Turns([Budget(tokens=1e9), Dominated(), own], share=0.01)
        >>> [turns.choose(refitted=refitted) for refitted in (True, False)]
        [(True, True, True), (True, True, False)]
        >>> turns.spend(60.0)
        >>> turns.choose(refitted=False)
        (True, False, False)
        >>> turns.describe().partition(" (")[2].partition(":")[0]
        'dominated at 2, lambda at 1)'
    """

    def __init__(self, rules: Sequence[AnyRule], share: float | None) -> None:
        self._needs = tuple(map(find_needs, rules))
        self._names = name_rules(rules)
        self._share = share
        self._budget = RefitBudget(share)
        self._forecasts = False  # whether finals are looked at, at this observation
        self._observations = 0
        self._asked = [0] * len(rules)

    def choose(self, *, refitted: bool) -> tuple[bool, ...]:
        """Whether each rule is asked at this observation."""
        self._forecasts = forecasts = not refitted and self._budget.allows()
        chosen = tuple(refitted or needs == "curve" or (needs == "finals" and forecasts) for needs in self._needs)
        self._observations += 1
        self._asked = [count + asked for count, asked in zip(self._asked, chosen, strict=True)]
        return chosen

    def choose_alone(self) -> tuple[bool, ...]:
        """The same at an observation that knows no more than the run's own curve, which `describe` does not count."""
        self._forecasts = False
        return tuple(needs == "curve" for needs in self._needs)

    def spend(self, seconds: float) -> None:
        """What was asked between two refits has kept the training waiting for so long."""
        if self._forecasts:
            self._budget.spend(seconds)
        else:
            self._budget.wait(seconds)

    def describe(self) -> str | None:
        """Which rules were not asked at each observation, and why, in one line; `None` where all were."""
        each = zip(self._names, self._asked, strict=True)
        seldom = [f"{name} at {count}" for name, count in each if count < self._observations]
        if not seldom:
            return None
        why = "a refit takes longer than what lies between two of them"
        if self._share is not None:
            share = format_percent(self._share)
            why = f"refits keep to {share} of the time, and so do forecasts between them; raise refit_budget="
        return make_visible(
            f"rules that look at more than the run's curve were not asked at each of {self._observations} observations "
            f"({', '.join(seldom)}): {why}"
        )

    def describe_alone(self) -> str | None:
        """Which rules `choose_alone` leaves out; `None` where it leaves out none.

        Example:
            >>> from scaling_callback.stopping import Budget, Dominated
            >>> Turns([Budget(tokens=1e9), Dominated()], share=None).describe_alone()
            'until the ladder can be used, these rules are not asked: dominated'
        """
        left = [name for name, asked in zip(self._names, self.choose_alone(), strict=True) if not asked]
        return (
            make_visible(f"until the ladder can be used, these rules are not asked: {', '.join(left)}")
            if left
            else None
        )
