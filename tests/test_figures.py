"""Claims about figures: what is drawn is what the snapshot holds, whoever draws it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Literal, TypeVar
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from scaling_callback.allocating import Constraints
from scaling_callback.pipeline import refresh
from scaling_callback.records import Curve, IssuedForecast, Observation, Run, RunCard, Target
from scaling_callback.reporting import Figure, plot_choices, plot_figures, render_png, render_svg, write_plotly
from scaling_callback.reporting.figures import FIGURES, Area, Axis, Bars, Line, Marks, Rule
from scaling_callback.reporting.figures.palette import PALETTE
from scaling_callback.reporting.figures.series import MOST_POINTS, collect_runs, trace_compute
from scaling_callback.sensitivity import Panel, Row
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.testing import planted_isoflop, planted_ladder, planted_loss

TARGET = Target(params=1e10, tokens=2e11)
CONFIG = Config(target=TARGET, replicates=100)
T = TypeVar("T")


def held_out() -> Run:
    card = RunCard(name="big", params=1e10, horizon=2e11, schedule="cosine", held_out=True)
    curve = Curve.of([Observation(1e11, 2.3), Observation(2e11, planted_loss(1e10, 2e11))])
    return Run(card, curve, completed=True)


def timed(run: Run, begin: float) -> Run:
    """The run with the time of each observation: an hour from the first to the last."""
    times = begin + np.linspace(0.0, 3600.0, len(run.curve))
    return replace(run, curve=replace(run.curve, wall_time=times))


@cache
def usual() -> Snapshot:
    """Eleven finished runs one after another, one unfinished, the target measured, a forecast issued in the middle."""
    runs = planted_ladder(seed=3)
    ladder = [timed(run, 3600.0 * place) for place, run in enumerate(runs)]
    ladder[-1] = ladder[-1].until(0.6 * runs[-1].params * 80)
    issued = IssuedForecast(
        by=runs[5].name, at_tokens=1.0, run=None, params=1e10, tokens=2e11, median=2.4, lower=2.2, upper=2.6,
        level=0.9, forecaster="default", wall_time=5 * 3600.0 + 1.0,
    )  # fmt: skip
    return refresh((*ladder, held_out()), [issued], replace(CONFIG, sensitivity=True))


@cache
def along_budgets() -> Snapshot:
    return refresh(planted_isoflop(), (), replace(CONFIG, sensitivity=True))


def figure(snapshot: Snapshot, name: str) -> Figure:
    return next(made for made in plot_figures(snapshot) if made.name == name)


def find(made: Figure, kind: type[T], **wanted: Any) -> Iterator[T]:
    for layer in made.layers:
        if isinstance(layer, kind) and all(getattr(layer, name) == value for name, value in wanted.items()):
            yield layer


def coordinates(made: Figure) -> Iterator[float]:
    for layer in made.layers:
        for name in ("x", "y", "at", "lower", "upper"):
            values = getattr(layer, name, ())
            yield from values if isinstance(values, list | tuple | np.ndarray) else [values]


def test_every_figure_is_drawn_of_a_usual_ladder_and_none_of_an_empty_one() -> None:
    assert [made.name for made in plot_figures(usual())] == [
        "compute", "forecast", "tokens", "isoflop", "record", "residuals", "parameters", "choices",
    ]  # fmt: skip
    assert len(FIGURES) == 8
    assert plot_figures(refresh((), (), CONFIG)) == ()


@pytest.mark.parametrize(("name", "factor"), [("compute", 6.0), ("tokens", None)])
def test_curves_are_those_of_the_runs(name: str, factor: float | None) -> None:
    runs = {run.name: run for run in usual().runs}
    drawn = {line.name: line for line in figure(usual(), name).layers if isinstance(line, Line) and line.name}
    assert set(drawn) == set(runs)
    for run in runs.values():
        x = run.curve.tokens * (factor * run.params if factor else 1.0)
        np.testing.assert_array_equal(drawn[run.name].x, x)
        np.testing.assert_array_equal(drawn[run.name].y, run.curve.loss)


def test_finals_and_the_target_stand_at_their_losses() -> None:
    forecast = usual().forecast
    assert forecast is not None
    made = figure(usual(), "compute")
    (finals,) = find(made, Marks, label="final, used in the fit")
    used = [run for run in usual().runs if run.name in usual().evidence.used and run.final]
    assert dict(zip(finals.names, finals.y, strict=True)) == {run.name: run.final.loss for run in used if run.final}
    (star,) = find(made, Marks, marker="*")
    assert (list(star.x), list(star.y)) == ([6 * 1e10 * 2e11], [forecast.median])
    (interval,) = find(made, Bars, colour="target")
    assert (list(interval.lower), list(interval.upper)) == ([forecast.lower], [forecast.upper])


def test_earlier_forecasts_are_those_of_the_smaller_ladder_as_a_user_would_have_had_them() -> None:
    snapshot = usual()
    made = figure(snapshot, "forecast")
    (line,), (area,) = find(made, Line, colour="final"), find(made, Area)
    recomputed = [past for past in snapshot.past if past.kind == "recomputed"]
    assert list(line.y[:-1]) == [past.median for past in recomputed]
    assert list(area.lower[:-1]) == [past.lower for past in recomputed]
    finished = sorted(
        (run for run in snapshot.runs if run.name in snapshot.evidence.used),
        key=lambda r: r.params * r.curve.tokens[-1],
    )
    for past, x in zip(recomputed, line.x, strict=False):
        known = [run for run in finished if run.final][: past.runs]
        assert x == pytest.approx(sum(6 * run.params * run.curve.tokens[-1] for run in known))
        alone = refresh(known, (), CONFIG).forecast
        assert alone is not None
        assert past.median == pytest.approx(alone.median, rel=1e-6)
    assert snapshot.forecast is not None
    assert line.y[-1] == snapshot.forecast.median
    (measured,) = find(made, Line, colour="held")
    assert list(measured.y) == [planted_loss(1e10, 2e11)] * 2


def test_an_issued_forecast_stands_at_the_compute_that_the_ladder_had_taken_when_it_was_issued() -> None:
    (issued,) = find(figure(usual(), "forecast"), Marks, colour="guess")
    before = [run for run in usual().runs if run.curve.wall_time[0] < 5 * 3600.0]
    begun = next(run for run in usual().runs if run.curve.wall_time[0] == 5 * 3600.0)
    spent = sum(6 * run.params * run.curve.tokens[-1] for run in before) + 6 * begun.params * begun.curve.tokens[0]
    assert list(issued.x) == [pytest.approx(spent)]
    assert list(issued.y) == [2.4]


def test_valleys_are_the_law_along_each_budget_with_its_optimum_and_the_losses_measured_there() -> None:
    fit, allocation = along_budgets().fit, along_budgets().allocation
    assert fit is not None
    assert allocation is not None
    made = figure(along_budgets(), "isoflop")
    lines = [line for line in find(made, Line) if line.label and "FLOPs" in line.label]
    budgets = [1e19, 3e19, 1e20, 3e20, 1e21, allocation.flops]
    for line, flops in zip(lines, budgets, strict=True):
        np.testing.assert_allclose(line.y, fit.predict(line.x, flops / (6 * np.asarray(line.x))), rtol=1e-9)
    (frontier,) = find(made, Line, label="optimum of the law")
    assert list(frontier.x) == [pytest.approx(fit.optimum(flops)[0]) for flops in budgets]
    (star,) = find(made, Marks, marker="*")
    assert (list(star.x), list(star.y)) == ([allocation.params], [allocation.loss])
    (interval,) = find(made, Bars, along="x")
    assert (interval.lower[0], interval.upper[0]) == allocation.intervals["params"]
    (valley,) = find(made, Line, width=4.0)
    low, high = allocation.valleys[-1].params
    assert low <= min(valley.x) <= max(valley.x) <= high
    marks = [mark for mark in find(made, Marks) if mark.size == 4.0]
    measured = {run.params: run.final.loss for run in along_budgets().runs if run.final}
    shown = {n: loss for mark in marks for n, loss in zip(mark.x, mark.y, strict=True)}
    assert len(shown) == len(measured)
    for params, loss in shown.items():
        assert loss == pytest.approx(measured[min(measured, key=lambda n: abs(n - params))], rel=1e-6)


def test_the_line_of_the_law_runs_along_the_split_that_pays_for_all_that_the_budget_must_pay_for() -> None:
    config = replace(CONFIG, target=None, flops=1e21, constraints=Constraints(inference_tokens=1e11))
    snapshot = refresh(planted_ladder(sizes=(1e7, 3e7, 1e8, 3e8, 1e9), seed=3), (), config)
    fit, allocation = snapshot.fit, snapshot.allocation
    assert fit is not None
    assert allocation is not None
    assert allocation.identified
    law = trace_compute(snapshot)
    assert law is not None
    budgets = 6 * law.params * law.tokens + 2 * law.params * 1e11
    again = [fit.optimum(float(budget), {}, allocation.cost) for budget in budgets]
    np.testing.assert_allclose(np.transpose(again), [law.params, law.tokens], rtol=1e-6)


def test_a_refused_split_is_not_drawn_as_advice() -> None:
    snapshot = refresh(planted_ladder(sizes=(1e8,), ratios=(5, 10, 20, 40, 80)), (), CONFIG)
    assert snapshot.allocation is not None
    assert snapshot.allocation.reasons
    made = figure(snapshot, "isoflop")
    assert not list(find(made, Marks, marker="*"))
    assert "refused" in made.caption
    assert next(iter(snapshot.allocation.reasons)) in made.caption


def test_parameters_end_at_their_present_value_and_begin_at_the_first_fit() -> None:
    fit = usual().fit
    assert fit is not None
    made = figure(usual(), "parameters")
    lines, first = list(find(made, Line)), usual().past[0]
    for name, line in zip(("E", "alpha", "beta"), lines, strict=True):
        assert line.y[-1] == 1.0
        assert line.y[0] == pytest.approx(first.parameters[name] / fit.params[name])


def panel_of(*answers: tuple[str, float | None, tuple[float, float] | None]) -> Panel:
    """A panel of rows of status and D/N with its interval; the loss is one answer throughout."""
    rows = [
        Row(
            choice=f"choice {place}", group="loss", status=status, params={}, tokens_per_param=value, loss=2.0,
            over_optimum=1.0, points=9, diagnostics={}, intervals={"tokens_per_param": ends} if ends else {},
        )
        for place, (status, value, ends) in enumerate(answers)
    ]  # fmt: skip
    return Panel(1e20, None, tuple(rows))


def test_choices_stand_at_their_answers_with_intervals_and_a_look_of_their_kind() -> None:
    panel = panel_of(
        ("converged", 20.0, (10.0, 40.0)), ("converged", 25.0, (12.0, 41.0)), ("stalled", 30.0, (29.0, 31.0)),
        ("reached", 20.0, (9.0, 50.0)), ("not_converged", 22.0, None),
    )  # fmt: skip
    made = plot_choices(panel)
    assert made is not None
    marks = {mark.label: mark for mark in find(made, Marks)}
    assert [[*mark.x] for mark in marks.values()] == [[20.0], [25.0], [22.0], [20.0], [30.0]]
    looks = {(mark.marker, mark.colour, mark.hollow) for mark in marks.values()}
    assert len(looks) == len(marks)
    bars = {
        (at, low, high) for bar in find(made, Bars) for at, low, high in zip(bar.at, bar.lower, bar.upper, strict=True)
    }
    assert bars == {(4.0, 10.0, 40.0), (3.0, 12.0, 41.0), (2.0, 29.0, 31.0), (1.0, 9.0, 50.0)}
    (base,) = find(made, Rule)
    assert (base.at, base.across) == (20.0, "y")
    assert made.y.rows == {4.0 - place: f"choice {place}" for place in range(5)}


def test_an_answer_far_beyond_the_others_is_a_mark_at_the_edge_and_squeezes_nothing() -> None:
    usual = [("converged", 10.0 + i, (8.0, 30.0)) for i in range(30)]
    made = plot_choices(panel_of(*usual, ("stalled", 1e9, None), ("converged", None, None)))
    assert made is not None
    assert made.x.limits is not None
    assert made.x.limits[1] < 100.0
    (edge,) = find(made, Marks, marker=">")
    assert made.x.limits[0] < edge.x[0] < made.x.limits[1]
    assert edge.names == ["choice 30: 1.000e9"]
    assert "A triangle at the edge" in made.caption
    assert len(made.y.rows) == 32  # a row without an answer is named too
    short = plot_choices(panel_of(*usual[:3]))
    assert short is not None
    assert short.height < made.height


def test_the_forecast_loss_of_choices_is_drawn_as_well_and_a_single_answer_is_no_comparison() -> None:
    assert plot_choices(panel_of(("converged", 20.0, None))) is None
    nothing = panel_of(("converged", None, None), ("converged", None, None))
    assert plot_choices(nothing) is None
    made = plot_choices(nothing, "loss")
    assert made is not None
    assert (made.name, made.x.label) == ("choices_loss", "forecast loss of the optimum, 1.0e20 FLOPs")


def test_a_long_name_of_a_choice_is_broken_into_two_lines_with_room_for_both() -> None:
    panel = panel_of(("converged", 20.0, None), ("converged", 25.0, None), ("converged", 26.0, None))
    long = replace(panel.rows[1], choice="lowest at each N and D, every checkpoint")
    made = plot_choices(replace(panel, rows=(panel.rows[0], long, panel.rows[2])))
    assert made is not None
    names = [*made.y.rows.values()]
    assert names[1] == "lowest at each N and D, every\ncheckpoint"
    assert max(made.y.rows) > 2.0


def test_a_name_of_a_choice_is_neither_a_formula_nor_a_tag() -> None:
    panel = panel_of(("converged", 20.0, None), ("converged", 25.0, None))
    named = replace(panel, rows=(panel.rows[0], replace(panel.rows[1], choice="N as $x_$ <b>")))
    made = plot_choices(named)
    assert made is not None
    assert "N as $x_$ &lt;b&gt;" in render_svg(made)
    assert "N as $x_$ &lt;b&gt;" in write_plotly(made)["layout"]["yaxis"]["ticktext"]


def test_a_long_ladder_is_thinned_to_points_that_were_measured_with_both_ends() -> None:
    run = planted_ladder(points=2)[0]
    tokens = np.linspace(1e6, run.params * 5, 3 * MOST_POINTS)
    long = replace(run, curve=Curve.of([Observation(float(d), 3.0 + 1 / (i + 1)) for i, d in enumerate(tokens)]))
    (series,) = collect_runs(refresh([long], (), CONFIG))
    assert len(series.tokens) <= MOST_POINTS
    assert (series.tokens[0], series.tokens[-1]) == (long.curve.tokens[0], long.curve.tokens[-1])
    measured = dict(zip(long.curve.tokens, long.curve.loss, strict=True))
    assert all(measured[d] == loss for d, loss in zip(series.tokens, series.loss, strict=True))


def test_svg_is_the_same_each_time_refers_to_nothing_and_takes_the_colours_of_the_page() -> None:
    light = [pair[0] for pair in PALETTE.values()]
    assert len(set(light)) == len(light)
    for made in plot_figures(usual()):
        svg = render_svg(made)
        assert svg == render_svg(made)
        assert svg.startswith("<svg viewBox=")
        assert not re.search(r"http|<metadata|<script|<!--|<image", svg)
        assert "currentColor" in svg
        fixed = re.sub(r"var\(--fig-[\w-]+, #[0-9a-f]{6}\)", "", svg)
        assert re.findall(r"(?:fill|stroke): #(?!ffffff|000000)\w+", fixed) == []


def test_a_drawing_that_is_a_file_of_its_own_is_xml_with_colours_of_its_own() -> None:
    for made in plot_figures(usual()):
        root = ET.fromstring(render_svg(made, words=True, alone=True))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "background:#fff" in root.attrib["style"]
        assert root.attrib["aria-label"] == made.alt


def test_marks_of_the_svg_lie_where_the_losses_are() -> None:
    """Read back from the drawing: pixels of the finals, by the axes' own limits, are their compute and loss."""
    made = figure(usual(), "compute")
    (finals,) = find(made, Marks, label="final, used in the fit")
    svg = render_svg(made)
    colour = f"var(--fig-final, {PALETTE['final'][0]})"
    places = [
        (float(x), float(y))
        for x, y in re.findall(rf'<use href="#\S+" x="([\d.]+)" y="([\d.]+)"[^>]*{re.escape(colour)}', svg)
    ]
    drawn = np.array(places[: len(finals.x)])  # those after them are the legend's
    for column, values in ((0, finals.x), (1, finals.y)):
        # an axis is linear in the logarithm: pixels and logarithms lie on a line, to a hundredth of a pixel
        slope, offset = np.polyfit(np.log(np.asarray(values)), drawn[:, column], 1)
        np.testing.assert_allclose(drawn[:, column], slope * np.log(np.asarray(values)) + offset, atol=0.01)
        assert (slope > 0) == (column == 0)


