"""The answers to the checklist that lie in the fit: its form, its evidence, how it was found, how far it held."""

from __future__ import annotations

from collections import Counter

from scaling_callback.fitting import MIN_RUNS, Fit, solver
from scaling_callback.forecasting.joint import CHECKPOINTS, EARLIEST, SHARE
from scaling_callback.laws import get_law
from scaling_callback.records import FINAL_PROGRESS
from scaling_callback.reporting.audit.answers import Answer, ask, leave, no_fit, say
from scaling_callback.reporting.audit.assumptions import judge_form, judge_repetition, judge_tie
from scaling_callback.reporting.audit.checkpoints import count_checkpoints, uses_joint
from scaling_callback.reporting.audit.facts import Known, list_values, list_versions, say_set_aside
from scaling_callback.reporting.tables import held_out_measurement
from scaling_callback.reporting.units import format_level, format_loss, format_percent, format_value, number
from scaling_callback.snapshot import Snapshot

SHOWN_REASONS = 3
"""Reasons for leaving a run out that a sentence lists before it counts the others."""


def say_form(known: Known) -> Answer:
    """1: the law."""
    snapshot = known.snapshot
    law = get_law(snapshot.config.law)
    version = list_versions("scaling-callback")
    members = snapshot.members.items()
    combined = "; ".join(f"{name}: {fit.law.equation}" for name, fit in members)
    return say(
        f"{law.equation}, the law named {law.name}" + (f" of {version}." if version else "."),
        f"It splits budgets. The forecast combines other laws of finals and checkpoints: {combined}."
        if combined
        else "",
    )


def say_variables(known: Known) -> Answer:
    """2: variables and units."""
    counts = "N: parameters, D: training tokens, C = 6ND: FLOPs, all plain counts."
    loss, unit = known.loss(), known.find("loss_unit")
    missing = [key for key, fact in (("metric", loss), ("loss_unit", unit)) if fact is None]
    said = (
        f"L: {loss.text}{f', in {unit.text}' if unit else ''}." if loss else f"Unit of L: {unit.text}." if unit else ""
    )
    if missing:
        return ask(*missing, known=f"{counts} {said}".strip(), of=(loss, unit))
    return say(counts, said, of=(loss, unit))


def say_parameters(known: Known) -> Answer:
    """3: fitted, fixed and tied parameters."""
    snapshot = known.snapshot
    if snapshot.fit is None:
        return no_fit(known)
    values = _list_values(snapshot.fit)
    borrowed = snapshot.fit.borrowed
    fixed = f"Held fixed: {', '.join(borrowed.names)}, from {borrowed.source}." if borrowed else "None is held fixed."
    others = "; ".join(f"{name}: {_list_values(fit)}" for name, fit in snapshot.members.items())
    return say(
        f"Values: {values}. {fixed}{_say_priors(snapshot.fit)}",
        f"The laws of the forecast: {others}." if others else "",
    )


def say_source(known: Known) -> Answer:
    """4: where the form comes from."""
    snapshot = known.snapshot
    return say(f"{get_law(snapshot.config.law).source}.")


def say_assumptions(known: Known) -> Answer:
    """5: assumptions and what the data say to them."""
    fit = known.snapshot.fit
    if fit is None:
        return no_fit(known)
    found = ", ".join(fit.diagnostics) or "none"
    return say(
        f"The losses follow {fit.law.equation}; {', '.join(fit.law.variables)} are all that it knows.",
        judge_form(known.snapshot),
        judge_tie(fit, known.snapshot.config.level),
        f"By chance a run lies about {format_percent(fit.noise)} off the law. Diagnostics raised: {found}.",
        judge_repetition(known),
    )


def say_checkpoints(known: Known) -> Answer:
    """18: which checkpoints are evidence."""
    snapshot = known.snapshot
    evidence, policy = snapshot.evidence, snapshot.config.evidence
    total = sum(len(run.curve) for run in snapshot.runs)
    if evidence.points is None:
        return leave(f"None of the {total} observations is evidence yet.")
    rule = {
        "intermediate": "every finite observation after the first tenth of its run",
        "finals": "the final of each finished run",
        "default": "the final of each finished run, and the forecast final of an unfinished one at a lower weight",
    }.get(policy, f"as the policy {policy} selects them")
    return say(
        f"{rule[:1].upper()}{rule[1:]}: {len(evidence.points)} points of {total} observations.",
        f"A final is the last flagged observation, else the last one at {format_level(FINAL_PROGRESS)} of the run "
        "or more. Nothing is smoothed or binned.",
        _say_joint(snapshot),
    )


def _say_joint(snapshot: Snapshot) -> str:
    """What the laws that the forecast combines see beside that."""
    if not uses_joint(snapshot):
        return ""
    return (
        f"The laws that the forecast combines see {count_checkpoints(snapshot)} checkpoints beside the finals: of each "
        f"run at most {CHECKPOINTS}, evenly from {format_level(EARLIEST)} to {format_level(FINAL_PROGRESS)} of it, "
        f"which together weigh {SHARE:g} of a final."
    )


