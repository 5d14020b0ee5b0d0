"""Claims about the report: one content in three formats, which a browser opens in silence and no name can break."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support_chromium import Chromium
from test_reporting import HOSTILE, Page

from scaling_callback.errors import MissingDependency
from scaling_callback.pipeline import refresh
from scaling_callback.records import Curve, Run, Target
from scaling_callback.reporting import WRITERS, Report, gather
from scaling_callback.reporting.doubts import NOTED, list_doubts
from scaling_callback.reporting.pages.blocks import Words
from scaling_callback.reporting.pages.markdown import escape
from scaling_callback.snapshot import Config, Snapshot
from scaling_callback.testing import planted_ladder

TARGET = Target(params=1e10, tokens=2e11)


def safe(text: str) -> str:
    """What a file can hold of a text."""
    return text.encode("utf-8", "replace").decode()


@cache
def hostile() -> Snapshot:
    """Every name, note, metric and answer of these runs is hostile, and one of them is unfinished."""
    names = [*HOSTILE.values(), "a|b `c` *d* [e](f)\r\n# g", "--- \x1b[31m \x7f &lt;", "1. first", "\\| $x$ ~~y~~"]
    runs = [
        Run(
            replace(
                run.card,
                name=names[i] if i < len(names) else run.name,
                loss_kind=HOSTILE["attribute"],
                note=HOSTILE["script"],
                recipe={"corpus": HOSTILE["right to left"], "unique_tokens": HOSTILE["long"]},
            ),
            run.curve,
            (HOSTILE["svg"],),
        )
        for i, run in enumerate(planted_ladder(seed=3))
    ]
    assert runs[0].horizon is not None
    config = Config(target=TARGET, replicates=60, sensitivity=True)
    return refresh([runs[0].until(0.5 * runs[0].horizon), *runs[1:]], (), config)


@cache
def report() -> Report:
    return gather(hostile(), {"architecture": HOSTILE["attribute"]}, title=HOSTILE["script"])


@cache
def written(suffix: str) -> str:
    return WRITERS[suffix](report())


def test_html_parses_holds_every_name_as_text_and_refers_to_nothing() -> None:
    page = Page(written(".html"))
    assert page.open == []
    assert not {"script", "img", "b", "iframe", "object"} & set(page.tags)
    assert [r for r in page.references if not r.startswith("#")] == ["data:,"]
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search(r"https?:|src=|@import|xmlns", written(".html"))
    for run in hostile().runs:
        assert safe(run.name).replace("\r\n", "\n") in [text.replace("\r\n", "\n") for text in page.texts]


def test_headings_of_the_page_are_in_order_and_figures_have_words() -> None:
    levels = [int(tag[1]) for tag in Page(written(".html")).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert '<html lang="en">' in written(".html")
    figures = re.findall(r"<svg .*?>", written(".html"))
    assert figures
    assert all('aria-label="' in figure or "aria-labelledby" in figure for figure in figures)


def test_markdown_holds_every_name_as_text_and_no_html() -> None:
    parser: Any = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table")
    tokens: list[Any] = parser.parse(written(".md"))
    inline = [child for token in tokens for child in token.children or ()]
    assert not [
        token for token in (*tokens, *inline) if token.type in {"html_block", "html_inline", "fence", "code_block"}
    ]
    assert not [child for child in inline if child.type in {"link_open", "image"}]
    cells = {
        " ".join("".join(child.content if child.type == "text" else " " for child in token.children or ()).split())
        for token in tokens
        if token.type == "inline"
    }
    shown = [re.sub("[\u2068\u2069]", "", cell) for cell in cells]
    for run in hostile().runs:
        printable = "".join(c if c.isprintable() or c == "\ud800" else repr(c)[1:-1] for c in run.name)
        wanted = safe(" ".join(printable.replace("\\r\\n", " ").split()))
        assert any(cell.startswith(wanted) for cell in shown), wanted


def test_every_row_of_a_markdown_table_has_its_columns() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", written(".md"), re.MULTILINE)
    assert len(tables) > 3
    for table in tables:
        # a bar behind an odd number of backslashes is text
        bars = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()]
        assert len(set(bars)) == 1


TURNS = "[\u202a-\u202e\u2066-\u2069]"
"""What opens or ends a part of a line with a direction of its own."""


def loose(text: str) -> list[str]:
    """Those of them that belong to no isolated name, and to no isolated sentence that holds such names."""
    for _ in range(2):
        text = re.sub(f"\u2068(?:(?!{TURNS}).)*\u2069", "", text)
    return re.findall(TURNS, text)


def test_what_turns_a_line_around_stays_within_itself_in_markdown() -> None:
    assert not loose(written(".md"))
    for line in written(".md").splitlines():
        if found := re.search("[\u0590-\u08ff]", line):
            assert "\u2068" in line[: found.start()]


@pytest.mark.parametrize(
    "name", ["a\u2069\u202ebc", "\u2068a", "a\u2067b\u202c", "\u2069\u202dx\u2066", "\u05d0\u2069\u202e"]
)
def test_no_name_ends_its_isolation_or_turns_what_follows(name: str) -> None:
    first, *others = planted_ladder(seed=3)
    odd = Run(replace(first.card, name=name), first.curve, ("odd",))
    (doubt,) = [d for d in list_doubts(refresh([odd, *others], (), Config(replicates=0))) if d.name.startswith(NOTED)]
    assert not loose(doubt.sentence)
    assert ("\u05d0" in name) == ("(\u2068" in doubt.sentence)
    assert not loose(escape(name))
    assert not loose(escape(doubt.sentence))
    assert escape(name) != escape(f"{name}\u202e")  # two names stay two


def test_json_holds_the_same_names_and_values_and_no_number_that_json_has_not() -> None:
    def refuse(name: str) -> Any:
        raise AssertionError(name)

    made = json.loads(written(".json"), parse_constant=refuse)
    assert {row["run"] for row in made["runs"]["runs"]} == {safe(run.name) for run in hostile().runs}
    forecast = hostile().forecast
    assert forecast is not None
    assert made["forecast"]["target"]["loss"] == forecast.median
    assert made["forecast"]["target"]["interval"] == [forecast.lower, forecast.upper]
    assert [item["number"] for item in made["checklist"]["items"]] == list(range(1, 27))
    assert len(made["recommendations"]["recommendations"]) == 10
    allocation = hostile().allocation
    assert allocation is not None
    assert made["allocation"]["flops"] == allocation.flops
    assert made["record"]["recomputed_record"]["are"] == hostile().record.are


def test_the_unit_of_the_loss_stands_beside_it_where_it_is_known_of_all_runs() -> None:
    def stands(said: int, answers: dict[str, str], unit: str = "nats per byte") -> set[bool]:
        runs = [
            Run(replace(run.card, recipe={"loss_unit": unit} if i < said else {}), run.curve)
            for i, run in enumerate(planted_ladder(seed=3))
        ]
        made = gather(refresh(runs, (), Config(target=TARGET, replicates=0, past=False, splits=False)), answers)
        top = json.loads(WRITERS[".json"](made))["forecast"]["target"]
        in_summary = f"Forecast loss, {unit}" in WRITERS[".md"](made)
        return {f" {unit} (" in made.verdict, in_summary, top["loss_unit"] == unit}

    assert stands(12, {}) == stands(0, {"loss_unit": "nats per byte."}) == {True}
    assert stands(0, {}) == stands(11, {}) == stands(12, {"loss_unit": "bits"}) == {False}
    told = gather(hostile(), {"loss_unit": "x" * 300 + "\u202e"}).verdict
    assert len(told) < 250
    assert "\u202e" not in told


def test_the_summary_counts_runs_that_were_set_aside() -> None:
    runs = planted_ladder(seed=3)
    hot = [Run(replace(run.card, name=f"{run.name}-hot", peak_lr=1.0), run.curve) for run in runs]
    config = Config(target=TARGET, replicates=0, past=False, splits=False, runs="best")
    assert "Evidence: **12** (runs of 24)" in WRITERS[".md"](gather(refresh([*runs, *hot], (), config)))


def test_the_summary_says_how_its_interval_is_meant() -> None:
    promise = "In nine of ten forecasts that are made like this one, the loss that is then measured lies inside"
    assert promise in (Path(__file__).parents[1] / "docs" / "intervals.md").read_text("utf-8")
    for replicates, said in (
        (60, "in 90% of forecasts made like this one, the loss that is then measured lies inside"),
        (0, "no bootstrap was made"),
    ):
        config = Config(target=TARGET, replicates=replicates, past=False, splits=False)
        made = gather(refresh(planted_ladder(seed=3), (), config))
        assert said in WRITERS[".md"](made)


def test_without_a_bootstrap_or_a_fit_json_says_null() -> None:
    for runs in (planted_ladder(seed=3), planted_ladder()[:2], ()):
        made = gather(refresh(runs, (), Config(target=TARGET, replicates=0)))
        assert "NaN" not in WRITERS[".json"](made)
        assert json.loads(WRITERS[".json"](made))["verdict"] == made.verdict
        assert not re.search(r"\bnan\b", WRITERS[".md"](made), re.IGNORECASE)


def test_the_three_formats_say_the_same_sentences() -> None:
    made = gather(refresh(planted_ladder(seed=3), (), Config(target=TARGET, replicates=60)))
    html = " ".join(" ".join(Page(WRITERS[".html"](made)).texts).split())
    plain = json.dumps(json.loads(WRITERS[".json"](made)), ensure_ascii=False)
    markdown = WRITERS[".md"](made).replace("\\", "")
    said = [block.text for section in made.sections for block in section.blocks if isinstance(block, Words)]
    assert len(said) > 5
    for text in said:
        assert text in plain
        assert text in markdown
        assert text in html or "^" in text  # exponents of an equation are raised there
    assert made.verdict in html
    assert made.verdict in markdown


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


OUTSIDE = """[...document.querySelectorAll('main *')].filter(
    e => !e.closest('thead, figure svg') && e.getBoundingClientRect().right > innerWidth + 1).length"""
"""How many elements reach beyond the window: heads of tables are read aloud only, a drawing clips its own."""

LADDERS: dict[str, Any] = {
    "hostile": hostile,
    "empty": lambda: refresh((), (), Config(target=TARGET)),
    "refused": lambda: refresh(
        planted_ladder(sizes=(1e8,), ratios=(5, 10, 20, 40, 80)), (), Config(target=TARGET, replicates=60)
    ),
}


@pytest.mark.parametrize("name", LADDERS)
def test_a_browser_opens_the_page_in_silence_without_a_request_and_without_scrolling_sideways(
    browser: Chromium, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "report.html"
    file.write_text(WRITERS[".html"](gather(LADDERS[name](), title=HOSTILE["long"])), encoding="utf-8")
    for width in (400, 1600):
        for dark in (False, True):
            events = browser.open(file, width, dark=dark)
            loud = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
            assert not [event for event in events if event["method"] in loud]
            asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
            assert asked == [file.as_uri()]
            assert browser.ask("document.documentElement.scrollWidth") <= width
            # a region of its own may scroll where there is room for a table, and none on a small screen
            assert width > 400 or browser.ask(OUTSIDE) == 0


def test_a_browser_shows_every_hostile_name_whole(browser: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(written(".html"), encoding="utf-8")
    browser.open(file, 1600)
    shown = browser.ask("[...document.querySelectorAll('#runs tbody th .name')].map(e => e.textContent)")
    wanted = {safe(run.name).replace("\r\n", "\n") for run in hostile().runs}
    assert wanted <= set(shown)
    assert browser.ask("document.querySelectorAll('script, img').length") == 0


def test_printed_no_figure_and_no_row_is_cut_and_nothing_is_hidden_in_a_region(
    browser: Chromium, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(written(".html"), encoding="utf-8")
    browser.open(file, 794, media="print")
    kept = "[...document.querySelectorAll('figure, tr')].every(e => getComputedStyle(e).breakInside == 'avoid')"
    assert browser.ask(kept)
    assert browser.ask("[...document.querySelectorAll('.tall')].every(e => e.scrollHeight <= e.clientHeight + 1)")
    assert browser.ask("document.documentElement.scrollWidth") <= 794
    assert len(browser.send("Page.printToPDF")["data"]) > 10_000


def test_a_report_of_a_hundred_runs_takes_five_seconds_at_most() -> None:
    runs = planted_ladder(sizes=tuple(np.geomspace(1e7, 3e8, 20).tolist()), points=200, ratios=(5, 10, 20, 40, 80))
    assert len(runs) == 100
    snapshot = refresh(runs, (), Config(target=TARGET, replicates=60))
    began = time.process_time()
    made = gather(snapshot)
    for write in WRITERS.values():
        write(made)
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_the_page_alone_needs_what_draws_and_fills_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    snapshot = refresh(planted_ladder(seed=3), (), Config(target=TARGET, replicates=0))
    monkeypatch.setitem(sys.modules, package, None)
    made = gather(snapshot)
    assert WRITERS[".md"](made).startswith("# ")
    assert json.loads(WRITERS[".json"](made))["verdict"] == made.verdict
    with pytest.raises(MissingDependency, match=package):
        WRITERS[".html"](made)


def test_losses_that_are_not_finite_break_no_format() -> None:
    first, *others = planted_ladder(seed=3)
    broken = Run(first.card, replace(first.curve, loss=np.full(len(first.curve), math.inf)))
    diverged = Run(replace(first.card, name="nan"), Curve.of([]))
    made = gather(refresh([broken, diverged, *others], (), Config(target=TARGET, replicates=60)))
    for write in WRITERS.values():
        assert not re.search(r"\b(NaN|Infinity)\b", write(made))