def test_plotly_holds_the_same_numbers_and_names_that_cannot_be_tags() -> None:
    plotly = pytest.importorskip("plotly.graph_objects")
    hostile = "<script>alert(1)</script>" + "x" * 300
    runs = planted_ladder(seed=3)
    renamed = [replace(run, card=replace(run.card, name=hostile)) if i == 0 else run for i, run in enumerate(runs)]
    for made in plot_figures(refresh(renamed, (), CONFIG)):
        written = write_plotly(made)
        plotly.Figure(written)  # its own validation
        text = json.dumps(written, allow_nan=False)
        assert "<script" not in text
        assert "x" * 100 not in text
        numbers = {float(f"{value:.6g}") for value in coordinates(made) if np.isfinite(value)}
        traced = {v for trace in written["data"] for axis in ("x", "y") for v in trace[axis] if v is not None}
        ruled = {shape[end] for shape in written["layout"]["shapes"] for end in ("x0", "x1", "y0", "y1")}
        assert traced <= numbers
        assert numbers - {float(f"{v:.6g}") for v in ruled} <= traced | {0.0}


def test_a_picture_is_a_png_and_drawing_leaves_the_users_settings_alone() -> None:
    import matplotlib as mpl

    library: Any = mpl
    made = plot_figures(usual())[0]
    with library.rc_context({"font.size": 31.0, "axes.facecolor": "red"}):
        svg, png = render_svg(made), render_png(made, dpi=60)
        assert library.rcParams["font.size"] == 31.0
    assert png.startswith(b"\x89PNG")
    assert svg == render_svg(made)


