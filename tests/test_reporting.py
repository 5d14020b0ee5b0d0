"""Claims about figures, checklist and report: what is shown is what the snapshot holds, and nothing breaks it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from scaling_callback.errors import MissingDependency
from scaling_callback.pipeline import refresh
from scaling_callback.records import Curve, IssuedForecast, Observation, Run, RunCard, Target
from scaling_callback.reporting import (
    checklist,
    checklist_numbers,
    held_out_measurement,
    list_runs,
    render_html,
)
from scaling_callback.reporting.figures.series import (
    collect_errors,
    collect_residuals,
    collect_runs,
    find_target,
    trace_compute,
    trace_sizes,
)
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.testing import planted_ladder, planted_loss

TARGET = Target(params=1e10, tokens=2e11)
CONFIG = Config(target=TARGET, replicates=100)

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img onerror=alert(1)>',
    "long": "x" * 300,
    "right to left": "\u202eevil \u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "svg": "$\\frac{</svg>$",
    "template": "{{ 7 * 7 }}{% endif %}",
    "half a surrogate": "\ud800half",
}


class Page(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "link", "path", "use", "br"}:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "xlink:href", "src", "action", "srcset", "data", "poster"} or name.startswith("on"):
                self.references.append(value or "")
            if value and "url(" in value:
                self.references += re.findall(r"url\(([^)]*)\)", value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "use"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def held_out(**changes: Any) -> Run:
    card = RunCard(name="big", params=1e10, horizon=2e11, schedule="cosine", held_out=True)
    curve = Curve.of([Observation(1e11, 2.3), Observation(2e11, planted_loss(1e10, 2e11))])
    return Run(replace(card, **changes), curve, completed=True)


def cut(run: Run, share: float) -> Run:
    assert run.horizon is not None
    return run.until(share * run.horizon)


@cache
def usual() -> Snapshot:
    runs = planted_ladder(seed=3)
    return refresh((*runs[:-1], cut(runs[-1], 0.6), held_out()), (), CONFIG)


@cache
def page_of_usual() -> str:
    return render_html(usual())


def renamed(names: dict[int, str]) -> Snapshot:
    runs = planted_ladder(seed=3)
    changed = [
        Run(
            replace(run.card, name=names.get(i, run.name), recipe={"corpus": "<b>c4</b>", "unique_tokens": "3e11"}),
            run.curve,
            ("<i>odd</i>",),
        )
        for i, run in enumerate(runs)
    ]
    return refresh([cut(changed[0], 0.5), *changed[1:]], (), CONFIG)


def test_curves_and_finals_of_the_figures_are_those_of_the_runs() -> None:
    series = {run.name: run for run in collect_runs(usual())}
    assert set(series) == {run.name for run in usual().runs}
    for run in usual().runs:
        shown = series[run.name]
        np.testing.assert_array_equal(shown.loss, run.curve.loss)
        np.testing.assert_array_equal(shown.compute, 6 * run.params * run.curve.tokens)
        assert shown.final == ((run.final.tokens, run.final.loss) if run.final else None)


def test_losses_that_are_not_finite_are_not_drawn() -> None:
    run = Run(RunCard(name="a", params=1e6, horizon=4e6), Curve.of([Observation(1e6, 3.0), Observation(2e6, np.inf)]))
    (series,) = collect_runs(refresh([run], (), CONFIG))
    assert series.loss.tolist() == [3.0]


def test_the_law_is_drawn_where_the_fit_predicts_it_and_ends_at_the_target() -> None:
    fit, forecast = usual().fit, usual().forecast
    assert fit is not None
    assert forecast is not None
    line, sizes, target = trace_compute(usual()), trace_sizes(usual()), find_target(usual())
    assert line is not None
    assert target is not None
    for drawn in (line, *sizes):
        np.testing.assert_allclose(drawn.loss, fit.predict(drawn.params, drawn.tokens), rtol=1e-12)
    assert line.compute[-1] == pytest.approx(6 * 1e10 * 2e11)
    # the forecast combines other laws, and may lie off the line of the one that is shown
    assert sizes[-1].loss[-1] == pytest.approx(fit.predict(1e10, 2e11)[0], rel=1e-12)
    assert (target.loss, target.lower, target.upper) == (forecast.median, forecast.lower, forecast.upper)


def test_without_an_identified_split_the_law_runs_through_the_ladder_to_the_target() -> None:
    snapshot = refresh(planted_ladder(sizes=(1e8,), ratios=(5, 10, 20, 40, 80)), (), CONFIG)
    line = trace_compute(snapshot)
    assert snapshot.allocation is not None
    assert not snapshot.allocation.identified
    assert line is not None
    assert snapshot.fit is not None
    assert line.kind == "ladder"
    assert line.params[0] == pytest.approx(1e8)
    assert line.loss[-1] == pytest.approx(snapshot.fit.predict(1e10, 2e11)[0], rel=1e-9)


def test_errors_of_the_record_figure_are_those_of_the_record() -> None:
    run = usual().runs[4]
    assert run.horizon is not None
    issued = IssuedForecast(
        by="b", at_tokens=1, run=run.name, params=run.params, tokens=run.horizon, median=4.0, lower=3.9, upper=4.1,
        level=0.9, forecaster="default", wall_time=0.0,
    )  # fmt: skip
    snapshot = refresh(usual().runs, [issued], CONFIG)
    rows = collect_errors(snapshot)
    recomputed = sorted(row.error for row in rows if row.kind == "recomputed")
    assert recomputed == pytest.approx(sorted(100 * score.error for score in snapshot.record.scores))
    (live,) = [row for row in rows if row.kind == "issued"]
    assert run.final is not None
    assert live.error == pytest.approx(100 * (4.0 / run.final.loss - 1))
    measured = held_out_measurement(snapshot)
    assert measured is not None
    assert (rows[-1].kind, rows[-1].error) == ("target", pytest.approx(100 * measured.error))


def test_residuals_are_measured_over_fitted() -> None:
    fit = usual().fit
    assert fit is not None
    finals = {run.name: run for run in usual().runs if run.final}
    marks = {mark.name: mark for mark in collect_residuals(usual())}
    assert set(marks) == set(finals)
    for name, run in finals.items():
        assert run.final is not None
        ratio = run.final.loss / fit.predict(run.params, run.final.tokens)[0]
        assert marks[name].percent == pytest.approx(100 * (ratio - 1))


def test_every_run_has_a_row_that_says_what_became_of_it() -> None:
    rows = {row.name: row for row in list_runs(usual())}
    roles = [rows[run.name].role for run in usual().runs]
    assert roles == ["used"] * 11 + ["guessed", "held out"]
    unfinished = rows[usual().runs[11].name]
    assert unfinished.final_loss is None
    assert unfinished.lower is not None
    assert unfinished.forecast is not None
    assert unfinished.lower < unfinished.forecast


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, True),
        ({"params": 1.01e10}, True),
        ({"params": 1.1e10}, False),
        ({"horizon": 4e11}, False),
        ({"held_out": False}, False),
    ],
)
def test_the_target_counts_as_measured_only_by_a_held_out_run_of_its_size_and_horizon(
    changes: dict[str, Any], found: bool
) -> None:
    config = replace(CONFIG, splits=False, replicates=20)
    snapshot = refresh((*planted_ladder(seed=3), held_out(**changes)), (), config)
    measured = held_out_measurement(snapshot)
    assert (measured is not None) is found
    if measured is not None:
        assert measured.error == pytest.approx(measured.forecast / planted_loss(1e10, 2e11) - 1)


def test_checklist_numbers_are_disjoint_and_complete() -> None:
    for snapshot in (usual(), refresh((), (), CONFIG), refresh(planted_ladder(seed=3)[:2], (), CONFIG)):
        numbers = checklist_numbers(snapshot)
        assert list(numbers) == ["answered", "asked", "unanswered"]
        assert sorted(number for listed in numbers.values() for number in listed) == list(range(1, 27))
        assert all(item.text.strip() for item in checklist(snapshot))


def test_the_checklist_answers_from_recorded_values_and_asks_for_the_others() -> None:
    usual_items = {item.number: item for item in checklist(usual())}
    assert {1, 3, 4, 5, 18, 21, 22, 23, 24, 25, 26} <= set(checklist_numbers(usual())["answered"])
    assert {8, 14, 15, 17, 20} <= set(checklist_numbers(usual())["asked"])
    fit = usual().fit
    assert fit is not None
    assert f"{fit.objective:.6g}" in usual_items[21].text
    answered = {item.number: item for item in checklist(renamed({}))}[8]
    assert (answered.status, answered.text[:10]) == ("answered", "<b>c4</b>.")


def test_without_a_fit_nothing_about_it_is_claimed() -> None:
    numbers = checklist_numbers(refresh(planted_ladder(seed=3)[:2], (), CONFIG))
    assert {3, 5, 21, 22, 23, 24, 26} <= set(numbers["unanswered"])


def test_the_page_is_well_formed_and_requests_nothing() -> None:
    page = Page(page_of_usual())
    assert page.open == []
    assert "script" not in page.tags
    assert len(set(page.ids)) == len(page.ids)
    assert [r for r in page.references if not r.startswith("#")] == ["data:,"]
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)
    assert not re.search(r"https?:|src=|@import|xmlns", page_of_usual())


def test_the_page_states_forecast_measurement_and_error_side_by_side() -> None:
    forecast, measured = usual().forecast, held_out_measurement(usual())
    assert forecast is not None
    assert measured is not None
    card = page_of_usual().split('<dl class="facts">')[1].split("</dl>")[0]
    for value in (forecast.median, forecast.lower, forecast.upper, measured.measured):
        assert f"{value:.4f}" in card
    assert f"{100 * abs(measured.error):.2f}%" in card


def test_hostile_names_stay_text() -> None:
    html = render_html(renamed(dict(enumerate(HOSTILE.values()))), title=HOSTILE["script"])
    page = Page(html)
    assert page.open == []
    assert not {"script", "img", "b"} & set(page.tags)
    assert "<i>odd</i>" not in html
    for name in HOSTILE.values():
        # a file cannot hold half of a surrogate pair
        assert name.encode("utf-8", "replace").decode() in page.texts, name


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        (planted_ladder(seed=3)[:2], "2 finished run(s); a fit needs at least 3"),
        ((), "no finished run; a fit needs at least 3"),
        ([Run(RunCard(name="a", params=1e6), Curve.of([Observation(1e6, np.nan)]))], "no finished run"),
    ],
    ids=["two runs", "none", "diverged"],
)
def test_a_snapshot_without_a_fit_says_why(runs: Sequence[Run], reason: str) -> None:
    html = render_html(refresh(runs, (), CONFIG))
    assert Page(html).open == []
    verdict = html.split('<p class="verdict">')[1].split("</p>")[0]
    assert verdict.startswith(f"There is no forecast: {reason}")
    assert f"No law is fitted: {reason}" in html
    assert f"No split is given: {reason}" in html


def test_without_a_bootstrap_no_interval_is_claimed() -> None:
    html = render_html(refresh(planted_ladder(seed=3), (), replace(CONFIG, replicates=0)))
    assert "(without an interval)" in html
    assert not re.search(r"\bnan\b", " ".join(Page(html).texts), re.IGNORECASE)


def test_a_refused_split_names_its_reasons() -> None:
    snapshot = refresh(planted_ladder(sizes=(1e8,), ratios=(5, 10, 20, 40, 80)), (), CONFIG)
    assert snapshot.allocation is not None
    html = render_html(snapshot)
    assert all(f"<code>{name}</code>" in html for name in snapshot.allocation.reasons)


def test_importing_reporting_loads_no_optional_package() -> None:
    code = "import sys, scaling_callback.reporting; print({'matplotlib', 'jinja2', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"{package}.*scaling-callback\[plotting\]"):
        render_html(usual())