def say_objective(known: Known) -> Answer:
    """21: the objective."""
    snapshot = known.snapshot
    fit = snapshot.fit
    if fit is None:
        return no_fit(known)
    low, high = float(fit.points.weight.min()), float(fit.points.weight.max())
    weights = "all weights 1" if low == high == 1.0 else f"weights from {format_value(low)} to {format_value(high)}"
    words = fit.criterion.words
    return say(
        f"{words[0].upper()}{words[1:]}, summed over {len(fit.points)} points, {weights}; "
        f"{fit.objective:.6g} at the optimum.{_say_priors(fit)}",
        " ".join(
            f"{name}: {other.criterion.words}, over {len(other.points)} finals and the checkpoints of their runs; "
            f"{other.objective:.6g} at the optimum.{_say_priors(other)}"
            for name, other in snapshot.members.items()
        ),
    )


def say_algorithm(known: Known) -> Answer:
    """22: algorithm and versions."""
    snapshot = known.snapshot
    if snapshot.fit is None:
        return no_fit(known)
    width = snapshot.fit.criterion.width
    through = [f"{delta:g}" for delta in dict.fromkeys((*solver.ANNEALING, width)) if delta >= width]
    annealed = f", delta annealed through {', '.join(through)}" if len(through) > 1 else ""
    return say(
        f"Levenberg-Marquardt with the analytic Jacobian{annealed}.",
        f"{list_versions('scaling-callback', 'numpy')}.",
    )


def say_tolerances(known: Known) -> Answer:
    """23: tolerances and iterations."""
    snapshot = known.snapshot
    fit = snapshot.fit
    if fit is None:
        return no_fit(known)
    return say(
        f"A search ends when a step lowers the objective by less than {solver.TOLERANCE:g} of it, at the latest after "
        f"{solver.MAX_ITERATIONS} steps; the winner took {fit.certificate.iterations}. "
        f"Largest gradient component there: {fit.certificate.gradient:.2g}."
    )


def say_starts(known: Known) -> Answer:
    """24: starts, winner, basins."""
    snapshot = known.snapshot
    if snapshot.fit is None:
        return no_fit(known)
    made = snapshot.fit.certificate
    other = "" if made.runner_up is None else f" The next basin is {format_percent(made.runner_up)} above it."
    return say(
        f"{made.starts - made.given} searches from variable projection on a grid over the nonlinear parameters"
        f"{f', {made.given} from values that were given' if made.given else ''}; "
        f"{made.agreeing} ended at the winner.{other}",
        " ".join(
            f"{name}: {fit.certificate.agreeing} of {fit.certificate.starts} ended at the winner, {fit.status.value}."
            for name, fit in snapshot.members.items()
        ),
    )


def _list_values(fit: Fit) -> str:
    """The fitted parameters with their values."""
    return ", ".join(f"{name} = {format_value(value)}" for name, value in fit.params.items())


def _say_priors(fit: Fit) -> str:
    """Which priors took part, as a sentence with a space before it."""
    names = ["a weak prior on the exponents"] * fit.prior + ["lines of published fits"] * fit.ridges
    weighs = "each term weighs" if fit.prior_terms > 1 else "it weighs"
    return f" Added to the objective: {' and '.join(names)}; {weighs} about one observation." if fit.prior_terms else ""


def say_left_out(known: Known) -> Answer:
    """25: points left out."""
    snapshot = known.snapshot
    left, by_hand = snapshot.evidence.left_out, known.find("left_out")
    if not snapshot.runs:
        return leave("There is no run.")
    excluded = [str(run.card.excluded) for run in snapshot.excluded]
    counts = Counter(left[run.name] for run in snapshot.runs if run.name in left)
    parts = [f"{number(count, 'run')}: {reason}" for reason, count in counts.most_common(SHOWN_REASONS)]
    if len(counts) > SHOWN_REASONS:
        parts.append(f"{len(counts) - SHOWN_REASONS} more reasons, in the table of runs")
    cards = "its card" if len(excluded) == 1 else "their cards"
    found = (
        say_set_aside(snapshot),
        f"{'; '.join(parts)}." if parts else "",
        f"{number(len(excluded), 'run')} excluded by a line in {cards}: {list_values(excluded)}." if excluded else "",
    )
    return say(
        *(found if any(found) else ("No run is left out.",)),
        f"By hand: {by_hand.text}." if by_hand else "Runs that never reached the tool are not known to it.",
        of=(by_hand,),
    )


def say_correctness(known: Known) -> Answer:
    """26: held-out extrapolation, interval, goodness of fit."""
    snapshot = known.snapshot
    fit, forecast, record = snapshot.fit, snapshot.forecast, snapshot.record
    limit = known.find("acceptance")
    if fit is None:
        return no_fit(known)
    if record.are is None or record.coverage is None:
        return leave(f"No forecast has been checked: fewer than {MIN_RUNS + 1} finished runs.")
    held_share = f"{format_level(record.coverage)} of their {format_level(snapshot.config.level)} intervals held it"
    off = f"off by {format_percent(record.are)} of the loss on average"
    sentences = [
        f"{len(record.scores)} forecasts from runs with less compute were {off}; {held_share}.",
        f"By chance a run lies about {format_percent(fit.noise)} off the law.",
    ]
    if forecast is not None:
        sentences.append(f"Interval of the target: {format_loss(forecast.lower)} to {format_loss(forecast.upper)}.")
    held = held_out_measurement(snapshot)
    if held is not None:
        sentences.append(
            f"A held-out run measured it: the forecast is off by {format_percent(held.error, signed=True)}."
        )
    if limit is not None:
        sentences.append(f"Error from which it would be rejected: {limit.text}.")
    return say(*sentences, of=(limit,))