def test_an_axis_of_rows_names_each_row_once() -> None:
    made = figure(usual(), "record")
    assert isinstance(made.y, Axis)
    assert len(made.y.rows) == round(made.y.height or 0) + 1


@pytest.mark.parametrize("layers", [(), (Marks([], [], "o", "final"),), (Marks([math.nan], [1.0], "o", "final"),)])
def test_a_logarithmic_axis_without_a_mark_is_drawn_empty(layers: tuple[Marks, ...]) -> None:
    axis = Axis("error", ticks="percent", log=True)
    made = Figure("none", "None", "Nothing was measured.", "Nothing.", layers, axis, axis, 2.0, 1)
    ET.fromstring(render_svg(made, alone=True))
    assert json.dumps(write_plotly(made), allow_nan=False)


@pytest.mark.parametrize("across", ["x", "y"])
def test_a_rule_is_seen_on_a_logarithmic_axis_without_a_mark(across: Literal["x", "y"]) -> None:
    axis = Axis("loss", log=True)
    layers = (Rule(3e4, across), Marks([], [], "o", "final"))
    drawn = render_svg(Figure("none", "None", "", "Nothing.", layers, axis, axis, 2.0, 1), alone=True)
    assert {"20k", "50k"} <= {*re.findall(r"<text[^>]*>([^<]*)", drawn)}
